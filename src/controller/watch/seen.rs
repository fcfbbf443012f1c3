//! What a watch shows, and what of it is news.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use kube::Resource;

/// An object as a watch shows it.
pub(crate) enum Seen<K> {
    Applied(Arc<K>),
    Deleted(Arc<K>),
    /// Everything was listed afresh; all that is there is shown next. What was deleted meanwhile is not named.
    Relisted,
}

/// What a gate sees.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// It has not seen this object, or everything was listed afresh.
    New,
    Same,
    Changed,
}

/// Lets an object pass only when what interests us of it has changed. Keeps a hash of its UID and one of what interests.
#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) seen: HashMap<u64, u64>,
    pub(crate) hasher: RandomState,
}

impl Gate {
    pub(crate) fn passes(&mut self, object: &impl Resource, interest: impl Hash) -> bool {
        self.look(object, interest) != Look::Same
    }

    /// How what interests compares to what was seen last.
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

    /// Lets everything pass once more.
    pub(crate) fn open(&mut self) {
        self.seen.clear();
    }

    pub(crate) fn forget(&mut self, object: &impl Resource) {
        if let Some(uid) = &object.meta().uid {
            self.seen.remove(&self.hasher.hash_one(uid));
        }
    }
}

/// The gates of one kind: one for what makes a resource itself work again, one for its status, and one for what others depend on.
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
