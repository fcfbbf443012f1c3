//! How an OAuth2Client of hydra-maester becomes one of the operator. Pure.
//!
//! Source: `api/v1alpha1` and `hydra/types.go` of hydra-maester 0.0.42.

use std::collections::BTreeSet;

use kube::ResourceExt;
use kube::core::DynamicObject;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::fields::{FIELDS, SPECIAL};
use super::server::{Known, server_for};
use crate::api::{DEFAULT_SERVER, GROUP, MIGRATED_FROM_ANNOTATION};
use crate::plugin::manifest::{is_empty, lifespan, once, put};

/// API version of its resources.
pub const API_VERSION: &str = "hydra.ory.sh/v1alpha1";
/// Its finalizer: with it, the deletion of a resource deletes the client.
pub const FINALIZER: &str = "finalizer.ory.hydra.sh";
/// Keys of its Secrets: now, and before version 0.0.31.
pub const KEYS: [[&str; 2]; 2] = [["CLIENT_ID", "CLIENT_SECRET"], ["client_id", "client_secret"]];

/// Scopes that Hydra gives a client without any.
const WITHOUT_SCOPES: [&str; 3] = ["offline_access", "offline", "openid"];

/// What is known of the Secret of a resource, without its secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Client id, if a key has it.
    pub client_id: Option<String>,
    /// Names of its keys.
    pub keys: BTreeSet<String>,
    /// Whether hydra-maester made it, so that it would go with the resource.
    pub is_owned: bool,
}

/// What happens to the Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum SecretFate {
    /// It becomes the credentials Secret of the new resource, with the same content.
    TakenOver,
    /// hydra-maester made it, and it has more keys than the new resource writes. It stays, and belongs to nobody.
    Released,
    /// Somebody else made it. It stays as it is.
    Untouched,
}

/// How a resource of hydra-maester goes without its client and its Secret: with its finalizer it deletes the client, and
/// with it goes a Secret that it owns.
pub fn without_harm(secret_name: &str) -> String {
    format!("remove first its owner reference from Secret `{secret_name}`, if that has it, and then its finalizer")
}

/// What a resource was at hydra-maester: the value of an annotation of the new resource.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Past {
    /// The old resource, as its user wrote it.
    pub manifest: Value,
    /// Its UID.
    pub uid: String,
    /// What happens to its Secret.
    pub secret: SecretFate,
}

impl Past {
    /// Reads it from a resource that was moved. Whoever may write the resource may write this, so it counts only for the
    /// same name and namespace.
    pub fn of(new: &DynamicObject) -> Option<Self> {
        let past: Self = serde_json::from_str(new.annotations().get(MIGRATED_FROM_ANNOTATION)?).ok()?;
        let (metadata, namespace) = (&past.manifest["metadata"], new.namespace());
        let is_same = metadata["name"] == new.name_any() && metadata["namespace"].as_str() == namespace.as_deref();
        is_same.then_some(past)
    }

    /// Whether the old resource is as it was when it began to move.
    pub fn is_of(&self, old: &DynamicObject) -> bool {
        is_same_spec(&self.manifest["spec"], &old.data["spec"])
    }

    /// What the new resource had as its deletion policy.
    pub fn deletion_policy(&self) -> &'static str {
        deletion_policy(&self.manifest["spec"])
    }

    /// The host of the admin API that the old resource names, if it names one: hydra-maester sends its requests there.
    pub fn admin_host(&self) -> Option<String> {
        let url = self.manifest["spec"]["hydraAdmin"]["url"].as_str();
        let url = url::Url::parse(url.filter(|url| !url.is_empty())?).ok();
        let host = url.as_ref().and_then(url::Url::host_str);
        Some(host.unwrap_or("an address that is no URL").to_owned())
    }
}

/// How one resource moves.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// The new resource.
    pub manifest: Value,
    /// What happens to the Secret.
    pub secret: SecretFate,
    /// What else there is to know, in sentences.
    pub notes: Vec<String>,
}

impl Move {
    /// Id of the client.
    pub fn client_id(&self) -> Option<&str> {
        self.manifest["spec"]["clientId"].as_str()
    }
}

/// What the caller has chosen.
#[derive(Clone, Debug)]
pub struct Choice<'a> {
    /// AuthorizationServer for the resources that name no admin API of their own.
    pub server: &'a str,
    /// All AuthorizationServers.
    pub servers: &'a [Known],
    /// Keys of id and secret, if neither are those of [`KEYS`].
    pub keys: Option<[&'a str; 2]>,
}

