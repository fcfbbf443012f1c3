//! Ids of keys that the operator makes: `UID.CLUSTER.RANDOM`, with a short digest of the cluster's id.
//!
//! The UID assigns a key to its resource. A restored copy of a cluster has the same UIDs: the cluster in the id
//! distinguishes its keys from those of the original, as long as no status does. Keys of earlier versions and imported
//! keys without an id name no cluster.

use sha2::{Digest, Sha256};

use crate::controller::common::digest::hex;

/// A new id with the marker of a resource and its cluster.
pub(crate) fn new(uid: &str, cluster: &str) -> String {
    format!("{uid}.{}.{:08x}", short(cluster), rand::random::<u32>())
}

/// Whether an id has the marker of a resource.
pub(crate) fn is_marked(kid: &str, uid: &str) -> bool {
    after(kid, uid).is_some()
}

/// Whether an id has the marker of a resource in a cluster that is not one of `ours`.
pub(crate) fn is_of_another_cluster<'a>(kid: &str, uid: &str, mut ours: impl Iterator<Item = &'a String>) -> bool {
    let named = after(kid, uid).and_then(|rest| rest.split_once('.'));
    named.is_some_and(|(cluster, _)| !ours.any(|id| short(id) == cluster))
}

fn after<'a>(kid: &'a str, uid: &str) -> Option<&'a str> {
    kid.strip_prefix(uid)?.strip_prefix('.')
}

/// The id of a cluster can be any text, but the id of a key becomes part of paths.
fn short(cluster: &str) -> String {
    hex(&Sha256::digest(cluster)[..4])
}

#[cfg(test)]
mod tests {
    use super::{is_marked, is_of_another_cluster, new};

    #[test]
    fn a_kid_names_the_resource_and_its_cluster() {
        let (uid, own) = ("u-1", "cluster/ä".to_owned());
        let kid = new(uid, &own);
        assert!(is_marked(&kid, uid), "{kid}");
        assert!(
            kid.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c)),
            "{kid}"
        );
        for (what, kid, ids, expected) in [
            ("made here", kid.clone(), vec![own.clone()], false),
            (
                "made in a former cluster",
                kid.clone(),
                vec!["new".to_owned(), own.clone()],
                false,
            ),
            ("made elsewhere", kid.clone(), vec!["new".to_owned()], true),
            ("made by an earlier version", "u-1.0a1b2c3d".to_owned(), vec![], false),
            (
                "imported without an id",
                "u-1.0a1b2c3d4e5f6071".to_owned(),
                vec![],
                false,
            ),
            (
                "of another resource",
                "u-12.0a1b2c3d.0a1b2c3d".to_owned(),
                vec![],
                false,
            ),
            ("the user's own", "a.b.c".to_owned(), vec![], false),
        ] {
            assert_eq!(is_of_another_cluster(&kid, uid, ids.iter()), expected, "{what}");
        }
        assert!(!is_marked("u-12.0a1b2c3d", uid));
    }
}
