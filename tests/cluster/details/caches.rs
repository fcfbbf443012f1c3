//! What a process knows of its own writes and of what it has yet to look at.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use libtest_mimic::Trial;
use serde_json::json;
use testbed::proxy::{Action, Answer, Exchange, Fault, FaultHandle, RequestHead};
use testbed::wait;

use super::{brisk, machine_on, quiet, sweep_now, until_swept};
use crate::bed::{Bed, LIMIT, Operator, Options, is_list, uid_of};
use crate::run::Side;

pub(super) fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.alone(Options::default(), a_cache_behind_our_own_writes_decides_nothing),
        side.shared(a_mark_that_is_set_during_a_pass_outlives_it),
        side.alone(Options::default(), a_restarted_operator_finds_what_was_marked),
        side.alone(Options::default(), no_pass_begins_before_the_caches_are_filled),
        side.alone(Options::default(), an_api_that_sends_lists_in_pages_does_as_well),
    ]
}

async fn a_cache_behind_our_own_writes_decides_nothing(bed: &Bed) -> Result<()> {
    let server = bed.own_server(brisk()).await?;
    let space = bed.space().await?;
    let id = uid_of(&space.ready_client("app", &machine_on(&server)).await?);
    let operator = bed.operator();

    // Secrets first: what was created and replaced is not shown by the watch.
    let no_secrets = freeze(&operator, "/secrets").await?;
    let late = uid_of(&space.ready_client("late", &machine_on(&server)).await?);
    let wrote = |mark: u64, resource: &str| {
        let requests = operator.kube_requests(mark);
        requests
            .iter()
            .filter(|request| request.is_write() && request.resource == resource)
            .count()
    };
    let mark = operator.requests().mark();
    space.change("late", json!({ "spec": { "clientName": "a" } })).await?;
    space.wait_ready("late").await?;
    ensure!(wrote(mark, "secrets") == 0, "{:#?}", operator.kube_requests(mark));
    space
        .change("late", json!({ "spec": { "credentials": { "labels": { "a": "b" } } } }))
        .await?;
    space.wait_ready("late").await?;
    space.change("late", json!({ "spec": { "clientName": "b" } })).await?;
    space.wait_ready("late").await?;
    ensure!(wrote(mark, "secrets") == 1, "{:#?}", operator.kube_requests(mark));

    // Then the resources: the status that names the last write to Hydra is not shown.
    let no_clients = freeze(&operator, "/oauth2clients").await?;
    let admin = server.admin.journal().mark();
    bed.tamper(&id, |found| found["scope"] = json!("read admin")).await?;
    bed.until_registered("its scope back", &id, |found| found["scope"] == "read")
        .await?;
    let swept = server.admin.journal().mark();
    until_swept(&server, swept, 3).await?;
    ensure_requests(bed, server.about_clients(admin), &[("GET", &id), ("PUT", &id)])?;
    // A pass over every resource, with nothing to do.
    let (admin, kube) = (server.admin.journal().mark(), operator.requests().mark());
    sweep_now(bed, &server).await?;
    bed.change_server(&server.name, json!({ "resyncInterval": "1s" }))
        .await?;
    bed.server_ready(&server.name).await?;
    let swept = server.admin.journal().mark();
    until_swept(&server, swept, 1).await?;
    ensure_requests(bed, server.about_clients(admin), &[])?;
    let children = wrote(kube, "secrets") + wrote(kube, "oauth2clients/status");
    ensure!(children == 0, "{:#?}", operator.kube_requests(kube));

    // The watches go on: what they now show was known.
    drop((no_secrets, no_clients));
    for (name, id) in [("app", &id), ("late", &late)] {
        let admin = server.admin.journal().mark();
        space.change(name, json!({ "spec": { "clientName": "last" } })).await?;
        space.wait_ready(name).await?;
        ensure_requests(bed, server.about_clients(admin), &[("GET", id), ("PUT", id)])?;
    }
    ensure!(wrote(kube, "secrets") == 0, "{:#?}", operator.kube_requests(kube));
    Ok(())
}

/// Lets a watch of a resource show next to nothing from now on, until the handle is dropped.
async fn freeze(operator: &Operator, resource: &'static str) -> Result<FaultHandle> {
    let held = operator.kube().inject(Fault::new(
        move |head| head.path().ends_with(resource) && head.query().contains("watch=true"),
        Action::Trickle { bytes_per_second: 1 },
    ));
    operator.kube().sever();
    wait::until("the watch to begin again", LIMIT, async || {
        Ok((held.struck() > 0).then_some(()))
    })
    .await?;
    Ok(held)
}

fn ensure_requests(bed: &Bed, found: Vec<Exchange>, expected: &[(&str, &String)]) -> Result<()> {
    let same = found.len() == expected.len()
        && found
            .iter()
            .zip(expected)
            .all(|(exchange, (method, id))| exchange.head.is(method, &bed.client_path(id)));
    ensure!(same, "{found:#?} instead of {expected:?}");
    Ok(())
}

