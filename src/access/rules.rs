//! Which rules apply to a resource, and what they refuse.

use std::collections::BTreeMap;

use super::denied::{Broken, Denied};
use super::rotation::Grant;
use super::selector::matches;
use crate::api::access::{AccessRule, ManagedKind, NamespaceFrom, NamespaceSelection, ObjectNames};
use crate::api::refs::DeletionPolicy;

/// A namespace, as the rules see it.
#[derive(Clone, Copy)]
pub struct Namespace<'a> {
    /// Name of the namespace.
    pub name: &'a str,
    /// Labels, or None if the namespace is unknown.
    pub labels: Option<&'a BTreeMap<String, String>>,
}

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
pub(super) fn orphan_violation(rule: &AccessRule) -> Option<Broken> {
    let orphan = DeletionPolicy::Orphan.as_str().to_owned();
    (!lets_orphan(rule)).then(|| Broken::one("clients.deletionPolicies", "deletionPolicy", orphan))
}

fn lets_orphan(rule: &AccessRule) -> bool {
    let limits = rule.clients.as_ref();
    let policies = limits.and_then(|limits| limits.deletion_policies.as_ref());
    policies.is_none_or(|allowed| allowed.contains(&DeletionPolicy::Orphan))
}

/// Asks every rule that selects this namespace and kind what it refuses. One rule that refuses nothing is enough.
/// Otherwise the error holds all refusals of the rule with the fewest.
pub(super) fn judge(
    rules: &[AccessRule],
    namespace: Namespace<'_>,
    kind: ManagedKind,
    refused: impl Fn(usize, &AccessRule) -> Vec<Denied>,
) -> Result<Grant, Denied> {
    let (mut granted, mut closest): (Option<Grant>, Option<Denied>) = (None, None);
    for (index, rule) in selecting(rules, namespace, kind) {
        let mut refused = refused(index, rule);
        let denied = match refused.len() {
            0 => {
                let grant = Grant::of(rule);
                granted = Some(granted.map_or(grant, |granted| granted.or(grant)));
                continue;
            }
            1 => refused.remove(0),
            _ => Denied::All(refused),
        };
        if closest.as_ref().is_none_or(|closest| denied.count() < closest.count()) {
            closest = Some(denied);
        }
    }
    let no_rule = || Denied::NoRule {
        namespace: namespace.name.to_owned(),
        kind,
    };
    granted.ok_or_else(|| closest.unwrap_or_else(no_rule))
}

/// A name that a resource requests for its object on the server.
#[derive(Clone, Copy, Debug)]
pub struct NameRequest<'a> {
    /// The field with the name.
    pub field: &'static str,
    /// The name.
    pub name: &'a str,
    /// Whether no other namespace gets this name unless it requests it.
    pub is_own: bool,
    /// Whether the resource may adopt an object of this name that exists already.
    pub adopts: bool,
}

/// The violation if a rule does not allow a name. To adopt an object takes another grant than to choose a name.
pub(super) fn name_violation(rule: &AccessRule, asked: NameRequest<'_>) -> Option<Broken> {
    let adopt = rule.adopt.as_ref();
    let (limit, is_fine) = match asked.adopts {
        true => (
            "adopt.objectNames",
            adopt.is_some_and(|adopt| adopt.object_names.iter().any(|name| name == asked.name)),
        ),
        false => ("objectNames", lets_name(rule, asked.is_own)),
    };
    (!is_fine).then(|| Broken::one(limit, asked.field, asked.name.to_owned()))
}

pub(super) fn lets_name(rule: &AccessRule, is_own: bool) -> bool {
    match rule.object_names.unwrap_or_default() {
        ObjectNames::Generated => false,
        ObjectNames::Prefixed => is_own,
        ObjectNames::Any => true,
    }
}

/// Whether a name is the namespace's name, a dot and at least one more character. Names of namespaces have no dots, so
/// no other namespace has this prefix.
pub fn is_prefixed(namespace: &str, name: &str) -> bool {
    let rest = name.strip_prefix(namespace);
    rest.is_some_and(|rest| rest.len() > 1 && rest.starts_with('.'))
}

pub(super) fn selecting<'a>(
    rules: &'a [AccessRule],
    namespace: Namespace<'a>,
    kind: ManagedKind,
) -> impl Iterator<Item = (usize, &'a AccessRule)> {
    rules
        .iter()
        .enumerate()
        .filter(move |(_, rule)| rule.kinds.contains(&kind) && selects(&rule.namespaces, namespace))
}

fn selects(selection: &NamespaceSelection, namespace: Namespace<'_>) -> bool {
    match selection.from {
        NamespaceFrom::All => true,
        NamespaceFrom::Names => selection.names.iter().flatten().any(|name| name == namespace.name),
        NamespaceFrom::Selector => {
            let selector = selection.selector.as_ref();
            selector.is_some_and(|selector| matches(selector, namespace.labels))
        }
    }
}
