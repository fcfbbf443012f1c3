//! Clients without a resource, as the last complete sweep of a server found them. A resource that was restored finds its
//! client by them, so they outlive the connection that found them: a change of the server's spec or login does not make
//! resources wait for another sweep.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::origin::Origin;

/// The resource that a client without a resource had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// Cluster of the resource: this one, or one that this one replaces.
    pub origin: Origin,
    /// UID of the resource.
    pub uid: String,
    /// Namespace and name of the resource, with a slash between them. Empty if the client does not tell.
    pub resource: String,
}

/// The former resources of clients, by client id.
pub type Former = BTreeMap<String, Stranger>;

/// Result of the last complete sweep of one server at one address, in this process. A sweep that failed leaves it as it
/// is: a resource without its Secrets would get a second client.
pub struct Census {
    /// UID and address of the server.
    of: String,
    last: Mutex<Option<Arc<Former>>>,
}

impl Census {
    /// Returns the census of a server: the last one, if it is of the same server at the same address.
    pub fn continued(last: Option<&Arc<Census>>, of: String) -> Arc<Self> {
        match last.filter(|last| last.of == of) {
            Some(last) => Arc::clone(last),
            None => Arc::new(Census {
                of,
                last: Mutex::default(),
            }),
        }
    }

    /// Whether there was a complete sweep.
    pub fn is_taken(&self) -> bool {
        self.lock().is_some()
    }

    /// Remembers what a complete sweep found. Returns the former resources of clients that came or went since the sweep
    /// before: the next pass of a resource of that name may end otherwise. None at the first sweep.
    pub fn take(&self, found: Arc<Former>) -> BTreeSet<String> {
        let Some(before) = self.lock().replace(Arc::clone(&found)) else {
            return BTreeSet::new();
        };
        let missing_in = |other: &Former, (id, stranger): (&String, &Stranger)| {
            (other.get(id) != Some(stranger)).then(|| stranger.resource.clone())
        };
        let went = before.iter().filter_map(|former| missing_in(&found, former));
        let came = found.iter().filter_map(|former| missing_in(&before, former));
        went.chain(came).collect()
    }

    /// Returns the clients of earlier resources with this namespace and name: their ids, and the UIDs of the resources.
    /// Those of this cluster come first.
    pub fn strangers_of(&self, namespace: &str, name: &str) -> Vec<(String, String)> {
        let last = self.lock().clone().unwrap_or_default();
        let of_it = last.iter().filter(|(_, stranger)| {
            let resource = stranger.resource.split_once('/');
            resource == Some((namespace, name))
        });
        let (own, former): (Vec<_>, Vec<_>) = of_it.partition(|(_, stranger)| stranger.origin == Origin::Own);
        let all = own.into_iter().chain(former);
        all.map(|(id, stranger)| (id.clone(), stranger.uid.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Former>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn former(all: &[(&str, &str, &str)]) -> Arc<Former> {
        let each = all.iter().map(|(id, uid, resource)| {
            let (uid, resource) = ((*uid).to_owned(), (*resource).to_owned());
            let origin = Origin::Own;
            ((*id).to_owned(), Stranger { origin, uid, resource })
        });
        Arc::new(each.collect())
    }

    #[test]
    fn clients_of_this_cluster_come_before_those_of_a_former_one() {
        let mut all = Former::clone(&former(&[
            ("1", "u1", "team/a"),
            ("2", "u2", "team/a"),
            ("3", "u3", "team/b"),
        ]));
        for stranger in all.values_mut().filter(|stranger| stranger.uid == "u1") {
            stranger.origin = Origin::Former;
        }
        let census = Census::continued(None, "u http://hydra".to_owned());
        census.take(Arc::new(all));
        let found = census.strangers_of("team", "a");
        let ids: Vec<&str> = found.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, ["2", "1"]);
    }

    #[test]
    fn what_came_or_went_is_told() {
        let (a, b) = (("1", "u1", "team/a"), ("2", "u2", "team/b"));
        let moved = ("1", "u1", "team/c");
        let table: [(&[_], &[_], &[&str]); 6] = [
            (&[], &[], &[]),
            (&[a], &[a], &[]),
            (&[a], &[], &["team/a"]),
            (&[], &[a], &["team/a"]),
            (&[a], &[b], &["team/a", "team/b"]),
            (&[a, b], &[moved, b], &["team/a", "team/c"]),
        ];
        for (before, now, expected) in table {
            let census = Census::continued(None, "u http://hydra".to_owned());
            assert!(!census.is_taken());
            assert!(census.take(former(before)).is_empty(), "the first sweep tells nothing");
            assert!(census.is_taken());
            let told = census.take(former(now));
            assert!(told.iter().eq(expected), "{told:?} {expected:?}");
        }
    }

    #[test]
    fn a_census_goes_on_with_the_same_server_at_the_same_address() {
        let last = Census::continued(None, "u http://hydra".to_owned());
        last.take(former(&[
            ("1", "u1", "team/a"),
            ("2", "u2", "team/ab"),
            ("3", "u3", ""),
        ]));
        let known = vec![("1".to_owned(), "u1".to_owned())];
        for (of, expected) in [
            ("u http://hydra", known),
            ("u http://elsewhere", vec![]),
            ("v http://hydra", vec![]),
        ] {
            let census = Census::continued(Some(&last), of.to_owned());
            assert_eq!(census.is_taken(), !expected.is_empty(), "{of}");
            assert_eq!(census.strangers_of("team", "a"), expected, "{of}");
        }
    }
}
