//! Why access is denied.

use std::fmt;

use crate::api::access::ManagedKind;
use crate::error::wording::shown;

/// Why access is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No rule selects the namespace and kind.
    NoRule {
        /// Name of the namespace.
        namespace: String,
        /// Kind of the resource.
        kind: ManagedKind,
    },
    /// A rule selects them, but the resource breaks a limit.
    Limit {
        /// Index of the rule with the fewest violations.
        rule: usize,
        /// Limit of the rule, for example `clients.scopes`.
        limit: &'static str,
        /// Field of the resource's spec.
        field: &'static str,
        /// The first value that the limit does not allow.
        value: String,
    },
    /// A rule selects them, but does not allow the server's own key sets.
    Reserved {
        /// Index of the first such rule.
        rule: usize,
        /// Name of the key set.
        set_name: String,
    },
    /// A rule selects them, but does not allow such frequent rotations.
    TooOften {
        /// Index of the rule with the fewest violations.
        rule: usize,
        /// The requested period.
        period: String,
        /// The shortest period that the rule allows.
        min: String,
    },
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denied::NoRule { namespace, kind } => {
                write!(
                    f,
                    "no access rule lets namespace `{namespace}` have {} {kind:?}; ask the server's admin for one.",
                    match kind {
                        ManagedKind::OAuth2Client | ManagedKind::Assignment | ManagedKind::OidcProvider => "an",
                        ManagedKind::Scope | ManagedKind::JsonWebKeySet => "a",
                    }
                )
            }
            Denied::Reserved { rule, set_name } => {
                write!(
                    f,
                    "access[{rule}].reservedKeySets does not allow setName `{}`, a key set of the server itself; choose another name or ask the server's admin.",
                    shown(set_name)
                )
            }
            Denied::TooOften { rule, period, min } => {
                write!(
                    f,
                    "access[{rule}].minRotationPeriod does not allow rotation.period `{}`, which is shorter than {}; lengthen it or ask the server's admin.",
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
                    "access[{rule}].{limit} does not allow `{}` in {field}; change it or ask the server's admin.",
                    shown(value)
                )
            }
        }
    }
}