/// Whether two specs say the same. hydra-maester writes fields without a value into a spec.
pub fn is_same_spec(one: &Value, other: &Value) -> bool {
    let bare = |spec: &Value| {
        let mut spec = spec.as_object().cloned().unwrap_or_default();
        for nested in ["hydraAdmin", "tokenLifespans"] {
            if let Some(members) = spec.get_mut(nested).and_then(Value::as_object_mut) {
                members.retain(|_, value| !is_empty(value));
            }
        }
        spec.retain(|_, value| !is_empty(value));
        spec
    };
    bare(one) == bare(other)
}

fn deletion_policy(spec: &Value) -> &'static str {
    match spec["deletionPolicy"].as_str() {
        Some("orphan") => "Orphan",
        _ => "Delete",
    }
}

/// The keys of id and secret that a spec of the operator names, if it names one: the Secret of hydra-maester has the same.
pub fn keys_in(new: &Value) -> Option<[&str; 2]> {
    let keys = &new["credentials"]["keys"];
    let [id, secret] = ["clientId", "clientSecret"].map(|name| keys[name].as_str());
    (id.is_some() || secret.is_some()).then(|| [id.unwrap_or(KEYS[0][0]), secret.unwrap_or(KEYS[0][1])])
}

/// The keys of id and secret in a Secret with these keys.
pub fn keys_of<'a>(keys: &BTreeSet<String>, chosen: Option<[&'a str; 2]>) -> Option<[&'a str; 2]> {
    let all = chosen.into_iter().chain(KEYS);
    all.into_iter().find(|[id, _]| keys.contains(*id))
}

/// How a resource moves. `found`: its Secret, if it exists.
///
/// # Errors
/// A sentence that says why it cannot move.
pub fn plan(old: &DynamicObject, found: Option<&Credentials>, choice: &Choice<'_>) -> Result<Move, String> {
    let spec = old.data["spec"].as_object().cloned().unwrap_or_default();
    let secret_name = spec.get("secretName").and_then(Value::as_str).unwrap_or_default();
    if old.metadata.deletion_timestamp.is_some() {
        return Err(format!(
            "It is being deleted. Wait, or keep its client: {}.",
            without_harm(secret_name)
        ));
    }
    let Some(found) = found else {
        return Err(format!(
            "Secret `{secret_name}` does not exist, so nobody knows id and secret of the client. Restore the Secret, or delete the resource if nothing uses its client."
        ));
    };
    let keys = keys_of(&found.keys, choice.keys);
    let (Some(keys), Some(client_id)) = (keys, found.client_id.as_ref()) else {
        return Err(format!(
            "Secret `{secret_name}` has no client id. Name its keys with --client-id-key and --client-secret-key, or correct it."
        ));
    };
    let mut notes = Vec::new();
    let mut new = carried(&spec, &mut notes);
    let has_secret = authentication(&spec, &mut new);
    if has_secret && !found.keys.contains(keys[1]) {
        return Err(format!(
            "Secret `{secret_name}` has no key `{}`, so nobody knows the secret of the client. Correct it, or delete the resource if nothing uses its client.",
            keys[1]
        ));
    }
    let server = server_for(&old.data["spec"], choice.server, choice.servers)?;
    if server != DEFAULT_SERVER {
        put(&mut new, "serverRef.name", json!(server));
    }
    put(&mut new, "clientId", json!(client_id));
    put(&mut new, "adoption", json!("Allow"));
    put(&mut new, "deletionPolicy", json!(deletion_policy(&old.data["spec"])));
    let mine: BTreeSet<&str> = keys.iter().copied().take(if has_secret { 2 } else { 1 }).collect();
    let is_all = found.keys.iter().all(|key| mine.contains(key.as_str()));
    let secret = match (found.is_owned, is_all) {
        (true, true) => SecretFate::TakenOver,
        (true, false) => SecretFate::Released,
        (false, _) => SecretFate::Untouched,
    };
    credentials(&mut new, old, secret_name, keys, secret, has_secret, &mut notes);
    Ok(Move {
        manifest: manifest(old, new, secret),
        secret,
        notes,
    })
}

