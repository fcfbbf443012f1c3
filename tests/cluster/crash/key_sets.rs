//! Key sets: interrupted at any request, the operator makes no second key, loses none, and reaches the same end state.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use oidc_operator::api::JsonWebKeySet;
use serde_json::{Value, json};
use testbed::wait;

use super::blow::Strike;
use super::lab::{Run, clear, interrupted};
use super::walk;
use crate::bed::{Bed, LIMIT, Space, text_of, uid_of};
use crate::key_sets::{ids_on_server, login};

/// A key set with a Secret and a ConfigMap.
const SPEC: &str = "{ generate: { algorithm: ES256 }, privateKey: {}, publish: {}, rotation: { period: 1000h, prePublish: 0s, overlap: 1000h } }";
const BY_SERVER: &str = "{ generate: { algorithm: ES256, by: Server }, privateKey: {}, publish: {} }";
const CLIENT: &str = "{ grantTypes: [client_credentials], tokenEndpointAuthMethod: private_key_jwt, tokenEndpointAuthSigningAlg: ES256, keySetRef: { name: keys } }";

/// A story about the JsonWebKeySet `keys`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Story {
    /// The operator makes a key.
    Create,
    /// The server makes a key.
    CreateByServer,
    /// The key is replaced while a client authenticates with it.
    Rotate,
    /// The resource is deleted.
    Delete,
}

pub(super) async fn a_new_key_set_survives_interruptions_at_every_request(bed: &Bed) -> Result<()> {
    survive(bed, &[Story::Create, Story::CreateByServer]).await
}

pub(super) async fn a_key_set_survives_interruptions_at_every_request(bed: &Bed) -> Result<()> {
    survive(bed, &[Story::Rotate, Story::Delete]).await
}

async fn survive(bed: &Bed, stories: &[Story]) -> Result<()> {
    for story in stories.iter().copied() {
        let fewest_writes = match story {
            Story::Create => 6,         // finalizer, ledger, key, Secret, ConfigMap, status
            Story::CreateByServer => 7, // and the ledger once more
            Story::Rotate => 9, // ledger, next key, status, client, its status, ledger, both keys, Secret, ConfigMap, status
            Story::Delete => 5, // key, ledger, Secret, ConfigMap, finalizer
        };
        walk(&format!("{story:?} of a key set"), fewest_writes, async |strike| {
            run(bed, story, strike).await
        })
        .await?;
    }
    Ok(())
}

async fn run(bed: &Bed, story: Story, strike: Option<Strike>) -> Result<Run> {
    let space = bed.space().await?;
    let first = prepare(&space, story).await?;
    let act = async || act(&space, story).await;
    let converged = async |acted: &JsonWebKeySet| converged(&space, story, acted, first.as_deref()).await;
    let (acted, run) = interrupted(bed, &space, strike, act, converged).await?;
    match story {
        Story::Delete => is_gone(bed, &space, &acted).await?,
        Story::Rotate => is_healthy(bed, &space, 2).await?,
        Story::Create | Story::CreateByServer => is_healthy(bed, &space, 1).await?,
    }
    if story != Story::Delete {
        next_look_writes_nothing(bed, &space, &acted).await?;
    }
    clean(&space, story).await?;
    clear(bed);
    Ok(run)
}

/// Creates the initial state; returns the id of the signing key.
async fn prepare(space: &Space<'_>, story: Story) -> Result<Option<String>> {
    if matches!(story, Story::Create | Story::CreateByServer) {
        return Ok(None);
    }
    let set: JsonWebKeySet = space.ready("keys", SPEC).await?;
    if story == Story::Rotate {
        space.ready_client("app", CLIENT).await?;
        space.wait_confirmed("app").await?;
        space.until_ready::<JsonWebKeySet>("keys").await?;
    }
    Ok(set.status.and_then(|status| status.current_key_id))
}

async fn act(space: &Space<'_>, story: Story) -> Result<JsonWebKeySet> {
    match story {
        Story::Create => space.make("keys", SPEC).await,
        Story::CreateByServer => space.make("keys", BY_SERVER).await,
        Story::Rotate => {
            login::rotate_now(space, "keys").await?;
            Ok(space.all::<JsonWebKeySet>().get("keys").await?)
        }
        Story::Delete => space.remove("keys").await,
    }
}

async fn converged(space: &Space<'_>, story: Story, acted: &JsonWebKeySet, first: Option<&str>) -> Result<()> {
    match story {
        Story::Delete => return space.until_gone(acted).await,
        Story::Create | Story::CreateByServer => {}
        Story::Rotate => {
            let rotated = |set: &JsonWebKeySet| {
                let current = set.status.as_ref().and_then(|status| status.current_key_id.as_deref());
                current.is_some() && current != first
            };
            space.until("another key to sign", "keys", rotated).await?;
        }
    }
    space.until_ready::<JsonWebKeySet>("keys").await.map(drop)
}

