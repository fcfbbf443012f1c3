//! Rotations by age keep a distance on a server: if applications cannot use their new secrets, only one is affected before
//! somebody notices.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// The last rotation on each server that this process began.
#[derive(Default)]
pub struct Spacing {
    begun: Mutex<HashMap<String, Begun>>,
}

struct Begun {
    uid: String,
    at: Timestamp,
}

impl Spacing {
    /// Lets a resource begin its rotation, or returns when it may. Whoever may begin keeps its place for retries. `known`:
    /// when the last rotation on the server was, according to the statuses.
    pub fn place(
        &self,
        server: &str,
        uid: &str,
        known: Option<Timestamp>,
        spacing: Duration,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let mut all = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = all.get(server).filter(|begun| begun.uid != uid).map(|begun| begun.at);
        let spacing = SignedDuration::try_from(spacing).unwrap_or(SignedDuration::MAX);
        let free = known.into_iter().chain(begun).max();
        let free = free.map(|last| last.checked_add(spacing).unwrap_or(Timestamp::MAX));
        let waits = free.filter(|free| *free > now);
        if waits.is_none() {
            let uid = uid.to_owned();
            all.insert(server.to_owned(), Begun { uid, at: now });
        }
        waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotations_keep_a_distance() {
        let at = |second: i64| Timestamp::from_second(second).expect("a time");
        let spacing = Spacing::default();
        // server, resource, the last known rotation, now; until when it waits
        let table = [
            ("a", "1", None, 100, None),
            ("a", "2", None, 101, Some(160)),
            ("a", "1", None, 130, None), // it tries again
            ("a", "2", Some(130), 131, Some(190)),
            ("b", "3", None, 131, None),
            ("a", "2", Some(130), 190, None),
            ("a", "1", Some(191), 192, Some(251)), // due again, and not too soon for itself
            ("a", "1", Some(191), 251, None),
        ];
        for (server, uid, known, now, expected) in table {
            let found = spacing.place(server, uid, known.map(at), Duration::from_secs(60), at(now));
            assert_eq!(found, expected.map(at), "{server} {uid} {now}");
        }
    }
}
