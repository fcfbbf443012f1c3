//! Our own last writes to our Secrets, because the cache may lag behind them. Without a watch of Secrets, also what each
//! pass has read.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::controller::engine::version::is_newer;

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

    /// Remembers a Secret as it was read, unless our own last write is newer.
    pub fn read(&self, owner: &str, name: &str, uid: String, version: String) {
        let mut all = self.lock();
        let children = all.entry(owner.to_owned()).or_default();
        let is_older = |known: &Child| matches!(known, Child::Written(known, at) if *known == uid && is_newer(Some(at), Some(&version)));
        if !children.get(name).is_some_and(is_older) {
            children.insert(name.to_owned(), Child::Written(uid, version));
        }
    }

    /// Returns the names of the Secrets of a resource that were read or written.
    pub fn names(&self, uid: &str) -> Vec<String> {
        let all = self.lock();
        let written = all.get(uid).into_iter().flatten();
        let present = written.filter(|(_, child)| matches!(child, Child::Written(..)));
        present.map(|(name, _)| name.clone()).collect()
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

    /// Forgets the Secrets of a resource: it is gone, or the watch has listed its Secrets again.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<String, BTreeMap<String, Child>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
