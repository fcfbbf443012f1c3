//! Key sets: generated, imported, corrected, rotated without a failed login, and deleted.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use libtest_mimic::Trial;
use oidc_operator::admin::hydra::key::JsonWebKeySet as Keys;
use oidc_operator::api::json_web_key_set::KeyAlgorithm;
use oidc_operator::api::{JsonWebKeySet, OAuth2Client};
use oidc_operator::controller::engine::lifecycle::is_held;
use oidc_operator::error::Error;
use oidc_operator::key_material;
use serde_json::{Value, json};
use testbed::wait;

use crate::bed::{Bed, LIMIT, ServerOptions, is_list, settled, uid_of};
use crate::conditions::Tone::{Reconciling, Stalled};
use crate::repair::contest;
use crate::run::Side;

mod adoption;
pub mod import;
pub mod login;
mod outputs;
mod ownership;
mod refused;

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(keys_of_every_algorithm_reach_the_server_and_the_secret),
        side.shared(the_server_can_generate_the_keys),
        side.shared(login::a_client_logs_in_through_every_rotation),
        side.shared(login::the_next_key_waits_until_every_client_is_registered_with_it),
        side.shared(a_resync_writes_nothing),
        side.shared(external_changes_are_corrected),
        side.shared(the_operator_gives_up_after_three_corrections),
        side.shared(a_lost_ledger_is_rebuilt_from_the_server),
        side.shared(outputs::public_keys_are_published),
        side.shared(outputs::a_clients_credentials_secret_follows_the_signing_key),
        side.shared(outputs::foreign_secrets_and_config_maps_are_left_alone),
        side.shared(import::an_imported_pem_key_is_written_unchanged),
        side.shared(import::an_invalid_private_key_is_reported),
        side.shared(import::a_changed_import_is_published),
        side.shared(adoption::a_key_set_is_adopted_with_its_keys),
        side.shared(ownership::a_foreign_set_is_not_touched),
        side.shared(ownership::neither_a_key_id_nor_a_ledger_proves_ownership),
        side.shared(ownership::the_servers_own_sets_need_a_grant),
        side.shared(deleting_a_set_deletes_its_keys_and_secrets),
        side.shared(a_set_in_use_is_not_deleted),
        side.shared(refused::invalid_key_sets_are_rejected),
    ]
}

const ES256: &str = "{ generate: { algorithm: ES256 }, privateKey: {}, publish: { secretName: public } }";

/// The set of this name on the server.
async fn on_server(bed: &Bed, name: &str) -> Result<Option<Keys>> {
    let admin = bed.admin().await?;
    settled("a key set", async || admin.get_key_set(name).await).await
}

fn status_of(set: &JsonWebKeySet) -> Value {
    serde_json::to_value(&set.status).unwrap_or_default()
}

async fn keys_of_every_algorithm_reach_the_server_and_the_secret(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    for algorithm in ["RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"] {
        let name = algorithm.to_lowercase();
        let spec = json!({ "generate": { "algorithm": algorithm }, "privateKey": {} });
        let set: JsonWebKeySet = space.ready(&name, &spec.to_string()).await?;
        let uid = set.metadata.uid.clone().unwrap_or_default();
        let secret = space.secret_data(&name).await?;
        let kid = set.status.as_ref().and_then(|status| status.current_key_id.clone());
        let kid = kid.context("no key")?;
        ensure!(kid.starts_with(&uid), "{kid} does not start with the UID");
        ensure!(secret["kid"] == kid, "the Secret holds another key");
        let jwk: Value = serde_json::from_str(&secret["jwk.json"])?;
        ensure!(
            jwk["alg"] == algorithm && jwk["use"] == "sig" && jwk["kid"] == kid,
            "{algorithm}"
        );
        bed.canary(jwk["d"].as_str().context("no private half")?);
        let from_pem = key_material::import(&secret["key.pem"]).map_err(anyhow::Error::msg)?;
        ensure!(from_pem.is_private(), "{algorithm}");
        let found = on_server(bed, &uid).await?.context("no set on the server")?;
        let [found] = found.keys.as_slice() else {
            anyhow::bail!("{} keys on the server", found.keys.len());
        };
        ensure!(found.is_private() && found.public.kid == kid, "{algorithm}");
        let shown = status_of(&set)["keys"].clone();
        let members: Vec<&String> = shown[0].as_object().into_iter().flat_map(|key| key.keys()).collect();
        ensure!(shown[0]["kid"] == kid.as_str(), "{shown}");
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            ensure!(
                !members.iter().any(|name| *name == private),
                "the status shows {private}"
            );
        }
    }
    Ok(())
}

