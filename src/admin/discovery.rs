//! OpenID Connect Discovery 1.0: issuer, endpoints and public keys of a server.
//!
//! All requests go below the public URL, which an admin has set. URLs in a document are never followed.

use std::collections::BTreeSet;

use serde_json::Value;

use super::http::{Failure, Http, Request};
use crate::api::authorization_server::Endpoints;
use crate::api::oauth2_client::SubjectType;
use crate::error::wording::shown;

/// Maximum number of entries kept of a list of scopes.
const SCOPES: usize = 256;
/// Maximum number of entries kept of a list of algorithms or keys.
const ENTRIES: usize = 32;
/// Private members of a key (RFC 7518, sections 6.2.2, 6.3.2 and 6.4.1; RFC 8037, section 2).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Contents of a discovery document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Discovery {
    /// Issuer and endpoints. Values that are not http or https URLs are left out.
    pub endpoints: Endpoints,
    /// `subject_types_supported`, as far as known to the operator.
    pub subject_types: Vec<SubjectType>,
    /// `scopes_supported`, at most 256.
    pub scopes: Vec<String>,
    /// `id_token_signing_alg_values_supported`, at most 32.
    pub id_token_signing_algs: Vec<String>,
}

/// Summary of a server's public key set (RFC 7517). It holds no key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// Number of public keys that a signature can be verified with.
    pub signing: usize,
    /// Their ids, sorted since servers vary the order; at most 32.
    pub ids: Vec<String>,
    /// Whether a private or symmetric key is among them.
    pub shows_private: bool,
}

/// Fetches `{publicUrl}/.well-known/openid-configuration`. Sends no login.
///
/// # Errors
/// [`Failure`]; a document without issuer is a failure too.
pub async fn fetch(http: &Http) -> Result<Discovery, Failure> {
    fetch_below(http, &[]).await
}

/// Fetches `{publicUrl}/.well-known/jwks.json`, where Hydra publishes its key set whatever `jwks_uri` says. Sends no
/// login.
///
/// # Errors
/// [`Failure`]; a document that is not a key set is a failure too.
pub async fn fetch_keys(http: &Http) -> Result<Keys, Failure> {
    let document = get(http, "jwks", &[".well-known", "jwks.json"]).await?;
    parse_keys(&document).ok_or(Failure::Reply("is not a JSON Web Key Set"))
}

/// As [`fetch`], for an issuer below a path of the endpoint.
///
/// # Errors
/// As [`fetch`].
pub async fn fetch_below(http: &Http, path: &[String]) -> Result<Discovery, Failure> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let document = get(
        http,
        "discovery",
        &[path.as_slice(), &[".well-known", "openid-configuration"]].concat(),
    )
    .await?;
    parse(&document).ok_or(Failure::Reply("names no issuer"))
}

/// As [`fetch_keys`], for an issuer below a path of the endpoint, with the key set beside the discovery document.
///
/// # Errors
/// As [`fetch_keys`].
pub async fn fetch_keys_below(http: &Http, path: &[String]) -> Result<Keys, Failure> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let document = get(http, "jwks", &[path.as_slice(), &[".well-known", "keys"]].concat()).await?;
    parse_keys(&document).ok_or(Failure::Reply("is not a JSON Web Key Set"))
}

async fn get(http: &Http, operation: &'static str, path: &[&str]) -> Result<Value, Failure> {
    let request = Request {
        probe: true,
        ..Request::new(operation, reqwest::Method::GET, path)
    };
    http.send(request).await.map(|reply| reply.body)
}

/// The discovery URL is that of the issuer (OpenID Connect Discovery 1.0, section 4), where applications find it. The
/// operator may use another address.
fn parse(document: &Value) -> Option<Discovery> {
    let url = |key: &str| {
        let text = document.get(key).and_then(Value::as_str);
        text.filter(|text| is_url(text)).map(str::to_owned)
    };
    let issuer = url("issuer")?;
    let subject_types = document.get("subject_types_supported").and_then(Value::as_array);
    Some(Discovery {
        endpoints: Endpoints {
            discovery_url: format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/')),
            issuer,
            authorization_endpoint: url("authorization_endpoint"),
            device_authorization_endpoint: url("device_authorization_endpoint"),
            token_endpoint: url("token_endpoint"),
            userinfo_endpoint: url("userinfo_endpoint"),
            jwks_uri: url("jwks_uri"),
            revocation_endpoint: url("revocation_endpoint"),
            end_session_endpoint: url("end_session_endpoint"),
        },
        subject_types: subject_types
            .into_iter()
            .flatten()
            .filter_map(|t| serde_json::from_value(t.clone()).ok())
            .collect(),
        scopes: words(document, "scopes_supported", SCOPES),
        id_token_signing_algs: words(document, "id_token_signing_alg_values_supported", ENTRIES),
    })
}

/// A list of words, bounded. Other values are left out.
fn words(document: &Value, key: &str, most: usize) -> Vec<String> {
    let listed = document.get(key).and_then(Value::as_array).into_iter().flatten();
    let words = listed.filter_map(Value::as_str).filter(|word| is_word(word));
    words.take(most).map(str::to_owned).collect()
}

fn parse_keys(document: &Value) -> Option<Keys> {
    let listed = document.get("keys")?.as_array()?;
    let mut ids = BTreeSet::new();
    let mut keys = Keys::default();
    for key in listed {
        let members = key.as_object()?;
        keys.shows_private |= PRIVATE.iter().any(|member| members.contains_key(*member));
        if verifies(key) {
            keys.signing += 1;
            ids.extend(key.get("kid").and_then(Value::as_str).map(shown));
        }
    }
    keys.ids = ids.into_iter().take(ENTRIES).collect();
    Some(keys)
}

/// Whether a key is a complete public key and not meant for encryption.
fn verifies(key: &Value) -> bool {
    let text = |member: &str| key.get(member).and_then(Value::as_str);
    let members: &[&str] = match text("kty") {
        Some("RSA") => &["n", "e"],
        Some("EC") => &["crv", "x", "y"],
        Some("OKP") => &["crv", "x"],
        _ => return false,
    };
    let is_whole = members
        .iter()
        .all(|member| text(member).is_some_and(|value| !value.is_empty()));
    is_whole && key.get("use").is_none_or(|purpose| purpose == "sig")
}

fn is_url(text: &str) -> bool {
    let is_web = url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    text.len() <= 1024 && is_web && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

fn is_word(text: &str) -> bool {
    (1..=256).contains(&text.len()) && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}
