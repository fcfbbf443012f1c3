//! Where a resource stands between its creation and its end, as its metadata tell.

use kube::{Resource, ResourceExt};

use crate::api::{ABANDON_ANNOTATION, FINALIZER};

/// Whether the object carries our finalizer.
pub fn is_held<K: Resource>(object: &K) -> bool {
    object.finalizers().iter().any(|finalizer| finalizer == FINALIZER)
}

/// Whether the object is being deleted.
pub fn is_deleting<K: Resource>(object: &K) -> bool {
    object.meta().deletion_timestamp.is_some()
}

/// Whether the user asked to let the object go without its remote side.
pub fn is_abandoned<K: Resource>(object: &K) -> bool {
    object
        .annotations()
        .get(ABANDON_ANNOTATION)
        .is_some_and(|value| value == "true")
}
