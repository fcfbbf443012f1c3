//! The process: client, election, watches, controllers, web server, shutdown.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::events::Reporter;
use kube::{Api, Client, ResourceExt};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio_util::sync::CancellationToken;

use crate::cli::Run;
use crate::clock::DEADLINE;
use crate::cluster::Cluster;
use crate::controller::engine::cache::{cache, cache_of};
use crate::controller::engine::children::Children;
use crate::controller::engine::context::{Context, Settings, Stores};
use crate::controller::engine::departures::Departures;
use crate::controller::engine::key::Key;
use crate::controller::engine::kinds::Kinds;
use crate::controller::engine::links::Links;
use crate::controller::engine::publisher::Events;
use crate::controller::engine::spacing::Spacing;
use crate::controller::engine::turns;
use crate::controller::engine::unwatched::Unwatched;
use crate::controller::engine::watched_secret::WatchedSecret;
use crate::controller::watch::accepted::Accepted;
use crate::controller::watch::{self, Writers};
use crate::health::Stage;
use crate::kubernetes;
use crate::leader::{Election, Fence};
use crate::prerequisites;
use crate::proxies::Proxies;
use crate::reach::Reach;
use crate::server::{self, State};

/// Time that running passes have to finish after a stop signal: less than a pod's default grace period of 30 s.
const GRACE: Duration = Duration::from_secs(20);

/// Runs the operator until SIGTERM or SIGINT.
///
/// # Errors
/// If the Kubernetes API cannot be reached at startup, the address cannot be bound, or leadership is lost.
pub fn run(runtime: &Runtime, settings: Run) -> Result<()> {
    // Not in the program's own crate, which would get a second copy of all async functions.
    runtime.block_on(serve(settings))
}

async fn serve(settings: Run) -> Result<()> {
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone())?;
    let listener = server::listen(settings.listen);
    let listener = listener.with_context(|| format!("cannot listen on {}", settings.listen))?;
    let state = Arc::new(State::new(settings.metrics_max_age, settings.per_resource()));
    let web_stop = CancellationToken::new();
    let web =
        server::start(listener.into_std()?, state.clone(), web_stop.clone()).context("cannot start the web server")?;
    tokio::spawn(state.health.clone().beat());
    let client = kubernetes::client(&proxies()).await?;
    let client = client.with_layer(&Accepted(state.health.clone())).build();
    let looking = prerequisites::keep_looking(client.clone(), settings.clone(), state.health.clone());
    tokio::spawn(looking);
    let result = work(&settings, client, &state, &stop).await;
    web_stop.cancel();
    let web = tokio::task::spawn_blocking(|| web.join()).await?;
    web.map_err(|_| anyhow!("the web server panicked"))?
        .context("the web server failed")?;
    result
}

async fn work(settings: &Run, client: Client, state: &State, stop: &CancellationToken) -> Result<()> {
    let cluster = match &settings.cluster_id {
        Some(id) => Some(id.clone()),
        None => stop.run_until_cancelled(cluster_id(&client)).await.transpose()?,
    };
    let Some(cluster) = cluster else { return Ok(()) };
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
        reach = ?settings.reach(),
        "starting"
    );
    lead(settings, client, cluster, &identity, state, stop).await
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
        state.health.enter(Stage::Filling);
        return control(settings, client, cluster, identity, Fence::open(), state, stop).await;
    }
    let election = Election::new(client.clone(), &settings.lease_namespace, &settings.lease(), identity);
    let election = election.of(&settings.namespace);
    let waiting = || state.health.enter(Stage::StandingBy);
    if !election.acquire(stop, waiting).await {
        return Ok(());
    }
    state.health.enter(Stage::Filling);
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
    tracing::info!("released the Lease");
    Ok(())
}

/// Fills the caches, runs passes until the stop signal, then lets running passes finish.
async fn control(
    settings: &Run,
    client: Client,
    cluster: String,
    identity: &str,
    fence: Fence,
    state: &State,
    stop: &CancellationToken,
) -> Result<()> {
    let (ctx, writers, woken) = prepare(settings, client, cluster, identity, fence, state);
    // Watches outlive the controllers: passes that finish after the stop signal still need the caches.
    let watching = CancellationToken::new();
    let _unwatch = watching.clone().drop_guard();
    watch::start(&ctx, &state.health, writers, &watching);
    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        filled = filled(&ctx) => filled?,
    }
    introduce(&ctx, identity).await;
    state.health.enter(Stage::Working);
    ctx.metrics.leading(true);
    let passes = tokio::spawn(turns::run(ctx.clone(), woken, stop.clone()));
    stop.cancelled().await;
    tracing::info!("stopping after the running passes finish");
    if tokio::time::timeout(GRACE, passes).await.is_err() {
        tracing::warn!("a pass did not finish in time");
    }
    ctx.links.close().await;
    ctx.metrics.leading(false);
    Ok(())
}

