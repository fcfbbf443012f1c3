//! Evaluates access rules: a pure function of the rules, the namespace with its labels, and what the resource requests.

use crate::api::access::{AccessRule, ManagedKind};
use crate::api::refs::DeletionPolicy;

mod candidates;
mod client;
mod denied;
mod key_set;
mod rotation;
mod rules;
mod selector;
mod uris;

pub use candidates::Candidates;
pub use client::{KeptId, check, may_keep_id, may_leave_client};
pub use denied::{Broken, Denied};
pub use key_set::{KeySetRequest, check_key_set};
pub use rotation::Grant;
use rules::selecting;
pub use rules::{NameRequest, Namespace, is_prefixed};
pub use selector::matches;

/// Whether a rule selects this namespace and kind. For kinds that have no limits.
///
/// # Errors
/// [`Denied::NoRule`].
pub fn admits(rules: &[AccessRule], namespace: Namespace<'_>, kind: ManagedKind) -> Result<(), Denied> {
    match selecting(rules, namespace, kind).next() {
        Some(_) => Ok(()),
        None => Err(Denied::NoRule {
            namespace: namespace.name.to_owned(),
            kind,
        }),
    }
}

/// Whether a rule allows resources of this namespace and kind to leave their objects behind on the server. Only a cleanup
/// asks this. It does not ask for the rest of the resource as well: that was judged when the object was written, what it
/// refers to may be gone by now, and a resource that breaks a new limit could not be released any more.
pub fn may_orphan(rules: &[AccessRule], namespace: Namespace<'_>, kind: ManagedKind) -> bool {
    selecting(rules, namespace, kind).any(|(_, rule)| lets_orphan(rule))
}

/// The violation if a rule does not let objects stay on the server.
fn orphan_violation(rule: &AccessRule) -> Option<Broken> {
    let orphan = DeletionPolicy::Orphan.as_str().to_owned();
    (!lets_orphan(rule)).then(|| Broken::one("clients.deletionPolicies", "deletionPolicy", orphan))
}

fn lets_orphan(rule: &AccessRule) -> bool {
    let limits = rule.clients.as_ref();
    let policies = limits.and_then(|limits| limits.deletion_policies.as_ref());
    policies.is_none_or(|allowed| allowed.contains(&DeletionPolicy::Orphan))
}
