//! What the operator knows about its own writes and about the work that it has yet to do.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use libtest_mimic::Trial;
use oidc_operator::api::{JsonWebKeySet, OAuth2Client};
use serde_json::json;
use testbed::proxy::{Action, Answer, Exchange, Fault, FaultHandle, Outcome, RequestHead};
use testbed::wait;

use super::{brisk, machine_on, quiet, sweep_now};
use crate::backup::Backup;
use crate::bed::{Bed, LIMIT, Operator, Options, is_list, uid_of};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.alone(Options::default(), a_cache_behind_our_own_writes_causes_no_writes),
        side.alone(
            Options::default(),
            resources_that_are_gone_behind_a_slow_watch_keep_their_objects,
        ),
        side.shared(drift_found_during_a_pass_is_not_forgotten),
        side.shared(drift_found_before_the_status_is_written_is_not_forgotten),
        side.alone(Options::default(), a_restarted_operator_corrects_drift_found_before),
        side.alone(Options::default(), no_pass_begins_before_the_caches_are_filled),
        side.alone(Options::default(), a_kubernetes_api_with_paged_lists_is_supported),
    ]
}

async fn a_cache_behind_our_own_writes_causes_no_writes(bed: &Bed) -> Result<()> {
    // Swept on request alone: a sweep between a write and its reply would make the operator read once more.
    let server = bed.own_server(quiet()).await?;
    let space = bed.space().await?;
    let operator = bed.operator();
    let id = uid_of(&space.ready_client("app", &machine_on(&server)).await?);
    told(&operator, 0, "oauth2clients/app").await?;

    // First the Secrets: the watch does not show those that were created and replaced.
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
    let kube = operator.requests().mark();
    space.change("late", json!({ "spec": { "clientName": "b" } })).await?;
    space.wait_ready("late").await?;
    told(&operator, kube, "oauth2clients/late").await?;
    // Labels of the spec reach the credentials Secret and the ledger.
    ensure!(wrote(mark, "secrets") == 2, "{:#?}", operator.kube_requests(mark));

    // Then the resources: the watch does not show the status that names the last write to Hydra.
    let no_clients = freeze(&operator, "/oauth2clients").await?;
    let (admin, kube) = (server.admin.journal().mark(), operator.requests().mark());
    bed.tamper(&id, |found| found["scope"] = json!("read admin")).await?;
    sweep_now(bed, &server).await?;
    bed.until_registered("its scope back", &id, |found| found["scope"] == "read")
        .await?;
    told(&operator, kube, "oauth2clients/app").await?;
    for _ in 0..3 {
        sweep_now(bed, &server).await?;
    }
    ensure_requests(bed, server.about_clients(admin), &[("GET", &id), ("PUT", &id)])?;
    // A pass over every resource, with nothing to do.
    let (admin, kube) = (server.admin.journal().mark(), operator.requests().mark());
    sweep_now(bed, &server).await?;
    sweep_now(bed, &server).await?;
    ensure_requests(bed, server.about_clients(admin), &[])?;
    let children = wrote(kube, "secrets") + wrote(kube, "oauth2clients/status");
    ensure!(children == 0, "{:#?}", operator.kube_requests(kube));

    // The watches continue: the operator already knows what they show now.
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

/// Resources and their Secrets vanish together, as in a disaster, and the operator sees the end of the Secrets first.
async fn resources_that_are_gone_behind_a_slow_watch_keep_their_objects(bed: &Bed) -> Result<()> {
    let server = bed.own_server(quiet()).await?;
    let space = bed.space().await?;
    let operator = bed.operator();
    let client = space.ready_client("app", &machine_on(&server)).await?;
    let keys = json!({ "serverRef": { "name": server.name }, "generate": { "algorithm": "ES256" }, "privateKey": {} });
    let set = space.ready::<JsonWebKeySet>("keys", &keys.to_string()).await?;
    told(&operator, 0, "oauth2clients/app").await?;
    told(&operator, 0, "jsonwebkeysets/keys").await?;
    let id = uid_of(&client);
    let backups = (Backup::of(&space, &client).await?, Backup::of(&space, &set).await?);
    let (credentials, key) = (space.credentials("app").await?, space.secret_data("keys").await?);

    let no_clients = freeze(&operator, "/oauth2clients").await?;
    let no_sets = freeze(&operator, "/jsonwebkeysets").await?;
    let (mark, admin) = (operator.requests().mark(), server.admin.journal().mark());
    backups.0.erase::<OAuth2Client>(&space).await?;
    backups.1.erase::<JsonWebKeySet>(&space).await?;
    for path in ["/oauth2clients/app", "/jsonwebkeysets/keys"] {
        let found = |exchange: &Exchange| exchange.head.path().contains(path) && exchange.status == Some(404);
        wait::until(&format!("the operator to find {path} gone"), LIMIT, async || {
            Ok(operator.requests().since(mark).iter().any(found).then_some(()))
        })
        .await?;
    }
    for _ in 0..2 {
        sweep_now(bed, &server).await?; // a pass that has begun ends before the second
    }
    let mut wrote = server.admin.journal().since(admin);
    wrote.retain(|exchange| exchange.head.method != "GET");
    ensure!(wrote.is_empty(), "{wrote:#?}");
    let asked = operator.kube_requests(mark);
    ensure!(asked.len() < 100, "it keeps trying: {} requests", asked.len());

    drop((no_clients, no_sets));
    backups.0.restore::<OAuth2Client>(&space, false).await?;
    backups.1.restore::<JsonWebKeySet>(&space, false).await?;
    space.wait_ready("app").await?;
    space.until_ready::<JsonWebKeySet>("keys").await?;
    ensure!(space.credentials("app").await? == credentials, "other credentials");
    ensure!(space.secret_data("keys").await? == key, "another key");
    bed.token(&id, &credentials.1, "read").await?;
    Ok(())
}

/// Waits until the operator has the replies to the statuses of a resource that it wrote after `mark`: without them, the
/// next pass reads the object on the server once more.
async fn told(operator: &Operator, mark: u64, resource: &str) -> Result<()> {
    let path = format!("/{resource}/status");
    wait::until(
        &format!("the replies to the statuses of {resource}"),
        LIMIT,
        async || {
            let mut statuses = operator.requests().since(mark);
            statuses.retain(|exchange| exchange.head.path().ends_with(&path));
            let is_told = !statuses.is_empty() && statuses.iter().all(|exchange| exchange.outcome != Outcome::Open);
            Ok(is_told.then_some(()))
        },
    )
    .await
}

/// A watch that failed several times in a row, such as while the servers were starting, rests for up to a minute (30 s and
/// as much again by chance) before it restarts.
const WATCH_RESTS: Duration = Duration::from_secs(120);

/// Slows a watch of a resource to next to nothing, until the handle is dropped.
async fn freeze(operator: &Operator, resource: &'static str) -> Result<FaultHandle> {
    let held = operator.kube().inject(Fault::new(
        move |head| head.path().ends_with(resource) && head.query().contains("watch=true"),
        Action::Trickle { bytes_per_second: 1 },
    ));
    operator.kube().sever();
    let restart = wait::until("the watch to restart", WATCH_RESTS, async || {
        Ok((held.struck() > 0).then_some(()))
    })
    .await;
    restart.with_context(|| operator.log_tail(&[]))?;
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

async fn drift_found_during_a_pass_is_not_forgotten(bed: &Bed) -> Result<()> {
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
    // Hydra has stored the operator's PUT, and the pass still waits for the rest of the reply.
    let stored = |exchange: &Exchange| exchange.head.is("PUT", &path) && exchange.upstream_status == Some(200);
    server.admin.journal().wait_for(stored, LIMIT).await?;
    bed.tamper(&id, |found| found["scope"] = json!("read second")).await?;
    sweep_now(bed, &server).await?;
    drop(slow);
    bed.until_registered("its scope back", &id, |found| found["scope"] == "read")
        .await?;
    let since = server.admin.journal().since(mark);
    let lists = since.iter().filter(|exchange| is_list(&exchange.head)).count();
    ensure!(lists == 2, "there was another sweep: {since:#?}");
    Ok(())
}

async fn drift_found_before_the_status_is_written_is_not_forgotten(bed: &Bed) -> Result<()> {
    let server = bed.own_server(quiet()).await?;
    let space = bed.space().await?;
    let id = uid_of(&space.ready_client("app", &machine_on(&server)).await?);
    let path = bed.client_path(&id);
    let status = format!("/namespaces/{}/oauth2clients/app/status", space.name());
    let held = bed.operator().kube().inject(Fault::new(
        move |head| head.method == "PATCH" && head.path().ends_with(&status),
        Action::Delay(LIMIT),
    ));
    bed.tamper(&id, |found| found["scope"] = json!("read first")).await?;
    sweep_now(bed, &server).await?;
    wait::until("a status that waits to be written", LIMIT, async || {
        Ok((held.struck() > 0).then_some(()))
    })
    .await?;
    bed.tamper(&id, |found| found["scope"] = json!("read second")).await?;
    let mark = server.admin.journal().mark();
    sweep_now(bed, &server).await?;
    drop(held);
    let corrected = |exchange: &Exchange| exchange.head.is("PUT", &path) && exchange.seq > mark;
    server.admin.journal().wait_for(corrected, LIMIT).await?;
    bed.until_registered("its scope back", &id, |found| found["scope"] == "read")
        .await?;
    Ok(())
}

async fn a_restarted_operator_corrects_drift_found_before(bed: &Bed) -> Result<()> {
    let server = bed.own_server(brisk()).await?;
    let space = bed.space().await?;
    let id = uid_of(&space.ready_client("app", &machine_on(&server)).await?);
    let path = bed.client_path(&id);
    let failing = server.admin.inject(Fault::new(
        move |head| head.path() == path,
        Action::Answer(Answer::status(500)),
    ));
    bed.tamper(&id, |found| found["scope"] = json!("read admin")).await?;
    wait::until("a pass whose read fails", LIMIT, async || {
        Ok((failing.struck() > 0).then_some(()))
    })
    .await?;
    bed.operator().kill();
    drop(failing);
    ensure!(
        bed.registered(&id).await?["scope"] == "read admin",
        "it was corrected before"
    );
    bed.operator().start_again().await?;
    bed.until_registered("its scope back", &id, |found| found["scope"] == "read")
        .await?;
    Ok(())
}

/// As with Kubernetes before 1.34, or with WatchList disabled.
pub async fn a_kubernetes_api_with_paged_lists_is_supported(bed: &Bed) -> Result<()> {
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
    let is_page = |head: &RequestHead| {
        head.method == "GET" && head.path().ends_with("/secrets") && head.query().contains("limit=25")
    };
    ensure!(requests.iter().any(|exchange| is_page(&exchange.head)), "no paged list");
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
