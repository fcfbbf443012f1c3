//! ID tokens, verified as the worker does: against the providers that it has loaded.
//!
//! The texts of refusals begin as the worker's do. Only those for a token that cannot be read and for a provider
//! without clients are known word by word.

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{AlgorithmFamily, DecodingKey, Validation};
use serde_json::{Map, Value};

use super::table::Provider;
use crate::http;

/// Path of the discovery document below an issuer.
const DISCOVERY: &str = "/.well-known/openid-configuration";
/// The message for a token that cannot be read, or whose signature or time is invalid.
const FAILED: &str = "Jwt token validation failed.";
/// Algorithms that the worker knows. A token with an algorithm other than RSA's never fits a key.
const ALGORITHMS: [&str; 13] = [
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "none",
];

/// Why a token is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

impl Refusal {
    fn unauthorized(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            message: message.into(),
        }
    }

    fn invalid(message: impl AsRef<str>) -> Self {
        Self::unauthorized(format!("Validation error. {}", message.as_ref()))
    }
}

/// Verifies a token and returns its subject. The keys of the issuer are fetched each time; the real worker keeps them
/// until a key does not fit.
///
/// # Errors
/// When the token is refused.
pub(super) async fn verify(token: &str, loaded: &[Provider]) -> Result<String, Refusal> {
    let malformed = || Refusal {
        status: StatusCode::BAD_REQUEST,
        message: FAILED.to_owned(),
    };
    let (header, claims) = read(token).ok_or_else(malformed)?;
    let algorithm = header.get("alg").and_then(Value::as_str).unwrap_or_default();
    if !ALGORITHMS.contains(&algorithm) {
        return Err(Refusal::unauthorized("signing method (alg) is unavailable."));
    }
    let provider = provider(&claims, loaded)?;
    check_audience(&claims, provider)?;
    let subject = match claims.get("sub").and_then(Value::as_str) {
        Some(subject) if !subject.is_empty() => subject.to_owned(),
        _ => return Err(Refusal::invalid("The token 'sub' claim was not found or was empty.")),
    };
    let kid = header.get("kid").and_then(Value::as_str).unwrap_or_default();
    let key = key(&provider.issuer_url, kid).await?;
    let mut rules = Validation::new_for_family(AlgorithmFamily::Rsa);
    rules.required_spec_claims.clear(); // a token without a time is valid forever
    rules.leeway = 0;
    rules.validate_nbf = true;
    rules.validate_aud = false; // checked above
    match jsonwebtoken::decode::<Value>(token, &key, &rules) {
        Ok(_) => Ok(subject),
        Err(_) => Err(Refusal::unauthorized(FAILED)),
    }
}

/// Header and claims of a token, which are not verified yet.
fn read(token: &str) -> Option<(Map<String, Value>, Map<String, Value>)> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, _] = parts[..] else {
        return None;
    };
    let read = |part: &str| {
        let json = URL_SAFE_NO_PAD.decode(part).ok()?;
        serde_json::from_slice(&json).ok()
    };
    Some((read(header)?, read(claims)?))
}

/// The provider of the token's issuer: the first if there are several.
fn provider<'a>(claims: &Map<String, Value>, loaded: &'a [Provider]) -> Result<&'a Provider, Refusal> {
    // This affects every token, from any issuer.
    if loaded.iter().any(|provider| provider.clients.is_empty()) {
        let message = "Setup error. At leat one client id must be provided.";
        return Err(Refusal::unauthorized(message));
    }
    let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
    if issuer.is_empty() {
        return Err(Refusal::invalid("The token 'iss' claim was not found or was empty."));
    }
    let found = loaded.iter().find(|provider| provider.issuer_url == issuer);
    found.ok_or_else(|| Refusal::invalid(format!("No provider was registered with issuer: {issuer}")))
}

fn check_audience(claims: &Map<String, Value>, provider: &Provider) -> Result<(), Refusal> {
    let audiences: Vec<&str> = match claims.get("aud") {
        Some(Value::String(audience)) => vec![audience],
        Some(Value::Array(audiences)) => audiences.iter().filter_map(Value::as_str).collect(),
        _ => return Err(Refusal::invalid("Invalid Audiences type")),
    };
    let is_client = |audience: &&str| {
        let mut clients = provider.clients.iter();
        !audience.is_empty() && clients.any(|client| client.name == *audience)
    };
    match audiences.iter().any(is_client) {
        true => Ok(()),
        false => Err(Refusal::invalid(format!(
            "The provider {} does not have a client id matching any of the token audiences [{}]",
            provider.issuer_url,
            audiences.join(" ")
        ))),
    }
}

/// The issuer's key with this id; without an id, its first key.
async fn key(issuer: &str, kid: &str) -> Result<DecodingKey, Refusal> {
    let description = fetch(&format!("{issuer}{DISCOVERY}")).await?;
    let url = description["jwks_uri"].as_str().unwrap_or_default();
    let set = fetch(url).await?;
    let mut keys = set["keys"].as_array().into_iter().flatten();
    let found = keys.find(|key| kid.is_empty() || key["kid"] == kid);
    let Some(found) = found else {
        return Err(Refusal::invalid(format!(
            "The jwk set retrieved for the issuer {issuer} does not contain a key identifier {kid}."
        )));
    };
    let is_rsa = found["kty"] == "RSA";
    let key = serde_json::from_value::<Jwk>(found.clone()).ok().filter(|_| is_rsa);
    let key = key.and_then(|key| DecodingKey::from_jwk(&key).ok());
    key.ok_or_else(|| Refusal::unauthorized("Key is not a valid RSA public key"))
}

async fn fetch(url: &str) -> Result<Value, Refusal> {
    let failed = || Refusal::invalid(format!("Failure while contacting the endpoint {url}."));
    let answer = http::client().get(url).send().await.map_err(|_| failed())?;
    let body = answer.bytes().await.map_err(|_| failed())?;
    serde_json::from_slice(&body)
        .map_err(|_| Refusal::invalid(format!("Failure while decoding what the endpoint {url} answered.")))
}