async fn a_mark_that_is_set_during_a_pass_outlives_it(bed: &Bed) -> Result<()> {
    let server = bed.own_server(quiet()).await?;
    let space = bed.space().await?;
    let id = uid_of(&space.ready_client("app", &machine_on(&server)).await?);
    let path = bed.client_path(&id);
    let put = path.clone();
    let slow = server.admin.inject(
        Fault::new(
            move |head| head.is("PUT", &put),
            Action::Trickle { bytes_per_second: 150 },
        )
        .nth(1),
    );
    let mark = server.admin.journal().mark();
    bed.tamper(&id, |found| found["scope"] = json!("read first")).await?;
    sweep_now(bed, &server).await?;
    // Hydra has stored our PUT, and the pass still waits for the rest of the reply.
    let stored = |exchange: &Exchange| exchange.head.is("PUT", &path) && exchange.upstream_status == Some(200);
    server.admin.journal().wait_for(stored, LIMIT).await?;
    bed.tamper(&id, |found| found["scope"] = json!("read second")).await?;
    sweep_now(bed, &server).await?;
    drop(slow);
    bed.until_registered("its scope back", &id, |found| found["scope"] == "read")
        .await?;
    let since = server.admin.journal().since(mark);
    let lists = since.iter().filter(|exchange| is_list(&exchange.head)).count();
    ensure!(lists == 2, "another sweep helped: {since:#?}");
    Ok(())
}

async fn a_restarted_operator_finds_what_was_marked(bed: &Bed) -> Result<()> {
    let server = bed.own_server(brisk()).await?;
    let space = bed.space().await?;
    let id = uid_of(&space.ready_client("app", &machine_on(&server)).await?);
    let path = bed.client_path(&id);
    let failing = server.admin.inject(Fault::new(
        move |head| head.path() == path,
        Action::Answer(Answer::status(500)),
    ));
    bed.tamper(&id, |found| found["scope"] = json!("read admin")).await?;
    wait::until("a pass that cannot look", LIMIT, async || {
        Ok((failing.struck() > 0).then_some(()))
    })
    .await?;
    bed.operator().kill();
    drop(failing);
    ensure!(
        bed.registered(&id).await?["scope"] == "read admin",
        "it was put right before"
    );
    bed.operator().start_again().await?;
    bed.until_registered("its scope back", &id, |found| found["scope"] == "read")
        .await?;
    Ok(())
}

/// Kubernetes before 1.34, or with WatchList switched off.
async fn an_api_that_sends_lists_in_pages_does_as_well(bed: &Bed) -> Result<()> {
    let (operator, space) = (bed.operator(), bed.space().await?);
    space.ready_client("before", "grantTypes: [client_credentials]").await?;
    operator.terminate().await?;
    let refusal = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Invalid", "code": 422,
        "message": "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled",
    });
    let _unknown = operator.kube().inject(Fault::new(
        |head| head.query().contains("sendInitialEvents=true"),
        Action::Answer(Answer::json(422, &refusal)),
    ));
    let mark = operator.requests().mark();
    operator.start_again().await?;
    space.ready_client("after", "grantTypes: [client_credentials]").await?;
    space
        .change("before", json!({ "spec": { "clientName": "changed" } }))
        .await?;
    space.wait_ready("before").await?;
    let requests = operator.requests().since(mark);
    let is_page = |head: &RequestHead| head.is("GET", "/api/v1/secrets") && head.query().contains("limit=25");
    ensure!(
        requests.iter().any(|exchange| is_page(&exchange.head)),
        "no list in pages"
    );
    Ok(())
}

async fn no_pass_begins_before_the_caches_are_filled(bed: &Bed) -> Result<()> {
    const PAUSE: Duration = Duration::from_secs(2);
    let operator = bed.operator();
    for path in [
        "/api/v1/namespaces",
        "/api/v1/secrets",
        "/apis/oidc-operator.dev/v1alpha1/authorizationservers",
        "/apis/oidc-operator.dev/v1alpha1/oauth2clients",
    ] {
        operator.terminate().await?;
        let space = bed.space().await?;
        space.apply_client("app", "grantTypes: [client_credentials]").await?;
        let (admin, kube) = (bed.servers()[0].admin.journal().mark(), operator.requests().mark());
        let slow = operator.kube().inject(
            Fault::new(
                move |head| head.is("GET", path) && head.query().contains("sendInitialEvents=true"),
                Action::Delay(PAUSE),
            )
            .nth(1),
        );
        operator.start_again().await?;
        space.wait_ready("app").await?;
        ensure!(slow.struck() == 1, "{path} was not listed");
        let requests = operator.requests().since(kube);
        let list = requests.iter().find(|exchange| exchange.fault.is_some());
        let filled = list.context("no slow list")?.arrived + PAUSE;
        let writes = requests.iter().filter(|exchange| {
            let path = exchange.head.path();
            let changes_nothing = path.ends_with("/selfsubjectaccessreviews") || path.contains("/leases");
            exchange.head.method != "GET" && !changes_nothing
        });
        let asked = bed.servers()[0].admin.journal().since(admin);
        let early: Vec<_> = writes
            .chain(&asked)
            .filter(|exchange| exchange.arrived < filled)
            .collect();
        ensure!(early.is_empty(), "before {path} was listed: {early:#?}");
        ensure!(space.client("app").await?.finalizers().len() == 1);
    }
    Ok(())
}
