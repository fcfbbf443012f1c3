//! Rouses resources: wakes them to read their objects.

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use crate::controller::common::claim::{Claiming, settled};
use crate::controller::engine::kind::Kind;
use crate::controller::engine::managed::{Managed, OnServer};

/// Wakes a resource and marks it, so that its pass reads its object.
pub(crate) fn rouse<K: Managed>(kind: &Kind<K>, resource: &K) {
    let reference = ObjectRef::from_obj(resource);
    // The resource may have been deleted during the listing. Its mark would never be cleared.
    let still_there = kind
        .store
        .get(&reference)
        .is_some_and(|cached| cached.uid() == resource.uid());
    if let Some(uid) = resource.uid().filter(|_| still_there) {
        kind.memory.mark(&uid);
        // A failing resource is retried at its own time.
        if kind.memory.is_failing(&uid) {
            return;
        }
        kind.wake(reference);
    }
}

/// Rouses all resources on a server whose objects were in sync.
pub(crate) fn read_each<K: OnServer + Claiming>(kind: &Kind<K>, server: &str) {
    settled(kind, server)
        .iter()
        .for_each(|resource| rouse(kind, &**resource));
}
