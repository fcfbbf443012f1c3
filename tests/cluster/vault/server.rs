//! Servers that cannot be used or are not the intended server.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::{AuthorizationServer, OAuth2Client, OidcProvider, Scope};
use serde_json::{Value, json};
use testbed::proxy::{Action, Answer, Fault, Proxy, RequestHead, Upstream};

use super::stage::{NOBODY, Stage};
use crate::bed::{Bed, Options, ServerOptions};
use crate::conditions::{Tone, server_says};
use crate::run::Side;
use crate::servers::not_ready;

pub fn trials(side: &Side) -> Vec<Trial> {
    let alone = Options {
        server: None,
        ..Options::default()
    };
    vec![
        side.shared(the_redirect_of_a_standby_is_not_followed),
        side.shared(an_unusable_server_is_reported_with_its_cause),
        side.shared(a_changed_cluster_id_stops_every_write_until_it_is_confirmed),
        side.shared(a_provider_is_ready_when_discovery_names_its_issuer),
        side.alone(alone, the_operator_waits_for_a_sealed_server),
    ]
}

/// Whether a request asks for the health of the server.
pub fn is_health(head: &RequestHead) -> bool {
    head.path() == "/v1/sys/health"
}

async fn the_redirect_of_a_standby_is_not_followed(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let elsewhere = Proxy::start("another address", Upstream::http(bed.bao().await?.address()), None).await?;
    let answer = Answer::json(307, &json!({})).header("location", &format!("{}/v1/x", elsewhere.url()));
    let fault = stage.server.admin.inject(Fault::new(
        |head| head.path().contains("/identity/oidc/scope/"),
        Action::Answer(answer),
    ));
    stage.make::<Scope>("proof", json!({})).await?;
    let message = "The server is a standby that redirects requests to another address, and the operator does not follow redirects. Set vault.address to the active server, or to a server that forwards requests itself.";
    stage
        .space
        .says::<Scope>("proof", Tone::Reconciling, "ServerStandby", message)
        .await?;
    ensure!(elsewhere.journal().since(0).is_empty(), "the redirect was followed");
    drop(fault);
    stage.space.until_ready::<Scope>("proof").await?;
    Ok(())
}

async fn an_unusable_server_is_reported_with_its_cause(bed: &Bed) -> Result<()> {
    let stage = Stage::eager(bed).await?;
    let health = |change: Value| {
        let mut health = json!({ "initialized": true, "sealed": false, "standby": false, "version": "1.19.5" });
        health
            .as_object_mut()
            .into_iter()
            .for_each(|members| members.extend(change.as_object().cloned().unwrap_or_default()));
        Fault::new(is_health, Action::Answer(Answer::json(200, &health)))
    };
    for (change, reason, message) in [
        (
            json!({ "initialized": false, "sealed": true }),
            "ServerUninitialized",
            "The server is not initialized; initialize and unseal it. The operator keeps trying.",
        ),
        (
            json!({ "replication_dr_mode": "secondary" }),
            "ServerStandby",
            "The server is a disaster recovery secondary and answers no requests. Set vault.address to the primary cluster.",
        ),
    ] {
        let fault = stage.server.admin.inject(health(change));
        server_says(bed, &stage.server.name, Tone::Reconciling, reason, message).await?;
        drop(fault);
        bed.server_ready(&stage.server.name).await?;
    }
    let within = ServerOptions {
        spec: json!({ "vault": { "namespace": "team" } }),
        ..ServerOptions::default()
    };
    let lonely = Stage {
        space: bed.space().await?,
        server: bed
            .make_vault(&format!("{}-lonely", stage.space.name()), within)
            .await?,
        bed,
    };
    let fault = lonely.server.admin.inject(health(json!({ "enterprise": false })));
    let message = "This server has no namespaces and would ignore the one in vault.namespace, so the operator writes nothing. Remove vault.namespace, or upgrade the server.";
    server_says(bed, &lonely.server.name, Tone::Stalled, "UnsupportedByServer", message).await?;
    drop(fault);
    let fault = stage.server.admin.inject(health(json!({ "version": "1.9.3" })));
    let message = "The server reports version `1.9.3`, whose identity engine is not an OpenID Connect provider. Upgrade the server to 1.10 or later.";
    server_says(bed, &stage.server.name, Tone::Stalled, "UnsupportedByServer", message).await?;
    drop(fault);
    Ok(())
}

