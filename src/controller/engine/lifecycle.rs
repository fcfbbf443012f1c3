//! Where a resource is between its creation and its deletion, according to its metadata.

use kube::{Resource, ResourceExt};

use crate::api::{ABANDON_ANNOTATION, FINALIZER};

/// Whether the object has our finalizer.
pub fn is_held<K: Resource>(object: &K) -> bool {
    object.finalizers().iter().any(|finalizer| finalizer == FINALIZER)
}

/// Whether the object is being deleted.
pub fn is_deleting<K: Resource>(object: &K) -> bool {
    object.meta().deletion_timestamp.is_some()
}

/// Whether the user wants the resource deleted without its object on the server.
pub fn is_abandoned<K: Resource>(object: &K) -> bool {
    object
        .annotations()
        .get(ABANDON_ANNOTATION)
        .is_some_and(|value| value == "true")
}
