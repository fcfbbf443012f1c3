//! `private_key_jwt` with keys of a JsonWebKeySet: a probe logs in continuously while the keys are rotated.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kube::api::{Patch, PatchParams};
use oidc_operator::api::{JsonWebKeySet, ROTATE_AT_ANNOTATION};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};

use crate::bed::{Bed, ServerOptions, Space, token_by_assertion, uid_of};

/// Number of rotations during which every login must succeed.
const ROTATIONS: usize = 20;
/// Longest time for all of them.
const PATIENCE: Duration = Duration::from_secs(240);

pub(super) async fn a_client_logs_in_through_every_rotation(bed: &Bed) -> Result<()> {
    // It has its own database, since SQLite allows one writer at a time and other tests log in too.
    let lab = bed.lab(&[], ServerOptions::default()).await?;
    let space = bed.space().await?;
    let keys = json!({
        "serverRef": lab.server_ref(), "generate": { "algorithm": "ES256" }, "privateKey": {},
        "rotation": { "period": "2s", "prePublish": "0s", "overlap": "20s" },
    });
    space.ready::<JsonWebKeySet>("keys", &keys.to_string()).await?;
    let spec = json!({
        "serverRef": lab.server_ref(), "grantTypes": ["client_credentials"], "scopes": ["read"],
        "tokenEndpointAuthMethod": "private_key_jwt", "tokenEndpointAuthSigningAlg": "ES256", "keySetRef": { "name": "keys" },
    });
    let client = space.ready_client("app", &spec.to_string()).await?;
    let server = bed.server_ready(&lab.server.name).await?;
    let endpoints = server.status.and_then(|status| status.endpoints);
    let audience = endpoints
        .and_then(|endpoints| endpoints.token_endpoint)
        .context("no token endpoint")?;
    let begun = Instant::now();
    let (mut seen, mut logins, mut repeated) = (BTreeSet::new(), 0, 0);
    while seen.len() <= ROTATIONS {
        ensure!(begun.elapsed() < PATIENCE, "{} rotations in {PATIENCE:?}", seen.len());
        let login = log_in(&space, &uid_of(&client), &audience).await;
        let (kid, again) = login.with_context(|| format!("login {logins}, after {} keys", seen.len()))?;
        seen.insert(kid);
        logins += 1;
        repeated += again;
    }
    eprintln!(
        "key sets: {logins} logins through {ROTATIONS} rotations in {:.0} s, none refused, {repeated} repeated since the server was busy",
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

pub(super) async fn the_next_key_waits_until_every_client_is_registered_with_it(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let keys = json!({
        "generate": { "algorithm": "ES256" }, "privateKey": {},
        "rotation": { "period": "1000h", "prePublish": "0s", "overlap": "1s" },
    });
    let set: JsonWebKeySet = space.ready("keys", &keys.to_string()).await?;
    let first = set.status.and_then(|status| status.current_key_id).context("no key")?;
    let spec = "{ grantTypes: [client_credentials], tokenEndpointAuthMethod: private_key_jwt, tokenEndpointAuthSigningAlg: ES256, keySetRef: { name: keys } }";
    space.ready_client("app", spec).await?;
    space.change("app", json!({ "spec": { "suspend": true } })).await?;
    space.wait_condition("app", "Suspended", "True", "Suspended").await?;
    rotate_now(&space, "keys").await?;
    let waits = space
        .until("the next key", "keys", |set: &JsonWebKeySet| {
            set.status.as_ref().is_some_and(|status| status.keys.len() == 2)
        })
        .await?;
    let status = waits.status.context("no status")?;
    let message = "The next key signs as soon as OAuth2Client `app` is registered with it.";
    ensure!(
        status.current_key_id.as_ref() == Some(&first),
        "the client does not know the signing key"
    );
    ensure!(
        status.conditions.iter().any(|condition| condition.message == message),
        "{:#?}",
        status.conditions
    );
    ensure!(
        space.secret_data("keys").await?["kid"] == first,
        "the client does not know the key in the Secret"
    );
    space.change("app", json!({ "spec": { "suspend": false } })).await?;
    let next = |set: &JsonWebKeySet| {
        let status = set.status.as_ref();
        status.is_some_and(|status| status.current_key_id.as_ref() != Some(&first) && status.keys.len() == 1)
    };
    space.until("the next key alone", "keys", next).await?;
    Ok(())
}

/// Requests a rotation by annotation.
pub(crate) async fn rotate_now(space: &Space<'_>, name: &str) -> Result<()> {
    let now = k8s_openapi::jiff::Timestamp::now().to_string();
    let patch = Patch::Merge(json!({ "metadata": { "annotations": { ROTATE_AT_ANNOTATION: now } } }));
    space
        .all::<JsonWebKeySet>()
        .patch(name, &PatchParams::default(), &patch)
        .await?;
    Ok(())
}

/// Signs an assertion with the current key of the Secret, as an application does (RFC 7523, section 2.2).
async fn assertion(space: &Space<'_>, client_id: &str, audience: &str) -> Result<(String, String)> {
    let secret = space.secret_data("keys").await?;
    let jwk: Value = serde_json::from_str(&secret["jwk.json"])?;
    let private = URL_SAFE_NO_PAD.decode(jwk["d"].as_str().context("no private half")?)?;
    let key = SigningKey::from_slice(&private)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let header = json!({ "alg": "ES256", "kid": secret["kid"], "typ": "JWT" });
    let claims = json!({
        "iss": client_id, "sub": client_id, "aud": audience, "iat": now, "exp": now + 60,
        "jti": format!("{now}-{}", uuid_like()),
    });
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let signature: Signature = key.sign(signed.as_bytes());
    let assertion = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()));
    Ok((secret["kid"].clone(), assertion))
}

/// Gets a token. Returns the id of the key and the number of retries. A server on SQLite may fail concurrent requests,
/// so only a refusal counts as a failure.
async fn log_in(space: &Space<'_>, client_id: &str, audience: &str) -> Result<(String, usize)> {
    let mut last = None;
    for again in 0..20 {
        let (kid, assertion) = assertion(space, client_id, audience).await?;
        match token_by_assertion(audience, &assertion, "read").await {
            Ok((status, _)) if status < 400 => return Ok((kid, again)),
            Ok((status, answer)) if status < 500 => bail!("key {kid}: {status} {answer}"),
            failed => last = Some(failed),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("the server keeps failing: {last:?}")
}

fn uuid_like() -> String {
    oidc_operator::secret::new_revision()
}
