//! How manifests are put together. Pure.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::api::{DEFAULT_SERVER, GROUP};

/// A resource.
pub(crate) fn resource(kind: &str, name: &str, namespace: &str, spec: Map<String, Value>) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/v1alpha1"),
        "kind": kind,
        "metadata": { "name": name, "namespace": namespace },
        "spec": spec,
    })
}

/// A spec that adopts an object of a server.
pub(crate) fn adopting(server: &str) -> Map<String, Value> {
    let mut spec = Map::new();
    if server != DEFAULT_SERVER {
        put(&mut spec, "serverRef.name", json!(server));
    }
    put(&mut spec, "adoption", json!("Allow"));
    spec
}

/// Names of resources, each given once.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeSet<String>);

impl Names {
    /// Most characters of a name: Secrets and ConfigMaps are called after resources, with a suffix.
    const LONGEST: usize = 200;

    /// A name like this one that Kubernetes accepts and nothing else has.
    pub(crate) fn like(&mut self, wish: &str) -> String {
        let letters = wish.chars().map(|letter| match letter.to_ascii_lowercase() {
            letter @ ('a'..='z' | '0'..='9') => letter,
            _ => '-',
        });
        let text: String = letters.take(Self::LONGEST).collect();
        let text = text.trim_matches('-');
        let text = match text {
            "" => "object".to_owned(),
            text if text.starts_with("oac-") => format!("client-{text}"), // ledgers are called like that
            text => text.to_owned(),
        };
        let more = (2..).map(|number| format!("{text}-{number}"));
        let free = [text.clone()]
            .into_iter()
            .chain(more)
            .find(|name| !self.0.contains(name));
        let free = free.unwrap_or(text);
        self.0.insert(free.clone());
        free
    }
}

/// `authorization_code_grant_id_token_lifespan` here is `authorizationCodeGrantIdToken`.
pub(crate) fn lifespan(field: &str) -> String {
    let mut words = field.trim_end_matches("_lifespan").split('_');
    let mut name = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    name
}

/// Whether a value says no more than its absence.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Number(number) => number.as_u64() == Some(0),
        Value::Bool(true) => false,
    }
}

/// A list without repetitions, which the operator's lists do not allow.
pub(crate) fn once(value: &Value) -> Value {
    let Some(list) = value.as_array() else {
        return value.clone();
    };
    let mut kept: Vec<&Value> = Vec::new();
    for item in list {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    json!(kept)
}

/// Sets a member of a spec, by its path.
pub(crate) fn put(target: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            target.insert(path.to_owned(), value);
        }
        Some((first, rest)) => {
            let inner = target.entry(first).or_insert_with(|| json!({}));
            if let Some(inner) = inner.as_object_mut() {
                put(inner, rest, value);
            }
        }
    }
}
