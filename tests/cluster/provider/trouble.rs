//! A public API that is down or sends invalid answers.

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use libtest_mimic::Trial;
use oidc_operator::api::OidcProvider;
use oidc_operator::api::condition::{self, READY};
use serde_json::{Value, json};
use testbed::proxy::{Action, Answer, Fault};

use super::{document, is_for_keys, looks, own_server};
use crate::bed::{Bed, Space, conditions};
use crate::conditions::Tone::Reconciling;
use crate::run::Side;

pub(super) fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(a_wrong_issuer_ends_readiness_until_it_is_corrected),
        side.shared(one_failed_request_changes_no_status),
        side.shared(an_outage_is_reported_until_it_ends),
        side.shared(an_outage_of_the_admin_api_leaves_providers_ready),
        side.shared(untrustworthy_keys_are_reported),
    ]
}

/// Waits until a provider is not ready. An empty reason matches any reason.
async fn until_not_ready(space: &Space<'_>, name: &str, reason: &str) -> Result<OidcProvider> {
    let wanted = |found: &OidcProvider| {
        let conditions = conditions(found);
        condition::find(&conditions, READY)
            .is_some_and(|ready| ready.status == "False" && (reason.is_empty() || ready.reason == reason))
    };
    let what = format!("OidcProvider {}/{name} not to be ready: {reason}", space.name());
    space.until(&what, name, wanted).await
}

async fn a_wrong_issuer_ends_readiness_until_it_is_corrected(bed: &Bed) -> Result<()> {
    let (server, spec) = own_server(bed).await?;
    let space = bed.space().await?;
    space.ready::<OidcProvider>("login", &spec.to_string()).await?;
    let before = space.config_maps().get("login").await?;
    let issuer = spec["issuer"].as_str().context("no issuer")?;
    let mut lie = document(issuer, "openid-configuration").await?;
    lie["issuer"] = json!("https://elsewhere.example.org");
    let fault = server.public.inject(Fault::new(
        |head| head.is("GET", "/.well-known/openid-configuration"),
        Action::Answer(Answer::json(200, &lie)),
    ));
    // The reason depends on whether the provider's own pass or the server's pass comes first.
    until_not_ready(&space, "login", "").await?;
    let meanwhile = space.config_maps().get("login").await?;
    ensure!(
        meanwhile.resource_version() == before.resource_version(),
        "it was changed: {meanwhile:?}"
    );
    drop(fault);
    space.until_ready::<OidcProvider>("login").await?;
    Ok(())
}

async fn one_failed_request_changes_no_status(bed: &Bed) -> Result<()> {
    let (server, spec) = own_server(bed).await?;
    let space = bed.space().await?;
    let before = space.ready::<OidcProvider>("login", &spec.to_string()).await?;
    let mark = server.public.journal().mark();
    let fault = server
        .public
        .inject(Fault::new(is_for_keys, Action::Answer(Answer::status(503))).nth(1));
    looks(&server, mark, 3).await?;
    ensure!(fault.struck() == 1, "the fault did not strike");
    let after = space.until_ready::<OidcProvider>("login").await?;
    ensure!(after.resource_version() == before.resource_version(), "it was written");
    Ok(())
}

async fn an_outage_is_reported_until_it_ends(bed: &Bed) -> Result<()> {
    let (server, spec) = own_server(bed).await?;
    let space = bed.space().await?;
    space.ready::<OidcProvider>("login", &spec.to_string()).await?;
    let before = space.config_maps().get("login").await?;
    server.public.down();
    until_not_ready(&space, "login", "ServerUnavailable").await?;
    let meanwhile = space.config_maps().get("login").await?;
    ensure!(
        meanwhile.resource_version() == before.resource_version(),
        "it was changed: {meanwhile:?}"
    );
    server.public.up();
    space.until_ready::<OidcProvider>("login").await?;
    Ok(())
}

async fn an_outage_of_the_admin_api_leaves_providers_ready(bed: &Bed) -> Result<()> {
    let (server, spec) = own_server(bed).await?;
    let space = bed.space().await?;
    let before = space.ready::<OidcProvider>("login", &spec.to_string()).await?;
    server.admin.down();
    bed.server_condition(&server.name, "Ready", "False", "ServerUnavailable")
        .await?;
    let mark = server.public.journal().mark();
    looks(&server, mark, 2).await?;
    let after = space.until_ready::<OidcProvider>("login").await?;
    ensure!(after.resource_version() == before.resource_version(), "it was written");
    // A new provider waits, since the operator has never verified it.
    space.make::<OidcProvider>("new", &spec.to_string()).await?;
    let message =
        "The server cannot be used now: it has just failed; see the AuthorizationServer. The operator keeps trying.";
    space
        .says::<OidcProvider>("new", Reconciling, "ServerUnavailable", message)
        .await?;
    server.admin.up();
    space.until_ready::<OidcProvider>("new").await?;
    Ok(())
}

async fn untrustworthy_keys_are_reported(bed: &Bed) -> Result<()> {
    const PRIVATE: &str = "cHJpdmF0ZS1leHBvbmVudC1vZi1hLWtleQ";
    bed.canary(PRIVATE);
    let (server, spec) = own_server(bed).await?;
    let space = bed.space().await?;
    let json = |body: Value| Answer::json(200, &body);
    let html = Answer::status(200).body("<html></html>");
    let shown = json!({ "kty": "RSA", "kid": "a", "n": "AQAB", "e": "AQAB", "d": PRIVATE });
    let name = &server.name;
    let shows = format!(
        "AuthorizationServer `{name}` publishes a private key in /.well-known/jwks.json, so anyone can forge tokens. Replace its keys and publish only public keys."
    );
    let none = format!(
        "AuthorizationServer `{name}` publishes no public key to verify tokens with. Check its key set /.well-known/jwks.json."
    );
    let other =
        |problem: &str| format!("The JSON Web Key Set {problem}. Check hydra.publicUrl of the AuthorizationServer.");
    let cases = [
        (json(json!({ "keys": [shown] })), "InvalidKeys", shows),
        (json(json!({ "keys": [] })), "InvalidKeys", none),
        (html, "ServerNotRecognized", other("is not JSON")),
        (
            json(json!([])),
            "ServerNotRecognized",
            other("is not a JSON Web Key Set"),
        ),
        (
            Answer::status(404),
            "ServerNotRecognized",
            other("is not found where it should be"),
        ),
        (
            Answer::status(403),
            "ServerNotRecognized",
            other("is not open to everybody"),
        ),
        (
            Answer::status(307).header("location", "https://elsewhere.example.org/"),
            "ServerNotRecognized",
            other("is somewhere else, since the server redirects"),
        ),
    ];
    for (number, (answer, reason, message)) in cases.into_iter().enumerate() {
        let _fault = server.public.inject(Fault::new(is_for_keys, Action::Answer(answer)));
        let name = format!("login-{number}");
        space.make::<OidcProvider>(&name, &spec.to_string()).await?;
        let refused = space.says::<OidcProvider>(&name, Reconciling, reason, &message).await?;
        ensure!(
            refused.finalizers().is_empty(),
            "it has finalizers: {:?}",
            refused.finalizers()
        );
    }
    space.until_ready::<OidcProvider>("login-0").await?;
    Ok(())
}
