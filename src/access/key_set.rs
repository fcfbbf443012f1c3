//! What the rules let a JsonWebKeySet be.

use super::denied::Denied;
use super::rotation::Grant;
use super::rotation::too_often;
use super::rules::{Namespace, is_prefixed, judge, lets_name};
use crate::api::access::{AccessRule, ManagedKind, Permission};

/// What a key set asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeySetRequest<'a> {
    /// The name on the server, if one is asked for.
    pub name: Option<&'a str>,
    /// Whether that is the name of a set of the server itself.
    pub is_reserved: bool,
    /// The period of its rotation, in force or asked for.
    pub period: Option<&'a str>,
}

/// Whether one of the rules allows all of a key set.
///
/// # Errors
/// [`Denied`]: no rule selects the namespace, or the violation of the rule that comes closest.
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
    (!may_have).then(|| Denied::Limit {
        rule: index,
        limit: "objectNames",
        field: "setName",
        value: name.to_owned(),
    })
}
