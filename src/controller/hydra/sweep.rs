//! The sweep: one listing per server and interval finds clients that drifted, are missing, or were touched, and wakes
//! only their resources.
//!
//! It detects and never acts: the woken pass reads the object itself before it writes. Clients with our marker, or that
//! of a former cluster, and without a resource are returned: restored resources find theirs among them.

use std::collections::HashMap;
use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use crate::admin::http::Failure;
use crate::admin::hydra::Hydra;
use crate::admin::hydra::client::{Client, Marker};
use crate::admin::hydra::clients::Cursor;
use crate::admin::hydra::sync::{is_later, same_instant};
use crate::api::{AuthorizationServer, OAuth2Client};
use crate::controller::common::rouse::rouse;
use crate::controller::engine::census::Stranger;
use crate::controller::engine::context::Context;
use crate::controller::engine::lifecycle::{is_deleting, is_held};
use crate::controller::hydra::client::plan::{client_id, wanted};
use crate::controller::hydra::orphans::{Strangers, known_uids};
use crate::decode;
use crate::origin::Origin;

/// Lists the clients on the server, page by page, and wakes the resources whose client is not as it was left. If a
/// page fails, the sweep ends, and nothing counts as missing or orphaned. Returns the clients without a resource that
/// have the marker of this cluster or of a former one.
pub(crate) async fn run(server: &AuthorizationServer, ctx: &Context, hydra: &Hydra) -> Result<Strangers, Failure> {
    let name = server.name_any();
    let before = known_uids(ctx);
    let mut expected: HashMap<String, Arc<OAuth2Client>> = expected_on(ctx, &name);
    let mut cursor = Cursor::default();
    let mut strangers = Strangers::default();
    while let Some(page) = hydra.list_clients(|id| expected.contains_key(id), &mut cursor).await? {
        for listed in page {
            let mark = listed.marker();
            let cluster = mark.as_ref().map(|mark| mark.cluster.as_str());
            let origin = cluster
                .or_else(|| listed.owning_cluster())
                .map(|id| ctx.settings.origin(id));
            // A client with the marker of another cluster is neither our orphan nor a client of a resource.
            if origin == Some(Origin::Other) {
                continue;
            }
            let uid = mark.as_ref().map_or(&listed.client_id, |mark| &mark.uid);
            match (expected.remove(uid), origin) {
                (Some(client), _) if is_as_left(&client, &listed, ctx) || is_our_write(&client, &listed, ctx) => {}
                (Some(client), _) => rouse(&ctx.kinds.clients, &client),
                (None, Some(origin)) if !before.contains(uid) => {
                    strangers.add(listed.client_id.clone(), stranger(&listed, mark, origin));
                }
                (None, _) => {}
            }
        }
    }
    if cursor.passed_over() > 0 {
        let count = cursor.passed_over();
        tracing::warn!(server = name, count, "skipped clients that are too large to be listed");
    }
    for missing in expected.values().filter(|client| written_since(client, ctx).is_none()) {
        rouse(&ctx.kinds.clients, missing);
    }
    // The server cannot list key sets, so each is read.
    for set in ctx.kinds.key_sets.on(&name).iter().filter(|set| is_held(&***set)) {
        rouse(&ctx.kinds.key_sets, set);
    }
    let after = known_uids(ctx);
    strangers.retain(|uid| !after.contains(uid));
    Ok(strangers)
}

/// The resource that a listed client had. A client without a marker is found by its id, which is the UID unless the spec
/// asks for another id.
fn stranger(listed: &Client, mark: Option<Marker>, origin: Origin) -> Stranger {
    match mark {
        Some(mark) => Stranger {
            origin,
            uid: mark.uid,
            resource: format!("{}/{}", mark.namespace, mark.name),
        },
        None => Stranger {
            origin,
            uid: listed.client_id.clone(),
            resource: String::new(),
        },
    }
}

/// Resources whose client was confirmed on the server and should be there.
fn expected_on(ctx: &Context, server: &str) -> HashMap<String, Arc<OAuth2Client>> {
    let clients = ctx
        .kinds
        .clients
        .on(server)
        .into_iter()
        .map(|client| ctx.kinds.clients.newest(client));
    let settled = clients.filter(|client| {
        let inputs = client.status.as_ref().and_then(|status| status.inputs.as_ref());
        inputs.is_some()
            && client.spec.suspend != Some(true)
            && !is_deleting(&**client)
            && decode::flaw(&**client).is_none()
    });
    settled.filter_map(|client| Some((client.uid()?, client))).collect()
}

fn is_as_left(client: &OAuth2Client, listed: &Client, ctx: &Context) -> bool {
    // A client that waits for a reference stays as it is.
    let Some(mut wanted) = wanted(client, ctx) else {
        return true;
    };
    // The revision is in the ledger, which is not read here; a foreign revision shows in `updated_at`. Only the marker
    // knows whether the client was adopted.
    if let (Some(mut marker), Some(theirs)) = (wanted.marker(), listed.marker()) {
        (marker.revision, marker.adopted) = (theirs.revision, theirs.adopted);
        wanted.mark(&marker);
    }
    let updated_at = client.status.as_ref().and_then(|status| status.updated_at.as_deref());
    let untouched = match (updated_at, listed.updated_at.as_deref()) {
        (Some(ours), Some(theirs)) => same_instant(ours, theirs),
        (None, _) => false,
        (Some(_), None) => true,
    };
    listed.client_id == client_id(client) && untouched && wanted.differences(listed).is_empty()
}

/// Whether the operator wrote the client during the listing, and nobody after it. Then the two sides are from different
/// times, and the next sweep compares them.
fn is_our_write(compared: &Arc<OAuth2Client>, listed: &Client, ctx: &Context) -> bool {
    let listed = listed.updated_at.as_deref();
    written_since(compared, ctx).is_some_and(|written| {
        !is_later(listed, Some(&written)) || listed.is_some_and(|listed| same_instant(&written, listed))
    })
}

/// When the operator wrote the client after the version that is compared, in the time of the server.
fn written_since(compared: &Arc<OAuth2Client>, ctx: &Context) -> Option<String> {
    let updated_at = |client: &OAuth2Client| client.status.as_ref().and_then(|status| status.updated_at.clone());
    let before = updated_at(compared);
    let cached = ctx.kinds.clients.store.get(&ObjectRef::from_obj(&**compared));
    let now = cached.and_then(|cached| updated_at(&ctx.kinds.clients.newest(cached)));
    let written = ctx.kinds.clients.memory.written_at(&compared.uid().unwrap_or_default());
    let last = match is_later(written.as_deref(), now.as_deref()) {
        true => written,
        false => now,
    };
    last.filter(|last| is_later(Some(last), before.as_deref()))
}
