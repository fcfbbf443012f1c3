//! Servers that hide their version: from requests without a login, or altogether.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::authorization_server::AuthorizationServerStatus;
use oidc_operator::api::condition::{READY, is_true};
use oidc_operator::api::{AuthorizationServer, OAuth2Client, Scope};
use serde_json::{Value, json};
use testbed::proxy::{Action, Answer, Fault, FaultHandle, RequestHead};
use testbed::wait;

use super::server::is_health;
use super::stage::{NOBODY, Stage};
use crate::bed::{Bed, LIMIT, ServerOptions};
use crate::conditions::{Tone, server_says};
use crate::run::Side;
use crate::servers::not_ready;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(a_version_that_is_hidden_from_requests_without_a_login_is_learnt),
        side.shared(a_server_in_use_may_hide_its_version_and_show_it_again),
        side.shared(a_hidden_version_hides_no_other_cluster),
        side.shared(nothing_is_written_to_a_server_that_ignores_namespaces),
        side.shared(a_grant_that_a_server_drops_is_reported),
    ]
}

fn has_login(head: &RequestHead) -> bool {
    head.headers.contains_key("x-vault-token")
}

fn is_help(head: &RequestHead) -> bool {
    head.query() == "help=1"
}

/// The health of the server with changes, as a merge patch.
async fn health(bed: &Bed, changes: Value) -> Result<Value> {
    let (_, mut health) = bed.bao().await?.call("GET", "sys/health", None).await?;
    let members = health.as_object_mut().context("health")?;
    for (name, value) in changes.as_object().into_iter().flatten() {
        match value {
            Value::Null => members.remove(name),
            value => members.insert(name.clone(), value.clone()),
        };
    }
    Ok(health)
}

/// Hides the version from every request, with a login or without.
pub async fn hide(stage: &Stage<'_>, value: Value) -> Result<[FaultHandle; 2]> {
    let health = health(stage.bed, json!({ "version": value, "cluster_name": "" })).await?;
    let denied = json!({ "errors": ["1 error occurred:\n\t* permission denied\n\n"] });
    Ok([
        (Fault::new(is_health, Action::Answer(Answer::json(200, &health)))),
        (Fault::new(is_help, Action::Answer(Answer::json(403, &denied)))),
    ]
    .map(|fault| stage.server.admin.inject(fault)))
}

/// Waits until the server reports this version, and is ready.
pub async fn until_version(stage: &Stage<'_>, version: Option<&str>) -> Result<AuthorizationServerStatus> {
    let what = format!("the version {version:?}");
    let name = &stage.server.name;
    let is_so = |server: &AuthorizationServer| {
        let status = server.status.as_ref();
        status.is_some_and(|status| status.version.as_deref() == version && is_true(&status.conditions, READY))
    };
    let server = stage.bed.wait_server(&what, name, is_so).await?;
    server.status.context("a status")
}

/// Waits until the server was checked twice from now on, at least once from beginning to end.
async fn checked(stage: &Stage<'_>) -> Result<()> {
    let journal = stage.server.admin.journal();
    for _ in 0..2 {
        let mark = journal.mark();
        let is_new = |exchange: &testbed::proxy::Exchange| exchange.seq > mark && is_health(&exchange.head);
        journal.wait_for(is_new, LIMIT).await?;
    }
    Ok(())
}

fn machine() -> Value {
    json!({ "grantTypes": ["client_credentials"] })
}

async fn a_version_that_is_hidden_from_requests_without_a_login_is_learnt(bed: &Bed) -> Result<()> {
    let stage = Stage::eager(bed).await?;
    let known = until_version(&stage, Some(&version(bed).await?)).await?;
    // The help of an OpenBao names its version as well.
    let has_help = stage.chooses_grants().await?;
    for (hidden, from_all) in [
        (json!({ "version": "", "cluster_name": null }), false),
        (json!({ "version": null }), false),
        (json!({ "version": "" }), has_help),
    ] {
        let health = health(bed, hidden).await?;
        let answer = Action::Answer(Answer::json(200, &health));
        let mark = stage.server.admin.journal().mark();
        let hides = move |head: &RequestHead| is_health(head) && (from_all || !has_login(head));
        let fault = stage.server.admin.inject(Fault::new(hides, answer));
        checked(&stage).await?;
        ensure!(fault.struck() > 0, "it was not hidden");
        let status = until_version(&stage, known.version.as_deref()).await?;
        ensure!(status == known, "{status:?} instead of {known:?}");
        let with_login = |exchange: &testbed::proxy::Exchange| {
            exchange.seq > mark && is_health(&exchange.head) && has_login(&exchange.head)
        };
        ensure!(stage.server.admin.journal().count(with_login) > 0, "it was not learnt");
    }
    Ok(())
}