async fn the_operator_waits_for_a_sealed_server(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    stage.everything(NOBODY).await?;
    let before = stage.space.credentials("app").await?;
    bed.bao().await?.seal().await?;
    let name = &stage.server.name;
    stage
        .space
        .respecify::<Scope>("groups", json!({ "description": "while it was sealed" }))
        .await?;
    server_says(
        bed,
        name,
        Tone::Reconciling,
        "ServerSealed",
        "The server is sealed; unseal it. The operator keeps trying.",
    )
    .await?;
    bed.bao().await?.unseal().await?;
    bed.server_ready(name).await?;
    let changed = |scope: &Value| scope["description"] == "while it was sealed";
    bed.until_object("its description", &stage.path("scope", "groups"), changed)
        .await?;
    stage.all_ready().await?;
    ensure!(stage.space.credentials("app").await? == before);
    let is_ready = |server: &AuthorizationServer| server.status.is_some();
    bed.wait_server("its status", name, is_ready).await.map(drop)
}

async fn a_changed_cluster_id_stops_every_write_until_it_is_confirmed(bed: &Bed) -> Result<()> {
    let stage = Stage::eager(bed).await?;
    stage.everything(NOBODY).await?;
    let before = stage.object("client", "app").await?;
    let name = &stage.server.name;
    let (_, mut health) = bed.bao().await?.call("GET", "sys/health", None).await?;
    let known = health["cluster_id"].as_str().context("a cluster id")?.to_owned();
    health["cluster_id"] = json!("elsewhere");
    let fault = stage
        .server
        .admin
        .inject(Fault::new(is_health, Action::Answer(Answer::json(200, &health))));
    let message = format!(
        "The server at vault.address belongs to cluster `elsewhere` instead of `{known}`, so the operator writes nothing. If this is intended, set vault.clusterId to the new id."
    );
    server_says(bed, name, Tone::Reconciling, "ServerChanged", &message).await?;
    let mark = stage.server.admin.journal().mark();
    stage
        .space
        .respecify::<Scope>("groups", json!({ "description": "changed" }))
        .await?;
    stage.make::<Scope>("new", json!({})).await?;
    for scope in ["groups", "new"] {
        stage
            .space
            .says::<Scope>(scope, Tone::Reconciling, "ServerNotReady", &not_ready(name))
            .await?;
    }
    let app = stage.space.all::<OAuth2Client>().get("app").await?;
    stage.space.remove::<OAuth2Client>("app").await?;
    stage.space.wait_condition("app", "Ready", "False", "Deleting").await?;
    ensure!(stage.about(mark).is_empty(), "{:?}", stage.about(mark));
    ensure!(stage.object("client", "app").await? == before, "it was changed");

    bed.change_server(name, json!({ "vault": { "clusterId": "elsewhere" } }))
        .await?;
    bed.server_ready(name).await?;
    stage.space.until_gone(&app).await?;
    stage.space.until_ready::<Scope>("new").await?;
    drop(fault);
    let message = format!(
        "The server at vault.address belongs to cluster `{known}` instead of `elsewhere`, so the operator writes nothing. If this is intended, set vault.clusterId to the new id."
    );
    server_says(bed, name, Tone::Reconciling, "ServerChanged", &message).await?;
    bed.change_server(name, json!({ "vault": { "clusterId": known } }))
        .await?;
    bed.server_ready(name).await.map(drop)
}

async fn a_provider_is_ready_when_discovery_names_its_issuer(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let path = format!(
        "/v1/identity/oidc/provider/{}.main/.well-known/openid-configuration",
        stage.space.name()
    );
    let lie = json!({ "issuer": "https://elsewhere.example.org" });
    let answer = Action::Answer(Answer::json(200, &lie));
    let fault = stage
        .server
        .admin
        .inject(Fault::new(move |head| head.path() == path, answer));
    let everyone = json!({ "allowedClients": [{ "clientId": "*" }] });
    stage.make::<OidcProvider>("main", everyone).await?;
    let message = format!(
        "The discovery document of AuthorizationServer `{}` names the issuer `https://elsewhere.example.org` instead of `/v1/identity/oidc/provider/{}.main`; the published values stay. If the document is right, set issuer to its value, otherwise correct the server.",
        stage.server.name,
        stage.space.name()
    );
    stage
        .space
        .says::<OidcProvider>("main", Tone::Reconciling, "IssuerMismatch", &message)
        .await?;
    ensure!(
        stage.space.config_maps().get_opt("main").await?.is_none(),
        "it was published"
    );
    drop(fault);
    stage.space.until_ready::<OidcProvider>("main").await.map(drop)
}
