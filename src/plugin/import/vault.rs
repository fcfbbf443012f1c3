//! Resources for the objects of a Vault, as its API or a state of Terraform shows them. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::named::{Imported, Objects, Place};
use crate::admin::vault::object::{ALLOW_ALL, DEFAULT};
use crate::plugin::manifest::{Names, adopting, put, resource};

/// Names of the resources by those of the objects.
type Called = BTreeMap<String, String>;

/// Resources for these objects. They refer to each other where the objects do.
pub fn manifests(objects: &Objects, place: &Place<'_>) -> Imported {
    let called = |type_: &str| -> Called {
        let mut names = Names::default();
        objects
            .of(type_)
            .map(|(name, _)| (name.clone(), names.like(name)))
            .collect()
    };
    let (keys, assignments, scopes) = (called("key"), called("assignment"), called("scope"));
    let (clients, providers) = (called("client"), called("provider"));
    let mut found = Imported::default();
    let mut add = |kind: &str, called: &Called, name: &str, spec: Map<String, Value>| {
        let name = called.get(name).map(String::as_str).unwrap_or_default();
        found.manifests.push(resource(kind, name, place.namespace, spec));
    };
    for (name, value) in objects.of("key") {
        add("JsonWebKeySet", &keys, name, key(name, value, place));
    }
    for (name, value) in objects.of("assignment") {
        add("Assignment", &assignments, name, assignment(name, value, place));
    }
    for (name, value) in objects.of("scope") {
        add("Scope", &scopes, name, scope(name, value, place));
    }
    let (mut notes, mut left_out) = (Vec::new(), BTreeSet::new());
    for (name, value) in objects.of("client") {
        match client(name, value, place, &keys, &assignments) {
            Ok(spec) => add("OAuth2Client", &clients, name, spec),
            Err(why) => {
                notes.push(why);
                left_out.insert(name.clone());
            }
        }
    }
    let made = objects.of("client").filter(|(name, _)| !left_out.contains(*name));
    let ids: Called = made
        .filter_map(|(name, value)| Some((value["client_id"].as_str()?.to_owned(), clients.get(name)?.clone())))
        .collect();
    for (name, value) in objects.of("provider") {
        add(
            "OidcProvider",
            &providers,
            name,
            provider(name, value, place, &ids, &scopes),
        );
    }
    found.notes = notes;
    found.left_out = left_out;
    found
}

fn named(name: &str, place: &Place<'_>) -> Map<String, Value> {
    let mut spec = adopting(place.server);
    put(&mut spec, "vault.name", json!(name));
    spec
}

fn seconds(value: &Value) -> Value {
    json!(format!("{}s", value.as_u64().unwrap_or_default()))
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn key(name: &str, value: &Value, place: &Place<'_>) -> Map<String, Value> {
    let mut spec = adopting(place.server);
    put(&mut spec, "setName", json!(name));
    put(&mut spec, "generate.algorithm", value["algorithm"].clone());
    put(&mut spec, "rotation.period", seconds(&value["rotation_period"]));
    put(&mut spec, "rotation.overlap", seconds(&value["verification_ttl"]));
    spec
}

fn assignment(name: &str, value: &Value, place: &Place<'_>) -> Map<String, Value> {
    let mut spec = named(name, place);
    for (member, field) in [("entity_ids", "vault.entities"), ("group_ids", "vault.groups")] {
        let ids: Vec<Value> = texts(&value[member]).map(|id| json!({ "id": id })).collect();
        if !ids.is_empty() {
            put(&mut spec, field, json!(ids));
        }
    }
    spec
}

fn scope(name: &str, value: &Value, place: &Place<'_>) -> Map<String, Value> {
    let mut spec = adopting(place.server);
    put(&mut spec, "name", json!(name));
    for member in ["description", "template"] {
        if let Some(text) = value[member].as_str().filter(|text| !text.is_empty()) {
            put(&mut spec, member, json!(text));
        }
    }
    spec
}

fn client(
    name: &str,
    value: &Value,
    place: &Place<'_>,
    keys: &Called,
    assignments: &Called,
) -> Result<Map<String, Value>, String> {
    let listed: Vec<&str> = texts(&value["assignments"]).collect();
    if listed.is_empty() {
        return Err(format!(
            "Client {name} is left out: it has no assignment, so nobody can log in to it, and an OAuth2Client without assignmentRefs lets everybody. Give it an assignment first."
        ));
    }
    let unknown = |name: &&&str| **name != ALLOW_ALL && !assignments.contains_key(**name);
    if let Some(missing) = listed.iter().find(unknown) {
        return Err(format!(
            "Client {name} is left out: its assignment {missing} is not imported. Import that too."
        ));
    }
    let mut spec = named(name, place);
    if value["client_type"] == "public" {
        put(&mut spec, "clientType", json!("Public"));
    }
    put(&mut spec, "redirectUris", value["redirect_uris"].clone());
    match value["key"].as_str() {
        Some(DEFAULT) | None => {}
        Some(key) => match keys.get(key) {
            Some(key) => put(&mut spec, "keySetRef.name", json!(key)),
            None => {
                return Err(format!(
                    "Client {name} is left out: its key {key} is not imported. Import that too."
                ));
            }
        },
    }
    if !listed.contains(&ALLOW_ALL) {
        let refs: Vec<Value> = listed
            .iter()
            .filter_map(|name| Some(json!({ "name": assignments.get(*name)? })))
            .collect();
        put(&mut spec, "assignmentRefs", json!(refs));
    }
    put(&mut spec, "idTokenTtl", seconds(&value["id_token_ttl"]));
    put(&mut spec, "accessTokenTtl", seconds(&value["access_token_ttl"]));
    let with_code = value["authorization_code"].as_bool().unwrap_or(true);
    if value["client_credentials"] == true {
        let code = with_code.then_some("authorization_code");
        let grants: Vec<&str> = code.into_iter().chain(["client_credentials"]).collect();
        put(&mut spec, "grantTypes", json!(grants));
    }
    Ok(spec)
}

fn provider(name: &str, value: &Value, place: &Place<'_>, ids: &Called, scopes: &Called) -> Map<String, Value> {
    let mut spec = named(name, place);
    // The operator keeps the ids that it finds at the adoption.
    let clients = texts(&value["allowed_client_ids"]).filter_map(|id| match id {
        "*" => Some(json!({ "clientId": "*" })),
        id => Some(json!({ "name": ids.get(id)? })),
    });
    let clients: Vec<Value> = clients.collect();
    if !clients.is_empty() {
        put(&mut spec, "allowedClients", json!(clients));
    }
    let (ours, others): (Vec<&str>, Vec<&str>) =
        texts(&value["scopes_supported"]).partition(|name| scopes.contains_key(*name));
    let refs: Vec<Value> = ours
        .iter()
        .filter_map(|name| Some(json!({ "name": scopes.get(*name)? })))
        .collect();
    if !refs.is_empty() {
        put(&mut spec, "scopeRefs", json!(refs));
    }
    if !others.is_empty() {
        put(&mut spec, "scopes", json!(others));
    }
    spec
}
