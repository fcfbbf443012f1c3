//! A cluster restored from a snapshot has the same resources, UIDs and statuses, and an operator with another cluster
//! id. The operator leaves the objects of the original alone, unless a flag says that its cluster replaces it.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use libtest_mimic::Trial;
use oidc_operator::admin::hydra::key::JsonWebKeySet as Keys;
use oidc_operator::api::{JsonWebKeySet, OAuth2Client, ROTATE_AT_ANNOTATION};
use serde_json::{Value, json};
use testbed::proxy::Exchange;
use testbed::wait;

use crate::bed::{
    Bed, LIMIT, Operator, OperatorOptions, Options, Server, ServerOptions, Space, is_list, settled, uid_of,
};
use crate::conditions::Tone::Stalled;
use crate::run::Side;

/// Id of the cluster that the snapshot was taken of.
pub const ORIGINAL: &str = "original";
/// Id of the cluster that was restored from the snapshot.
pub const COPY: &str = "copy";

/// A client whose secret may be replaced at any time.
const MACHINE: &str = "{ grantTypes: [client_credentials], scopes: [read], rotation: { withoutOverlap: Allow } }";
const KEYS: &str = "{ generate: { algorithm: ES256 }, privateKey: {} }";

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    let options = Options {
        operator: None,
        server: Some(ServerOptions {
            resync_interval: "1s".to_owned(),
            ..ServerOptions::default()
        }),
        ..Options::default()
    };
    vec![
        side.alone(
            options.clone(),
            a_restored_copy_leaves_clients_and_keys_of_the_original_alone,
        ),
        side.alone(options.clone(), revoked_access_in_a_restored_copy_deletes_nothing),
        side.alone(options, keys_created_after_the_snapshot_are_left_alone),
    ]
}

/// Stops all running operators, then starts one for a cluster of this id.
pub async fn started_as(bed: &Bed, cluster: &str, former: &str) -> Result<Arc<Operator>> {
    for operator in bed.operators().iter().filter(|operator| operator.is_alive()) {
        operator.terminate().await?;
    }
    let flag = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let options = OperatorOptions {
        flags: vec![flag("cluster-id", cluster), flag("former-cluster-ids", former)],
        ..OperatorOptions::default()
    };
    bed.start_operator(options).await
}

/// Message of a resource in the copy about an object of the original.
pub fn belongs_to_the_original(type_: &str, name: &str) -> String {
    format!(
        "The {type_} `{name}` on the server belongs to cluster `{ORIGINAL}`; nothing was changed. If this cluster replaces that cluster, add its id to --former-cluster-ids of the operator (formerClusterIds of the chart)."
    )
}

/// Waits until an operator has completed this many passes of a kind.
pub async fn passes(operator: &Operator, kind: &str, count: usize) -> Result<()> {
    let labels = format!("kind=\"{kind}\"");
    wait::until(&format!("{count} passes of a {kind}"), LIMIT, async || {
        let passes = operator.metric("oidc_operator_reconciles_total", &labels).await?;
        Ok((passes >= count as f64).then_some(()))
    })
    .await
}

/// Checks that nothing was changed on a server after `mark`.
pub fn only_read(server: &Server, mark: u64) -> Result<()> {
    let mut exchanges = server.admin.journal().since(mark);
    exchanges.retain(|exchange| exchange.head.method != "GET");
    ensure!(exchanges.is_empty(), "{exchanges:#?}");
    Ok(())
}

/// All Secrets of a namespace, sorted by name.
async fn secrets(space: &Space<'_>) -> Result<Vec<Secret>> {
    let mut all = space.secrets().list(&Default::default()).await?.items;
    all.sort_by_key(ResourceExt::name_any);
    Ok(all)
}

async fn key_set(bed: &Bed, uid: &str) -> Result<Keys> {
    let admin = bed.admin().await?;
    let found = settled("a key set", async || admin.get_key_set(uid).await).await?;
    found.with_context(|| format!("key set {uid} does not exist"))
}

/// Waits for two sweeps of a server.
pub async fn swept(server: &Server) -> Result<()> {
    let mark = server.admin.journal().mark();
    wait::until("two sweeps", LIMIT, async || {
        let since = server.admin.journal().since(mark);
        let lists = since.iter().filter(|exchange| is_list(&exchange.head)).count();
        Ok((lists > 2).then_some(())) // a sweep starts only after the one before has ended
    })
    .await
}

/// The original's clients and keys on the server, as they were before the copy was started.
struct Before {
    clients: Vec<Value>,
    keys: Vec<(String, Keys)>,
}

