//! How long one client takes until it is Ready: when nothing else happens, and while another tenant keeps the operator
//! busy.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, DynamicObject, ListParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{LIMIT, clients_in, each};
use crate::control_plane::ControlPlane;
use crate::hydra::Hydra;
use crate::install;
use crate::proxy::{Action, Fault, Proxy, Upstream};
use crate::tarpit;

/// Clients that are measured in each situation, one after another.
const MEASURED: usize = 100;
/// Clients that another tenant creates at once.
const CROWD: usize = 500;
/// Clients that name a URI which never answers.
const WAITING: usize = 20;
const GOOD: &str = "good";
const EVIL: &str = "evil";

/// How long each client took.
#[derive(Default)]
struct Times {
    /// From the request that creates it until it is Ready, sorted.
    ready: Vec<Duration>,
    /// The part of it until the Kubernetes API has accepted the client, sorted: the operator does not affect it.
    accepted: Vec<Duration>,
    /// The rest, which the operator takes, sorted.
    own: Vec<Duration>,
}

/// The time, in milliseconds, within which this percentage of them finished.
fn within(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(index).copied().unwrap_or_default().as_secs_f64() * 1_000.0
}

/// Prints the times in each situation, and how they relate to the idle ones.
///
/// # Errors
/// When something does not start, or a client is not Ready in time.
pub(super) async fn run(plane: &ControlPlane, hydra: &Hydra) -> Result<()> {
    install::make_namespace(plane, GOOD).await?;
    install::make_namespace(plane, EVIL).await?;
    let idle = measure(plane, "idle", || true).await?;
    print("idle", &idle, &idle);

    let (port, tarpit) = tarpit::start().await?;
    let server = |url: &str, name: &str| {
        json!({
            "apiVersion": "oidc-operator.dev/v1alpha1", "kind": "AuthorizationServer", "metadata": { "name": name },
            "spec": {
                "hydra": { "adminUrl": url, "publicUrl": hydra.public_url() },
                "access": [{
                    "namespaces": { "from": "All" }, "kinds": ["OAuth2Client"],
                    "clients": { "serverUriHosts": [format!("127.0.0.1:{port}")] },
                }],
            },
        })
    };
    install::apply(plane, &server(&hydra.admin_url(), "default").to_string()).await?;
    let uri = format!("https://127.0.0.1:{port}/x");
    let spec = json!({
        "redirectUris": ["https://a.example.com/cb"], "subjectType": "pairwise", "sectorIdentifierUri": uri,
    });
    crowd(plane, "waiting", WAITING, &spec).await?;
    print(
        "while 20 clients of another namespace name a URI that never answers",
        &measure(plane, "tarpit", || true).await?,
        &idle,
    );
    tarpit.abort();
    clear(plane, EVIL).await?;

    let proxy = Proxy::start("slow", Upstream::http(hydra.admin_url()), None).await?;
    install::apply(plane, &server(&proxy.url(), "slow").to_string()).await?;
    let fault = proxy.inject(Fault::new(
        |head| head.is("POST", "/admin/clients"),
        Action::Delay(Duration::from_secs(9)),
    ));
    let spec = json!({ "serverRef": { "name": "slow" }, "grantTypes": ["client_credentials"] });
    crowd(plane, "slow", CROWD, &spec).await?;
    print(
        "while 500 clients of another namespace wait for another server, which takes 9 s",
        &measure(plane, "slow", || true).await?,
        &idle,
    );
    drop(fault);
    clear(plane, EVIL).await?;

    let spec = json!({ "grantTypes": ["client_credentials"] });
    let over = CancellationToken::new();
    let all_ready = async {
        let _over = over.drop_guard_ref();
        tokio::try_join!(crowd(plane, "many", CROWD, &spec), until_all_ready(plane, EVIL, CROWD))
    };
    let (made, times) = tokio::join!(all_ready, measure(plane, "many", || over.is_cancelled()));
    made?;
    print(
        "while 500 clients of another namespace are created on the same server",
        &times?,
        &idle,
    );
    clear(plane, EVIL).await?;
    clear(plane, GOOD).await
}

