//! The fields of a provider as they were left on a Foulkon.

use std::collections::BTreeSet;

use crate::admin::foulkon::{Fields, Provider};
use crate::api::OidcProvider;
use crate::controller::common::adoption::still_kept;

/// Fields with which a settled provider was left. None: it is not on a Foulkon.
pub(crate) fn fields(provider: &OidcProvider) -> Option<Fields> {
    let status = provider.status.as_ref()?;
    status.inputs.as_ref().and(status.id.as_ref())?;
    Some(Fields {
        name: status.name.clone()?,
        path: status.path.clone()?,
        issuer_url: status.issuer.clone()?,
        clients: status.client_ids.iter().cloned().collect(),
    })
}

/// Drops the kept clients that another writer has removed from the entry.
pub(crate) fn follow(kept: &mut Vec<String>, wanted: &mut Fields, found: &Provider) {
    let found = found.client_ids();
    kept.retain(|id| {
        let is_there = found.contains(id);
        if !is_there {
            wanted.clients.remove(id);
        }
        is_there
    });
}

/// Adds to the wanted clients those that the list keeps. Returns the ones that it keeps itself: a client that another
/// provider keeps as well stays with both, or each would leave it to the other one. `before`: those that it kept until
/// now.
pub(crate) fn keep(clients: &mut BTreeSet<String>, before: &[String], kept_by_others: BTreeSet<String>) -> Vec<String> {
    let kept = still_kept(before, BTreeSet::new(), clients);
    clients.extend(kept.iter().cloned());
    // What others keep makes no provider of its own.
    if !clients.is_empty() {
        clients.extend(kept_by_others);
    }
    kept.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_the_clients_that_others_keep_and_claims_none_of_them() {
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        for (asked, before, by_others, expected, expected_kept) in [
            (&["web"][..], &[][..], &["old"][..], &["old", "web"][..], &[][..]),
            (&["web"], &["old"], &[], &["old", "web"], &["old"]),
            (&["web"], &["old"], &["old"], &["old", "web"], &["old"]),
            (&["web"], &["old"], &["older"], &["old", "older", "web"], &["old"]),
            (&["web"], &["web", "old"], &["web"], &["old", "web"], &["old"]),
            (&[], &["old"], &["older"], &["old", "older"], &["old"]),
            (&[], &[], &["old"], &[], &[]),
        ] {
            let mut clients = ids(asked).into_iter().collect();
            let kept = keep(&mut clients, &ids(before), ids(by_others).into_iter().collect());
            assert_eq!(kept, ids(expected_kept), "{asked:?} {before:?} {by_others:?}");
            assert!(
                clients.iter().eq(expected),
                "{clients:?} of {asked:?} {before:?} {by_others:?}"
            );
        }
    }
}
