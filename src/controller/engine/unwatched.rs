//! Which namespaces the watch of Secrets does not show.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Namespaces whose Secrets the operator may not list, although it is meant to watch them.
#[derive(Default)]
pub struct Unwatched(Mutex<BTreeSet<String>>);

impl Unwatched {
    /// The watch of a namespace was refused. True if it was not known.
    pub fn refused(&self, namespace: &str) -> bool {
        self.lock().insert(namespace.to_owned())
    }

    /// The watch of a namespace shows its Secrets.
    pub fn shown(&self, namespace: &str) {
        self.lock().remove(namespace);
    }

    /// Whether the watch of this namespace is refused.
    pub fn has(&self, namespace: &str) -> bool {
        self.lock().contains(namespace)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
