//! A server, or the gateway in front of it, that limits the rate of requests.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use kube::runtime::wait::await_condition;
use kube::{Api, Resource};
use libtest_mimic::Trial;
use oidc_operator::api::{AuthorizationServer, OAuth2Client};
use oidc_operator::controller::engine::managed::Managed;
use serde::de::DeserializeOwned;
use serde_json::json;
use testbed::HydraMajor;
use testbed::proxy::{Action, Answer, Exchange, Fault};
use testbed::wait;

use super::machine_on;
use crate::bed::{self, Bed, Options, Server, ServerOptions, Space, conditions, is_create};
use crate::conditions::{Tone, server_says};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    match side.major() {
        HydraMajor::V1 => Vec::new(), // how a 429 is treated does not depend on the version
        HydraMajor::V2 => vec![
            side.alone(Options::default(), many_clients_pass_a_rate_limit_without_an_alarm),
            side.shared(a_long_pause_is_kept_without_an_alarm),
            side.shared(a_server_that_refuses_everything_is_reported_after_a_while),
        ],
    }
}

/// Number of clients that are applied at once.
const CLIENTS: usize = 100;
/// Requests a second that the server accepts.
const LIMIT: u32 = 5;
/// Longest time until all clients are ready. The limit itself takes 19 seconds.
const LONGEST: Duration = Duration::from_secs(60);

async fn many_clients_pass_a_rate_limit_without_an_alarm(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let spaces = [bed.space().await?, bed.space().await?];
    let mark = server.admin.journal().mark();
    let answer = Answer::status(429).header("x-ratelimit-reset", "1");
    let limit = server.admin.inject(Fault::beyond(LIMIT, |_| true, answer));
    let begun = Instant::now();
    tokio::select! {
        made = make_all(&server, &spaces) => made?,
        alarm = alarm::<AuthorizationServer>(bed, bed.servers_api(), &server.name) => alarm?,
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

/// Fails as soon as an object is reported as not ready.
async fn alarm<K: Managed + Resource<DynamicType = ()> + DeserializeOwned>(
    bed: &Bed,
    api: Api<K>,
    name: &str,
) -> Result<()> {
    let is_unready = |object: Option<&K>| {
        let conditions = object.map(conditions).unwrap_or_default();
        conditions
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "False")
    };
    await_condition(api, name, is_unready).await?;
    bail!("{} {name} was reported\n{}", K::KIND, bed.operator().log_tail(&[name]))
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

async fn a_long_pause_is_kept_without_an_alarm(bed: &Bed) -> Result<()> {
    const PAUSE: Duration = Duration::from_secs(25);
    let server = bed
        .own_server(ServerOptions {
            resync_interval: "1s".to_owned(),
            ..ServerOptions::default()
        })
        .await?;
    let space = bed.space().await?;
    space.ready_client("app", &machine_on(&server.name)).await?;
    let answer = Answer::status(429).header("retry-after", &PAUSE.as_secs().to_string());
    let refusal = server
        .admin
        .inject(Fault::new(|_| true, Action::Answer(answer)).times(1));
    let refused = async || Ok((refusal.struck() == 1).then_some(Instant::now()));
    let begun = wait::until("a request of the server's own pass", bed::LIMIT, refused).await?;
    let mark = server.admin.journal().mark();
    space
        .change("app", json!({ "spec": { "clientName": "changed" } }))
        .await?;
    tokio::select! {
        ready = space.wait_ready("app") => drop(ready?),
        alarm = alarm::<AuthorizationServer>(bed, bed.servers_api(), &server.name) => alarm?,
        alarm = alarm::<OAuth2Client>(bed, space.clients(), "app") => alarm?,
    }
    let took = begun.elapsed();
    ensure!(took > PAUSE - Duration::from_secs(1), "the pause ended after {took:?}");
    let mut requests = server.admin.journal().since(mark);
    requests.retain(|exchange| exchange.arrived < begun + PAUSE - Duration::from_secs(1));
    // At most what was under way.
    ensure!(requests.len() <= 1, "requests during the pause: {requests:#?}");
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
    server_says(bed, &server.name, Tone::Reconciling, "ServerUnavailable", message).await?;
    ensure!(
        begun.elapsed() > Duration::from_secs(25),
        "reported after {:?}",
        begun.elapsed()
    );
    // The client says the same, or refers to the server.
    space
        .wait_condition("app", "Ready", "False", "ServerUnavailable")
        .await?;
    ensure!(limit.struck() < 30, "{} requests", limit.struck());
    drop(limit);
    bed.server_ready(&server.name).await?;
    space.wait_ready("app").await?;
    Ok(())
}
