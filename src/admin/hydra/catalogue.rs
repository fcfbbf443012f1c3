//! Data for the login and consent app in a client's metadata.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Data for the login and consent app in a client's metadata, under the key [`GROUP`](crate::api::GROUP).
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub struct Catalogue {
    /// Scopes by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scopes: BTreeMap<String, ScopeEntry>,
    /// Who may log in. None: everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignments: Option<Assigned>,
}

/// Names of the members of a [`Catalogue`].
pub(super) const SCOPES: &str = "scopes";
pub(super) const ASSIGNMENTS: &str = "assignments";

/// A scope, described for people and for tokens.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub struct ScopeEntry {
    /// What it allows a client to do, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Template of the claims that it adds to tokens: a JSON object in which `{{…}}` stands for a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
}

/// Who may log in to a client: every subject that is listed itself or through a group.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub struct Assigned {
    /// Subjects (`sub`).
    #[serde(default)]
    pub subjects: BTreeSet<String>,
    /// Names of groups.
    #[serde(default)]
    pub groups: BTreeSet<String>,
}