async fn a_resync_writes_nothing(bed: &Bed) -> Result<()> {
    let server = bed
        .own_server(ServerOptions {
            resync_interval: "1s".to_owned(),
            ..ServerOptions::default()
        })
        .await?;
    let space = bed.space().await?;
    let spec = json!({ "serverRef": { "name": server.name }, "generate": { "algorithm": "ES256" }, "privateKey": {} });
    space.ready::<JsonWebKeySet>("keys", &spec.to_string()).await?;
    let swept = async |mark: u64, times: usize| {
        wait::until("sweeps", LIMIT, async || {
            let since = server.admin.journal().since(mark);
            Ok((since.iter().filter(|exchange| is_list(&exchange.head)).count() > times).then_some(()))
        })
        .await
    };
    swept(server.admin.journal().mark(), 1).await?;
    let (mark, kube) = (server.admin.journal().mark(), bed.operator().requests().mark());
    swept(mark, 3).await?;
    let asked = server.about_clients(mark);
    ensure!(!asked.is_empty(), "the set was not compared");
    ensure!(asked.iter().all(|exchange| exchange.head.method == "GET"), "{asked:#?}");
    let written: Vec<_> = bed
        .operator()
        .requests()
        .since(kube)
        .into_iter()
        .filter(|exchange| exchange.head.method != "GET" && exchange.head.path().contains(space.name()))
        .collect();
    ensure!(written.is_empty(), "{written:#?}");
    Ok(())
}

async fn external_changes_are_corrected(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let set: JsonWebKeySet = space.ready("keys", ES256).await?;
    let uid = set.metadata.uid.clone().unwrap_or_default();
    let before = on_server(bed, &uid).await?.context("no set")?;
    let secret = space.secret_data("keys").await?;
    let admin = bed.admin().await?;

    settled("a deletion", async || admin.delete_key_set(&uid).await).await?;
    wait::until("the key to be restored", LIMIT, async || {
        Ok(on_server(bed, &uid).await?.filter(|found| found.same_as(&before)))
    })
    .await?;
    // The operator removes keys that others add to a set that is named by its UID.
    let foreign = key_material::generate(KeyAlgorithm::ES256, "foreign").map_err(anyhow::Error::msg)?;
    settled("a foreign key", async || admin.update_key(&uid, &foreign).await).await?;
    wait::until("the foreign key to be removed", LIMIT, async || {
        Ok(on_server(bed, &uid).await?.filter(|found| found.same_as(&before)))
    })
    .await?;
    for edit in [json!({ "kid": "x" }), json!({ "key.pem": "x" })] {
        space.edit_secret("keys", edit).await?;
        space
            .wait_secret("the key", "keys", |found: &Secret| crate::bed::text_of(found) == secret)
            .await?;
    }
    space.delete_secret("keys").await?;
    space
        .wait_secret("the key", "keys", |found: &Secret| crate::bed::text_of(found) == secret)
        .await?;
    Ok(())
}

async fn the_operator_gives_up_after_three_corrections(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let space = bed.space().await?;
    let mut spec: Value = serde_saphyr::from_str(ES256)?;
    spec["serverRef"] = json!({ "name": server.name });
    let set: JsonWebKeySet = space.ready("keys", &spec.to_string()).await?;
    let uid = set.metadata.uid.clone().unwrap_or_default();
    let before = on_server(bed, &uid).await?.context("no set")?;
    let admin = bed.admin().await?;
    let foreign = key_material::generate(KeyAlgorithm::ES256, "foreign").map_err(anyhow::Error::msg)?;
    let as_before = |found: Option<Keys>| found.filter(|found| found.same_as(&before));
    let change = async || {
        settled("a foreign key", async || admin.update_key(&uid, &foreign).await)
            .await
            .map(drop)
    };
    let is_corrected = async || Ok(as_before(on_server(bed, &uid).await?).is_some());
    let message = Error::Contested("its keys".to_owned()).to_string();
    contest::<JsonWebKeySet>(&server, &space, ("keys", &message), change, is_corrected).await?;
    // After a change of the spec, the operator corrects it again.
    let published = json!({ "publish": { "secretName": "elsewhere" } });
    space.respecify::<JsonWebKeySet>("keys", published).await?;
    wait::until("the foreign key to be removed", LIMIT, async || {
        Ok(as_before(on_server(bed, &uid).await?))
    })
    .await?;
    space.until_ready::<JsonWebKeySet>("keys").await?;
    Ok(())
}

/// Ids of all keys of this set on the server, and ids of its private keys.
pub async fn ids_on_server(bed: &Bed, name: &str) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
    let keys = on_server(bed, name).await?.unwrap_or_default().keys;
    let ids = |private: bool| {
        let wanted = keys.iter().filter(move |key| !private || key.is_private());
        wanted.map(|key| key.public.kid.clone()).collect()
    };
    Ok((ids(false), ids(true)))
}

