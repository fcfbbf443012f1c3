//! What a scrape finds in the caches: one walk over each of them.

use std::time::Instant;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use crate::api::condition::{READY, find};
use crate::api::status::Standing;
use crate::api::{Assignment, AuthorizationServer, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use crate::controller::common::schedule::past;
use crate::controller::engine::context::Context;
use crate::controller::engine::lifecycle::{is_deleting, is_held};
use crate::controller::engine::managed::Managed;
use crate::controller::engine::reconcile::is_ours;
use crate::metrics::{PerResource, ResourceState, Rotation, Snapshot, Stand, Tally, tally};

/// Takes a snapshot.
pub(super) fn snapshot(ctx: &Context) -> Snapshot {
    let load = ctx.queue().load(Instant::now());
    let mut snapshot = Snapshot {
        servers: ctx.links.states(),
        waiting: load.waiting,
        oldest: load.oldest,
        running: load.running,
        cached: vec![
            ("Namespace", ctx.stores.namespaces.len()),
            ("Secret", ctx.stores.secrets.len()),
        ],
        ..Snapshot::default()
    };
    add::<AuthorizationServer>(ctx, &mut snapshot);
    add::<OAuth2Client>(ctx, &mut snapshot);
    add::<Scope>(ctx, &mut snapshot);
    add::<Assignment>(ctx, &mut snapshot);
    add::<JsonWebKeySet>(ctx, &mut snapshot);
    add::<OidcProvider>(ctx, &mut snapshot);
    snapshot
}

fn add<K: Managed>(ctx: &Context, snapshot: &mut Snapshot) {
    let mut resources = K::kind_of(ctx).store.state();
    snapshot.cached.push((K::KIND, resources.len()));
    resources.retain(|known| is_ours(&**known, ctx));
    let now = Timestamp::now();
    let mut of_kind = Tally::default();
    for resource in &resources {
        let leaving = resource.meta().deletion_timestamp.as_ref();
        let stand = Stand {
            leaving: leaving.filter(|_| is_held(&**resource)).map(|at| at.0),
            rotation: rotation(&**resource, now),
        };
        of_kind.add(stand, now);
        if ctx.metrics.per_resource() == PerResource::Yes {
            let conditions = resource.status().map(Standing::conditions).unwrap_or_default();
            snapshot.resources.push(ResourceState {
                kind: K::KIND,
                namespace: resource.namespace().unwrap_or_default(),
                name: resource.name_any(),
                ready: find(conditions, READY).map(|ready| ready.status.clone()),
                rotation: stand.rotation,
            });
        }
    }
    snapshot.kinds.push((K::KIND, of_kind));
    let statuses = resources.iter().filter_map(|known| known.status());
    let conditions = statuses.flat_map(|status| status.conditions());
    snapshot.conditions.extend(tally(K::KIND, conditions));
}

/// The rotations of a resource, according to its status. What is being deleted has no next one.
fn rotation<K: Managed>(resource: &K, now: Timestamp) -> Rotation {
    let told = resource.status().map(Standing::rotations).unwrap_or_default();
    let next = told.next_rotation_at.filter(|_| !is_deleting(resource));
    Rotation {
        last: told.rotated_at.and_then(|at| past(at, now)),
        next: next.and_then(|at| at.parse().ok()),
        waits_for: told.waits_for,
    }
}
