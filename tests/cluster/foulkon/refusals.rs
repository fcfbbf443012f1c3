//! Invalid input: exact messages, and no partial writes.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::{Assignment, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use serde_json::{Value, json};

use super::stage::{Stage, trusting};
use crate::bed::{Bed, Namespaced};
use crate::conditions::Tone::{self, Reconciling, Stalled};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(unsupported_kinds_are_reported_once),
        side.shared(invalid_specs_are_reported_in_a_sentence),
        side.shared(missing_references_are_reported),
        side.shared(the_schema_rejects_invalid_values),
    ]
}

async fn unsupported_kinds_are_reported_once(bed: &Bed) -> Result<()> {
    let stage = Stage::eager(bed).await?;
    let mark = stage.server.admin.journal().mark();
    lacks::<OAuth2Client>(&stage, json!({ "grantTypes": ["client_credentials"] })).await?;
    lacks::<JsonWebKeySet>(&stage, json!({ "generate": { "algorithm": "RS256" } })).await?;
    lacks::<Scope>(&stage, json!({})).await?;
    lacks::<Assignment>(&stage, json!({ "subjects": ["somebody"] })).await?;
    ensure!(stage.about(mark).is_empty(), "{:#?}", stage.about(mark));
    let kube = bed.operator().requests().mark();
    // Two passes of the server later, nothing has been reported again.
    for _ in 0..2 {
        let mark = stage.server.admin.journal().mark();
        testbed::wait::until("a pass of the server", crate::bed::LIMIT, async || {
            let since = stage.server.admin.journal().since(mark);
            Ok(since
                .iter()
                .any(|exchange| exchange.head.is("GET", "/about"))
                .then_some(()))
        })
        .await?;
    }
    let writes: Vec<_> = bed
        .operator()
        .kube_requests(kube)
        .into_iter()
        .filter(|request| {
            let within = request.namespace.as_deref() == Some(stage.space.name());
            within && request.is_write() && request.resource != "events"
        })
        .collect();
    ensure!(writes.is_empty(), "{writes:#?}");
    stage.space.delete_namespace_and_wait().await
}

async fn lacks<K: Namespaced>(stage: &Stage<'_>, spec: Value) -> Result<()> {
    stage.make::<K>("unknown", spec).await?;
    let message = format!(
        "AuthorizationServer `{}` is a Foulkon, which supports OidcProviders only. Create a new {} on another server.",
        stage.server.name,
        K::KIND
    );
    let found = stage
        .space
        .says::<K>("unknown", Stalled, "UnsupportedByServer", &message)
        .await?;
    ensure!(found.meta().finalizers.is_none(), "it has a finalizer");
    Ok(())
}

async fn says(stage: &Stage<'_>, spec: Value, (tone, reason, message): (Tone, &str, &str)) -> Result<()> {
    let mark = stage.server.admin.journal().mark();
    let made = stage.make::<OidcProvider>("bad", spec).await?;
    stage.space.says::<OidcProvider>("bad", tone, reason, message).await?;
    stage.space.remove::<OidcProvider>("bad").await?;
    stage.space.until_gone(&made).await?;
    ensure!(stage.writes(mark).is_empty(), "{:#?}", stage.writes(mark));
    Ok(())
}

/// The minimal spec of a provider, with a change.
fn with(change: Value) -> Value {
    let mut spec = trusting(&["web"]);
    if let (Some(members), Value::Object(change)) = (spec.as_object_mut(), change) {
        members.extend(change);
        members.retain(|_, value| !value.is_null());
    }
    spec
}