impl Before {
    async fn of(bed: &Bed, uids: &[String]) -> Result<Self> {
        let mut keys = Vec::new();
        for uid in uids {
            keys.push((uid.clone(), key_set(bed, uid).await?));
        }
        let clients = bed.hydra_clients().await?;
        Ok(Before { clients, keys })
    }

    async fn is_now(&self, bed: &Bed) -> Result<()> {
        let now = bed.hydra_clients().await?;
        ensure!(
            now == self.clients,
            "the clients were {:#?}, are {now:#?}",
            self.clients
        );
        for (uid, before) in &self.keys {
            ensure!(key_set(bed, uid).await?.same_as(before), "key set {uid} was changed");
        }
        Ok(())
    }
}

async fn a_restored_copy_leaves_clients_and_keys_of_the_original_alone(bed: &Bed) -> Result<()> {
    started_as(bed, ORIGINAL, "").await?;
    let server = Arc::clone(&bed.servers()[0]);
    bed.server_ready(&server.name).await?;
    let space = bed.space().await?;
    let mut uids = Vec::new();
    for name in ["keys", "going-keys"] {
        uids.push(uid_of(&space.ready::<JsonWebKeySet>(name, KEYS).await?));
    }
    let mut ids = Vec::new();
    for name in ["app", "due", "going"] {
        ids.push(uid_of(&space.ready_client(name, MACHINE).await?));
    }
    let (id, secret) = space.credentials("app").await?;

    // In the copy, specs change and resources are deleted.
    let mut held = secrets(&space).await?;
    let before = Before::of(bed, &uids).await?;
    let mark = server.admin.journal().mark();
    started_as(bed, COPY, "").await?;
    space
        .change("app", json!({ "spec": { "clientName": "Other" } }))
        .await?;
    space
        .annotate("due", ROTATE_AT_ANNOTATION, &jiff::Timestamp::now().to_string())
        .await?;
    space
        .respecify::<JsonWebKeySet>("keys", json!({ "privateKey": { "secretName": "out" } }))
        .await?;
    for (name, id) in [("app", &ids[0]), ("due", &ids[1])] {
        let message = belongs_to_the_original("client", id);
        space.says::<OAuth2Client>(name, Stalled, "NotOwned", &message).await?;
    }
    let message = belongs_to_the_original("key set", &uids[0]);
    space
        .says::<JsonWebKeySet>("keys", Stalled, "NotOwned", &message)
        .await?;
    space.delete_and_wait("going").await?;
    let keys = space.remove::<JsonWebKeySet>("going-keys").await?;
    space.until_gone(&keys).await?;
    space.wait_event("going", "LeftBehind", |_| true).await?;
    space.wait_event("going-keys", "LeftBehind", |_| true).await?;
    swept(&server).await?;
    only_read(&server, mark)?;
    before.is_now(bed).await?;
    held.retain(|secret| {
        !secret
            .owner_references()
            .iter()
            .any(|owner| owner.name.starts_with("going"))
    });
    ensure!(secrets(&space).await? == held, "the copy's Secrets were changed");
    let counted = bed.server_ready(&server.name).await?;
    ensure!(
        counted.status.is_some_and(|status| status.orphans == Some(0)),
        "orphans of another cluster are counted"
    );

    // The copy replaces the original: it first writes only its marker, then what the specs ask for.
    let mark = server.admin.journal().mark();
    started_as(bed, COPY, "elsewhere,original").await?;
    for name in ["app", "due"] {
        space.wait_ready(name).await?;
        space.wait_event(name, "MarkTakenOver", |_| true).await?;
    }
    space.until_ready::<JsonWebKeySet>("keys").await?;
    space.wait_event("keys", "MarkTakenOver", |_| true).await?;
    for id in &ids[..2] {
        let was = before.clients.iter().find(|client| client["client_id"] == id.as_str());
        only_the_mark_changed(was.context("a client")?, &server.admin.journal().since(mark))?;
    }
    let now = bed.registered(&id).await?;
    ensure!(
        now["client_name"] == "Other" && now["metadata"]["oidc-operator.dev"]["cluster"] == COPY,
        "{now}"
    );
    ensure!(
        space.credentials("app").await? == (id.clone(), secret.clone()),
        "it has another secret"
    );
    bed.token(&id, &secret, "read").await?;
    let (due, renewed) = space.credentials("due").await?;
    bed.token(&due, &renewed, "read").await?;
    ensure!(
        key_set(bed, &uids[0]).await?.same_as(&before.keys[0].1),
        "the keys were changed"
    );
    ensure!(
        space.secret("out").await?.is_some(),
        "the private key was not written to the Secret"
    );

    // It takes over only once: nothing is left to do, and the former id need not be listed any longer.
    swept(&server).await?;
    let mark = server.admin.journal().mark();
    let operator = started_as(bed, COPY, "").await?;
    passes(&operator, "OAuth2Client", 2).await?;
    passes(&operator, "JsonWebKeySet", 1).await?;
    swept(&server).await?;
    only_read(&server, mark)?;
    let writes = operator.writes_in(space.name());
    ensure!(writes.is_empty(), "{writes:#?}");
    Ok(())
}

