//! How long one client takes until it is Ready: when nothing else happens, and while somebody else makes the operator wait.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, DynamicObject, ListParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::{LIMIT, clients_in, each};
use crate::control_plane::ControlPlane;
use crate::hydra::Hydra;
use crate::install;
use crate::proxy::{Action, Fault, Proxy, Upstream};
use crate::tarpit;

/// Clients that are measured in each situation, one after another.
const MEASURED: usize = 40;
/// What somebody else throws in at once.
const CROWD: usize = 500;
/// Clients that name a URI which never answers.
const WAITING: usize = 20;
const GOOD: &str = "good";
const EVIL: &str = "evil";

/// Times to Ready, sorted.
struct Times(Vec<Duration>);

impl Times {
    fn at(&self, percent: usize) -> Duration {
        let index = (self.0.len() * percent).div_ceil(100).saturating_sub(1);
        self.0.get(index).copied().unwrap_or_default()
    }
}

/// Prints the times in each situation, and how they relate to the idle ones.
///
/// # Errors
/// When something does not start, or a client is not Ready in time.
pub(super) async fn run(plane: &ControlPlane, hydra: &Hydra) -> Result<()> {
    install::make_namespace(plane, GOOD).await?;
    install::make_namespace(plane, EVIL).await?;
    let idle = measure(plane, "idle").await?;
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
        &measure(plane, "tarpit").await?,
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
        &measure(plane, "slow").await?,
        &idle,
    );
    drop(fault);
    clear(plane, EVIL).await?;

    let spec = json!({ "grantTypes": ["client_credentials"] });
    let (made, times) = tokio::join!(crowd(plane, "many", CROWD, &spec), measure(plane, "many"));
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
    let (p50, p95) = (times.at(50), times.at(95));
    let ratio = |now: Duration, then: Duration| now.as_secs_f64() / then.as_secs_f64();
    println!(
        "Ready {what}: {:.0} ms (p50, {:.1} of idle), {:.0} ms (p95, {:.1} of idle)",
        p50.as_secs_f64() * 1_000.0,
        ratio(p50, idle.at(50)),
        p95.as_secs_f64() * 1_000.0,
        ratio(p95, idle.at(95)),
    );
}

/// Creates clients one after another, each when the one before is Ready.
async fn measure(plane: &ControlPlane, prefix: &str) -> Result<Times> {
    let clients = clients_in(plane.client(), GOOD);
    let mut times = Vec::with_capacity(MEASURED);
    for number in 0..MEASURED {
        let name = format!("{prefix}-{number}");
        let spec = json!({ "redirectUris": ["https://app.example.com/callback"] });
        let begun = Instant::now();
        let created = clients.create(&PostParams::default(), &client(&name, &spec)?).await?;
        tokio::time::timeout(LIMIT, until_ready(&clients, &created))
            .await
            .with_context(|| format!("{name} is not Ready"))??;
        times.push(begun.elapsed());
    }
    times.sort();
    Ok(Times(times))
}

async fn until_ready(clients: &Api<DynamicObject>, created: &DynamicObject) -> Result<()> {
    let parameters = WatchParams::default().fields(&format!("metadata.name={}", created.name_any()));
    let mut version = created.resource_version().unwrap_or_default();
    loop {
        let mut events = clients.watch(&parameters, &version).await?.boxed();
        while let Some(event) = events.next().await {
            let (WatchEvent::Added(seen) | WatchEvent::Modified(seen)) = event? else {
                continue;
            };
            version = seen.resource_version().unwrap_or_default();
            if is_ready(&seen) {
                return Ok(());
            }
        }
    }
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

async fn clear(plane: &ControlPlane, namespace: &str) -> Result<()> {
    let clients = clients_in(plane.client(), namespace);
    clients
        .delete_collection(&DeleteParams::default(), &ListParams::default())
        .await?;
    // Their Secrets too: what deletes them would count as the next situation's load.
    let secrets: Api<Secret> = Api::namespaced(plane.client(), namespace);
    let one = ListParams::default().limit(1);
    crate::wait::until("the clients to be gone", LIMIT, async || {
        let is_left = !clients.list(&one).await?.items.is_empty() || !secrets.list(&one).await?.items.is_empty();
        Ok((!is_left).then_some(()))
    })
    .await
}
