//! What an import consists of. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Where the resources are to be.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Name of their AuthorizationServer.
    pub server: &'a str,
    /// Their namespace.
    pub namespace: &'a str,
}

/// Resources, and what there is to know about them, in sentences.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    /// The resources.
    pub manifests: Vec<Value>,
    /// The sentences.
    pub notes: Vec<String>,
    /// Names of clients that have no resource, for reasons that the sentences tell.
    pub left_out: BTreeSet<String>,
}

/// Objects of a Vault as they are on the wire, without secrets: by type and name.
#[derive(Clone, Debug, Default)]
pub struct Objects(BTreeMap<String, BTreeMap<String, Value>>);

impl Objects {
    /// Adds an object.
    pub fn put(&mut self, type_: &str, name: String, value: Value) {
        self.0.entry(type_.to_owned()).or_default().insert(name, value);
    }

    /// The objects of a type.
    pub fn of(&self, type_: &str) -> impl Iterator<Item = (&String, &Value)> {
        self.0.get(type_).into_iter().flatten()
    }

    /// Names that a member of the objects of a type has, as text or as a list.
    pub fn named_in(&self, type_: &str, member: &str) -> Vec<String> {
        let values = self.of(type_).flat_map(|(_, value)| match &value[member] {
            Value::Array(list) => list.clone(),
            value => vec![value.clone()],
        });
        let names: BTreeSet<String> = values.filter_map(|value| value.as_str().map(str::to_owned)).collect();
        names.into_iter().collect()
    }

    /// Keeps those with a wanted name.
    pub fn retain(&mut self, is_wanted: impl Fn(&str) -> bool) {
        for objects in self.0.values_mut() {
            objects.retain(|name, _| is_wanted(name));
        }
    }
}
