//! The credentials Secret as applications and clusters want it: presets, types, labels, what admission says, and ids and
//! secrets that other tools bring.

mod admission;
mod id;
mod labels;
mod preset;

use anyhow::{Context, Result, bail};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::bed::{Bed, Space};
use crate::conditions::{Tone, client_says};
use crate::run::Side;

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(admission::what_a_policy_or_a_quota_says_is_told),
        side.shared(id::an_id_and_a_secret_of_another_tool_are_waited_for_and_followed),
        side.shared(id::an_id_from_a_secret_obeys_the_rules_of_client_id),
        side.shared(labels::labels_of_the_settings_reach_every_output),
        side.shared(preset::a_random_value_is_made_once),
        side.shared(preset::the_samples_have_what_applications_read),
        side.shared(preset::the_type_of_a_secret_is_chosen_once),
        side.shared(what_cannot_be_is_refused),
    ]
}

/// The spec of an OidcProvider on a server.
async fn provider_on(bed: &Bed, server: &str) -> Result<Value> {
    let status = bed.server_ready(server).await?.status;
    let endpoints = status.and_then(|status| status.endpoints).context("no endpoints")?;
    Ok(json!({ "serverRef": { "name": server }, "issuer": endpoints.issuer }))
}

async fn what_cannot_be_is_refused(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let id = "clientIdFrom: { name: own, key: id }";
    let type_ = "credentials.type: types of kubernetes.io, k8s.io and oidc-operator.dev have a meaning of their own; choose another type";
    let table = [
        (
            format!("{id}, clientId: shop"),
            "clientIdFrom: set clientId or clientIdFrom, not both",
        ),
        (
            "clientIdFrom: { name: app, key: id }".to_owned(),
            "clientIdFrom: names the credentials Secret that the operator writes; keep your own id in another Secret",
        ),
        (
            format!("{id}, credentials: {{ secretName: own }}"),
            "clientIdFrom: names the credentials Secret",
        ),
        (
            "credentials: { preset: Nextcloud }".to_owned(),
            "Unsupported value: \"Nextcloud\"",
        ),
        (
            "credentials: { type: kubernetes.io/service-account-token }".to_owned(),
            type_,
        ),
        ("credentials: { type: bootstrap.kubernetes.io/token }".to_owned(), type_),
        ("credentials: { type: oidc-operator.dev/ledger }".to_owned(), type_),
        ("credentials: { type: 'a b' }".to_owned(), "not a type of a Secret"),
    ];
    for (part, expected) in table {
        let said = space
            .client_refusal("app", &format!("{{ grantTypes: [client_credentials], {part} }}"))
            .await?;
        if !said.contains(expected) {
            bail!("{part}: {said}");
        }
    }
    clashing_keys_are_reported(&space).await
}

/// Only the operator knows the keys of a preset.
async fn clashing_keys_are_reported(space: &Space<'_>) -> Result<()> {
    let table = [
        (
            "{ preset: EnvoyGateway, data: { client-secret: mine } }",
            "credentials.data: the key `client-secret` is that of the client id or secret; choose another one, or change credentials.keys.",
        ),
        (
            "{ preset: EnvoyGateway, keys: { clientId: client-secret } }",
            "credentials.keys: two of client id, secret and former secret would have the key `client-secret`; choose another one.",
        ),
    ];
    for (credentials, message) in table {
        let spec = format!("{{ grantTypes: [client_credentials], credentials: {credentials} }}");
        space.apply_client("app", &spec).await?;
        client_says(space, "app", Tone::Stalled, "InvalidSpec", message).await?;
    }
    Ok(())
}
