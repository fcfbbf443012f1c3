//! Access rules, evaluated: a pure function of the rules, the namespace with its labels, and what the resource asks for.

use crate::api::access::{AccessRule, ManagedKind};
use crate::api::refs::DeletionPolicy;

mod client;
mod denied;
mod key_set;
mod rotation;
mod rules;
mod selector;
mod uris;

pub use client::check;
pub use denied::Denied;
pub use key_set::{KeySetRequest, check_key_set};
pub use rotation::Grant;
pub use rules::{Namespace, is_prefixed};
use rules::{lets_name, selecting};
pub use selector::matches;

/// Whether one of the rules is for this namespace and kind. For kinds without limits of their own.
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

/// As [`admits`], for a resource that asks for the name of its object on the server. `field`: where it does. `is_own`: whether nobody else's object is
/// called so unless it was asked for.
///
/// # Errors
/// [`Denied`].
pub fn may_name(
    rules: &[AccessRule],
    namespace: Namespace<'_>,
    kind: ManagedKind,
    field: &'static str,
    name: &str,
    is_own: bool,
) -> Result<(), Denied> {
    admits(rules, namespace, kind)?;
    let mut rules = selecting(rules, namespace, kind).peekable();
    let first = rules.peek().map(|(index, _)| *index).unwrap_or_default();
    match rules.any(|(_, rule)| lets_name(rule, is_own)) {
        true => Ok(()),
        false => Err(Denied::Limit {
            rule: first,
            limit: "objectNames",
            field,
            value: name.to_owned(),
        }),
    }
}

/// Whether a rule lets what resources of this namespace and kind made be left behind on the server.
pub fn may_orphan(rules: &[AccessRule], namespace: Namespace<'_>, kind: ManagedKind) -> bool {
    selecting(rules, namespace, kind).any(|(_, rule)| {
        let policies = rule
            .clients
            .as_ref()
            .and_then(|limits| limits.deletion_policies.as_ref());
        policies.is_none_or(|allowed| allowed.contains(&DeletionPolicy::Orphan))
    })
}
