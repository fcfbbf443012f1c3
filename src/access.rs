//! Access rules, evaluated: a pure function of the rules, the namespace with its labels, and what the resource asks for.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;

use crate::api::access::{
    AccessRule, ClientIds, LabelSelector, ManagedKind, NamespaceFrom, NamespaceSelection, ObjectNames, Permission,
};
use crate::api::oauth2_client::{Effective, OAuth2ClientSpec};
use crate::api::refs::{Adoption, DeletionPolicy};
use crate::error::shown;
use uris::{host_allowed, uris};

mod uris;

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

/// Whether one of the rules allows all of this client.
///
/// # Errors
/// [`Denied`]: no rule selects the namespace, or the violation of the rule that comes closest.
pub fn check(
    rules: &[AccessRule],
    namespace: Namespace<'_>,
    spec: &OAuth2ClientSpec,
    effective: &Effective,
) -> Result<(), Denied> {
    let mut closest: Option<(usize, Denied)> = None;
    for (index, rule) in selecting(rules, namespace, ManagedKind::OAuth2Client) {
        let mut violations = violations(rule, namespace.name, spec, effective).into_iter();
        let Some((limit, field, value)) = violations.next() else {
            return Ok(());
        };
        let count = 1 + violations.count();
        if closest.as_ref().is_none_or(|(fewest, _)| count < *fewest) {
            closest = Some((
                count,
                Denied::Limit {
                    rule: index,
                    limit,
                    field,
                    value,
                },
            ));
        }
    }
    Err(closest.map(|(_, denied)| denied).unwrap_or_else(|| Denied::NoRule {
        namespace: namespace.name.to_owned(),
        kind: ManagedKind::OAuth2Client,
    }))
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

/// Whether a rule lets key sets of this namespace be those of the server itself.
///
/// # Errors
/// [`Denied`].
pub fn may_reserve(rules: &[AccessRule], namespace: Namespace<'_>, set_name: &str) -> Result<(), Denied> {
    let mut rules = selecting(rules, namespace, ManagedKind::JsonWebKeySet).peekable();
    let first = rules.peek().map(|(index, _)| *index).unwrap_or_default();
    match rules.any(|(_, rule)| rule.reserved_key_sets == Some(Permission::Allow)) {
        true => Ok(()),
        false => Err(Denied::Reserved {
            rule: first,
            set_name: set_name.to_owned(),
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

/// Whether a label selector matches these labels; None: of a namespace that is not known.
pub fn matches(selector: &LabelSelector, labels: Option<&BTreeMap<String, String>>) -> bool {
    let Some(labels) = labels else { return false };
    let is_met = |r: &LabelSelectorRequirement| {
        let value = labels.get(&r.key);
        let listed = |v: &String| r.values.iter().flatten().any(|listed| listed == v);
        match r.operator.as_str() {
            "In" => value.is_some_and(listed),
            "NotIn" => !value.is_some_and(listed),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false, // an operator we do not know selects nothing
        }
    };
    selector
        .match_labels
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
        && selector.match_expressions.iter().all(is_met)
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

type Violation = (&'static str, &'static str, String);

fn violations(rule: &AccessRule, namespace: &str, spec: &OAuth2ClientSpec, effective: &Effective) -> Vec<Violation> {
    let limits = rule.clients.clone().unwrap_or_default();
    let mut found: Vec<Violation> = Vec::new();
    if let Some(allowed) = &limits.grant_types {
        let extra = effective.grant_types.iter().filter(|g| !allowed.contains(g));
        found.extend(extra.map(|g| ("clients.grantTypes", "grantTypes", protocol_name(g))));
    }
    if let Some(allowed) = &limits.scopes {
        let extra = effective.scopes.iter().filter(|s| !allowed.contains(s));
        found.extend(extra.map(|s| ("clients.scopes", "scopes", s.clone())));
    }
    if let Some(allowed) = &limits.audiences {
        let extra = spec.audience.iter().filter(|a| !allowed.contains(a));
        found.extend(extra.map(|a| ("clients.audiences", "audience", a.clone())));
    }
    if let Some(allowed) = &limits.uri_hosts {
        let extra = uris(spec).filter(|(_, uri)| !host_allowed(allowed, uri));
        found.extend(extra.map(|(field, uri)| ("clients.uriHosts", field, uri.to_owned())));
    }
    let adoptable = rule
        .adopt
        .as_ref()
        .map(|adopt| adopt.client_ids.as_slice())
        .unwrap_or_default();
    let adopts = spec.adoption == Some(Adoption::Allow);
    if let Some(id) = spec.client_id.as_ref().filter(|id| adopts && !adoptable.contains(id)) {
        found.push(("adopt.clientIds", "clientId", id.clone()));
    }
    if let Some(id) = spec.client_id.as_ref().filter(|_| !adopts) {
        let fine = match limits.client_ids.unwrap_or_default() {
            ClientIds::Generated => false,
            ClientIds::Prefixed => is_prefixed(namespace, id),
            ClientIds::Any => true,
        };
        if !fine {
            found.push(("clients.clientIds", "clientId", id.clone()));
        }
    }
    let name = spec.vault.as_ref().and_then(|vault| vault.name.as_ref());
    if let Some(name) = name.filter(|name| !lets_name(rule, is_prefixed(namespace, name))) {
        found.push(("objectNames", "vault.name", name.clone()));
    }
    if limits.skip_consent.unwrap_or_default() == Permission::Deny {
        let hydra = spec.hydra.clone().unwrap_or_default();
        for (field, value) in [
            ("hydra.skipConsent", hydra.skip_consent),
            ("hydra.skipLogoutConsent", hydra.skip_logout_consent),
        ] {
            if value == Some(true) {
                found.push(("clients.skipConsent", field, "true".to_owned()));
            }
        }
    }
    // The default for what was taken over.
    let leaves_what_it_found = spec.deletion_policy.is_none() && effective.deletion_policy == DeletionPolicy::Orphan;
    if let Some(allowed) = &limits.deletion_policies
        && !allowed.contains(&effective.deletion_policy)
        && !leaves_what_it_found
    {
        found.push((
            "clients.deletionPolicies",
            "deletionPolicy",
            effective.deletion_policy.as_str().to_owned(),
        ));
    }
    found
}

/// The value as it is written on the wire and in manifests.
fn protocol_name<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}
