//! Our own last writes to our Secrets, because the cache may lag behind them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What our own last write did to a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Child {
    /// The Secret was written: its UID and resourceVersion.
    Written(String, String),
    /// The Secret with this UID was deleted.
    Deleted(String),
}

/// Our own last writes to Secrets, by UID of the resource that owns the Secret and by name.
#[derive(Default)]
pub struct Children(Mutex<HashMap<String, BTreeMap<String, Child>>>);

impl Children {
    /// Remembers our own write to a Secret.
    pub fn wrote(&self, uid: &str, name: &str, child: Child) {
        self.lock()
            .entry(uid.to_owned())
            .or_default()
            .insert(name.to_owned(), child);
    }

    /// Returns our own last write to a Secret, unless the watch has caught up with it.
    pub fn get(&self, uid: &str, name: &str) -> Option<Child> {
        self.lock().get(uid)?.get(name).cloned()
    }

    /// Forgets our last write to a Secret: the watch has shown its result or something later, so the cache is current.
    pub fn seen(&self, uid: &str, name: &str) {
        let mut all = self.lock();
        if let Some(children) = all.get_mut(uid) {
            children.remove(name);
            if children.is_empty() {
                all.remove(uid);
            }
        }
    }

    /// Forgets all writes: the watch has listed all Secrets again, so the cache is current.
    pub fn listed(&self) {
        self.lock().clear();
    }

    /// Forgets the Secrets of a resource that is gone.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<String, BTreeMap<String, Child>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
