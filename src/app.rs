//! The process: client, election, watches, controllers, web server, shutdown.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::controller::{Action, Config as ControllerConfig, applier};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{self, ObjectRef};
use kube::{Api, Client, Config, ResourceExt};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cli::Run;
use crate::cluster::Cluster;
use crate::controller::context::{Settings, Stores};
use crate::controller::links::Links;
use crate::controller::own_secret::Children;
use crate::controller::watch::{self, Writers};
use crate::controller::{self, Context, Kind, Managed};
use crate::leader::{Election, Fence};
use crate::server::{self, State};

/// Resources of one kind that are worked on at the same time. More than a server takes at once, so that a slow one does not hold up the others.
const CONCURRENCY: u16 = 64;
/// How long passes may still take after the signal to stop: less than a pod's usual grace of 30 s.
const GRACE: Duration = Duration::from_secs(20);

/// Runs the operator until SIGTERM or SIGINT.
///
/// # Errors
/// If the Kubernetes API cannot be reached at the start, the address cannot be bound, or leadership is lost.
pub async fn run(settings: Run) -> Result<()> {
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone())?;
    let listener = TcpListener::bind(settings.listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", settings.listen))?;
    let client = connect().await?;
    let cluster = match &settings.cluster_id {
        Some(id) => id.clone(),
        None => cluster_id(&client).await?,
    };
    let identity = settings
        .identity
        .clone()
        .unwrap_or_else(|| format!("oidc-operator-{:08x}", rand::random::<u32>()));
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        cluster,
        former_clusters = ?settings.former_clusters(),
        identity,
        namespace = settings.namespace,
        "starting"
    );

    let state = Arc::new(State::default());
    let web_stop = CancellationToken::new();
    let web = tokio::spawn(server::serve(listener, state.clone(), web_stop.clone()));
    let result = lead(&settings, client, cluster, &identity, &state, &stop).await;
    web_stop.cancel();
    web.await.context("the web server")?.context("the web server")?;
    result
}

async fn lead(
    settings: &Run,
    client: Client,
    cluster: String,
    identity: &str,
    state: &State,
    stop: &CancellationToken,
) -> Result<()> {
    if !settings.leader_election {
        return control(settings, client, cluster, identity, Fence::open(), state, stop).await;
    }
    let election = Election::new(client.clone(), &settings.namespace, &settings.lease_name, identity);
    let _ = state.ready.set(()); // one that stands by is ready
    if !election.acquire(stop).await {
        return Ok(());
    }
    let fence = election.fence();
    let working = stop.child_token();
    let held = CancellationToken::new();
    let (lost, worked) = tokio::join!(
        async {
            let lost = !election.hold(&held).await;
            working.cancel();
            lost
        },
        async {
            let worked = control(settings, client, cluster, identity, fence, state, &working).await;
            held.cancel();
            worked
        }
    );
    worked?;
    if lost {
        bail!("the Lease was lost");
    }
    election.release().await;
    tracing::info!("the Lease is released");
    Ok(())
}

/// Fills the caches, then works until told to stop, then finishes what is under way.
async fn control(
    settings: &Run,
    client: Client,
    cluster: String,
    identity: &str,
    fence: Fence,
    state: &State,
    stop: &CancellationToken,
) -> Result<()> {
    let (servers, server_feed) = Kind::new();
    let (clients, client_feed) = Kind::new();
    let (scopes, scope_feed) = Kind::new();
    let (assignments, assignment_feed) = Kind::new();
    let (key_sets, key_set_feed) = Kind::new();
    let (providers, provider_feed) = Kind::new();
    let (namespaces, namespace_writer) = reflector::store();
    let (secrets, secret_writer) = reflector::store();
    let reporter = Reporter {
        controller: "oidc-operator".to_owned(),
        instance: Some(identity.to_owned()),
    };
    let ctx = Arc::new(Context {
        cluster: Cluster::new(client.clone(), fence.clone()),
        settings: Settings {
            namespace: settings.namespace.clone(),
            cluster,
            former_clusters: settings.former_clusters(),
        },
        servers,
        clients,
        scopes,
        assignments,
        key_sets,
        providers,
        stores: Stores { namespaces, secrets },
        children: Children::default(),
        links: Links::default(),
        recorder: Recorder::new(client, reporter),
        metrics: state.metrics.clone(),
        fence,
    });
    let _ = state.context.set(ctx.clone()); // set once: a process leads at most once
    let writers = Writers {
        servers: server_feed.writer,
        clients: client_feed.writer,
        scopes: scope_feed.writer,
        assignments: assignment_feed.writer,
        key_sets: key_set_feed.writer,
        providers: provider_feed.writer,
        namespaces: namespace_writer,
        secrets: secret_writer,
    };
    // Watches outlive the controllers: passes that finish after the signal still need their caches.
    let watching = CancellationToken::new();
    let _unwatch = watching.clone().drop_guard();
    watch::start(&ctx, writers, &watching);
    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        filled = filled(&ctx) => filled?,
    }
    tracing::info!(
        servers = ctx.servers.store.len(),
        clients = ctx.clients.store.len(),
        "the caches are filled"
    );
    let _ = state.ready.set(());
    ctx.metrics.leading(true);
    let controllers = [
        queue(ctx.clone(), server_feed.woken, stop),
        queue(ctx.clone(), client_feed.woken, stop),
        queue(ctx.clone(), scope_feed.woken, stop),
        queue(ctx.clone(), assignment_feed.woken, stop),
        queue(ctx.clone(), key_set_feed.woken, stop),
        queue(ctx.clone(), provider_feed.woken, stop),
    ];
    stop.cancelled().await;
    tracing::info!("stopping; passes under way are finished");
    if tokio::time::timeout(GRACE, futures::future::join_all(controllers))
        .await
        .is_err()
    {
        tracing::warn!("a pass did not end in time");
    }
    ctx.links.close().await;
    ctx.metrics.leading(false);
    Ok(())
}

