//! The circuit breaker of a server, and limits of its access rules.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::AuthorizationServer;
use serde_json::json;
use testbed::proxy::{Action, Answer, Exchange, Fault};
use testbed::wait;

use super::{brisk, machine_on, quiet};
use crate::bed::{Bed, LIMIT, ServerOptions, is_list, is_of_clients, uid_of};
use crate::run::Side;

pub(super) fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(the_breaker_opens_on_errors_of_the_whole_server),
        side.shared(a_500_does_not_open_the_breaker),
        side.shared(failed_resources_are_woken_when_the_breaker_closes),
        side.shared(a_breaker_opened_during_a_server_pass_wakes_when_it_closes),
        side.shared(a_failing_listing_does_not_block_clients),
        side.shared(limits_apply_to_effective_values),
    ]
}

async fn the_breaker_opens_on_errors_of_the_whole_server(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    for (number, action, reason) in [
        (1, Action::Refuse, "ServerUnavailable"),
        (2, Action::Answer(Answer::status(502)), "ServerUnavailable"),
        (3, Action::Answer(Answer::status(503)), "ServerUnavailable"),
        (4, Action::Answer(Answer::status(504)), "ServerUnavailable"),
        (5, Action::Answer(Answer::status(401)), "ServerRefused"),
        (6, Action::Answer(Answer::status(403)), "ServerRefused"),
    ] {
        let (one, other) = (format!("one-{number}"), format!("other-{number}"));
        let what = format!("{action:?} {number}");
        let server = bed.own_server(quiet()).await?;
        space.ready_client(&one, &machine_on(&server)).await?;
        let id = uid_of(&space.ready_client(&other, &machine_on(&server)).await?);
        let mark = server.admin.journal().mark();
        // Everybody can read the version: that alone must not close the breaker.
        let fault = server.admin.inject(Fault::new(is_of_clients, action));
        space.change(&one, json!({ "spec": { "clientName": "a" } })).await?;
        bed.server_condition(&server.name, "Ready", "False", reason)
            .await
            .with_context(|| what.clone())?;
        space.change(&other, json!({ "spec": { "clientName": "a" } })).await?;
        space
            .wait_condition(&other, "Ready", "False", "")
            .await
            .with_context(|| what.clone())?;
        let asked = server.admin.journal().since(mark);
        let about_other = |exchange: &Exchange| exchange.head.is("GET", &bed.client_path(&id));
        ensure!(
            !asked.iter().any(about_other),
            "{what}: the second client was requested too: {asked:#?}\n{}",
            bed.operator().log_tail(&[space.name(), &server.name])
        );
        drop(fault);
        space.wait_ready(&one).await.with_context(|| what.clone())?;
        space.wait_ready(&other).await.with_context(|| what.clone())?;
    }
    Ok(())
}

async fn a_500_does_not_open_the_breaker(bed: &Bed) -> Result<()> {
    let server = bed.own_server(quiet()).await?;
    let space = bed.space().await?;
    let id = uid_of(&space.ready_client("one", &machine_on(&server)).await?);
    space.ready_client("other", &machine_on(&server)).await?;
    let path = bed.client_path(&id);
    let mark = server.admin.journal().mark();
    let failing = server.admin.inject(Fault::new(
        move |head| head.path() == path,
        Action::Answer(Answer::status(500)),
    ));
    space.change("one", json!({ "spec": { "clientName": "a" } })).await?;
    space
        .wait_condition("one", "Ready", "False", "ServerUnavailable")
        .await?;
    space.change("other", json!({ "spec": { "clientName": "a" } })).await?;
    space.wait_ready("other").await?;
    bed.server_ready(&server.name).await?;
    // A probe would have closed an open breaker again.
    let probes: Vec<_> = server.admin.journal().since(mark);
    let probes = probes.iter().filter(|exchange| is_list(&exchange.head));
    ensure!(failing.struck() > 0 && probes.count() == 0, "the breaker was open");
    drop(failing);
    space.wait_ready("one").await?;
    Ok(())
}

async fn failed_resources_are_woken_when_the_breaker_closes(bed: &Bed) -> Result<()> {
    const CLIENTS: usize = 6;
    const AT_ONCE: Duration = Duration::from_secs(5);
    let server = bed.own_server(quiet()).await?;
    let space = bed.space().await?;
    let names: Vec<String> = (0..CLIENTS).map(|number| format!("app-{number}")).collect();
    for name in &names {
        space.ready_client(name, &machine_on(&server)).await?;
    }
    server.admin.down();
    for name in &names {
        space.change(name, json!({ "spec": { "clientName": "a" } })).await?;
        space.wait_condition(name, "Ready", "False", "").await?;
    }
    // By then each client waits for its own next try much longer than the prober does.
    wait::until("many probes", LIMIT, async || {
        let probes = server
            .admin
            .journal()
            .count(|exchange| exchange.fault.is_some() && exchange.head.is("GET", "/version"));
        Ok((probes >= 8).then_some(()))
    })
    .await?;
    let mark = server.admin.journal().mark();
    server.admin.up();
    for name in &names {
        space.wait_ready(name).await?;
    }
    let since = server.admin.journal().since(mark);
    let good = |exchange: &&Exchange| exchange.fault.is_none();
    let probe = since.iter().find(good).context("no probe")?;
    // The first try of each: Hydra on SQLite may answer 500 to concurrent writes.
    let at_once = |put: &&Exchange| put.head.method == "PUT" && put.arrived - probe.arrived < AT_ONCE;
    let tried: BTreeSet<&str> = since
        .iter()
        .filter(good)
        .filter(at_once)
        .map(|put| put.head.path())
        .collect();
    ensure!(tried.len() == CLIENTS, "{since:#?}");
    Ok(())
}