/// Checks that the first write of a client changed its marker and nothing else.
fn only_the_mark_changed(was: &Value, exchanges: &[Exchange]) -> Result<()> {
    let id = was["client_id"].as_str().context("an id")?;
    let first = exchanges
        .iter()
        .find(|exchange| exchange.head.method != "GET" && exchange.head.path().ends_with(id))
        .with_context(|| format!("client {id} was not written"))?;
    let sent: Value = serde_json::from_slice(&first.body)?;
    let mut expected = was.clone();
    expected["metadata"]["oidc-operator.dev"]["cluster"] = json!(COPY);
    let sent = sent.as_object().context("an object")?;
    ensure!(
        first.head.method == "PUT" && !sent.contains_key("client_secret"),
        "{sent:?}"
    );
    for (member, value) in sent {
        ensure!(
            expected[member] == *value,
            "{member} was {}, is {value}",
            expected[member]
        );
    }
    ensure!(sent.contains_key("metadata") && sent["scope"] == "read", "{sent:?}");
    Ok(())
}

async fn revoked_access_in_a_restored_copy_deletes_nothing(bed: &Bed) -> Result<()> {
    started_as(bed, ORIGINAL, "").await?;
    let server = Arc::clone(&bed.servers()[0]);
    bed.server_ready(&server.name).await?;
    let space = bed.space().await?;
    let set = uid_of(&space.ready::<JsonWebKeySet>("keys", KEYS).await?);
    space.ready_client("app", MACHINE).await?;
    let orphan = json!({ "grantTypes": ["client_credentials"], "deletionPolicy": "Orphan" });
    space.ready_client("left", &orphan.to_string()).await?;

    let before = Before::of(bed, &[set]).await?;
    let mark = server.admin.journal().mark();
    started_as(bed, COPY, "").await?;
    space.delete_and_wait("left").await?;
    bed.change_server(&server.name, json!({ "access": [], "onRevoked": "Delete" }))
        .await?;
    let is_free = |client: &OAuth2Client| client.finalizers().is_empty();
    space
        .until::<OAuth2Client>("no finalizer on the client", "app", is_free)
        .await?;
    let is_free = |set: &JsonWebKeySet| set.finalizers().is_empty();
    space
        .until::<JsonWebKeySet>("no finalizer on the key set", "keys", is_free)
        .await?;
    only_read(&server, mark)?;
    before.is_now(bed).await
}

/// The snapshot is older than the keys: neither a status nor a ledger mentions them, but their ids start with the UID
/// of the copy's resource.
async fn keys_created_after_the_snapshot_are_left_alone(bed: &Bed) -> Result<()> {
    let original = started_as(bed, ORIGINAL, "").await?;
    let server = Arc::clone(&bed.servers()[0]);
    bed.server_ready(&server.name).await?;
    let space = bed.space().await?;
    let set = space.ready::<JsonWebKeySet>("keys", KEYS).await?;
    let uid = uid_of(&set);
    let before = Before::of(bed, std::slice::from_ref(&uid)).await?;

    original.terminate().await?;
    let nothing = Patch::Merge(json!({ "status": null }));
    let sets = space.all::<JsonWebKeySet>();
    sets.patch_status("keys", &PatchParams::default(), &nothing).await?;
    for secret in [format!("jwks-{uid}"), "keys".to_owned()] {
        space.delete_secret(&secret).await?;
    }
    let mark = server.admin.journal().mark();
    started_as(bed, COPY, "").await?;
    let message = format!(
        "The key set `{uid}` on the server belongs to another resource or holds keys of other owners; nothing was changed. Create a new resource with another setName."
    );
    space
        .says::<JsonWebKeySet>("keys", Stalled, "NotOwned", &message)
        .await?;
    let set = space.remove::<JsonWebKeySet>("keys").await?;
    space.until_gone(&set).await?;
    only_read(&server, mark)?;
    before.is_now(bed).await
}
