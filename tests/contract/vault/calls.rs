//! The typed call for a recorded request.

use oidc_operator::admin::discovery;
use oidc_operator::admin::http::Failure;
use oidc_operator::admin::vault::health::health;
use oidc_operator::admin::vault::identity::IdentityType;
use oidc_operator::admin::vault::{Assignment, Client, Key, Provider, Scope, Vault};
use serde_json::{Map, Value, json};

use super::objects::{Tested, parse, plain, with};
use super::recordings::below;
use crate::recordings::Asked;

/// A call and its result.
pub struct Played(pub &'static str, pub Outcome);

/// The result of a call.
pub enum Outcome {
    /// A value, as JSON.
    Value(Value),
    /// Success without a value.
    Done,
    /// No object has that name.
    None,
    /// A failure.
    Failed(Failure),
}

fn value<T>(result: Result<Option<T>, Failure>, shown: impl Fn(T) -> Value) -> Outcome {
    match result {
        Ok(Some(found)) => Outcome::Value(shown(found)),
        Ok(None) => Outcome::None,
        Err(failure) => Outcome::Failed(failure),
    }
}

fn done(result: Result<(), Failure>) -> Outcome {
    result.map_or_else(Outcome::Failed, |()| Outcome::Done)
}

/// A segment of a recorded path, decoded.
fn decoded(segment: &str) -> String {
    segment.replace("%20", " ").replace("%2F", "/")
}

/// Makes the typed call. None if no call makes the request.
pub async fn play(vault: &Vault, asked: &Asked) -> Option<Played> {
    if let Some(path) = below(&asked.path) {
        return match *path.first()? {
            "assignment" => play_object::<Assignment>(vault, asked, &path[1..]).await,
            "client" => play_object::<Client>(vault, asked, &path[1..]).await,
            "key" => play_object::<Key>(vault, asked, &path[1..]).await,
            "provider" => play_object::<Provider>(vault, asked, &path[1..]).await,
            "scope" => play_object::<Scope>(vault, asked, &path[1..]).await,
            _ => None,
        };
    }
    let path: Vec<&str> = asked.path.split('/').collect();
    let text = |id: String| json!(id);
    Some(match (asked.method.as_str(), path.as_slice()) {
        ("GET", ["sys", "health"]) => Played(
            "health",
            value(health(vault.http()).await.map(Some), |found| json!(found.version)),
        ),
        ("GET", ["auth", "token", "lookup-self"]) => {
            let ends = vault.session().keep().await;
            Played("lookup_self", value(ends, |ends| json!(ends.as_secs())))
        }
        ("GET", ["identity", "entity", "name", name]) => {
            let id = vault.id_by_name(IdentityType::Entity, &decoded(name)).await;
            Played("read_entity", value(id, text))
        }
        ("GET", ["identity", "group", "name", name]) => {
            let id = vault.id_by_name(IdentityType::Group, &decoded(name)).await;
            Played("read_group", value(id, text))
        }
        ("POST", ["identity", "lookup", "entity"]) => {
            let member = |name: &str| asked.body[name].as_str().unwrap_or_default();
            let (name, accessor) = (member("alias_name"), member("alias_mount_accessor"));
            let id = vault.id_by_alias(IdentityType::Entity, name, accessor).await;
            Played("lookup_entity", value(id, text))
        }
        _ => return None,
    })
}

async fn play_object<O: Tested>(vault: &Vault, asked: &Asked, path: &[&str]) -> Option<Played> {
    Some(match (asked.method.as_str(), path) {
        ("GET", [name]) => Played(
            O::READ,
            value(vault.read::<O>(&decoded(name)).await, |found| found.shown()),
        ),
        ("POST", [name]) => {
            let object: O = parse(&with(O::defaults(), &plain(&asked.body)))?;
            Played(O::WRITE, done(vault.write(&decoded(name), &object).await))
        }
        ("DELETE", [name]) => Played(O::DELETE, done(vault.delete::<O>(&decoded(name)).await)),
        ("POST", [name, "rotate"]) => Played("rotate_key", done(vault.rotate(&decoded(name)).await)),
        ("GET" | "LIST", []) => {
            let listed = vault.list::<O>().await;
            let listed = listed.map(|listed| (!listed.objects.is_empty()).then_some(listed.objects));
            let shown = |objects: std::collections::BTreeMap<String, Option<Map<String, Value>>>| {
                let names: Vec<&String> = objects.keys().collect();
                let fields = objects
                    .iter()
                    .filter_map(|(name, fields)| Some((name, fields.as_ref()?)));
                let fields: Map<String, Value> = fields.map(|(name, fields)| (name.clone(), json!(fields))).collect();
                match fields.is_empty() {
                    true => json!({ "keys": names }),
                    false => json!({ "keys": names, "key_info": fields }),
                }
            };
            Played(O::LIST, value(listed, shown))
        }
        ("GET", [name, ".well-known", "openid-configuration"]) => {
            let found = discovery::fetch_below(vault.http(), &vault.provider_path(&decoded(name))).await;
            let shown = |found: discovery::Discovery| {
                json!({
                    "issuer": found.endpoints.issuer,
                    "jwks_uri": found.endpoints.jwks_uri,
                    "authorization_endpoint": found.endpoints.authorization_endpoint,
                    "token_endpoint": found.endpoints.token_endpoint,
                    "userinfo_endpoint": found.endpoints.userinfo_endpoint,
                    "id_token_signing_alg_values_supported": found.id_token_signing_algs,
                    "scopes_supported": found.scopes,
                    "subject_types_supported": found.subject_types,
                })
            };
            Played("discovery", value(found.map(Some), shown))
        }
        ("GET", [name, ".well-known", "keys"]) => {
            let found = discovery::fetch_keys_below(vault.http(), &vault.provider_path(&decoded(name))).await;
            Played("jwks", value(found.map(Some), |found| json!({ "keys": found.ids })))
        }
        _ => return None,
    })
}
