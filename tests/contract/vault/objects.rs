//! The types of objects, as these tests need them.

use oidc_operator::admin::vault::{Assignment, Client, Key, Object, Provider, Scope};
use serde_json::{Value, json};

/// A type of object.
pub trait Tested: Object {
    /// A server's defaults for an empty body: every field that can be written on every server.
    fn defaults() -> Value;

    /// All known fields of an object.
    fn shown(&self) -> Value {
        serde_json::to_value(self).expect("JSON")
    }
}

impl Tested for Key {
    fn defaults() -> Value {
        json!({ "algorithm": "RS256", "rotation_period": 86400, "verification_ttl": 86400, "allowed_client_ids": [] })
    }
}

impl Tested for Assignment {
    fn defaults() -> Value {
        json!({ "entity_ids": [], "group_ids": [] })
    }
}

impl Tested for Scope {
    fn defaults() -> Value {
        json!({ "description": "", "template": "" })
    }
}

impl Tested for Client {
    fn defaults() -> Value {
        json!({
            "key": "default", "client_type": "confidential", "redirect_uris": [], "assignments": [],
            "id_token_ttl": 86400, "access_token_ttl": 86400,
        })
    }

    fn shown(&self) -> Value {
        let mut shown = serde_json::to_value(self).expect("JSON");
        if let Some(id) = &self.client_id {
            shown["client_id"] = json!(id);
        }
        if let Some(secret) = &self.client_secret {
            shown["client_secret"] = json!(secret.expose());
        }
        shown
    }
}

impl Tested for Provider {
    fn defaults() -> Value {
        json!({ "issuer": "", "allowed_client_ids": [], "scopes_supported": [] })
    }
}

/// A body as an object of the type. None if it is not one.
pub fn parse<O: Object>(body: &Value) -> Option<O> {
    serde_json::from_value(body.clone()).ok()
}

/// A body with each list as a set, and durations in seconds.
pub fn plain(body: &Value) -> Value {
    match body {
        Value::Array(list) => {
            let mut texts: Vec<String> = list.iter().map(Value::to_string).collect();
            texts.sort();
            texts.dedup();
            texts
                .iter()
                .map(|text| serde_json::from_str::<Value>(text).expect("JSON"))
                .collect()
        }
        Value::Object(members) => {
            let plain = members
                .iter()
                .map(|(name, value)| (name.clone(), seconds(name, plain(value))));
            Value::Object(plain.collect())
        }
        other => other.clone(),
    }
}

/// Durations, which a server accepts in several forms and returns in seconds.
const DURATIONS: [&str; 4] = [
    "rotation_period",
    "verification_ttl",
    "id_token_ttl",
    "access_token_ttl",
];

fn seconds(name: &str, value: Value) -> Value {
    let text = value.as_str().filter(|_| DURATIONS.contains(&name));
    match text.and_then(oidc_operator::duration::parse) {
        Some(duration) => json!(duration.as_secs()),
        None => value,
    }
}

/// An object with members added or replaced by those of another object.
pub fn with(mut object: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().into_iter().flatten() {
        object[name] = value.clone();
    }
    object
}
