//! Waking resources that have to read their objects.

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use crate::controller::common::claim::{Claiming, settled};
use crate::controller::engine::kind::Kind;
use crate::controller::engine::managed::{Managed, OnServer};

/// Wakes a resource that has to read its object.
pub(crate) fn rouse<K: Managed>(kind: &Kind<K>, resource: &K) {
    let reference = ObjectRef::from_obj(resource);
    // It may have gone during the listing; a mark for it would never be cleared.
    let still_there = kind
        .store
        .get(&reference)
        .is_some_and(|cached| cached.uid() == resource.uid());
    if let Some(uid) = resource.uid().filter(|_| still_there) {
        kind.memory.mark(&uid);
        // One that has just failed is tried again in its own time.
        if kind.memory.is_failing(&uid) {
            return;
        }
        kind.wake(reference);
    }
}

/// Wakes all that were in step, to read their objects.
pub(crate) fn read_each<K: OnServer + Claiming>(kind: &Kind<K>, server: &str) {
    settled(kind, server)
        .iter()
        .for_each(|resource| rouse(kind, &**resource));
}