/// The version that the server reports.
async fn version(bed: &Bed) -> Result<String> {
    let health = health(bed, json!({})).await?;
    Ok(health["version"].as_str().context("a version")?.to_owned())
}

async fn a_server_in_use_may_hide_its_version_and_show_it_again(bed: &Bed) -> Result<()> {
    let stage = Stage::eager(bed).await?;
    let chooses_grants = stage.chooses_grants().await?;
    stage.everything(NOBODY).await?;
    let own = if chooses_grants {
        machine()
    } else {
        json!({ "redirectUris": [super::stage::REDIRECT] })
    };
    stage.ready::<OAuth2Client>("machine", own.clone()).await?;
    let known = until_version(&stage, Some(&version(bed).await?)).await?;
    stage.swept().await?;
    let mark = stage.server.admin.journal().mark();
    for value in [json!(""), json!("(version redacted)"), Value::Null] {
        let faults = hide(&stage, value.clone()).await?;
        let hidden = until_version(&stage, None).await?;
        ensure!(
            hidden.capabilities == known.capabilities,
            "{value}: {:?}",
            hidden.capabilities
        );
        ensure!(
            hidden.cluster_id == known.cluster_id,
            "{value}: {:?}",
            hidden.cluster_id
        );
        stage.swept().await?;
        stage.all_ready().await?;
        ensure!(stage.writes(mark).is_empty(), "{value}: {:?}", stage.writes(mark));
        drop(faults);
        until_version(&stage, known.version.as_deref()).await?;
        stage.swept().await?;
        ensure!(stage.writes(mark).is_empty(), "{value}: {:?}", stage.writes(mark));
    }
    // A server that hid its version from the start is as good.
    let _faults = hide(&stage, json!("")).await?;
    until_version(&stage, None).await?;
    stage.ready::<OAuth2Client>("new", own).await?;
    if chooses_grants {
        let object = stage.object("client", "new").await?;
        ensure!(
            object["client_credentials"] == true && object["authorization_code"] == false,
            "{object}"
        );
    }
    let refused = json!({ "scopes": ["openid"], "redirectUris": [super::stage::REDIRECT] });
    stage.make::<OAuth2Client>("refused", refused).await?;
    let message = format!(
        "AuthorizationServer `{}` does not support what this resource sets in scopes; nothing was changed. Remove it, or use a server or version that supports it.",
        stage.server.name
    );
    stage
        .space
        .says::<OAuth2Client>("refused", Tone::Stalled, "UnsupportedByServer", &message)
        .await
        .map(drop)
}

async fn a_hidden_version_hides_no_other_cluster(bed: &Bed) -> Result<()> {
    let stage = Stage::eager(bed).await?;
    let name = &stage.server.name;
    let known = until_version(&stage, Some(&version(bed).await?)).await?;
    let known = known.cluster_id.context("a cluster id")?;
    let other = health(
        bed,
        json!({ "version": "", "cluster_name": null, "cluster_id": "elsewhere" }),
    )
    .await?;
    let message = format!(
        "The server at vault.address belongs to cluster `elsewhere` instead of `{known}`, so the operator writes nothing. If this is intended, set vault.clusterId to the new id."
    );
    // Shown before the login, or only after it.
    let nameless = health(bed, json!({ "version": "", "cluster_name": null, "cluster_id": null })).await?;
    for before in [&other, &nameless] {
        let answers = [(false, before), (true, &other)];
        let faults = answers.map(|(logged_in, health)| {
            let answer = Action::Answer(Answer::json(200, health));
            let fault = Fault::new(move |head| is_health(head) && has_login(head) == logged_in, answer);
            stage.server.admin.inject(fault)
        });
        server_says(bed, name, Tone::Reconciling, "ServerChanged", &message).await?;
        stage.make::<Scope>("new", json!({})).await?;
        stage
            .space
            .says::<Scope>("new", Tone::Reconciling, "ServerNotReady", &not_ready(name))
            .await?;
        drop(faults);
        bed.server_ready(name).await?;
        stage.space.until_ready::<Scope>("new").await?;
        stage.space.remove::<Scope>("new").await?;
        bed.until_no_object(&stage.path("scope", "new")).await?;
    }
    // An id that is nowhere to be seen stops nothing.
    let answer = Action::Answer(Answer::json(200, &nameless));
    let _fault = stage.server.admin.inject(Fault::new(is_health, answer));
    checked(&stage).await?;
    bed.server_ready(name).await?;
    stage.ready::<Scope>("last", json!({})).await.map(drop)
}

