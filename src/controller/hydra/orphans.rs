//! Clients with this cluster's marker whose resource no longer exists. They are counted, and deleted if the
//! AuthorizationServer says so. Those of a former cluster are only remembered, for a resource that is restored: whether
//! the rest of that cluster is restored too is not known.
//!
//! A client is deleted only if its resource was unknown before and after two complete consecutive sweeps of one
//! connection, exists in no namespace now, and the client still has the marker. An adopted client stays, as it does
//! when its access ends, and so does one that a restored resource may be waiting for. Such a client is still counted,
//! because it has no resource yet.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};

use crate::admin::http::Failure;
use crate::admin::hydra::Hydra;
use crate::admin::hydra::client::Client;
use crate::api::authorization_server::{AuthorizationServerStatus, Orphans};
use crate::api::event::Happening;
use crate::api::{AuthorizationServer, OAuth2Client};
use crate::controller::engine::census::{Former, Stranger};
use crate::controller::engine::context::Context;
use crate::controller::engine::lifecycle::is_deleting;
use crate::controller::engine::links::Connection;
use crate::controller::engine::managed::{OnServer, Pass};
use crate::decode::Item;
use crate::origin::Origin;

/// Maximum number of clients that one sweep deletes. The next sweep continues.
const MOST: usize = 50;

/// Maximum number of clients of this cluster, and of clients of former ones, that are remembered from one sweep. Further
/// clients of this cluster are only counted.
const KEPT: usize = 20_000;

/// Clients without a resource, from a listing.
#[derive(Default)]
pub(crate) struct Strangers {
    /// The former resource, by client id.
    former: Former,
    /// Number of those of this cluster, and of former ones.
    own: usize,
    of_former: usize,
    /// Number of further clients of this cluster.
    more: usize,
}

impl Strangers {
    /// Adds a client and its former resource.
    pub(crate) fn add(&mut self, client_id: String, former: Stranger) {
        let is_own = former.origin == Origin::Own;
        let number = if is_own { &mut self.own } else { &mut self.of_former };
        match *number < KEPT {
            true => {
                *number += 1;
                self.former.insert(client_id, former);
            }
            false => self.more += usize::from(is_own),
        }
    }

    /// Removes clients whose resource is known by now.
    pub(crate) fn retain(&mut self, is_unknown: impl Fn(&str) -> bool) {
        self.former.retain(|_, former| is_unknown(&former.uid));
    }

    /// Number of clients of this cluster.
    fn count(&self) -> usize {
        let own = self.former.values().filter(|former| former.origin == Origin::Own);
        own.count() + self.more
    }
}

