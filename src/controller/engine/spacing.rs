//! Rotations by age keep a distance on a server: if applications cannot use their new secrets, only one is affected before
//! somebody notices. What this process has begun counts, and nothing that others can edit.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// How long a free place is kept for a namespace that goes first: all who wait wake within this time.
const PATIENCE: SignedDuration = SignedDuration::from_secs(120);

/// The rotations on each server that this process began.
#[derive(Default)]
pub struct Spacing {
    servers: Mutex<HashMap<String, Server>>,
}

#[derive(Default)]
struct Server {
    last: Option<Begun>,
    /// When the last rotation of each namespace began.
    namespaces: HashMap<String, Timestamp>,
    /// When somebody in a namespace waited last.
    waiting: HashMap<String, Timestamp>,
}

struct Begun {
    uid: String,
    due: Timestamp,
    at: Timestamp,
}

/// A resource whose rotation is due.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Name of its server.
    pub server: &'a str,
    /// Its namespace. The one whose last rotation is longest ago goes first, so that a namespace with many resources does not
    /// hold up the others.
    pub namespace: &'a str,
    /// UID of the resource.
    pub uid: &'a str,
    /// When the rotation was due.
    pub due: Timestamp,
}

impl Spacing {
    /// Lets a resource begin its rotation, or returns when it may. Whoever has begun may try again.
    pub fn place(&self, candidate: Candidate<'_>, spacing: Duration, now: Timestamp) -> Option<Timestamp> {
        let spacing = SignedDuration::try_from(spacing).unwrap_or(SignedDuration::MAX);
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let server = servers.entry(candidate.server.to_owned()).or_default();
        let waits = server.waits(candidate, spacing).filter(|until| *until > now);
        let namespace = candidate.namespace.to_owned();
        match waits {
            Some(_) => drop(server.waiting.insert(namespace, now)),
            None => server.begins(candidate, now),
        }
        waits
    }
}

impl Server {
    fn waits(&self, candidate: Candidate<'_>, spacing: SignedDuration) -> Option<Timestamp> {
        let later = |at: Timestamp, by: SignedDuration| at.checked_add(by).unwrap_or(Timestamp::MAX);
        let last = self.last.as_ref()?;
        if last.uid == candidate.uid && last.due == candidate.due {
            return None; // it tries again
        }
        let free = later(last.at, spacing);
        let own = self.namespaces.get(candidate.namespace);
        let is_first = |(namespace, at): (&String, &Timestamp)| *at >= last.at && self.namespaces.get(namespace) < own;
        Some(match self.waiting.iter().any(is_first) {
            true => later(free, PATIENCE),
            false => free,
        })
    }

    fn begins(&mut self, candidate: Candidate<'_>, now: Timestamp) {
        let (uid, due) = (candidate.uid.to_owned(), candidate.due);
        if self
            .last
            .as_ref()
            .is_some_and(|last| last.uid == uid && last.due == due)
        {
            return;
        }
        self.namespaces.insert(candidate.namespace.to_owned(), now);
        self.waiting.remove(candidate.namespace);
        self.last = Some(Begun { uid, due, at: now });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotations_keep_a_distance_and_namespaces_take_turns() {
        let at = |second: i64| Timestamp::from_second(second).expect("a time");
        let spacing = Spacing::default();
        // server, namespace, resource, due, now; until when it waits
        let table = [
            ("a", "x", "1", 90, 100, None),
            ("a", "x", "2", 90, 101, Some(160)),
            ("a", "x", "1", 90, 130, None), // it tries again, and the distance is that of before
            ("a", "x", "1", 120, 131, Some(160)), // due again
            ("a", "y", "3", 90, 131, Some(160)),
            ("b", "x", "4", 90, 131, None),
            ("a", "x", "2", 90, 161, Some(280)), // `y` goes first
            ("a", "y", "3", 90, 165, None),
            ("a", "x", "2", 90, 166, Some(225)),
            ("a", "y", "5", 90, 225, Some(345)), // now `x` goes first …
            ("a", "y", "5", 90, 345, None),      // … and does not come
            ("a", "x", "2", 90, 405, None),
        ];
        for (server, namespace, uid, due, now, expected) in table {
            let candidate = Candidate {
                server,
                namespace,
                uid,
                due: at(due),
            };
            let found = spacing.place(candidate, Duration::from_secs(60), at(now));
            assert_eq!(found, expected.map(at), "{server} {namespace} {uid} {now}");
        }
    }
}
