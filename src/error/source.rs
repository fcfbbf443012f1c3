//! Kinds of objects with values that a spec refers to.

use std::fmt;

/// Kind of an object with a value that a spec refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Secret => "Secret",
            Source::ConfigMap => "ConfigMap",
        })
    }
}
