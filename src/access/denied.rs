//! Why access is refused.

use std::fmt;

use crate::api::access::ManagedKind;
use crate::error::wording::shown;

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
