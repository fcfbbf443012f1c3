//! Which servers are being cleaned up, so that a create and the cleanup of its server cannot miss each other.
//!
//! A create stores the finalizer of its resource and then checks here. A cleanup first records its server here and then
//! lists the resources that have a finalizer. So the second of the two sees the first. Only the leader cleans up: from
//! its first live read of a server on, what it knows about that server stays true. Before that, a former leader may
//! have released the server without our cache showing it.
//!
//! Also which servers another operator works on, and when a server passes from one operator to the other.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is known about a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It stays until this process releases it.
    Stays,
    /// Its cleanup has begun.
    Goes,
}

/// A server passes from one operator to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOver {
    /// To this one. The other one may still be finishing a write.
    Came,
    /// From this one.
    Left,
}

/// What is known about servers, by UID.
#[derive(Default)]
pub struct Departures {
    known: Mutex<HashMap<String, Known>>,
    /// The servers of other operators.
    elsewhere: Mutex<HashSet<String>>,
}

impl Departures {
    /// Returns what is known about a server. None: it must be read live.
    pub fn of(&self, uid: &str) -> Option<Known> {
        self.lock().get(uid).copied()
    }

    /// Records that a live read found the server with our finalizer and not being deleted. Its cleanup may have begun
    /// since, so only the returned value counts.
    pub fn stays(&self, uid: &str) -> Known {
        *self.lock().entry(uid.to_owned()).or_insert(Known::Stays)
    }

    /// Records that the server's cleanup begins.
    pub fn goes(&self, uid: &str) {
        self.lock().insert(uid.to_owned(), Known::Goes);
    }

    /// Forgets a server that is gone or has lost our finalizer.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// Forgets the servers that are known to stay, because the watch may have missed changes. They must be read live
    /// again.
    pub fn doubt(&self) {
        self.lock().retain(|_, known| *known == Known::Goes);
    }

    /// Records whose server it is. Returns how that has changed; a server that is seen for the first time and belongs to
    /// another operator counts as left.
    pub fn hand_over(&self, uid: &str, is_ours: bool) -> Option<HandOver> {
        let mut elsewhere = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        match is_ours {
            true => elsewhere.remove(uid).then_some(HandOver::Came),
            false => elsewhere.insert(uid.to_owned()).then_some(HandOver::Left),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Departures, HandOver, Known};

    #[test]
    fn a_server_is_handed_over_once_per_change() {
        let servers = Departures::default();
        for (is_ours, expected) in [
            (true, None),
            (true, None),
            (false, Some(HandOver::Left)),
            (false, None),
            (true, Some(HandOver::Came)),
            (true, None),
        ] {
            assert_eq!(servers.hand_over("a", is_ours), expected);
        }
        assert_eq!(servers.hand_over("b", false), Some(HandOver::Left));
    }

    #[test]
    fn a_server_whose_cleanup_has_begun_does_not_stay() {
        let servers = Departures::default();
        assert_eq!(servers.of("a"), None);
        servers.stays("a");
        servers.stays("b");
        assert_eq!(servers.of("a"), Some(Known::Stays));
        servers.goes("a");
        assert_eq!(servers.stays("a"), Known::Goes);
        servers.doubt();
        assert_eq!((servers.of("a"), servers.of("b")), (Some(Known::Goes), None));
        servers.forget("a");
        assert_eq!(servers.of("a"), None);
    }
}
