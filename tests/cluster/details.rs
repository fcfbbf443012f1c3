//! Details: a test for each safety rule that no other module covers.

pub mod caches;
mod cleanup;
mod kube;
mod ledger;
mod observed;
mod server;
mod status;
mod sweep;
mod told;

use anyhow::{Context, Result};
use libtest_mimic::Trial;
use testbed::proxy::{Exchange, Outcome};
use testbed::wait;

use crate::bed::{Bed, LIMIT, Server, ServerOptions, Space, is_list};
use crate::run::Side;

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    let lists = [
        cleanup::trials,
        kube::trials,
        ledger::trials,
        observed::trials,
        server::trials,
        status::trials,
        sweep::trials,
        told::trials,
    ];
    lists.iter().flat_map(|list| list(side)).collect()
}

/// The spec of a client whose credentials can be tried.
pub fn machine_on(server: &Server) -> String {
    format!(
        "{{ serverRef: {{ name: {} }}, grantTypes: [client_credentials], scopes: [read] }}",
        server.name
    )
}

/// Options of a server that is swept so rarely that only the test wakes resources.
fn quiet() -> ServerOptions {
    ServerOptions {
        resync_interval: "1h".to_owned(),
        ..ServerOptions::default()
    }
}

/// Options of a server that is swept all the time.
fn brisk() -> ServerOptions {
    ServerOptions {
        resync_interval: "1s".to_owned(),
        ..ServerOptions::default()
    }
}

/// Path of a Secret in the Kubernetes API.
fn secret_at(space: &Space<'_>, name: &str) -> String {
    format!("/api/v1/namespaces/{}/secrets/{name}", space.name())
}

/// Path of an OAuth2Client in the Kubernetes API.
fn client_at(space: &Space<'_>, name: &str) -> String {
    format!(
        "/apis/oidc-operator.dev/v1alpha1/namespaces/{}/oauth2clients/{name}",
        space.name()
    )
}

/// Waits for this many complete sweeps after `mark`, successful or not.
async fn until_swept(server: &Server, mark: u64, sweeps: usize) -> Result<()> {
    let what = format!("{sweeps} sweeps of {}", server.name);
    wait::until(&what, LIMIT, async || {
        let since = server.admin.journal().since(mark);
        let lists = since.iter().filter(|exchange| is_list(&exchange.head));
        Ok((lists.count() > sweeps).then_some(())) // when the next has begun, the earlier ones have ended
    })
    .await
}

/// Triggers a sweep of a quiet server: a changed spec makes a new connection, and a new connection is swept.
async fn sweep_now(bed: &Bed, server: &Server) -> Result<()> {
    let mark = server.admin.journal().mark();
    let interval = format!("{}s", 3600 + mark % 1000); // different from the one before
    bed.change_server(&server.name, serde_json::json!({ "resyncInterval": interval }))
        .await?;
    let swept =
        |exchange: &Exchange| exchange.seq > mark && is_list(&exchange.head) && exchange.outcome == Outcome::Complete;
    server.admin.journal().wait_for(swept, LIMIT).await?;
    bed.server_ready(&server.name).await?; // its pass has ended
    Ok(())
}

/// The body of an exchange as JSON.
fn body_of(exchange: &Exchange) -> Result<serde_json::Value> {
    serde_json::from_slice(&exchange.body).with_context(|| format!("the body of {exchange:?}"))
}