fn print(what: &str, times: &Times, idle: &Times) {
    println!("Ready {what}:");
    let line = |what: &str, now: &[Duration], then: &[Duration]| {
        let figure = |percent| {
            let (now, then) = (within(now, percent), within(then, percent));
            format!("{now:.0} ms (p{percent}, {:.1} of idle)", now / then)
        };
        println!("        {what}: {}, {}", figure(50), figure(95));
    };
    line("in all", &times.ready, &idle.ready);
    line(
        "until the Kubernetes API has accepted it",
        &times.accepted,
        &idle.accepted,
    );
    line("since then", &times.own, &idle.own);
}

/// Creates clients one after another, each when the one before is Ready, until there are enough and `is_over`.
async fn measure(plane: &ControlPlane, prefix: &str, is_over: impl Fn() -> bool) -> Result<Times> {
    let clients = clients_in(plane.client(), GOOD);
    // One watch for all: a separate connection for each client would be measured too.
    let mut seen = watcher(clients.clone(), watcher::Config::default())
        .applied_objects()
        .boxed();
    let mut times = Times::default();
    while times.ready.len() < MEASURED || !is_over() {
        let name = format!("{prefix}-{}", times.ready.len());
        let spec = json!({ "redirectUris": ["https://app.example.com/callback"] });
        let begun = Instant::now();
        clients.create(&PostParams::default(), &client(&name, &spec)?).await?;
        let accepted = begun.elapsed();
        tokio::time::timeout(LIMIT, until_ready(&mut seen, &name))
            .await
            .with_context(|| format!("{name} is not Ready"))??;
        let ready = begun.elapsed();
        times.ready.push(ready);
        times.accepted.push(accepted);
        times.own.push(ready.saturating_sub(accepted));
    }
    times.ready.sort();
    times.accepted.sort();
    times.own.sort();
    Ok(times)
}

async fn until_ready(
    seen: &mut (impl Stream<Item = watcher::Result<DynamicObject>> + Unpin),
    name: &str,
) -> Result<()> {
    while let Some(seen) = seen.next().await {
        let seen = seen?;
        if seen.name_any() == name && is_ready(&seen) {
            return Ok(());
        }
    }
    bail!("the watch has ended")
}

fn is_ready(client: &DynamicObject) -> bool {
    let conditions = client.data["status"]["conditions"].as_array();
    conditions.is_some_and(|all| {
        all.iter()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    })
}

fn client(name: &str, spec: &Value) -> Result<DynamicObject> {
    let object = json!({
        "apiVersion": "oidc-operator.dev/v1alpha1", "kind": "OAuth2Client", "metadata": { "name": name }, "spec": spec,
    });
    Ok(serde_json::from_value(object)?)
}

async fn crowd(plane: &ControlPlane, prefix: &str, count: usize, spec: &Value) -> Result<()> {
    let clients = clients_in(plane.client(), EVIL);
    each(count, async |number| {
        let client = client(&format!("{prefix}-{number}"), spec)?;
        clients.create(&PostParams::default(), &client).await?;
        Ok(())
    })
    .await
}

/// Waits, with a watch, until this many clients of the namespace are Ready: lists would add load.
async fn until_all_ready(plane: &ControlPlane, namespace: &str, count: usize) -> Result<()> {
    let clients = clients_in(plane.client(), namespace);
    let mut seen = watcher(clients, watcher::Config::default()).applied_objects().boxed();
    let mut ready = HashSet::new();
    while ready.len() < count {
        let seen = seen.next().await.context("the watch has ended")??;
        if is_ready(&seen) {
            ready.insert(seen.name_any());
        }
    }
    Ok(())
}

async fn clear(plane: &ControlPlane, namespace: &str) -> Result<()> {
    let clients = clients_in(plane.client(), namespace);
    clients
        .delete_collection(&DeleteParams::default(), &ListParams::default())
        .await?;
    // Their Secrets too: their deletion would count as load of the next situation.
    let secrets: Api<Secret> = Api::namespaced(plane.client(), namespace);
    let one = ListParams::default().limit(1);
    crate::wait::until("the clients to be gone", LIMIT, async || {
        let is_left = !clients.list(&one).await?.items.is_empty() || !secrets.list(&one).await?.items.is_empty();
        Ok((!is_left).then_some(()))
    })
    .await
}
