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

/// An object in the cluster that has the name of an output and another owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Name of the object.
    pub name: String,
    /// Kind and name of its owner, if it has an owner reference.
    pub owner: Option<String>,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.owner {
            Some(owner) => write!(f, "`{}` belongs to {owner}", self.name)?,
            None => write!(f, "`{}` exists and belongs to another owner", self.name)?,
        }
        f.write_str(", so the operator does not change it")
    }
}
