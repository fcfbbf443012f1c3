//! Requests to the Kubernetes API: their order, their conditions, and the effects of failures.

use std::time::Duration;

use ::kube::ResourceExt;
use ::kube::api::DeleteParams;
use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;
use testbed::proxy::{Action, Answer, Exchange, Fault, Outcome};
use testbed::wait;

use super::{body_of, client_at, machine_on, quiet};
use crate::bed::{Bed, LIMIT, ServerOptions, Space, is_create};
use crate::run::Side;

pub(super) fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(a_finalizer_is_set_only_when_something_may_be_written),
        side.shared(a_finalizer_is_set_only_on_the_version_that_was_checked),
        side.shared(a_failed_request_is_repeated_only_by_the_next_pass),
        side.shared(a_status_conflict_is_retried_on_the_live_object),
        side.shared(a_finalizer_shown_by_the_watch_causes_no_status_conflict),
        side.shared(the_authorization_server_is_read_between_finalizer_and_first_write),
        side.shared(the_cleanup_of_a_server_lists_its_resources_live),
    ]
}

async fn a_finalizer_is_set_only_when_something_may_be_written(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let closed = bed
        .own_server(ServerOptions {
            spec: json!({ "access": [] }),
            ..ServerOptions::default()
        })
        .await?;
    space.apply_client("denied", &machine_on(&closed)).await?;
    let denied = space.wait_condition("denied", "Ready", "False", "NotAllowed").await?;

    let invalid = r#"{ clientType: Public, redirectUris: ["https://a.example.com/"], credentials: { data: { x: $(clientSecret) } } }"#;
    space.apply_client("invalid", invalid).await?;
    let invalid = space.wait_condition("invalid", "Ready", "False", "InvalidSpec").await?;

    let away = bed.own_server(ServerOptions::default()).await?;
    away.admin.down();
    bed.server_condition(&away.name, "Ready", "False", "ServerUnavailable")
        .await?;
    space.apply_client("waiting", &machine_on(&away)).await?;
    let waiting = space.wait_condition("waiting", "Ready", "False", "").await?;

    for client in [denied, invalid, waiting] {
        ensure!(client.finalizers().is_empty(), "{:?}", client.finalizers());
        space.delete_and_wait(&client.name_any()).await?;
    }
    let writes = bed.operator().writes_in(space.name());
    let other: Vec<_> = writes
        .iter()
        .filter(|request| request.resource != "oauth2clients/status")
        .collect();
    ensure!(other.is_empty(), "{other:#?}");
    Ok(())
}

async fn a_finalizer_is_set_only_on_the_version_that_was_checked(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let client = space.ready_client("app", "grantTypes: [client_credentials]").await?;
    let path = client_at(&space, "app");
    let patches = about(bed, &space, 0, |exchange| exchange.head.is("PATCH", &path)).await?;
    let patch = body_of(patches.first().context("no finalizer was set")?)?;
    ensure!(
        patch[0] == json!({ "op": "test", "path": "/metadata/uid", "value": client.uid() }),
        "{patch}"
    );
    ensure!(
        patch[1]["op"] == "test" && patch[1]["path"] == "/metadata/resourceVersion",
        "{patch}"
    );
    ensure!(
        patch[2] == json!({ "op": "add", "path": "/metadata/finalizers", "value": ["oidc-operator.dev/cleanup"] }),
        "{patch}"
    );
    Ok(())
}

async fn a_failed_request_is_repeated_only_by_the_next_pass(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let secrets = format!("/api/v1/namespaces/{}/secrets", space.name());
    let path = secrets.clone();
    let busy = Answer::json(
        503,
        &json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 503 }),
    );
    let fault = bed.operator().kube().inject(
        Fault::new(
            move |head| head.is("POST", &path),
            Action::Answer(busy.header("retry-after", "1")),
        )
        .nth(1),
    );
    space
        .ready_client("app", "{ grantTypes: [client_credentials], scopes: [read] }")
        .await?;
    ensure!(fault.struck() == 1, "{fault:?}");
    // After the 503 the pass ends and reports it; only then does the next pass begin.
    let status = format!("{}/status", client_at(&space, "app"));
    let writes = about(bed, &space, 0, |exchange| {
        exchange.head.is("POST", &secrets) || exchange.head.is("PATCH", &status)
    })
    .await?;
    let kinds: Vec<_> = writes.iter().map(|exchange| exchange.head.method.as_str()).collect();
    ensure!(kinds == ["POST", "PATCH", "POST", "POST", "PATCH"], "{writes:#?}");
    let said = body_of(&writes[1])?;
    ensure!(
        said["status"]["conditions"][0]["reason"] == "ClusterUnavailable",
        "{said}"
    );
    let (id, secret) = space.credentials("app").await?;
    bed.token(&id, &secret, "read").await?;
    Ok(())
}

