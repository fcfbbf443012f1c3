//! A server that is down: the operator reports it once, probes it rarely, and recovers when it is back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use kube::api::ListParams;
use libtest_mimic::Trial;
use serde_json::json;

use super::machine_on;
use crate::bed::{Bed, Options, ServerOptions, uid_of};
use crate::conditions::{Tone, client_ready, server_says};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![side.alone(Options::default(), an_outage_is_reported_once_and_costs_few_requests)]
}

/// Number of clients that have something to write while the server is down.
const BUSY: usize = 30;
/// Number of clients that have nothing to write.
const SETTLED: usize = 10;
/// How long the requests are counted.
const WINDOW: Duration = Duration::from_secs(12);

async fn an_outage_is_reported_once_and_costs_few_requests(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let (busy, settled) = (bed.space().await?, bed.space().await?);
    for (space, count) in [(&busy, BUSY), (&settled, SETTLED)] {
        for number in 0..count {
            space
                .apply_client(&format!("app-{number}"), &machine_on(&server.name))
                .await?;
        }
        for number in 0..count {
            client_ready(space, &format!("app-{number}")).await?;
        }
    }
    let versions = async || -> Result<Vec<Option<String>>> {
        let clients = settled.clients().list(&ListParams::default()).await?;
        Ok(clients.iter().map(ResourceExt::resource_version).collect())
    };
    let before = versions().await?;

    server.admin.down();
    for number in 0..BUSY {
        busy.change(&format!("app-{number}"), json!({ "spec": { "clientName": "changed" } }))
            .await?;
    }
    let message = "The server cannot be used now: the connection broke during a reply. The operator keeps trying.";
    let said = server_says(bed, &server.name, Tone::Reconciling, "ServerUnavailable", message).await?;
    let known =
        "The server cannot be used now: it has just failed; see the AuthorizationServer. The operator keeps trying.";
    for number in 0..BUSY {
        let name = format!("app-{number}");
        crate::conditions::client_says(&busy, &name, Tone::Reconciling, "ServerUnavailable", known).await?;
    }
    let written = busy.clients().list(&ListParams::default()).await?;
    let written: Vec<_> = written.iter().map(ResourceExt::resource_version).collect();

    let mark = server.admin.journal().mark();
    tokio::time::sleep(WINDOW).await; // requests are counted during this time
    let asked = server.admin.journal().since(mark).len();
    ensure!(asked >= 1, "the operator does not probe the server");
    ensure!(
        asked as f64 <= 3.0 * WINDOW.as_secs_f64(),
        "{asked} requests in {WINDOW:?}"
    );
    ensure!(versions().await? == before, "settled clients were written");
    let now = busy.clients().list(&ListParams::default()).await?;
    let now: Vec<_> = now.iter().map(ResourceExt::resource_version).collect();
    ensure!(now == written, "the outage was reported again");
    let still = bed.servers_api().get(&server.name).await?;
    ensure!(
        still.resource_version() == said.resource_version(),
        "the outage was reported again on the server"
    );

    server.admin.up();
    for number in 0..BUSY {
        let client = client_ready(&busy, &format!("app-{number}")).await?;
        let row = bed.registered(&uid_of(&client)).await?;
        ensure!(row["client_name"] == "changed", "{row}");
    }
    bed.server_ready(&server.name).await?;
    ensure!(versions().await? == before, "settled clients were written");
    let (id, secret) = busy.credentials("app-0").await?;
    bed.token(&id, &secret, "").await.context("after the outage")?;
    Ok(())
}