/// After a complete sweep: deletes orphans, if the spec says so. Returns how many clients without a resource are left.
pub(crate) async fn clear(
    server: &AuthorizationServer,
    ctx: &Context,
    hydra: &Hydra,
    connection: &Connection,
    pass: &mut Pass<AuthorizationServerStatus>,
    found: Strangers,
) -> i64 {
    let mut count = found.count();
    let found = Arc::new(found.former);
    wake_waiting(ctx, connection.census.take(Arc::clone(&found)));
    let before = connection.strangers(Arc::clone(&found));
    let present = Present::cached(ctx, &server.name_any());
    let again: Vec<(&String, &Stranger)> = found
        .iter()
        .filter(|(_, former)| former.origin == Origin::Own)
        .filter(|(id, former)| before.get(*id) == Some(*former) && !present.keeps(id, former))
        .collect();
    if server.spec.orphans == Some(Orphans::Delete) && !is_deleting(server) && !again.is_empty() {
        count -= delete(server, ctx, hydra, pass, again).await;
    }
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Wakes failing resources by namespace and name: the client that each waits for came or went.
fn wake_waiting(ctx: &Context, resources: BTreeSet<String>) {
    for resource in resources {
        let Some((namespace, name)) = resource.split_once('/') else {
            continue;
        };
        let key = ObjectRef::new(name).within(namespace);
        let found = ctx.kinds.clients.store.get(&key);
        let uid = found.and_then(|found| found.uid()).unwrap_or_default();
        if ctx.kinds.clients.memory.is_failing(&uid) {
            ctx.kinds.clients.wake(key);
        }
    }
}

/// Resources that keep a client from being deleted.
#[derive(Default)]
struct Present {
    uids: HashSet<String>,
    /// Resources on this server by namespace and name, each with the id of its client if it is in sync with one.
    named: HashMap<String, Option<String>>,
}

impl Present {
    fn add(&mut self, server: &str, resource: &OAuth2Client) {
        self.uids.extend(resource.uid());
        if resource.server_name() == server {
            let status = resource.status.as_ref().filter(|status| status.inputs.is_some());
            let own = status.and_then(|status| status.client_id.clone());
            let path = format!("{}/{}", resource.namespace().unwrap_or_default(), resource.name_any());
            self.named.insert(path, own);
        }
    }

    /// The resources in the cache.
    fn cached(ctx: &Context, server: &str) -> Self {
        let mut present = Present::default();
        for resource in ctx.kinds.clients.store.state() {
            present.add(server, &resource);
        }
        present
    }

    /// Whether the resource of a client exists, or one of its name that may be waiting for this client: a restored
    /// resource has another UID, and may be suspended or denied until somebody consents.
    fn keeps(&self, id: &str, former: &Stranger) -> bool {
        let waits = |own: &Option<String>| own.as_ref().is_none_or(|own| own == id);
        self.uids.contains(&former.uid) || self.named.get(&former.resource).is_some_and(waits)
    }
}

/// Returns how many were deleted.
async fn delete(
    server: &AuthorizationServer,
    ctx: &Context,
    hydra: &Hydra,
    pass: &mut Pass<AuthorizationServerStatus>,
    strangers: Vec<(&String, &Stranger)>,
) -> usize {
    let server = server.name_any();
    let mut live = Present::default();
    let resources = Api::<Item<OAuth2Client>>::all(ctx.cluster.client());
    let listed = ctx.cluster.each(&resources, |resource| live.add(&server, &resource));
    if let Err(error) = listed.await {
        tracing::warn!(server, %error, "resources cannot be listed, so no orphan is deleted");
        return 0;
    }
    let mut deleted = 0;
    let gone = strangers.into_iter().filter(|(id, former)| !live.keeps(id, former));
    for (id, former) in gone.take(MOST) {
        // It may have been created since.
        if Present::cached(ctx, &server).keeps(id, former) {
            continue;
        }
        let uid = &former.uid;
        match delete_one(hydra, &ctx.settings.cluster, id, uid).await {
            Ok(None) => {}
            Ok(Some(resource)) => {
                deleted += 1;
                ctx.metrics.orphan_deleted(&server);
                tracing::info!(server, client_id = id, resource, uid, "orphan deleted");
                let note =
                    format!("The client `{id}` was deleted, because OAuth2Client `{resource}` no longer exists.");
                pass.note(Happening::OrphanDeleted, note);
            }
            Err(failed) => {
                tracing::warn!(server, client_id = id, ?failed, "orphan cannot be deleted");
                if matches!(failed, Failure::Outage(_) | Failure::NotLeader) {
                    break;
                }
            }
        }
    }
    deleted
}

/// Reads a client again and deletes it if it has the marker. Returns its former resource.
async fn delete_one(hydra: &Hydra, cluster: &str, id: &str, uid: &str) -> Result<Option<String>, Failure> {
    let Some(client) = hydra.get_client(id).await? else {
        return Ok(None);
    };
    let Some(resource) = removable(&client, cluster, uid) else {
        return Ok(None);
    };
    hydra.delete_client(id).await?;
    Ok(Some(resource))
}

/// The former resource of a client, if the client may be deleted: it has this cluster's marker with that UID, and was
/// not adopted.
fn removable(client: &Client, cluster: &str, uid: &str) -> Option<String> {
    let marker = client.marker()?;
    let is_ours = marker.cluster == cluster && marker.uid == uid && !uid.is_empty() && !marker.adopted;
    is_ours.then(|| format!("{}/{}", marker.namespace, marker.name))
}

/// UIDs of all resources on any server: a client whose resource exists is no orphan.
pub(crate) fn known_uids(ctx: &Context) -> HashSet<String> {
    ctx.kinds
        .clients
        .store
        .state()
        .iter()
        .filter_map(|client| client.uid())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::GROUP;

    #[test]
    fn only_unadopted_clients_with_this_clusters_marker_are_deleted() {
        let mark = |more: Value| {
            let mut mark = json!({ "cluster": "here", "namespace": "team", "name": "shop", "uid": "u1" });
            for (name, value) in more.as_object().into_iter().flatten() {
                mark[name] = value.clone();
            }
            json!({ "client_id": "u1", "metadata": { GROUP: mark } })
        };
        let table = [
            (mark(json!({})), Some("team/shop")),
            (mark(json!({ "revision": "r" })), Some("team/shop")),
            (mark(json!({ "adopted": true })), None),
            (mark(json!({ "cluster": "elsewhere" })), None),
            (mark(json!({ "cluster": "" })), None),
            (mark(json!({ "uid": "u2" })), None),
            (mark(json!({ "uid": "" })), None),
            (mark(json!({ "name": null })), None),
            (mark(json!({ "name": "x".repeat(300) })), None),
            (json!({ "client_id": "u1" }), None),
            (json!({ "client_id": "u1", "metadata": { GROUP: "u1" } }), None),
        ];
        for (client, expected) in table {
            let parsed = Client::parse(client.clone()).expect("a client");
            assert_eq!(removable(&parsed, "here", "u1").as_deref(), expected, "{client}");
        }
    }

    #[test]
    fn only_clients_of_this_cluster_are_counted_and_none_takes_the_place_of_another() {
        let mut strangers = Strangers::default();
        let mut add = |origin: Origin, number: usize| {
            for number in 0..number {
                let uid = format!("{origin:?}-{number}");
                let resource = "team/shop".to_owned();
                strangers.add(uid.clone(), Stranger { origin, uid, resource });
            }
        };
        add(Origin::Former, KEPT + 1);
        add(Origin::Own, KEPT + 2);
        assert_eq!(strangers.former.len(), 2 * KEPT);
        assert_eq!(strangers.count(), KEPT + 2);
        strangers.retain(|uid| uid != "Own-0" && uid != "Former-0");
        assert_eq!(strangers.count(), KEPT + 1);
    }

    /// Its former resource is team/shop with the UID u1, on the server main.
    #[test]
    fn a_client_that_a_resource_of_its_name_may_wait_for_is_kept() {
        let (uid, resource) = ("u1".to_owned(), "team/shop".to_owned());
        let origin = Origin::Own;
        let former = Stranger { origin, uid, resource };
        let in_sync = |id: &str| json!({ "observedGeneration": 1, "inputs": "i", "clientId": id });
        let failing = json!({ "observedGeneration": 1, "clientId": "u2" });
        let none = json!({ "observedGeneration": -1 });
        let table = [
            ("its own resource", ["team", "other", "u1", "elsewhere"], &none, true),
            ("without status", ["team", "shop", "u2", "main"], &none, true),
            ("not in sync", ["team", "shop", "u2", "main"], &failing, true),
            ("with its status", ["team", "shop", "u2", "main"], &in_sync("u1"), true),
            (
                "with another client",
                ["team", "shop", "u2", "main"],
                &in_sync("u2"),
                false,
            ),
            ("on another server", ["team", "shop", "u2", "elsewhere"], &none, false),
            ("of another name", ["team", "shop-2", "u2", "main"], &none, false),
            ("of another namespace", ["team-2", "shop", "u2", "main"], &none, false),
        ];
        for (case, [namespace, name, uid, server], status, expected) in table {
            let object = json!({
                "apiVersion": "oidc-operator.dev/v1alpha1",
                "kind": "OAuth2Client",
                "metadata": { "namespace": namespace, "name": name, "uid": uid },
                "spec": { "serverRef": { "name": server } },
                "status": status,
            });
            let mut present = Present::default();
            present.add("main", &serde_json::from_value(object).expect("a client"));
            assert_eq!(present.keeps("u1", &former), expected, "{case}");
        }
    }
}
