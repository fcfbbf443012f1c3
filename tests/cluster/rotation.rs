//! Client secrets that are replaced periodically or on request.

mod waits;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use libtest_mimic::Trial;
use oidc_operator::api::{OAuth2Client, ROTATE_AT_ANNOTATION, condition};
use serde_json::json;
use testbed::wait;

use crate::bed::{Bed, LIMIT, ServerOptions, Space, ledger_of, text_of};
use crate::conditions::{Tone, client_says};
use crate::run::Side;

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(a_secret_is_replaced_once_per_request),
        side.shared(a_secret_is_replaced_when_its_period_ends),
        side.shared(without_consent_nothing_is_replaced),
        side.shared(a_mistyped_annotation_is_ignored_and_reported),
    ]
}

/// Tests for which the version of the server makes no difference.
pub fn waits(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(waits::a_rotation_waits_for_a_window),
        side.shared(waits::rotations_on_a_server_keep_a_distance),
    ]
}

const CONSENT: &str = "{ grantTypes: [client_credentials], rotation: { withoutOverlap: Allow } }";

async fn rotate_at(space: &Space<'_>, at: &str) -> Result<()> {
    space.annotate("app", ROTATE_AT_ANNOTATION, at).await.map(drop)
}

/// Waits until the Secret holds another client secret, and returns it.
async fn another(space: &Space<'_>, before: &str) -> Result<String> {
    let new = |secret: &Secret| {
        text_of(secret)
            .get("CLIENT_SECRET")
            .is_some_and(|value| value != before)
    };
    let secret = space.wait_secret("another client secret", "app", new).await?;
    Ok(text_of(&secret)["CLIENT_SECRET"].clone())
}

async fn a_secret_is_replaced_once_per_request(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let client = space.ready_client("app", CONSENT).await?;
    let (id, first) = space.credentials("app").await?;
    rotate_at(&space, &jiff::Timestamp::now().to_string()).await?;
    let second = another(&space, &first).await?;
    bed.token(&id, &second, "").await?;
    ensure!(bed.token(&id, &first, "").await.is_err(), "the old secret still works");
    let ledger = space.secret_data(&ledger_of(&client)).await?;
    ensure!(ledger["client_secret"] == second, "the ledger holds another secret");
    space.wait_event("app", "SecretRotated", |_| true).await?;

    // The same annotation causes no further replacement.
    space.change("app", json!({ "spec": { "clientName": "a" } })).await?;
    space.wait_ready("app").await?;
    space.delete_secret("app").await?;
    let back = another(&space, "").await?;
    ensure!(back == second, "it was replaced again");

    // The operator waits for a time in the future.
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2);
    rotate_at(&space, &soon.to_string()).await?;
    let third = another(&space, &second).await?;
    ensure!(jiff::Timestamp::now() >= soon, "it was replaced too early");
    bed.token(&id, &third, "").await?;
    Ok(())
}

/// An application that reads the Secret at every login. Hydra keeps one secret per client, so logins fail after the
/// change in Hydra until the Secret changes too.
async fn a_secret_is_replaced_when_its_period_ends(bed: &Bed) -> Result<()> {
    const ROTATIONS: usize = 5;
    // It has its own database, since SQLite allows one writer at a time and other tests log in too.
    let lab = bed.lab(&[], ServerOptions::default()).await?;
    let space = bed.space().await?;
    let spec = json!({
        "serverRef": lab.server_ref(), "grantTypes": ["client_credentials"],
        "rotation": { "period": "4s", "withoutOverlap": "Allow" },
    });
    space.ready_client("app", &spec.to_string()).await?;
    let (mut seen, mut gaps, mut failing) = (BTreeSet::new(), Vec::new(), None);
    let begun = Instant::now();
    while seen.len() <= ROTATIONS {
        ensure!(begun.elapsed() < LIMIT * 2, "{} rotations", seen.len());
        let (id, secret) = space.credentials("app").await?;
        match lab.token(&id, &secret, "").await {
            Ok(_) => {
                gaps.extend(failing.take().map(|since: Instant| since.elapsed()));
                seen.insert(secret);
            }
            Err(_) => drop(failing.get_or_insert_with(Instant::now)),
        }
    }
    let longest = gaps.iter().max().copied().unwrap_or(Duration::ZERO);
    eprintln!(
        "rotation: {ROTATIONS} client secrets replaced, logins failed {} times, for {longest:?} at most",
        gaps.len()
    );
    Ok(())
}

