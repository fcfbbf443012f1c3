//! What the rules allow for a JsonWebKeySet.

use super::denied::{Broken, Denied};
use super::rotation::Grant;
use super::rotation::too_often;
use super::rules::{Namespace, is_prefixed, judge, lets_name};
use crate::api::access::{AccessRule, ManagedKind, Permission};

/// What a key set requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeySetRequest<'a> {
    /// The requested name on the server, if any.
    pub name: Option<&'a str>,
    /// Whether the name is that of one of the server's own sets.
    pub is_reserved: bool,
    /// The rotation period, effective or requested.
    pub period: Option<&'a str>,
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
        let name = asked
            .name
            .and_then(|name| refused_name(index, rule, namespace, name, asked.is_reserved));
        let period = too_often(index, rule, asked.period);
        name.into_iter().chain(period).collect()
    })
}

fn refused_name(
    index: usize,
    rule: &AccessRule,
    namespace: Namespace<'_>,
    name: &str,
    is_reserved: bool,
) -> Option<Denied> {
    if is_reserved {
        let may_have = rule.reserved_key_sets == Some(Permission::Allow);
        return (!may_have).then(|| Denied::Reserved {
            rule: index,
            set_name: name.to_owned(),
        });
    }
    let may_have = lets_name(rule, is_prefixed(namespace.name, name));
    (!may_have).then(|| Denied::Limits {
        rule: index,
        broken: vec![Broken::one("objectNames", "setName", name.to_owned())],
    })
}