async fn a_breaker_opened_during_a_server_pass_wakes_when_it_closes(bed: &Bed) -> Result<()> {
    const AT_ONCE: Duration = Duration::from_secs(5);
    let server = bed.own_server(brisk()).await?;
    let space = bed.space().await?;
    space.ready_client("app", &machine_on(&server)).await?;
    let look = server.admin.inject(Fault::new(
        |head| head.is("GET", "/version"),
        Action::Delay(Duration::from_secs(60)),
    ));
    let begun = async || Ok((look.struck() > 0).then_some(()));
    wait::until("a pass of the server to begin", LIMIT, begun).await?;
    let outage = server.admin.inject(Fault::new(is_of_clients, Action::Refuse));
    // After this many failures in a row its own next try is far away.
    for number in 0..5 {
        let name = format!("a{number}");
        space.change("app", json!({ "spec": { "clientName": name } })).await?;
        space
            .wait_condition("app", "Ready", "False", "ServerUnavailable")
            .await?;
    }
    ensure!(look.struck() == 1, "the pass of the server has ended too soon");
    drop(outage);
    let mark = server.admin.journal().mark();
    drop(look);
    space.wait_ready("app").await?;
    let since = server.admin.journal().since(mark);
    let probe = since
        .iter()
        .find(|exchange| is_list(&exchange.head))
        .context("no probe")?;
    let put = since
        .iter()
        .find(|exchange| exchange.head.method == "PUT")
        .context("no PUT")?;
    ensure!(put.arrived - probe.arrived < AT_ONCE, "{since:#?}");
    Ok(())
}

async fn a_failing_listing_does_not_block_clients(bed: &Bed) -> Result<()> {
    let server = bed.own_server(brisk()).await?;
    let space = bed.space().await?;
    space.ready_client("app", &machine_on(&server)).await?;
    let listing = server
        .admin
        .inject(Fault::new(is_list, Action::Answer(Answer::status(500))));
    let said = bed
        .server_condition(&server.name, "Ready", "False", "ServerUnavailable")
        .await?;
    // The same after an outage, when the prober requests a list.
    server.admin.down();
    space.change("app", json!({ "spec": { "clientName": "a" } })).await?;
    space
        .wait_condition("app", "Ready", "False", "ServerUnavailable")
        .await?;
    server.admin.up();
    space.wait_ready("app").await?;
    space.ready_client("new", &machine_on(&server)).await?;
    let listings = listing.struck();
    let more = async || Ok((listing.struck() > listings + 2).then_some(()));
    wait::until("more listings", LIMIT, more).await?;
    let still = bed.servers_api().get(&server.name).await?;
    let since = |server: &AuthorizationServer| {
        let mut conditions = server.status.iter().flat_map(|status| &status.conditions);
        let ready = conditions.find(|condition| condition.type_ == "Ready");
        ready.map(|ready| ready.last_transition_time.clone())
    };
    ensure!(since(&still) == since(&said), "the condition was set again and again");
    drop(listing);
    bed.server_ready(&server.name).await?;
    Ok(())
}

async fn limits_apply_to_effective_values(bed: &Bed) -> Result<()> {
    let rule = |scopes: serde_json::Value| json!({ "namespaces": { "from": "All" }, "kinds": ["OAuth2Client"], "clients": { "scopes": scopes } });
    // The second rule is the closer match: it forbids only one of the two default scopes.
    let access = json!([rule(json!(["other"])), rule(json!(["openid"]))]);
    let server = bed
        .own_server(ServerOptions {
            spec: json!({ "access": access }),
            ..quiet()
        })
        .await?;
    let space = bed.space().await?;
    let spec = json!({ "serverRef": { "name": server.name }, "redirectUris": ["https://app.example.com/callback"] });
    space.apply_client("app", &spec.to_string()).await?;
    let denied = space.wait_condition("app", "Ready", "False", "NotAllowed").await?;
    let said = denied.status.map(|status| status.conditions).unwrap_or_default();
    let expected = format!(
        "AuthorizationServer `{}`: access[1].clients.scopes does not allow `offline_access` in scopes (a default: set scopes to replace it; only `openid`); change it or ask the server's admin.",
        server.name
    );
    ensure!(said.iter().any(|condition| condition.message == expected), "{said:#?}");
    space.change("app", json!({ "spec": { "scopes": ["openid"] } })).await?;
    space.wait_ready("app").await?;
    Ok(())
}
