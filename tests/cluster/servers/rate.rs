//! A server, or the gateway in front of it, that limits the rate of requests.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use kube::runtime::wait::await_condition;
use libtest_mimic::Trial;
use oidc_operator::api::AuthorizationServer;
use serde_json::json;
use testbed::proxy::{Answer, Exchange, Fault};

use super::machine_on;
use crate::bed::{Bed, Options, Server, ServerOptions, Space, is_create};
use crate::conditions::{Tone, client_says, server_says};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.alone(Options::default(), many_clients_pass_a_rate_limit_without_an_alarm),
        side.shared(a_server_that_refuses_everything_is_reported_after_a_while),
    ]
}

/// Number of clients that are applied at once.
const CLIENTS: usize = 200;
/// Requests a second that the server accepts.
const LIMIT: u32 = 10;
/// Longest time until all clients are ready. The limit itself takes 19 seconds.
const LONGEST: Duration = Duration::from_secs(60);

async fn many_clients_pass_a_rate_limit_without_an_alarm(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let spaces = [bed.space().await?, bed.space().await?];
    let mark = server.admin.journal().mark();
    let answer = Answer::status(429).header("x-ratelimit-reset", "1");
    let limit = server.admin.inject(Fault::beyond(LIMIT, |_| true, answer));
    let is_unready = |server: Option<&AuthorizationServer>| {
        let mut conditions = server
            .iter()
            .flat_map(|server| &server.status)
            .flat_map(|status| &status.conditions);
        conditions.any(|condition| condition.type_ == "Ready" && condition.status != "True")
    };
    let begun = Instant::now();
    tokio::select! {
        made = make_all(&server, &spaces) => made?,
        _ = await_condition(bed.servers_api(), &server.name, is_unready) => {
            bail!("the server was reported\n{}", bed.operator().log_tail(&[&server.name]))
        }
    }
    let took = begun.elapsed();
    let requests = server.admin.journal().since(mark);
    let accepted = |exchange: &&Exchange| exchange.fault.is_none();
    let passed = requests.iter().filter(accepted).count();
    let creates = requests
        .iter()
        .filter(accepted)
        .filter(|made| is_create(&made.head))
        .count();
    eprintln!(
        "{CLIENTS} clients in {took:.1?}: {passed} requests accepted, {} refused",
        limit.struck()
    );
    ensure!(took < LONGEST, "it took {took:?}");
    ensure!(creates == CLIENTS, "{creates} clients were created");
    ensure!(limit.struck() > 0, "the limit was not reached");
    ensure!(
        limit.struck() < passed as u64 / 3,
        "{} requests were refused, and {passed} accepted",
        limit.struck()
    );
    let labels = "kind=\"OAuth2Client\",result=\"ServerUnavailable\"";
    let failed = bed.operator().metric("oidc_operator_reconciles_total", labels).await?;
    ensure!(failed == 0.0, "{failed} passes failed");
    Ok(())
}

async fn make_all(server: &Server, spaces: &[Space<'_>; 2]) -> Result<()> {
    for number in 0..CLIENTS {
        let name = format!("app-{number}");
        spaces[number % 2]
            .apply_client(&name, &machine_on(&server.name))
            .await?;
    }
    for number in 0..CLIENTS {
        spaces[number % 2].wait_ready(&format!("app-{number}")).await?;
    }
    Ok(())
}

async fn a_server_that_refuses_everything_is_reported_after_a_while(bed: &Bed) -> Result<()> {
    let server = bed
        .own_server(ServerOptions {
            resync_interval: "1h".to_owned(),
            ..ServerOptions::default()
        })
        .await?;
    let space = bed.space().await?;
    space.ready_client("app", &machine_on(&server.name)).await?;
    let begun = Instant::now();
    let limit = server.admin.inject(Fault::beyond(0, |_| true, Answer::status(429)));
    space
        .change("app", json!({ "spec": { "clientName": "changed" } }))
        .await?;
    let message = "The server cannot be used now: it answers 429 to everything (raise its rate limit for the operator, or wait). The operator keeps trying.";
    client_says(&space, "app", Tone::Reconciling, "ServerUnavailable", message).await?;
    ensure!(
        begun.elapsed() > Duration::from_secs(25),
        "reported after {:?}",
        begun.elapsed()
    );
    server_says(bed, &server.name, Tone::Reconciling, "ServerUnavailable", message).await?;
    ensure!(limit.struck() < 30, "{} requests", limit.struck());
    drop(limit);
    bed.server_ready(&server.name).await?;
    space.wait_ready("app").await?;
    Ok(())
}
