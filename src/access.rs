//! Access rules, evaluated: a pure function of the rules, the namespace with its labels, and what the resource asks for.

use std::collections::BTreeMap;
use std::fmt;

use crate::api::access::{AccessRule, ManagedKind, NamespaceFrom, NamespaceSelection, ObjectNames};
use crate::api::refs::DeletionPolicy;
use crate::error::shown;

mod client;
mod key_set;
mod rotation;
mod selector;
mod uris;

pub use client::check;
pub use key_set::{KeySetRequest, check_key_set};
pub use rotation::Grant;
pub use selector::matches;

/// Why access is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No rule selects the namespace and kind.
    NoRule {
        /// The namespace.
        namespace: String,
        /// The kind.
        kind: ManagedKind,
    },
    /// A rule selects them, but a limit is broken.
    Limit {
        /// Index of the rule with the fewest violations.
        rule: usize,
        /// Limit of the rule, for example `clients.scopes`.
        limit: &'static str,
        /// Field of the resource's spec.
        field: &'static str,
        /// The first value that is too much.
        value: String,
    },
    /// A rule selects them, but does not let them have the server's own key sets.
    Reserved {
        /// Index of the first such rule.
        rule: usize,
        /// Name of the key set.
        set_name: String,
    },
    /// A rule selects them, but not for rotations so often.
    TooOften {
        /// Index of the rule with the fewest violations.
        rule: usize,
        /// The period that is asked for.
        period: String,
        /// The shortest one that is allowed.
        min: String,
    },
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denied::NoRule { namespace, kind } => {
                write!(
                    f,
                    "no access rule lets namespace `{namespace}` have {} {kind:?}; ask its admin for one.",
                    match kind {
                        ManagedKind::OAuth2Client | ManagedKind::Assignment | ManagedKind::OidcProvider => "an",
                        ManagedKind::Scope | ManagedKind::JsonWebKeySet => "a",
                    }
                )
            }
            Denied::Reserved { rule, set_name } => {
                write!(
                    f,
                    "access[{rule}].reservedKeySets does not allow setName `{}`, which is the server's own; choose another or ask its admin.",
                    shown(set_name)
                )
            }
            Denied::TooOften { rule, period, min } => {
                write!(
                    f,
                    "access[{rule}].minRotationPeriod does not allow rotation.period `{}`, which is shorter than {}; lengthen it or ask its admin.",
                    shown(period),
                    shown(min)
                )
            }
            Denied::Limit {
                rule,
                limit,
                field,
                value,
            } => {
                write!(
                    f,
                    "access[{rule}].{limit} does not allow `{}` in {field}; change it or ask its admin.",
                    shown(value)
                )
            }
        }
    }
}

/// A namespace as the rules see it.
#[derive(Clone, Copy)]
pub struct Namespace<'a> {
    /// Name.
    pub name: &'a str,
    /// Labels, or None if the namespace is unknown.
    pub labels: Option<&'a BTreeMap<String, String>>,
}

/// Asks every rule for this namespace and kind what it refuses. One that refuses nothing is enough, and the refusal of the one that refuses least is told.
fn judge(
    rules: &[AccessRule],
    namespace: Namespace<'_>,
    kind: ManagedKind,
    refused: impl Fn(usize, &AccessRule) -> Vec<Denied>,
) -> Result<Grant, Denied> {
    let (mut granted, mut closest): (Option<Grant>, Option<(usize, Denied)>) = (None, None);
    for (index, rule) in selecting(rules, namespace, kind) {
        let mut refused = refused(index, rule).into_iter();
        let Some(first) = refused.next() else {
            let grant = Grant::of(rule);
            granted = Some(granted.map_or(grant, |granted| granted.or(grant)));
            continue;
        };
        let count = 1 + refused.count();
        if closest.as_ref().is_none_or(|(fewest, _)| count < *fewest) {
            closest = Some((count, first));
        }
    }
    let no_rule = || Denied::NoRule {
        namespace: namespace.name.to_owned(),
        kind,
    };
    granted.ok_or_else(|| closest.map_or_else(no_rule, |(_, denied)| denied))
}

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

fn lets_name(rule: &AccessRule, is_own: bool) -> bool {
    match rule.object_names.unwrap_or_default() {
        ObjectNames::Generated => false,
        ObjectNames::Prefixed => is_own,
        ObjectNames::Any => true,
    }
}

/// Whether a name starts with the namespace's name and a dot, and goes on. No namespace has a dot in its name, so that nobody else's does.
pub fn is_prefixed(namespace: &str, name: &str) -> bool {
    let rest = name.strip_prefix(namespace);
    rest.is_some_and(|rest| rest.len() > 1 && rest.starts_with('.'))
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

fn selecting<'a>(
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
