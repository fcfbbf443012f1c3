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
    /// A rule selects them, but the resource breaks limits.
    Limits {
        /// Index of the rule with the fewest violations.
        rule: usize,
        /// The limits, in the order of the rule's fields.
        broken: Vec<Broken>,
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
    /// A rule selects them, and refuses the resource for several reasons.
    All(Vec<Denied>),
}

/// A limit that a resource breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Limit of the rule, for example `clients.scopes`.
    pub limit: &'static str,
    /// Field of the resource's spec.
    pub field: &'static str,
    /// The values that the limit does not allow.
    pub values: Vec<String>,
    /// What it allows instead. None: this cannot be listed.
    pub allowed: Option<Vec<String>>,
    /// Whether the values are the default of a field that the spec does not set.
    pub is_default: bool,
}

impl Broken {
    /// A single value.
    pub fn one(limit: &'static str, field: &'static str, value: String) -> Self {
        Broken {
            limit,
            field,
            values: vec![value],
            allowed: None,
            is_default: false,
        }
    }

    /// With the note whether the spec leaves the field to its default.
    pub(super) fn by_default(self, is_default: bool) -> Self {
        Broken { is_default, ..self }
    }
}

impl Denied {
    /// Number of violations.
    pub(super) fn count(&self) -> usize {
        match self {
            Denied::Limits { broken, .. } => broken.iter().map(|broken| broken.values.len()).sum(),
            Denied::All(all) => all.iter().map(Denied::count).sum(),
            Denied::NoRule { .. } | Denied::Reserved { .. } | Denied::TooOften { .. } => 1,
        }
    }
}

/// Values in quotation marks, as many as fit into a message.
fn quoted(values: &[String]) -> String {
    const LONGEST: usize = 160;
    let mut text = String::new();
    for value in values {
        if text.len() > LONGEST {
            text += ", …";
            break;
        }
        let separator = if text.is_empty() { "" } else { ", " };
        text += &format!("{separator}`{}`", shown(value));
    }
    text
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (limit, field) = (self.limit, self.field);
        write!(f, "{limit} does not allow {} in {field}", quoted(&self.values))?;
        let default = self.is_default.then(|| format!("a default: set {field} to replace it"));
        let allowed = self.allowed.as_deref().map(|allowed| match allowed {
            [] => "nothing is allowed".to_owned(),
            allowed => format!("only {}", quoted(allowed)),
        });
        let notes: Vec<String> = default.into_iter().chain(allowed).collect();
        match notes.is_empty() {
            true => Ok(()),
            false => write!(f, " ({})", notes.join("; ")),
        }
    }
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
            Denied::Limits { rule, broken } => {
                /// Most limits that a message names.
                const MOST: usize = 4;
                let parts = broken.iter().map(|broken| format!("access[{rule}].{broken}"));
                let mut parts: Vec<String> = parts.take(MOST).collect();
                if broken.len() > MOST {
                    parts.push("…".to_owned());
                }
                write!(f, "{}; change it or ask the server's admin.", parts.join("; "))
            }
            Denied::All(all) => {
                let all: Vec<String> = all.iter().map(Denied::to_string).collect();
                f.write_str(&all.join(" "))
            }
        }
    }
}