async fn nothing_is_written_to_a_server_that_ignores_namespaces(bed: &Bed) -> Result<()> {
    let within = ServerOptions {
        spec: json!({ "vault": { "namespace": "nowhere", "auth": { "namespace": "" } } }),
        ..ServerOptions::default()
    };
    let space = bed.space().await?;
    let name = format!("{}-ignores", space.name());
    let server = bed.make_vault(&name, within).await?;
    let stage = Stage { bed, space, server };
    let hidden = hide(&stage, json!("")).await?;
    let document = json!({ "issuer": "https://id.example.com" });
    let in_namespace = |head: &RequestHead| head.headers.contains_key("x-vault-namespace");
    let ignored = stage
        .server
        .admin
        .inject(Fault::new(in_namespace, Action::Answer(Answer::json(200, &document))));
    let message = "This server has no namespaces and would ignore the one in vault.namespace, so the operator writes nothing. Remove vault.namespace, or upgrade the server.";
    server_says(bed, &name, Tone::Stalled, "UnsupportedByServer", message).await?;
    let mark = stage.server.admin.journal().mark();
    stage.make::<Scope>("proof", json!({})).await?;
    stage
        .space
        .says::<Scope>("proof", Tone::Reconciling, "ServerNotReady", &not_ready(&name))
        .await?;
    ensure!(stage.about(mark).is_empty(), "{:?}", stage.about(mark));
    drop((hidden, ignored));
    Ok(())
}

async fn a_grant_that_a_server_drops_is_reported(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    if !stage.chooses_grants().await? {
        return Ok(());
    }
    let path = format!("/v1/identity/oidc/client/{}.machine", stage.space.name());
    let stored = json!({ "data": {
        "key": "default", "client_type": "confidential", "redirect_uris": [], "assignments": ["allow_all"],
        "id_token_ttl": 86400, "access_token_ttl": 86400, "client_id": "id", "client_secret": "secret",
    } });
    let answer = Action::Answer(Answer::json(200, &stored));
    let of_client = path.clone();
    let read = Fault::new(move |head| head.is("GET", &path), answer).from_nth(2);
    let fault = stage.server.admin.inject(read);
    stage.make::<OAuth2Client>("machine", machine()).await?;
    let message = "The server does not know what this resource sets in grantTypes, and dropped it. Remove it, or upgrade the server.";
    stage
        .space
        .says::<OAuth2Client>("machine", Tone::Stalled, "UnsupportedByServer", message)
        .await?;
    // It is not sent again, since it would be dropped again.
    for looks in 2..=3 {
        let labels = json!({ "spec": { "credentials": { "labels": { "look": looks.to_string() } } } });
        stage.space.change("machine", labels).await?;
        wait::until("another look", LIMIT, async || {
            Ok((fault.struck() >= looks).then_some(()))
        })
        .await?;
    }
    stage
        .space
        .says::<OAuth2Client>("machine", Tone::Stalled, "UnsupportedByServer", message)
        .await?;
    let mut writes = stage.writes(0);
    writes.retain(|exchange| exchange.head.path() == of_client);
    ensure!(writes.len() == 1, "{writes:#?}");
    drop(fault);
    Ok(())
}