/// Logs once what works here, and on what.
async fn introduce(ctx: &Context, identity: &str) {
    let asked = tokio::time::timeout(DEADLINE, ctx.cluster.client().apiserver_version()).await;
    let kubernetes = asked.ok().and_then(std::result::Result::ok);
    let Reach {
        namespaces,
        class,
        secrets: _,
        pods: _,
    } = &ctx.settings.reach;
    let namespaces = namespaces.as_ref().map_or_else(
        || "all".to_owned(),
        |names| names.iter().map(String::as_str).collect::<Vec<_>>().join(","),
    );
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        kubernetes = kubernetes.map_or_else(|| "unknown".to_owned(), |found| found.git_version),
        namespaces,
        class = class.as_deref().unwrap_or("none"),
        identity,
        servers = ctx.kinds.servers.store.len(),
        clients = ctx.kinds.clients.store.len(),
        "the caches are filled, and the operator works"
    );
}

/// Returns the context that all passes share, the writers of the caches, and the receiver of the keys to wake.
fn prepare(
    settings: &Run,
    client: Client,
    cluster: String,
    identity: &str,
    fence: Fence,
    state: &State,
) -> (Arc<Context>, Writers, UnboundedReceiver<Key>) {
    let (queue, woken) = mpsc::unbounded_channel();
    let (kinds, writers) = Kinds::new(&queue);
    let (namespaces, namespace_writer) = cache();
    let reach = settings.reach();
    let (secrets, secret_writers) = cache_of(reach.watched_secrets(&settings.namespace), WatchedSecret::is_left);
    let reporter = Reporter {
        controller: "oidc-operator".to_owned(),
        instance: Some(identity.to_owned()),
    };
    let ctx = Arc::new(Context {
        cluster: Cluster::new(client.clone(), fence.clone())
            .with_login_account(&settings.namespace, settings.login_service_account.as_deref()),
        settings: Settings {
            namespace: settings.namespace.clone(),
            cluster,
            former_clusters: settings.former_clusters(),
            reach,
            proxies: Proxies::of_process(),
            output_labels: settings.output_labels(),
            manual: settings.docs_url.clone(),
        },
        kinds,
        stores: Stores {
            namespaces,
            secrets,
            unwatched: Unwatched::default(),
        },
        queue: Mutex::default(),
        children: Children::default(),
        links: Links::default(),
        departures: Departures::default(),
        spacing: Spacing::default(),
        events: Events::new(client, reporter),
        metrics: state.metrics.clone(),
        fence,
    });
    let _ = state.context.set(ctx.clone()); // set once: a process leads at most once
    let writers = Writers {
        kinds: writers,
        namespaces: namespace_writer,
        secrets: secret_writers,
    };
    (ctx, writers, woken)
}

/// Waits until the caches are filled: no pass may decide on an incomplete cache.
async fn filled(ctx: &Context) -> Result<()> {
    let filled =
        ctx.stores.namespaces.is_filled().await && ctx.stores.secrets.is_filled().await && ctx.kinds.are_filled().await;
    if !filled {
        bail!("a watch ended before its cache was filled");
    }
    Ok(())
}

/// The proxies of the environment, which the log names.
fn proxies() -> Proxies {
    let proxies = Proxies::of_process();
    for variable in proxies.ignored() {
        tracing::warn!(
            variable,
            "the variable is not the URL of an HTTP proxy (http://HOST:PORT) and is ignored"
        );
    }
    if !proxies.are_none() {
        tracing::info!(%proxies, "requests to servers go through proxies, except as NO_PROXY says");
    }
    proxies
}

/// The UID of the namespace `kube-system`. Waits while the operator may not read it; the readiness probe names the
/// missing permission.
async fn cluster_id(client: &Client) -> Result<String> {
    let api: Api<Namespace> = Api::all(client.clone());
    loop {
        let error = match api.get("kube-system").await {
            Ok(namespace) => return namespace.uid().context("the namespace kube-system has no UID"),
            Err(error) => error,
        };
        let is_denied = matches!(&error, kube::Error::Api(status) if status.is_forbidden());
        let what = "cannot read the namespace kube-system, whose UID is this cluster's id";
        if !is_denied {
            return Err(error).context(what);
        }
        tracing::warn!(%error, what);
        tokio::time::sleep(prerequisites::RETRY).await;
    }
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
