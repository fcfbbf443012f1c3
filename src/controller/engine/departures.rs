//! Which servers are being cleaned up, so that a create and the cleanup of its server cannot miss each other.
//!
//! A create stores the finalizer of its resource and then checks here. A cleanup first records its server here and then
//! lists the resources that have a finalizer. So the second of the two sees the first. Only the leader cleans up: from
//! its first live read of a server on, what it knows about that server stays true. Before that, a former leader may
//! have released the server without our cache showing it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is known about a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It stays until this process releases it.
    Stays,
    /// Its cleanup has begun.
    Goes,
}

/// What is known about servers, by UID.
#[derive(Default)]
pub struct Departures(Mutex<HashMap<String, Known>>);

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

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Departures, Known};

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