async fn the_server_can_generate_the_keys(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    for algorithm in ["ES256", "ES512", "EdDSA"] {
        let name = algorithm.to_lowercase();
        let spec = json!({ "generate": { "algorithm": algorithm, "by": "Server" }, "privateKey": {} });
        let set: JsonWebKeySet = space.ready(&name, &spec.to_string()).await?;
        let uid = set.metadata.uid.clone().unwrap_or_default();
        let secret = space.secret_data(&name).await?;
        let jwk: Value = serde_json::from_str(&secret["jwk.json"])?;
        bed.canary(jwk["d"].as_str().context("no private half")?);
        ensure!(
            jwk["alg"] == algorithm && status_of(&set)["currentKeyId"] == secret["kid"].as_str(),
            "{algorithm}"
        );
        key_material::import(&secret["key.pem"]).map_err(anyhow::Error::msg)?;
        let only = BTreeSet::from([secret["kid"].clone()]);
        ensure!(
            ids_on_server(bed, &uid).await? == (only.clone(), only),
            "{algorithm}: not exactly one key"
        );
    }
    let spec = "{ generate: { algorithm: PS256, by: Server } }";
    space.make::<JsonWebKeySet>("ps256", spec).await?;
    let message = "generate.algorithm: the server cannot make keys for this algorithm; choose another one, or let the operator make the keys.";
    let refused = space
        .says::<JsonWebKeySet>("ps256", Stalled, "InvalidSpec", message)
        .await?;
    ensure!(!is_held(&refused), "it has a finalizer");
    Ok(())
}

async fn a_lost_ledger_is_rebuilt_from_the_server(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    for algorithm in ["RS256", "ES256"] {
        let name = algorithm.to_lowercase();
        let spec = json!({ "generate": { "algorithm": algorithm }, "privateKey": {} });
        let set: JsonWebKeySet = space.ready(&name, &spec.to_string()).await?;
        let secret = space.secret_data(&name).await?;
        let ledger = format!("jwks-{}", uid_of(&set));
        for blow in ["deleted", "edited"] {
            let before = space.secret(&ledger).await?.context("no ledger")?;
            match blow {
                "deleted" => space.delete_secret(&ledger).await?,
                _ => drop(space.edit_secret(&ledger, json!({ "keys": "[]" })).await?),
            }
            let key_of = |ledger: &Secret| crate::bed::text_of(ledger).get("keys").cloned();
            let kid = secret["kid"].as_str();
            space
                .wait_secret("the ledger", &ledger, |now: &Secret| {
                    now.metadata.resource_version != before.metadata.resource_version
                        && key_of(now).is_some_and(|keys| keys.contains(kid))
                })
                .await?;
            let now: JsonWebKeySet = space.until_ready(&name).await?;
            ensure!(
                status_of(&now)["currentKeyId"] == kid,
                "{algorithm} {blow}: another key signs"
            );
            ensure!(
                space.secret_data(&name).await? == secret,
                "{algorithm} {blow}: the Secret has changed"
            );
        }
    }
    Ok(())
}

async fn deleting_a_set_deletes_its_keys_and_secrets(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let set: JsonWebKeySet = space.ready("keys", ES256).await?;
    let uid = set.metadata.uid.clone().unwrap_or_default();
    let ledger = format!("jwks-{uid}");
    for name in ["keys", "public", &ledger] {
        ensure!(space.secret(name).await?.is_some(), "no Secret {name}");
    }
    let set = space.remove::<JsonWebKeySet>("keys").await?;
    space.until_gone(&set).await?;
    for name in ["keys", "public", &ledger] {
        ensure!(space.secret(name).await?.is_none(), "Secret {name} still exists");
    }
    ensure!(
        on_server(bed, &uid).await?.is_none_or(|found| found.keys.is_empty()),
        "the set still exists"
    );
    space.ready::<JsonWebKeySet>("keys", ES256).await?;
    space.delete_namespace_and_wait().await
}

async fn a_set_in_use_is_not_deleted(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    space.ready::<JsonWebKeySet>("keys", ES256).await?;
    let spec = "{ grantTypes: [client_credentials], tokenEndpointAuthMethod: private_key_jwt, tokenEndpointAuthSigningAlg: ES256, keySetRef: { name: keys } }";
    let client: OAuth2Client = space.ready_client("app", spec).await?;
    let set = space.remove::<JsonWebKeySet>("keys").await?;
    let message = "OAuth2Client `app` still refers to this JsonWebKeySet. Remove it from keySetRef of the OAuth2Client, or delete the OAuth2Client first.";
    space
        .says::<JsonWebKeySet>("keys", Reconciling, "InUse", message)
        .await?;
    let found = bed.registered(&uid_of(&client)).await?;
    ensure!(
        found["jwks"]["keys"].as_array().is_some_and(|keys| keys.len() == 1),
        "{found}"
    );
    space.delete_and_wait("app").await?;
    space.until_gone(&set).await
}