/// Checks that there are `count` keys, the same ones everywhere, and that one of them is private.
async fn is_healthy(bed: &Bed, space: &Space<'_>, count: usize) -> Result<()> {
    let set: JsonWebKeySet = space.all().get("keys").await?;
    let uid = uid_of(&set);
    let status = set.status.context("no status")?;
    let current = status.current_key_id.clone().context("no signing key")?;
    let published: BTreeSet<String> = status.key_ids().into_iter().map(str::to_owned).collect();
    ensure!(
        published.len() == count && published.contains(&current),
        "{published:?}"
    );
    ensure!(published.iter().all(|kid| kid.starts_with(&uid)), "{published:?}");
    let (all, private) = ids_on_server(bed, &uid).await?;
    ensure!(all == published, "on the server: {all:?}, published: {published:?}");
    ensure!(
        private == BTreeSet::from([current.clone()]),
        "private on the server: {private:?}"
    );

    let secret = space.secret_data("keys").await?;
    ensure!(secret["kid"] == current, "the Secret holds {}", secret["kid"]);
    let jwk: Value = serde_json::from_str(&secret["jwk.json"])?;
    ensure!(
        jwk["kid"] == current.as_str() && jwk["d"].is_string(),
        "the Secret holds another key"
    );
    let ledger = space.secret(&format!("jwks-{uid}")).await?.context("no ledger")?;
    let ledger: Value = serde_json::from_str(&text_of(&ledger)["keys"])?;
    let entries = ledger.as_array().map(Vec::as_slice).unwrap_or_default();
    let ids: BTreeSet<String> = entries
        .iter()
        .filter_map(|entry| Some(entry["jwk"]["kid"].as_str()?.to_owned()))
        .collect();
    ensure!(ids == published, "in the ledger: {ids:?}");
    let data = space.config_maps().get("keys").await?.data.unwrap_or_default();
    let jwks: Value = serde_json::from_str(&data["jwks.json"])?;
    ensure!(jwks["keys"] == json!(status.keys), "in the ConfigMap: {jwks}");
    Ok(())
}

async fn is_gone(bed: &Bed, space: &Space<'_>, acted: &JsonWebKeySet) -> Result<()> {
    let (left, _) = ids_on_server(bed, &uid_of(acted)).await?;
    ensure!(left.is_empty(), "left on the server: {left:?}");
    for name in ["keys", &format!("jwks-{}", uid_of(acted))] {
        ensure!(space.secret(name).await?.is_none(), "Secret {name} is left");
    }
    ensure!(
        space.config_maps().get_opt("keys").await?.is_none(),
        "the ConfigMap is left"
    );
    Ok(())
}

/// Deletes the resources, so that the next run finds no others.
async fn clean(space: &Space<'_>, story: Story) -> Result<()> {
    if story == Story::Rotate {
        space.delete_and_wait("app").await?;
    }
    if story != Story::Delete {
        let set = space.remove::<JsonWebKeySet>("keys").await?;
        space.until_gone(&set).await?;
    }
    Ok(())
}

/// Triggers a sweep, after which every set is read, and checks that nothing is written.
async fn next_look_writes_nothing(bed: &Bed, space: &Space<'_>, set: &JsonWebKeySet) -> Result<()> {
    let (operator, server) = (bed.operator(), &bed.servers()[0]);
    let (admin, kube) = (server.admin.journal().mark(), operator.requests().mark());
    let path = format!("/keys/{}", uid_of(set));
    for interval in ["1h", "2h"] {
        bed.change_server(&server.name, json!({ "resyncInterval": interval }))
            .await?;
        bed.server_ready(&server.name).await?;
    }
    let looks = async || {
        let looks = server.admin.journal().since(admin);
        let looks = looks
            .iter()
            .filter(|exchange| exchange.head.method == "GET" && exchange.head.path().ends_with(&path));
        Ok((looks.count() > 0).then_some(()))
    };
    wait::until("a read of the set", LIMIT, looks).await?;
    space.until_ready::<JsonWebKeySet>("keys").await?;
    let asked = server.about_clients(admin);
    ensure!(asked.iter().all(|exchange| exchange.head.method == "GET"), "{asked:#?}");
    let place = format!("/namespaces/{}/", space.name());
    let mut written = operator.requests().since(kube);
    written.retain(|exchange| {
        let head = &exchange.head;
        head.method != "GET" && head.path().contains(&place) && !head.path().contains("/events")
    });
    ensure!(written.is_empty(), "{written:#?}");
    Ok(())
}
