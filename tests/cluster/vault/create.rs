//! One resource of each kind, created together, with which a user signs in.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use libtest_mimic::Trial;
use oidc_operator::api::{Assignment, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use serde_json::json;
use testbed::bao::{NONCE, SignIn, Step, sign_in};

use super::stage::{REDIRECT, Stage};
use crate::bed::{Bed, ServerOptions, text_of};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(a_minimal_client_gets_its_credentials),
        side.shared(a_client_has_presets_and_no_chosen_id),
        side.shared(an_assigned_user_signs_in_and_another_is_denied),
    ]
}

async fn a_minimal_client_gets_its_credentials(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let space = &stage.space;
    let client: OAuth2Client = stage.ready("app", json!({ "redirectUris": [REDIRECT] })).await?;
    let name = format!("{}.app", space.name());
    let object = bed.existing(&format!("client/{name}")).await?;
    let status = client.status.context("a status")?;
    ensure!(status.name.as_deref() == Some(name.as_str()), "{status:?}");
    ensure!(object["client_id"] == json!(status.client_id), "{object}");
    let (id, secret) = space.credentials("app").await?;
    ensure!(object["client_id"] == id.as_str() && object["client_secret"] == secret.as_str());
    let mut expected = json!({
        "access_token_ttl": 86400, "assignments": ["allow_all"],
        "client_id": id, "client_secret": secret, "client_type": "confidential", "id_token_ttl": 86400, "key": "default",
        "redirect_uris": [REDIRECT],
    });
    if stage.chooses_grants().await? {
        expected["authorization_code"] = json!(true);
        expected["client_credentials"] = json!(false);
    }
    ensure!(object == expected, "{object}");
    Ok(())
}

async fn a_client_has_presets_and_no_chosen_id(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let space = &stage.space;
    let preset = |preset: &str| json!({ "redirectUris": [REDIRECT], "credentials": { "preset": preset } });
    stage.ready::<OAuth2Client>("proxy", preset("OAuth2Proxy")).await?;
    let data = space.secret_data("proxy").await?;
    ensure!(
        data.keys().eq(["client-id", "client-secret", "cookie-secret"]),
        "{:?}",
        data.keys()
    );
    space.canary(&data["cookie-secret"]);
    space.edit_secret("proxy", json!({ "client-id": "edited" })).await?;
    let is_restored = |secret: &Secret| text_of(secret) == data;
    space.wait_secret("the Secret as it was", "proxy", is_restored).await?;

    let bound: OAuth2Client = stage.ready("bound", preset("ServiceBinding")).await?;
    let binding = bound
        .status
        .and_then(|status| status.binding)
        .map(|binding| binding.name);
    ensure!(binding.as_deref() == Some("bound"), "{binding:?}");
    let secret = space.secret("bound").await?.context("no Secret")?;
    ensure!(
        secret.type_.as_deref() == Some("servicebinding.io/oauth2"),
        "{:?}",
        secret.type_
    );

    let spec = json!({
        "serverRef": { "name": stage.server.name }, "redirectUris": [REDIRECT],
        "clientIdFrom": { "name": "own", "key": "id" },
    });
    space.apply_client("chosen", &spec.to_string()).await?;
    let refused = space
        .wait_condition("chosen", "Ready", "False", "UnsupportedByServer")
        .await?;
    let said = serde_json::to_string(&refused.status)?;
    ensure!(said.contains("what this resource sets in clientIdFrom;"), "{said}");
    Ok(())
}

async fn an_assigned_user_signs_in_and_another_is_denied(bed: &Bed) -> Result<()> {
    let server = bed.own_vault(ServerOptions::default()).await?;
    let space = bed.space().await?;
    let bao = bed.bao().await?;
    let alice = bao.root().userpass("alice", "of-alice").await?;
    let bob = bao.root().userpass("bob", "of-bob").await?;
    let group = format!("{}-staff", space.name());
    bao.root().group(&group, &[&alice.entity_id]).await?;

    // In reverse order of dependency: only the last one can be created at once.
    let here = format!("serverRef: {{ name: {} }}", server.name);
    let client = format!(
        "{{ {here}, redirectUris: ['{REDIRECT}'], keySetRef: {{ name: signing }}, assignmentRefs: [{{ name: staff }}],
            providerRefs: [{{ name: main }}], credentials: {{ data: {{ ISSUER: $(issuer) }} }} }}"
    );
    space.make::<OAuth2Client>("app", &client).await?;
    space
        .make::<OidcProvider>("main", &format!("{{ {here}, scopeRefs: [{{ name: groups }}] }}"))
        .await?;
    let template = r#"{"groups": {{identity.entity.groups.names}}}"#;
    space
        .make::<Scope>(
            "groups",
            &format!("{{ {here}, description: Groups, template: '{template}' }}"),
        )
        .await?;
    space
        .make::<Assignment>("staff", &format!("{{ {here}, groups: [{{ name: {group} }}] }}"))
        .await?;
    space
        .make::<JsonWebKeySet>("signing", &format!("{{ {here}, generate: {{ algorithm: ES256 }} }}"))
        .await?;
    let client = space.wait_ready("app").await?;
    let provider = space.until_ready::<OidcProvider>("main").await?;

    let issuer = provider.status.context("a status")?.issuer.context("an issuer")?;
    let data = space.secret_data("app").await?;
    ensure!(data["ISSUER"] == issuer, "{data:?}");
    let wanted = SignIn {
        issuer: &issuer,
        ca_pem: None,
        client_id: &data["CLIENT_ID"],
        client_secret: Some(&data["CLIENT_SECRET"]),
        redirect_uri: REDIRECT,
        scope: &format!("openid {}.groups", space.name()),
        user_token: &alice.token,
    };
    let signed_in = sign_in(&wanted).await??;
    let claims = verified(&signed_in.id_token, &issuer, &data["CLIENT_ID"]).await?;
    ensure!(
        claims["sub"] == alice.entity_id.as_str() && claims["nonce"] == NONCE,
        "{claims}"
    );
    ensure!(claims["groups"] == json!([group]), "{claims}");
    let of_bob = SignIn {
        user_token: &bob.token,
        ..wanted
    };
    let refused = sign_in(&of_bob).await?.err().context("bob could sign in")?;
    ensure!(
        refused.step == Step::Authorize && refused.error == "access_denied",
        "{refused}"
    );
    ensure!(
        client
            .status
            .is_some_and(|status| status.client_id.as_deref() == Some(data["CLIENT_ID"].as_str()))
    );
    Ok(())
}

/// The claims of an ID token, verified as an application would do it.
pub async fn verified(id_token: &str, issuer: &str, audience: &str) -> Result<serde_json::Value> {
    let keys = testbed::http::client()
        .get(format!("{issuer}/.well-known/keys"))
        .send()
        .await?;
    let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&keys.text().await?)?;
    let header = jsonwebtoken::decode_header(id_token)?;
    let kid = header.kid.context("a key id")?;
    let key = keys.find(&kid).with_context(|| format!("key {kid} is not published"))?;
    let mut wanted = jsonwebtoken::Validation::new(header.alg);
    wanted.set_issuer(&[issuer]);
    wanted.set_audience(&[audience]);
    let token = jsonwebtoken::decode(id_token, &jsonwebtoken::DecodingKey::from_jwk(key)?, &wanted)?;
    Ok(token.claims)
}
