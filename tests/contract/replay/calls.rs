//! The typed call for a recorded request.

use oidc_operator::admin::http::Failure;
use oidc_operator::admin::hydra::clients::{Cursor, JsonPatchOperation};
use oidc_operator::admin::hydra::key::{JsonWebKey, JsonWebKeySet};
use oidc_operator::admin::hydra::keys::GenerateKey;
use oidc_operator::admin::hydra::request::{AcceptConsent, AcceptUserCode};
use oidc_operator::admin::hydra::sessions::Consents;
use oidc_operator::admin::hydra::{Client, Hydra, get_version};
use oidc_operator::secret::Secret;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::recordings::Asked;

/// A call and its result.
pub struct Played(pub &'static str, pub Outcome);

/// The result of a call.
pub enum Outcome {
    /// A value, as JSON.
    Value(Value),
    /// Success without a value.
    Done,
    /// Nothing has that id, or the id is taken.
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

/// A body as JSON.
pub fn from_bytes(body: Vec<u8>) -> Value {
    serde_json::from_slice(&body).expect("JSON")
}

fn shown(client: Client) -> Value {
    from_bytes(client.body(None))
}

/// Path without prefix, and query.
pub fn split(path: &str) -> (Vec<&str>, Vec<(String, String)>) {
    let path = path.trim_start_matches("{A}").trim_start_matches("/admin");
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    (path.trim_start_matches('/').split('/').collect(), query)
}

/// Makes the typed call. None if no call makes the request.
pub async fn play(hydra: &Hydra, asked: &Asked) -> Option<Played> {
    let (segments, query) = split(&asked.path);
    match segments[0] {
        "clients" => play_client(hydra, asked, &segments[1..], &query).await,
        "keys" => play_keys(hydra, asked, &segments[1..]).await,
        _ => play_rest(hydra, asked, &segments.join("/"), &query).await,
    }
}

async fn play_client(hydra: &Hydra, asked: &Asked, id: &[&str], query: &[(String, String)]) -> Option<Played> {
    let mut body = asked.body.clone();
    if let (Some(id), Some(members)) = (id.first(), body.as_object_mut()) {
        members.entry("client_id").or_insert(json!(id));
    }
    let secret = body["client_secret"].as_str().map(|text| Secret::new(text.to_owned()));
    let parameter = query.first().map(|(name, value)| (name.as_str(), value.as_str()));
    Some(match (asked.method.as_str(), id, parameter) {
        ("GET", [], Some(("owner", _))) => {
            let page = hydra.list_clients(|_| true, &mut Cursor::default()).await;
            let list = |page: Vec<Client>| page.into_iter().map(shown).collect();
            Played("list_o_auth2_clients", value(page, list))
        }
        ("GET", [], Some(("page_size", "1"))) => Played("probe", done(hydra.probe_clients().await)),
        ("POST", [], _) => {
            let created = hydra.create_client(&Client::parse(body)?, secret.as_ref()).await;
            Played("create_o_auth2_client", value(created, shown))
        }
        ("GET", [id], _) => Played("get_o_auth2_client", value(hydra.get_client(id).await, shown)),
        ("PUT", [_], _) => {
            let updated = hydra.update_client(&Client::parse(body)?, secret.as_ref()).await;
            Played("update_o_auth2_client", value(updated, shown))
        }
        ("PATCH", [id], _) => {
            let path = body[0]["path"].as_str()?.to_owned();
            let change = JsonPatchOperation::Replace {
                path,
                value: body[0]["value"].clone(),
            };
            Played(
                "patch_o_auth2_client",
                value(hydra.patch_client(id, &[change]).await, shown),
            )
        }
        ("DELETE", [id], _) => Played("delete_o_auth2_client", done(hydra.delete_client(id).await)),
        _ => return None,
    })
}

async fn play_keys(hydra: &Hydra, asked: &Asked, path: &[&str]) -> Option<Played> {
    let set_of = |set: JsonWebKeySet| from_bytes(set.body());
    let key_of = |key: JsonWebKey| from_bytes(key.body());
    let text = |name: &str| asked.body[name].as_str().unwrap_or_default().to_owned();
    Some(match (asked.method.as_str(), path) {
        ("POST", [set]) => {
            let key = GenerateKey {
                alg: text("alg"),
                kid: text("kid"),
                usage: text("use"),
            };
            Played(
                "create_json_web_key_set",
                value(hydra.create_key_set(set, &key).await, set_of),
            )
        }
        ("GET", [set]) => Played("get_json_web_key_set", value(hydra.get_key_set(set).await, set_of)),
        ("PUT", [set]) => {
            let keys = JsonWebKeySet::parse(asked.body.clone())?;
            let updated = hydra.update_key_set(set, &keys).await.map(Some);
            Played("update_json_web_key_set", value(updated, set_of))
        }
        ("DELETE", [set]) => Played("delete_json_web_key_set", done(hydra.delete_key_set(set).await)),
        ("GET", [set, kid]) => {
            let found = hydra.get_key(set, kid).await;
            Played("get_json_web_key", value(found, |key| json!({ "keys": [key_of(key)] })))
        }
        ("PUT", [set, _]) => {
            let key = JsonWebKey::parse(asked.body.clone())?;
            let updated = hydra.update_key(set, &key).await.map(Some);
            Played("update_json_web_key", value(updated, key_of))
        }
        ("DELETE", [set, kid]) => Played("delete_json_web_key", done(hydra.delete_key(set, kid).await)),
        _ => return None,
    })
}

async fn play_rest(hydra: &Hydra, asked: &Asked, path: &str, query: &[(String, String)]) -> Option<Played> {
    let parameter = query.first().map(|(_, value)| value.as_str()).unwrap_or_default();
    let challenge = Secret::new(parameter.to_owned());
    Some(match (asked.method.as_str(), path) {
        ("GET", "version") => {
            let version = get_version(hydra.http()).await.map(Some);
            Played("get_version", value(version, |version| json!({ "version": version })))
        }
        ("GET", "health/alive") => Played("is_alive", done(hydra.is_alive().await)),
        ("GET", "health/ready") => Played("is_ready", done(hydra.is_ready().await)),
        ("POST", "oauth2/introspect") => {
            let token = asked.body.as_str()?.trim_start_matches("token=").to_owned();
            let found = hydra.introspect_token(&Secret::new(token), "").await;
            Played("introspect_o_auth2_token", value(found, |_| Value::Null))
        }
        ("DELETE", "oauth2/tokens") => Played("delete_o_auth2_token", done(hydra.delete_tokens(parameter).await)),
        ("GET", "oauth2/auth/requests/login") => {
            let found = hydra.get_login_request(&challenge).await;
            Played("get_login_request", value(found, |_| Value::Null))
        }
        ("PUT", "oauth2/auth/requests/consent/accept") => {
            let answer = AcceptConsent::default();
            let accepted = hydra.accept_consent_request(&challenge, &answer).await;
            Played("accept_consent_request", value(accepted, |_| Value::Null))
        }
        ("PUT", "oauth2/auth/requests/device/accept") if !parameter.is_empty() => {
            let user_code = asked.body["user_code"].as_str()?.to_owned();
            let answer = AcceptUserCode { user_code };
            let accepted = hydra.accept_user_code_request(&challenge, &answer).await;
            Played("accept_user_code_request", value(accepted, |_| Value::Null))
        }
        ("GET", "oauth2/auth/sessions/consent") => {
            let page = hydra.list_consent_sessions(parameter, &mut Cursor::default()).await;
            let count = |page: Vec<_>| vec![Value::Null; page.len()].into();
            Played("list_subject_consent_sessions", value(page, count))
        }
        ("DELETE", "oauth2/auth/sessions/consent") => {
            let revoked = hydra.revoke_consent_sessions(parameter, Consents::All).await;
            Played("revoke_consent_sessions", done(revoked))
        }
        ("DELETE", "oauth2/auth/sessions/login") => {
            let revoked = hydra.revoke_authentication_session(parameter).await;
            Played("revoke_authentication_session", done(revoked))
        }
        ("GET", "trust/grants/jwt-bearer/issuers") => {
            let page = hydra.list_trusted_issuers(None, &mut Cursor::default()).await;
            let count = |page: Vec<_>| vec![Value::Null; page.len()].into();
            Played("list_trusted_issuers", value(page, count))
        }
        _ => return None,
    })
}
