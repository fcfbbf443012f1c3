//! Which values may be sent to a server: no token of the operator's own ServiceAccount, and none that the Kubernetes
//! API accepts. Pure.
//!
//! A server that receives such a token can use it. A token that is sent to a server must be valid at that server only.

use std::fmt;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use zeroize::Zeroizing;

/// How long the audiences that the Kubernetes API reports are reused: they change when it is started with other flags.
const ANSWER_LASTS: Duration = Duration::from_secs(600);
/// Maximum length of a token's payload that is decoded; that of a ServiceAccount has about a thousand characters.
const LONGEST_PAYLOAD: usize = 64 * 1024;
/// Issuer of the tokens that never expire (`kubernetes.io/service-account-token`). They name no audience, and the API
/// accepts them all.
const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";
/// Prefix of the subject of every ServiceAccount token, and of the user name that the API gives to its bearer.
const ACCOUNT: &str = "system:serviceaccount:";

/// Why a value must not be sent to a server. Displays what the value is, as the end of a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsafe {
    /// A token of the operator's own ServiceAccount, whatever its audience.
    OwnAccount,
    /// A token with an audience that the Kubernetes API accepts.
    ApiAudience,
    /// A token of a ServiceAccount that names no audience.
    AnyAudience,
    /// A value of a Secret whose type is for tokens that the Kubernetes API accepts.
    TokenSecret,
    /// A value that looks like a token but is too large to be checked.
    TooLarge,
}

impl fmt::Display for Unsafe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unsafe::OwnAccount => "is a token of the operator's own ServiceAccount",
            Unsafe::ApiAudience => "is a token with an audience that the Kubernetes API accepts",
            Unsafe::AnyAudience => "is a ServiceAccount token for any audience",
            Unsafe::TokenSecret => "is in a Secret whose type is for tokens of the Kubernetes API",
            Unsafe::TooLarge => "looks like a token but is too large to be checked",
        })
    }
}

/// What the Kubernetes API reported about itself and about the operator.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The operator's user name.
    pub operator: &'a str,
    /// The audiences that the API accepts.
    pub accepted: &'a [String],
}

/// Audiences that the API accepts, until the answer is too old.
#[derive(Clone, Debug)]
pub struct Accepted {
    audiences: Vec<String>,
    until: Instant,
}

impl Accepted {
    /// An answer that was received now.
    pub fn new(audiences: Vec<String>, now: Instant) -> Self {
        Accepted {
            audiences,
            until: now + ANSWER_LASTS,
        }
    }

    /// The audiences, unless the answer is too old.
    pub fn at(&self, now: Instant) -> Option<&[String]> {
        (now < self.until).then_some(&self.audiences)
    }
}

/// Checks whether a token of this ServiceAccount for these audiences may be requested for a server.
///
/// # Errors
/// [`Unsafe`].
pub fn judge_account(namespace: &str, name: &str, audiences: &[String], told: &Told<'_>) -> Result<(), Unsafe> {
    if told.operator == format!("{ACCOUNT}{namespace}:{name}") {
        return Err(Unsafe::OwnAccount);
    }
    judge_audiences(audiences, told)
}

/// Checks whether values of a Secret of this type may be sent to a server.
///
/// # Errors
/// [`Unsafe`].
pub fn judge_type(type_: Option<&str>) -> Result<(), Unsafe> {
    match type_ {
        Some("kubernetes.io/service-account-token" | "bootstrap.kubernetes.io/token") => Err(Unsafe::TokenSecret),
        _ => Ok(()),
    }
}

/// The claims of the JSON Web Tokens (RFC 7519) in a value; nothing is verified. A value without tokens needs no check.
///
/// # Errors
/// [`Unsafe::TooLarge`].
pub fn tokens_in(value: &str) -> Result<Vec<Claims>, Unsafe> {
    // Tokens in files are often wrapped. A server that receives one may unwrap it.
    let value = Zeroizing::new(value.split_whitespace().collect::<String>());
    let mut parts = value.split('.').skip(1).peekable();
    let mut found = Vec::new();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            break; // no signature, not even an empty one, follows
        }
        found.extend(claims(part)?);
    }
    Ok(found)
}

/// Checks whether a token with these claims may be sent to a server.
///
/// # Errors
/// [`Unsafe`].
pub fn judge_token(claims: &Claims, told: &Told<'_>) -> Result<(), Unsafe> {
    if told.operator.starts_with(ACCOUNT) && claims.sub.is(told.operator) {
        return Err(Unsafe::OwnAccount);
    }
    if claims.aud.0.is_empty() && claims.are_of_an_account() {
        return Err(Unsafe::AnyAudience);
    }
    judge_audiences(&claims.aud.0, told)
}

fn judge_audiences(audiences: &[String], told: &Told<'_>) -> Result<(), Unsafe> {
    match audiences.iter().any(|audience| told.accepted.contains(audience)) {
        true => Err(Unsafe::ApiAudience),
        false => Ok(()),
    }
}

/// The claims of a token that matter here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Claims {
    iss: Texts,
    sub: Texts,
    aud: Texts,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Option<IgnoredAny>,
    #[serde(rename = "kubernetes.io/serviceaccount/namespace")]
    legacy: Option<IgnoredAny>,
}

impl Claims {
    fn are_of_an_account(&self) -> bool {
        self.kubernetes.is_some()
            || self.legacy.is_some()
            || self.iss.is(LEGACY_ISSUER)
            || self.sub.0.iter().any(|subject| subject.starts_with(ACCOUNT))
    }
}

/// One or more strings, as `aud` may be. Values of other types are dropped.
#[derive(Clone, Debug, Default)]
struct Texts(Vec<String>);

impl Texts {
    fn is(&self, text: &str) -> bool {
        self.0.iter().any(|one| one == text)
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = match Value::deserialize(deserializer)? {
            Value::Array(values) => values,
            one => vec![one],
        };
        let texts = texts.into_iter().filter_map(|value| match value {
            Value::String(text) => Some(text),
            _ => None,
        });
        Ok(Texts(texts.collect()))
    }
}

/// The claims in the payload of a token. None if it is not a JSON object.
fn claims(payload: &str) -> Result<Option<Claims>, Unsafe> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &URL_SAFE,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    if payload.len() > LONGEST_PAYLOAD {
        return match payload.starts_with(['e', 'I', 'D', 'C']) {
            true => Err(Unsafe::TooLarge), // `{` or white space, encoded
            false => Ok(None),
        };
    }
    let decoded = LENIENT.decode(payload).ok();
    let object = decoded.filter(|bytes| bytes.trim_ascii_start().starts_with(b"{"));
    Ok(object.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}
