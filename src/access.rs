//! Evaluates access rules: a pure function of the rules, the namespace with its labels, and what the resource requests.

use std::cmp::Reverse;

use crate::api::access::{AccessRule, ManagedKind};
use crate::api::refs::DeletionPolicy;

mod client;
mod denied;
mod key_set;
mod rotation;
mod rules;
mod selector;
mod uris;

pub use client::{KeptId, check, may_keep_id};
pub use denied::{Broken, Denied};
pub use key_set::{KeySetRequest, check_key_set};
pub use rotation::Grant;
pub use rules::{NameRequest, Namespace, is_prefixed};
use rules::{lets_name, name_violation, selecting};
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

/// Like [`admits`], for a resource that requests a name for its object on the server.
///
/// # Errors
/// [`Denied`].
pub fn may_name(
    rules: &[AccessRule],
    namespace: Namespace<'_>,
    kind: ManagedKind,
    asked: NameRequest<'_>,
) -> Result<(), Denied> {
    one_allows(rules, namespace, kind, |rule| name_violation(rule, asked))
}

/// Like [`admits`], for a resource whose object is to stay on the server when the resource is deleted.
///
/// # Errors
/// [`Denied`].
pub fn may_leave(rules: &[AccessRule], namespace: Namespace<'_>, kind: ManagedKind) -> Result<(), Denied> {
    one_allows(rules, namespace, kind, |rule| {
        let orphan = DeletionPolicy::Orphan.as_str().to_owned();
        (!lets_orphan(rule)).then(|| Broken::one("clients.deletionPolicies", "deletionPolicy", orphan))
    })
}

/// Whether one of the rules that select this namespace and kind has no objection. Otherwise the first objection counts.
fn one_allows(
    rules: &[AccessRule],
    namespace: Namespace<'_>,
    kind: ManagedKind,
    objection: impl Fn(&AccessRule) -> Option<Broken>,
) -> Result<(), Denied> {
    admits(rules, namespace, kind)?;
    let mut first = None;
    for (rule, selected) in selecting(rules, namespace, kind) {
        match objection(selected) {
            None => return Ok(()),
            Some(broken) if first.is_none() => {
                first = Some(Denied::Limits {
                    rule,
                    broken: vec![broken],
                });
            }
            Some(_) => {}
        }
    }
    first.map_or(Ok(()), Err)
}

/// Whether a rule allows OidcProviders of a namespace to offer a scope of others. `is_own`: as for [`may_name`].
///
/// # Errors
/// [`Denied`].
pub fn may_offer(rules: &[AccessRule], namespace: Namespace<'_>, scope: &str, is_own: bool) -> Result<(), Denied> {
    const KIND: ManagedKind = ManagedKind::OidcProvider;
    admits(rules, namespace, KIND)?;
    let granted = |rule: &AccessRule| rule.providers.clone().unwrap_or_default().scopes;
    let mut all = selecting(rules, namespace, KIND);
    if all.any(|(_, rule)| lets_name(rule, is_own) || granted(rule).iter().any(|name| name == scope)) {
        return Ok(());
    }
    // The rule that lists most is the one that is meant for providers.
    let closest = selecting(rules, namespace, KIND).min_by_key(|(_, rule)| Reverse(granted(rule).len()));
    let (rule, allowed) = closest.map_or((0, Vec::new()), |(index, rule)| (index, granted(rule)));
    let allowed = Some(allowed).filter(|allowed| !allowed.is_empty());
    let broken = Broken {
        allowed,
        ..Broken::one("providers.scopes", "scopes", scope.to_owned())
    };
    Err(Denied::Limits {
        rule,
        broken: vec![broken],
    })
}

/// Whether a rule allows resources of this namespace and kind to leave their objects behind on the server.
pub fn may_orphan(rules: &[AccessRule], namespace: Namespace<'_>, kind: ManagedKind) -> bool {
    selecting(rules, namespace, kind).any(|(_, rule)| lets_orphan(rule))
}

fn lets_orphan(rule: &AccessRule) -> bool {
    let limits = rule.clients.as_ref();
    let policies = limits.and_then(|limits| limits.deletion_policies.as_ref());
    policies.is_none_or(|allowed| allowed.contains(&DeletionPolicy::Orphan))
}
