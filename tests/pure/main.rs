//! Tests that need no server: decisions and mappings, as tables.

#![recursion_limit = "256"] // the spec with every field is one `json!`

mod access;
mod access_key_sets;
mod access_leaving;
mod access_whole;
mod claims;
mod decode;
mod docs;
mod effective;
mod errors;
mod fence;
mod finding;
mod foulkon;
mod health;
mod hosts;
mod hydra_body;
mod hydra_client;
mod key_material;
mod keys;
mod layers;
mod login;
mod maester;
mod mapping;
mod memory;
mod ownership;
mod plugin;
mod prerequisites;
mod provider;
mod proxies;
mod queue;
mod reach;
mod schema;
mod scrape;
mod selectors;
mod steps;
mod sync;
mod telemetry;
mod template;
mod terraform;
mod vault;
mod vault_failures;
mod verdict;
mod version;

use oidc_operator::admin::hydra::client::Marker;
use oidc_operator::api::oauth2_client::OAuth2ClientSpec;
use serde_json::{Value, json};

/// A spec as written in a manifest.
fn spec(value: Value) -> OAuth2ClientSpec {
    serde_json::from_value(value).expect("a spec")
}

/// The shortest useful spec.
fn web() -> Value {
    json!({ "redirectUris": ["https://app.example.com/cb"] })
}

/// A marker of the resource with this UID.
fn marker(uid: &str, revision: &str) -> Marker {
    Marker {
        cluster: "cluster-1".to_owned(),
        namespace: "team-a".to_owned(),
        name: "shop".to_owned(),
        uid: uid.to_owned(),
        revision: revision.to_owned(),
        adopted: false,
    }
}

/// A JSON object with the members of another one added.
fn with(mut value: Value, more: Value) -> Value {
    let (Some(members), Value::Object(more)) = (value.as_object_mut(), more) else {
        return value;
    };
    members.extend(more);
    value
}