async fn a_status_conflict_is_retried_on_the_live_object(bed: &Bed) -> Result<()> {
    let server = bed.own_server(quiet()).await?;
    let space = bed.space().await?;
    let before = space.ready_client("app", &machine_on(&server)).await?;
    let first = before.metadata.generation.unwrap_or_default();
    let status = format!("{}/status", client_at(&space, "app"));
    let path = status.clone();
    let operator = bed.operator();
    let mark = operator.requests().mark();
    let held = operator.kube().inject(
        Fault::new(
            move |head| head.is("PATCH", &path),
            Action::Delay(Duration::from_secs(8)),
        )
        .nth(1),
    );
    space.change("app", json!({ "spec": { "clientName": "one" } })).await?;
    let arrived = |exchange: &Exchange| exchange.seq > mark && exchange.head.is("PATCH", &status);
    operator.requests().wait_for(arrived, LIMIT).await?;
    space.change("app", json!({ "spec": { "clientName": "two" } })).await?;
    drop(held); // now it continues, with an outdated version
    space.wait_ready("app").await?;

    let path = client_at(&space, "app");
    let asked = about(bed, &space, mark, |exchange| {
        exchange.head.is("PATCH", &status) || exchange.head.is("GET", &path)
    })
    .await?;
    let walk: Vec<_> = asked
        .iter()
        .map(|exchange| (exchange.head.method.as_str(), exchange.upstream_status))
        .collect();
    ensure!(
        walk == [
            ("PATCH", Some(409)),
            ("GET", Some(200)),
            ("PATCH", Some(200)),
            ("PATCH", Some(200))
        ],
        "{asked:#?}"
    );
    let generation = |exchange: &Exchange| body_of(exchange).map(|body| body["status"]["observedGeneration"].clone());
    let said = [generation(&asked[0])?, generation(&asked[2])?, generation(&asked[3])?];
    ensure!(
        said == [first + 1, first + 1, first + 2].map(|number| json!(number)),
        "{said:?}"
    );
    Ok(())
}

async fn a_finalizer_shown_by_the_watch_causes_no_status_conflict(bed: &Bed) -> Result<()> {
    let server = bed.own_server(quiet()).await?;
    let space = bed.space().await?;
    // Gives the watch time to show the finalizer before the status is written.
    let slow = server
        .admin
        .inject(Fault::new(is_create, Action::Delay(Duration::from_secs(2))));
    space.ready_client("app", &machine_on(&server)).await?;
    ensure!(slow.struck() == 1, "{slow:?}");
    let status = format!("{}/status", client_at(&space, "app"));
    let written = about(bed, &space, 0, |exchange| exchange.head.is("PATCH", &status)).await?;
    ensure!(
        written.len() == 1 && written[0].upstream_status == Some(200),
        "{written:#?}"
    );
    Ok(())
}

async fn the_authorization_server_is_read_between_finalizer_and_first_write(bed: &Bed) -> Result<()> {
    let server = bed.own_server(quiet()).await?;
    let space = bed.space().await?;
    let mark = bed.operator().requests().mark();
    space.ready_client("app", &machine_on(&server)).await?;
    let requests = bed.operator().requests().since(mark);
    let find = |method: &str, path: String| {
        let found = requests.iter().find(|exchange| exchange.head.is(method, &path));
        found.with_context(|| format!("no {method} {path}"))
    };
    let finalizer = find("PATCH", client_at(&space, "app"))?;
    let live = find(
        "GET",
        format!("/apis/oidc-operator.dev/v1alpha1/authorizationservers/{}", server.name),
    )?;
    let post = server.about_clients(0).into_iter().next().context("no POST")?;
    ensure!(
        finalizer.arrived < live.arrived && live.arrived < post.arrived,
        "{finalizer:?} {live:?} {post:?}"
    );
    Ok(())
}

async fn the_cleanup_of_a_server_lists_its_resources_live(bed: &Bed) -> Result<()> {
    let server = bed.own_server(quiet()).await?;
    let mark = bed.operator().requests().mark();
    bed.servers_api().delete(&server.name, &DeleteParams::default()).await?;
    let path = format!("/apis/oidc-operator.dev/v1alpha1/authorizationservers/{}", server.name);
    let released = |exchange: &Exchange| exchange.seq > mark && exchange.head.is("PATCH", &path);
    let released = bed.operator().requests().wait_for(released, LIMIT).await?;
    let requests = bed.operator().requests().since(mark);
    let list = requests.iter().find(|exchange| {
        exchange
            .head
            .is("GET", "/apis/oidc-operator.dev/v1alpha1/oauth2clients")
            && !exchange.head.query().contains("watch=true")
    });
    let list = list.context("the resources were not listed")?;
    ensure!(list.seq < released.seq, "{list:?} came after {released:?}");
    Ok(())
}

/// Requests of the operator about a namespace after `mark`, each with its reply: a test may see the effect of a request
/// before the operator has the reply.
async fn about(bed: &Bed, space: &Space<'_>, mark: u64, wanted: impl Fn(&Exchange) -> bool) -> Result<Vec<Exchange>> {
    let namespace = format!("/namespaces/{}/", space.name());
    wait::until("replies", LIMIT, async || {
        let mut exchanges = bed.operator().requests().since(mark);
        exchanges.retain(|exchange| exchange.head.path().contains(&namespace) && wanted(exchange));
        let replied = exchanges.iter().all(|exchange| exchange.outcome != Outcome::Open);
        Ok(replied.then_some(exchanges))
    })
    .await
}
