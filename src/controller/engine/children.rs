//! What our own last writes made of our Secrets, since the cache may lag behind.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A child Secret as of our own last write to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Child {
    /// It was written: UID and resourceVersion.
    Written(String, String),
    /// The one of this UID was deleted.
    Deleted(String),
}

/// Our own last writes to Secrets, by UID of the resource that they belong to and by name.
#[derive(Default)]
pub struct Children(Mutex<HashMap<String, BTreeMap<String, Child>>>);

impl Children {
    /// Remembers our own write to a child.
    pub fn wrote(&self, uid: &str, name: &str, child: Child) {
        self.lock()
            .entry(uid.to_owned())
            .or_default()
            .insert(name.to_owned(), child);
    }

    /// Our own last write to a child.
    pub fn get(&self, uid: &str, name: &str) -> Option<Child> {
        self.lock().get(uid)?.get(name).cloned()
    }

    /// The watch has shown a child as it is after our own last write, or later: the cache tells.
    pub fn seen(&self, uid: &str, name: &str) {
        let mut all = self.lock();
        if let Some(children) = all.get_mut(uid) {
            children.remove(name);
            if children.is_empty() {
                all.remove(uid);
            }
        }
    }

    /// The watch has listed all children afresh: our own last writes say nothing any more.
    pub fn listed(&self) {
        self.lock().clear();
    }

    /// Forgets the children of a resource that is gone.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<String, BTreeMap<String, Child>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