/// No pass may decide on a cache that is not filled.
async fn filled(ctx: &Context) -> Result<()> {
    let gone = |_| anyhow!("a watch ended before its cache was filled");
    ctx.stores.namespaces.wait_until_ready().await.map_err(gone)?;
    ctx.stores.secrets.wait_until_ready().await.map_err(gone)?;
    ctx.servers.store.wait_until_ready().await.map_err(gone)?;
    ctx.clients.store.wait_until_ready().await.map_err(gone)?;
    ctx.scopes.store.wait_until_ready().await.map_err(gone)?;
    ctx.assignments.store.wait_until_ready().await.map_err(gone)?;
    ctx.key_sets.store.wait_until_ready().await.map_err(gone)?;
    ctx.providers.store.wait_until_ready().await.map_err(gone)
}

/// Runs the controller of a kind: one pass at a time for each resource, a bounded number in all.
fn queue<K: Managed>(
    ctx: Arc<Context>,
    mut wakes: UnboundedReceiver<ObjectRef<K>>,
    stop: &CancellationToken,
) -> JoinHandle<()> {
    let store = K::kind_of(&ctx).store.clone();
    let wakes = futures::stream::poll_fn(move |cx| wakes.poll_recv(cx)).map(Ok::<_, Infallible>);
    let pass = |object: Arc<K>, ctx: Arc<Context>| {
        let name = object.name_any();
        // A task of its own: both cores are used, and a panic stays in its pass.
        tokio::spawn(controller::reconcile(object, ctx)).map(move |ended| match ended {
            Ok(action) => Ok::<_, Infallible>(action),
            Err(error) => {
                tracing::error!(kind = K::KIND, name, %error, "a pass ended in a fault of the operator");
                Ok(Action::requeue(Duration::from_secs(30)))
            }
        })
    };
    let config = ControllerConfig::default().concurrency(CONCURRENCY);
    let wakes = wakes.take_until(stop.clone().cancelled_owned());
    let passes = applier(
        pass,
        |_, never: &Infallible, _| match *never {},
        ctx,
        store,
        Box::pin(wakes),
        config,
    );
    // What ends in an error is a resource that went between its wake and its pass.
    tokio::spawn(passes.for_each(|_| async {}))
}

async fn connect() -> Result<Client> {
    let mut config = Config::infer()
        .await
        .context("no way to the Kubernetes API is configured")?;
    // A repeated POST could act twice; passes are repeated as a whole instead.
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(10));
    // Above the 290 s of a watch: whatever is longer silent than that is dead.
    config.read_timeout = Some(Duration::from_secs(300));
    Client::try_from(config).context("the configuration of the Kubernetes API cannot be used")
}

async fn cluster_id(client: &Client) -> Result<String> {
    let api: Api<Namespace> = Api::all(client.clone());
    let namespace = api
        .get("kube-system")
        .await
        .context("cannot read the namespace kube-system, whose UID is this cluster's id")?;
    namespace.uid().context("the namespace kube-system has no UID")
}

fn stop_on_signal(stop: CancellationToken) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    });
    Ok(())
}
