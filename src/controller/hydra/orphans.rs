//! Clients with this cluster's marker whose resource no longer exists. They are counted, and deleted if the
//! AuthorizationServer says so.
//!
//! A client is deleted only if its resource was unknown before and after two complete consecutive sweeps of one
//! connection, exists in no namespace now, and the client still has the marker. An adopted client stays, as it does
//! when its access ends.

use std::collections::{BTreeMap, HashSet};

use kube::runtime::events::EventType;
use kube::{Api, ResourceExt};

use crate::admin::http::Failure;
use crate::admin::hydra::Hydra;
use crate::admin::hydra::client::Client;
use crate::api::authorization_server::{AuthorizationServerStatus, Orphans};
use crate::api::{AuthorizationServer, OAuth2Client};
use crate::controller::engine::context::Context;
use crate::controller::engine::lifecycle::is_deleting;
use crate::controller::engine::links::{Connection, Stranger};
use crate::controller::engine::managed::Pass;
use crate::decode::Item;

/// Maximum number of clients that one sweep deletes. The next sweep continues.
const MOST: usize = 50;

/// Maximum number of clients that are remembered from one sweep. Further clients are only counted.
const KEPT: usize = 20_000;

/// Clients without a resource, from a listing.
#[derive(Default)]
pub(crate) struct Strangers {
    /// The former resource, by client id.
    former: BTreeMap<String, Stranger>,
    /// Number of further clients.
    more: usize,
}

impl Strangers {
    /// Adds a client and its former resource.
    pub(crate) fn add(&mut self, client_id: String, former: Stranger) {
        match self.former.len() < KEPT {
            true => drop(self.former.insert(client_id, former)),
            false => self.more += 1,
        }
    }

    /// Removes clients whose resource is known by now.
    pub(crate) fn retain(&mut self, is_unknown: impl Fn(&str) -> bool) {
        self.former.retain(|_, former| is_unknown(&former.uid));
    }

    fn count(&self) -> usize {
        self.former.len() + self.more
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
    let before = connection.strangers(found.former.clone());
    let again = found
        .former
        .into_iter()
        .filter(|found| before.get(&found.0) == Some(&found.1));
    let again: Vec<(String, String)> = again.take(MOST).map(|(id, former)| (id, former.uid)).collect();
    if server.spec.orphans == Some(Orphans::Delete) && !is_deleting(server) && !again.is_empty() {
        count -= delete(server, ctx, hydra, pass, again).await;
    }
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Returns how many were deleted.
async fn delete(
    server: &AuthorizationServer,
    ctx: &Context,
    hydra: &Hydra,
    pass: &mut Pass<AuthorizationServerStatus>,
    strangers: Vec<(String, String)>,
) -> usize {
    let server = server.name_any();
    let live = match ctx
        .cluster
        .uids(&Api::<Item<OAuth2Client>>::all(ctx.cluster.client()))
        .await
    {
        Ok(live) => live,
        Err(error) => {
            tracing::warn!(server, %error, "resources cannot be listed, so no orphan is deleted");
            return 0;
        }
    };
    let mut deleted = 0;
    for (id, uid) in strangers {
        if live.contains(&uid) || known_uids(ctx).contains(&uid) {
            continue;
        }
        match delete_one(hydra, &ctx.settings.cluster, &id, &uid).await {
            Ok(None) => {}
            Ok(Some(resource)) => {
                deleted += 1;
                ctx.metrics.orphan_deleted(&server);
                tracing::info!(server, client_id = id, resource, uid, "orphan deleted");
                let note =
                    format!("The client `{id}` was deleted, because OAuth2Client `{resource}` no longer exists.");
                pass.notes.push((EventType::Normal, "OrphanDeleted", note));
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
}