async fn invalid_specs_are_reported_in_a_sentence(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let long = "x".repeat(60);
    let unsupported = format!(
        "AuthorizationServer `{}` (version `{}`) does not support what this resource sets in allowedNamespaces, scopeRefs, scopes, vault, publish; nothing was changed. Remove it, or use a server or version that supports it.",
        stage.server.name,
        bed.server_ready(&stage.server.name)
            .await?
            .status
            .and_then(|status| status.version)
            .unwrap_or_default()
    );
    let everything = json!({
        "allowedNamespaces": { "from": "All" }, "scopeRefs": [{ "name": "x" }], "scopes": ["x"], "vault": {}, "publish": {},
    });
    for (spec, reason, message) in [
        (with(everything), "UnsupportedByServer", unsupported.as_str()),
        (
            json!({ "issuer": "https://id.example.com" }),
            "InvalidSpec",
            "allowedClients: on this server it must name at least one client, because a provider without clients breaks every login with a token.",
        ),
        (
            json!({ "allowedClients": [{ "clientId": "web" }] }),
            "InvalidSpec",
            "issuer: on this server it names whose tokens are accepted; set it, or issuerRef.",
        ),
        (
            with(json!({ "allowedClients": [{ "clientId": "*" }] })),
            "InvalidSpec",
            "allowedClients: this server does not accept the clientId `*`; name one client, with 1 to 127 characters.",
        ),
        (
            with(json!({ "foulkon": { "path": "/elsewhere/" } })),
            "InvalidSpec",
            "foulkon.path: it must begin with `/oidc-operator/`, the foulkon.pathPrefix of the AuthorizationServer.",
        ),
    ] {
        says(&stage, spec, (Stalled, reason, message)).await?;
    }
    let name = format!("{long}.{long}");
    stage.make::<OidcProvider>(&name, trusting(&["web"])).await?;
    let message = "foulkon.name: namespace and name are longer than the 127 characters that this server accepts; set a shorter one.";
    stage
        .space
        .says::<OidcProvider>(&name, Stalled, "InvalidSpec", message)
        .await?;
    let short = json!({ "foulkon": { "name": format!("{}-short", stage.space.name()) } });
    stage.space.respecify::<OidcProvider>(&name, short).await?;
    stage.space.until_ready::<OidcProvider>(&name).await.map(drop)
}

async fn missing_references_are_reported(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    for (change, reason, message) in [
        (
            json!({ "allowedClients": [{ "name": "app" }] }),
            "ReferenceNotFound",
            "OAuth2Client `app` does not exist. Create it.",
        ),
        (
            json!({ "issuer": null, "issuerRef": { "name": "elsewhere" } }),
            "ReferenceNotFound",
            "OidcProvider `elsewhere` does not exist. Create it.",
        ),
    ] {
        says(&stage, with(change), (Reconciling, reason, message)).await?;
    }
    stage.ready("other", trusting(&["web"])).await?;
    let message =
        "issuerRef: it names a provider on a Foulkon, which issues no tokens; name a provider on another server.";
    let chained = with(json!({ "issuer": null, "issuerRef": { "name": "other" } }));
    says(&stage, chained, (Stalled, "InvalidSpec", message)).await
}

async fn the_schema_rejects_invalid_values(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    for (change, expected) in [
        (
            json!({ "issuerRef": { "name": "x" } }),
            "set issuer or issuerRef, not both",
        ),
        (
            json!({ "foulkon": { "path": "/a//bc/" } }),
            "path: must not contain two slashes in a row",
        ),
        (json!({ "foulkon": { "path": "/a/" } }), "spec.foulkon.path"),
        (json!({ "foulkon": { "path": "ab/" } }), "spec.foulkon.path"),
        (json!({ "foulkon": { "name": "a_b" } }), "spec.foulkon.name"),
        (json!({ "foulkon": { "name": "" } }), "spec.foulkon.name"),
        (json!({ "issuer": "/rel" }), "issuer: must be an http or https URL"),
        (
            json!({ "allowedClients": [{ "clientId": "https://x" }] }),
            "spec.allowedClients[0].clientId",
        ),
        (
            json!({ "allowedClients": [{ "clientId": "" }] }),
            "spec.allowedClients[0].clientId",
        ),
    ] {
        let refused = stage
            .space
            .refused::<OidcProvider>("bad", &stage.spec(with(change)))
            .await?;
        ensure!(refused.contains(expected), "{refused}");
    }
    let base = json!({ "workerUrl": "http://foulkon:8000", "auth": { "basic": { "secretRef": { "name": "x" } } } });
    for (change, expected) in [
        (json!({ "auth": {} }), "auth: set exactly one of basic and bearerToken"),
        (json!({ "pathPrefix": "/a_b/" }), "spec.foulkon.pathPrefix"),
        (
            json!({ "pathPrefix": "/a//b/" }),
            "pathPrefix: must not contain two slashes in a row",
        ),
        (json!({ "workerUrl": "foulkon:8000" }), "spec.foulkon.workerUrl"),
    ] {
        let mut foulkon = base.clone();
        if let (Some(members), Value::Object(change)) = (foulkon.as_object_mut(), change) {
            members.extend(change);
        }
        let made = bed.create_server("refused", json!({ "foulkon": foulkon })).await;
        let refused = made.err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(refused.contains(expected), "{refused}");
    }
    let moved = bed
        .change_server(&stage.server.name, json!({ "foulkon": { "pathPrefix": "/other/" } }))
        .await;
    let refused = moved.err().map(|error| format!("{error:#}")).unwrap_or_default();
    ensure!(refused.contains("foulkon.pathPrefix is immutable"), "{refused}");
    Ok(())
}