/// Where the new resource has its credentials, and from where.
fn credentials(
    new: &mut Map<String, Value>,
    old: &DynamicObject,
    secret_name: &str,
    keys: [&str; 2],
    fate: SecretFate,
    has_secret: bool,
    notes: &mut Vec<String>,
) {
    let name = old.name_any();
    if keys != KEYS[0] {
        put(new, "credentials.keys.clientId", json!(keys[0]));
        put(new, "credentials.keys.clientSecret", json!(keys[1]));
    }
    if fate == SecretFate::TakenOver {
        if secret_name != name {
            put(new, "credentials.secretName", json!(secret_name));
        }
        return;
    }
    let output = if secret_name == name {
        format!("{name}-oidc")
    } else {
        name
    };
    put(new, "credentials.secretName", json!(output));
    if has_secret {
        put(new, "clientSecretRef", json!({ "name": secret_name, "key": keys[1] }));
    }
    notes.push(match fate {
        SecretFate::Released => format!(
            "Secret `{secret_name}` has keys that the operator would not write, so it stays as it is, and the operator writes Secret `{output}` beside it."
        ),
        _ => format!(
            "hydra-maester did not make Secret `{secret_name}`, so it stays as it is, and the operator writes Secret `{output}` beside it."
        ),
    });
}

/// Fields with the same meaning, scopes and lifetimes.
fn carried(spec: &Map<String, Value>, notes: &mut Vec<String>) -> Map<String, Value> {
    let mut new = Map::new();
    for (name, value) in spec.iter().filter(|(_, value)| !is_empty(value)) {
        if let Some((_, path)) = FIELDS.iter().find(|(field, _)| field == name) {
            put(&mut new, path, once(value));
        } else if name == "tokenLifespans" {
            let set = value.as_object().into_iter().flatten();
            for (field, value) in set.filter(|(_, value)| !is_empty(value)) {
                put(
                    &mut new,
                    &format!("hydra.tokenLifespans.{}", lifespan(field)),
                    value.clone(),
                );
            }
        } else if name == "clientSecretExpiresAt" {
            notes.push("clientSecretExpiresAt is left out: it has no effect in Hydra.".to_owned());
        } else if !SPECIAL.iter().any(|(field, _)| field == name) {
            notes.push(format!("{name} is left out: the operator has no such field."));
        }
    }
    let text = spec.get("scope").and_then(Value::as_str);
    let texts = list(spec, "scopeArray").chain(text);
    let mut scopes: Vec<&str> = Vec::new();
    for scope in texts.flat_map(str::split_whitespace) {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    if scopes.is_empty() {
        scopes.extend(WITHOUT_SCOPES);
        notes.push(
            "It lists no scopes, so Hydra gave the client offline_access, offline and openid; they are kept."
                .to_owned(),
        );
    }
    put(&mut new, "scopes", json!(scopes));
    new
}

fn list<'a>(spec: &'a Map<String, Value>, name: &str) -> impl Iterator<Item = &'a str> {
    let found = spec.get(name).and_then(Value::as_array).into_iter().flatten();
    found.filter_map(Value::as_str)
}

/// How the client authenticates. Returns whether it has a secret.
fn authentication(spec: &Map<String, Value>, new: &mut Map<String, Value>) -> bool {
    match spec.get("tokenEndpointAuthMethod").and_then(Value::as_str) {
        Some("none") => {
            put(new, "clientType", json!("Public"));
            false
        }
        Some(method) if !method.is_empty() => {
            put(new, "tokenEndpointAuthMethod", json!(method));
            method != "private_key_jwt"
        }
        _ => true,
    }
}

fn manifest(old: &DynamicObject, spec: Map<String, Value>, secret: SecretFate) -> Value {
    let past = Past {
        manifest: as_written(old),
        uid: old.uid().unwrap_or_default(),
        secret,
    };
    json!({
        "apiVersion": format!("{GROUP}/v1alpha1"),
        "kind": "OAuth2Client",
        "metadata": {
            "name": old.name_any(),
            "namespace": old.namespace(),
            "annotations": { (MIGRATED_FROM_ANNOTATION): json!(past).to_string() },
        },
        "spec": spec,
    })
}

/// A resource as its user wrote it.
fn as_written(old: &DynamicObject) -> Value {
    let mut annotations = old.annotations().clone();
    annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    json!({
        "apiVersion": API_VERSION,
        "kind": "OAuth2Client",
        "metadata": {
            "name": old.name_any(), "namespace": old.namespace(),
            "labels": old.labels(), "annotations": annotations,
        },
        "spec": old.data["spec"],
    })
}
