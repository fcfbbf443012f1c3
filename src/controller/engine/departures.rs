//! Which servers are going, so that a create and a server's own cleanup cannot miss each other.
//!
//! A create stores the finalizer of its resource and then asks here; a cleanup says here that its server goes and then lists who has a finalizer.
//! Whichever comes second sees the other. Only the process that leads cleans up: from its first live read of a server on, what it knows of that server stays
//! true. Before that, a former leader may have released the server without our cache showing it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is known of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It stays until this process lets it go.
    Stays,
    /// Its cleanup has begun.
    Goes,
}

/// What is known of servers, by UID.
#[derive(Default)]
pub struct Departures(Mutex<HashMap<String, Known>>);

impl Departures {
    /// What is known of a server. None: it has to be asked for live.
    pub fn of(&self, uid: &str) -> Option<Known> {
        self.lock().get(uid).copied()
    }

    /// The server was asked for live: it is there, holds our finalizer and is not being deleted. Its cleanup may have begun since: what is returned counts.
    pub fn stays(&self, uid: &str) -> Known {
        *self.lock().entry(uid.to_owned()).or_insert(Known::Stays)
    }

    /// The server's cleanup begins.
    pub fn goes(&self, uid: &str) {
        self.lock().insert(uid.to_owned(), Known::Goes);
    }

    /// The server is gone.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// The watch may have missed something: every server that was held to stay must be read live again.
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
    fn a_server_that_goes_does_not_stay() {
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