async fn without_consent_nothing_is_replaced(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    space
        .ready_client("app", "{ grantTypes: [client_credentials] }")
        .await?;
    let before = space.credentials("app").await?;
    let message = "AuthorizationServer `default` keeps one secret per client, so logins would fail from a rotation until the application reads the Secret again; nothing was changed. Set rotation.withoutOverlap: Allow, or use private_key_jwt with keySetRef.";
    rotate_at(&space, &jiff::Timestamp::now().to_string()).await?;
    client_says(&space, "app", Tone::Stalled, "UnsupportedByServer", message).await?;
    space
        .change("app", json!({ "spec": { "rotation": { "period": "1s" } } }))
        .await?;
    client_says(&space, "app", Tone::Stalled, "UnsupportedByServer", message).await?;
    ensure!(space.credentials("app").await? == before, "it was replaced");
    space
        .change(
            "app",
            json!({ "spec": { "rotation": { "period": "1000h", "withoutOverlap": "Allow" } } }),
        )
        .await?;
    another(&space, &before.1).await?;
    space.wait_ready("app").await?;

    let refusals = [
        "{ clientType: Public, redirectUris: [https://spa.example.com/], rotation: { period: 1h } }",
        "{ grantTypes: [client_credentials], clientSecretRef: { name: own, key: password }, rotation: { period: 1h } }",
        "{ grantTypes: [client_credentials], tokenEndpointAuthMethod: private_key_jwt, keySetRef: { name: a }, rotation: {} }",
    ];
    for spec in refusals {
        let refusal = space.client_refusal("refused", spec).await?;
        let said = "spec.rotation: Invalid value: rotation: needs a secret that the operator generates; to replace your own, change the Secret that clientSecretRef names";
        ensure!(refusal.contains(said), "{refusal}");
    }
    let spec = "{ grantTypes: [client_credentials], rotation: { period: 1ms } }";
    let refusal = space.client_refusal("refused", spec).await?;
    ensure!(refusal.contains("rotation.period: must be at least 1s"), "{refusal}");
    Ok(())
}

async fn a_mistyped_annotation_is_ignored_and_reported(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    space.ready_client("app", CONSENT).await?;
    let before = space.credentials("app").await?;
    rotate_at(&space, "tomorrow").await?;
    let problem = "The operator ignores the value of the annotation `oidc-operator.dev/rotate-at`; set it to an RFC 3339 time such as 2026-01-31T12:00:00Z.";
    let message = format!("The client is registered and its credentials are in Secret `app`. {problem}");
    let says = |client: &OAuth2Client| {
        let conditions = client.status.clone().unwrap_or_default().conditions;
        let ready = condition::find(&conditions, condition::READY);
        ready.is_some_and(|ready| ready.status == "True" && ready.message == message)
    };
    space.wait_client("a warning", "app", says).await?;
    let is_once = |event: &Event| event.note.as_deref() == Some(problem) && event.series.is_none();
    space.wait_event("app", "AnnotationIgnored", is_once).await?;
    ensure!(
        space.credentials("app").await? == before,
        "the credentials have changed"
    );
    // The message ends with the mistake.
    rotate_at(&space, "2020-01-01T00:00:00Z").await?;
    let is_well = |client: &OAuth2Client| {
        let conditions = client.status.clone().unwrap_or_default().conditions;
        let ready = condition::find(&conditions, condition::READY);
        ready.is_some_and(|ready| ready.message == "The client is registered and its credentials are in Secret `app`.")
    };
    space.wait_client("no warning", "app", is_well).await?;
    space.delete_and_wait("app").await?;
    wait::until("the Secret to be deleted", LIMIT, async || {
        Ok(space.secret("app").await?.is_none().then_some(()))
    })
    .await?;
    ensure!(
        bed.token(&before.0, &before.1, "").await.is_err(),
        "the client still exists"
    );
    Ok(())
}
