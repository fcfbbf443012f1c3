//! What the rules allow for a JsonWebKeySet.

use super::denied::Denied;
use super::rotation::Grant;
use super::rotation::too_often;
use super::rules::{NameRequest, Namespace, is_prefixed, judge, name_violation, orphan_violation};
use crate::api::access::{AccessRule, ManagedKind, Permission};

/// What a key set requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeySetRequest<'a> {
    /// The requested name on the server, if any.
    pub name: Option<&'a str>,
    /// Whether the name is that of one of the server's own sets.
    pub is_reserved: bool,
    /// Whether the key set may adopt a set of this name that exists already.
    pub adopts: bool,
    /// The rotation period, effective or requested.
    pub period: Option<&'a str>,
    /// Whether the key set is to stay on the server when the resource is deleted.
    pub stays: bool,
}

/// Whether a single rule allows the whole key set.
///
/// # Errors
/// [`Denied`]: no rule selects the namespace, or all violations of the rule with the fewest.
pub fn check_key_set(
    rules: &[AccessRule],
    namespace: Namespace<'_>,
    asked: KeySetRequest<'_>,
) -> Result<Grant, Denied> {
    judge(rules, namespace, ManagedKind::JsonWebKeySet, |index, rule| {
        let name = asked.name.map(|name| refused_name(index, rule, namespace, name, asked));
        let period = too_often(index, rule, asked.period);
        let policy = asked.stays.then(|| orphan_violation(rule)).flatten();
        let policy = policy.map(|broken| Denied::Limits {
            rule: index,
            broken: vec![broken],
        });
        name.into_iter().flatten().chain(period).chain(policy).collect()
    })
}

fn refused_name(
    rule: usize,
    limits: &AccessRule,
    namespace: Namespace<'_>,
    name: &str,
    asked: KeySetRequest<'_>,
) -> Vec<Denied> {
    let request = NameRequest {
        field: "setName",
        name,
        is_own: is_prefixed(namespace.name, name),
        adopts: asked.adopts,
    };
    let reserved = asked.is_reserved && limits.reserved_key_sets != Some(Permission::Allow);
    let reserved = reserved.then(|| Denied::Reserved {
        rule,
        set_name: name.to_owned(),
    });
    // A grant for the server's own sets suffices to write them, but not to adopt one.
    let broken = match asked.is_reserved && !asked.adopts {
        true => None,
        false => name_violation(limits, request),
    };
    let broken = broken.map(|broken| Denied::Limits {
        rule,
        broken: vec![broken],
    });
    reserved.into_iter().chain(broken).collect()
}
