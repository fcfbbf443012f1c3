//! Requests that wait for a user, and the answers to them, on the wire.
//!
//! A challenge is a credential of the user, so types that hold one have no Debug.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{Client, wire};
use crate::secret::Secret;

/// What a client asked for with OpenID Connect's own parameters (OpenID Connect Core, section 3.1.2.1).
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct OidcContext {
    /// Ways of authentication, the most wanted first.
    pub acr_values: Vec<String>,
    /// Languages for the user interface, the most wanted first.
    pub ui_locales: Vec<String>,
    /// How the app is to show itself: `page`, `popup`, `touch` or `wap`.
    pub display: String,
    /// Claims of the ID token that was given as a hint.
    pub id_token_hint_claims: Map<String, Value>,
    /// Whom the client expects.
    pub login_hint: String,
}

/// A request to log in.
#[derive(Clone, Deserialize, PartialEq)]
pub struct LoginRequest {
    /// Its challenge.
    pub challenge: Secret,
    /// Scopes that the client asked for.
    #[serde(default)]
    pub requested_scope: Vec<String>,
    /// Audiences that the client asked for.
    #[serde(default)]
    pub requested_access_token_audience: Vec<String>,
    /// Whether the subject is remembered: accept it as it is, without showing anything.
    #[serde(default)]
    pub skip: bool,
    /// The subject that is remembered, else empty.
    #[serde(default)]
    pub subject: String,
    /// OpenID Connect's own parameters.
    #[serde(default, deserialize_with = "wire::object")]
    pub oidc_context: OidcContext,
    /// Which client asks. None if it cannot be read.
    #[serde(default, deserialize_with = "readable_client")]
    pub client: Option<Client>,
    /// The client's whole request.
    #[serde(default)]
    pub request_url: String,
    /// Id of the session that the login begins or belongs to.
    #[serde(default)]
    pub session_id: String,
}

/// A request to consent.
#[derive(Clone, Deserialize, PartialEq)]
pub struct ConsentRequest {
    /// Its challenge.
    pub challenge: Secret,
    /// Scopes that the client asked for.
    #[serde(default)]
    pub requested_scope: Vec<String>,
    /// Audiences that the client asked for.
    #[serde(default)]
    pub requested_access_token_audience: Vec<String>,
    /// Whether the subject consented before, or the client needs no consent: accept without showing anything.
    #[serde(default)]
    pub skip: bool,
    /// Who is to consent.
    #[serde(default)]
    pub subject: String,
    /// OpenID Connect's own parameters.
    #[serde(default, deserialize_with = "wire::object")]
    pub oidc_context: OidcContext,
    /// Which client asks. None if it cannot be read.
    #[serde(default, deserialize_with = "readable_client")]
    pub client: Option<Client>,
    /// The client's whole request.
    #[serde(default)]
    pub request_url: String,
    /// Challenge of the login before.
    #[serde(default)]
    pub login_challenge: Option<Secret>,
    /// Id of the session of the login before.
    #[serde(default)]
    pub login_session_id: String,
    /// How the subject was authenticated, as a class.
    #[serde(default)]
    pub acr: String,
    /// How the subject was authenticated, as methods (RFC 8176).
    #[serde(default)]
    pub amr: Vec<String>,
    /// What the login app noted.
    #[serde(default)]
    pub context: Value,
}

/// A request to log out.
#[derive(Clone, Deserialize, PartialEq)]
pub struct LogoutRequest {
    /// Its challenge. Hydra 1.9 and 1.10 do not repeat it.
    #[serde(default)]
    pub challenge: Option<Secret>,
    /// Who is to be logged out.
    #[serde(default)]
    pub subject: String,
    /// Id of the session.
    #[serde(default)]
    pub sid: String,
    /// The request as it came, which holds an ID token if a client asked.
    #[serde(default)]
    pub request_url: Option<Secret>,
    /// Whether a client asked, and not the user.
    #[serde(default)]
    pub rp_initiated: bool,
    /// Which client asked, if one did and it can be read.
    #[serde(default, deserialize_with = "readable_client")]
    pub client: Option<Client>,
}

/// The answer to a request to log in. Hydra refuses members that its version does not know.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AcceptLogin {
    /// Who logged in; that of the request if it is to be skipped.
    pub subject: String,
    /// Whether to remember it in this browser.
    pub remember: bool,
    /// For how many seconds; 0 is until the browser is closed, by Hydra's settings.
    pub remember_for: i64,
    /// Whether to remember it anew from now on when it was remembered. Version 2 only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub extend_session_lifespan: bool,
    /// How the subject was authenticated, as a class.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub acr: String,
    /// How the subject was authenticated, as methods (RFC 8176).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
    /// The session of the identity provider behind the login app. Version 2.1 and later only.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub identity_provider_session_id: String,
    /// A subject identifier for this client instead of the one that Hydra would make.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub force_subject_identifier: String,
    /// A note to the consent app.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub context: Value,
}

/// What goes into the tokens besides what is in them anyway.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ConsentSession {
    /// Into the access token, and what an introspection shows as `ext`.
    pub access_token: Map<String, Value>,
    /// Into the ID token.
    pub id_token: Map<String, Value>,
}

/// The answer to a request to consent. Hydra sets the time itself, so `handled_at` is not sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AcceptConsent {
    /// Scopes to grant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub grant_scope: Vec<String>,
    /// Audiences of access tokens to grant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub grant_access_token_audience: Vec<String>,
    /// What goes into the tokens.
    #[serde(skip_serializing_if = "is_default")]
    pub session: ConsentSession,
    /// Whether it holds for later requests too.
    #[serde(skip_serializing_if = "is_default")]
    pub remember: bool,
    /// For how many seconds; 0 is for ever.
    #[serde(skip_serializing_if = "is_default")]
    pub remember_for: i64,
    /// A note, shown with the consent. Version 2 only.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub context: Value,
}

/// Why a request is denied; the client is told (RFC 6749, section 4.1.2.1).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Reject {
    /// Error code, for example `access_denied`. Hydra has its own if it is empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// Description for the client's developer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error_description: String,
    /// What might help.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error_hint: String,
    /// What only logs show.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error_debug: String,
    /// HTTP status of the error; Hydra's own if it is 0.
    #[serde(skip_serializing_if = "is_default")]
    pub status_code: u16,
}

fn readable_client<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Client>, D::Error> {
    Value::deserialize(deserializer).map(Client::parse)
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
