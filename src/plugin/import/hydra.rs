//! Resources for clients and key sets of an Ory Hydra. Pure.

use serde_json::{Map, Value, json};

use super::named::{Imported, Place};
use crate::admin::hydra::Client;
use crate::admin::hydra::mapping::field_of;
use crate::api::oauth2_client::GrantType;
use crate::plugin::manifest::{Names, adopting, is_empty, lifespan, once, put, resource};

/// Members of a client that are not just a field of the spec: they have rules of their own below, or stay as they are
/// (the owner), or are a secret.
const SPECIAL: [&str; 6] = [
    "client_secret",
    "grant_types",
    "owner",
    "scope",
    "skip_logout_consent",
    "token_endpoint_auth_method",
];

/// Values that a spec has without saying so.
const DEFAULTS: [(&str, &str); 2] = [("subject_type", "public"), ("userinfo_signed_response_alg", "none")];

/// Resources for these clients, and for key sets by name with the algorithm of their keys.
pub fn manifests(clients: &[Client], key_sets: &[(String, String)], place: &Place<'_>) -> Imported {
    let mut found = Imported::default();
    let mut names = Names::default();
    for client in clients {
        let wish = if client.client_name.is_empty() {
            &client.client_id
        } else {
            &client.client_name
        };
        let name = names.like(wish);
        let spec = spec(client, place.server);
        if client.token_endpoint_auth_method != "none" && client.token_endpoint_auth_method != "private_key_jwt" {
            found.notes.push(format!(
                "{name}: Hydra does not show the secret of client {}. Name a Secret that has it in clientSecretRef.",
                client.client_id
            ));
        }
        found
            .manifests
            .push(resource("OAuth2Client", &name, place.namespace, spec));
    }
    let mut names = Names::default();
    for (set, algorithm) in key_sets {
        let mut spec = adopting(place.server);
        put(&mut spec, "setName", json!(set));
        put(&mut spec, "generate.algorithm", json!(algorithm));
        let name = names.like(set);
        found
            .manifests
            .push(resource("JsonWebKeySet", &name, place.namespace, spec));
    }
    found
}

fn spec(client: &Client, server: &str) -> Map<String, Value> {
    let mut spec = adopting(server);
    put(&mut spec, "clientId", json!(client.client_id));
    let members = serde_json::to_value(client).unwrap_or_default();
    let members = members.as_object().cloned().unwrap_or_default();
    for (name, value) in members.iter().filter(|(_, value)| !is_empty(value)) {
        let is_default = DEFAULTS.contains(&(name, value.as_str().unwrap_or_default()));
        if is_default || SPECIAL.contains(&name.as_str()) {
            continue;
        }
        if let Some(path) = field_of(name) {
            put(&mut spec, path, once(value));
        } else if name.ends_with("_lifespan") {
            let path = format!("hydra.tokenLifespans.{}", lifespan(name));
            put(&mut spec, &path, value.clone());
        }
    }
    if let Some(skips) = client.skip_logout_consent {
        put(&mut spec, "hydra.skipLogoutConsent", json!(skips));
    }
    // The operator keeps those that a spec cannot list.
    let is_known = |name: &&String| serde_json::from_value::<GrantType>(json!(name)).is_ok();
    let grants: Vec<&String> = client.grant_types.iter().filter(is_known).collect();
    if !grants.is_empty() {
        put(&mut spec, "grantTypes", once(&json!(grants)));
    }
    let scopes: Vec<&str> = client.scope.split_whitespace().collect();
    put(&mut spec, "scopes", once(&json!(scopes)));
    match client.token_endpoint_auth_method.as_str() {
        "none" => put(&mut spec, "clientType", json!("Public")),
        "" | "client_secret_basic" => {}
        method => put(&mut spec, "tokenEndpointAuthMethod", json!(method)),
    }
    spec
}
