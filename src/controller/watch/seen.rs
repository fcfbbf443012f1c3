//! What a watch shows, and whether it is new.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use kube::Resource;

/// An object as a watch shows it.
pub(crate) enum Seen<K> {
    Applied(Arc<K>),
    Deleted(Arc<K>),
    /// All objects were listed again. Each existing object follows as `Applied`; objects that were deleted meanwhile
    /// are not named.
    Relisted,
    /// The Kubernetes API refuses to show the objects of the watched namespace.
    Refused,
}

/// How an object compares to what a gate has seen of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// The gate has not seen the object since it was last opened.
    New,
    Same,
    Changed,
}

/// Lets an object pass only if the part of it that matters (`interest`) has changed. Keeps a hash of the UID and a hash
/// of this part.
#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) seen: HashMap<u64, u64>,
    pub(crate) hasher: RandomState,
}

impl Gate {
    pub(crate) fn passes(&mut self, object: &impl Resource, interest: impl Hash) -> bool {
        self.look(object, interest) != Look::Same
    }

    /// Compares `interest` to the one that was seen last.
    pub(crate) fn look(&mut self, object: &impl Resource, interest: impl Hash) -> Look {
        let Some(uid) = &object.meta().uid else {
            return Look::New;
        };
        let hash = self.hasher.hash_one(interest);
        match self.seen.insert(self.hasher.hash_one(uid), hash) {
            None => Look::New,
            Some(before) if before == hash => Look::Same,
            Some(_) => Look::Changed,
        }
    }

    /// Lets every object pass once more.
    pub(crate) fn open(&mut self) {
        self.seen.clear();
    }

    pub(crate) fn forget(&mut self, object: &impl Resource) {
        if let Some(uid) = &object.meta().uid {
            self.seen.remove(&self.hasher.hash_one(uid));
        }
    }
}

/// The gates of one kind: for changes that need a pass of the resource itself, for its status, and for what other
/// resources depend on.
#[derive(Default)]
pub(crate) struct Gates {
    pub(crate) own: Gate,
    pub(crate) status: Gate,
    pub(crate) others: Gate,
}

impl Gates {
    pub(crate) fn open(&mut self) {
        self.own.open();
        self.status.open();
        self.others.open();
    }

    pub(crate) fn forget(&mut self, object: &impl Resource) {
        self.own.forget(object);
        self.status.forget(object);
        self.others.forget(object);
    }
}
