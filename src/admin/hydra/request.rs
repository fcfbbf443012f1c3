//! Login, consent and logout requests, and the answers to them, on the wire.
//!
//! A challenge is a credential of the user, so types that hold one have no Debug.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{Client, wire};
use crate::secret::Secret;

/// OpenID Connect parameters of a client's request (OpenID Connect Core, section 3.1.2.1).
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct OidcContext {
    /// Requested authentication context classes, most preferred first.
    pub acr_values: Vec<String>,
    /// Languages for the user interface, most preferred first.
    pub ui_locales: Vec<String>,
    /// How the app should display its pages: `page`, `popup`, `touch` or `wap`.
    pub display: String,
    /// Claims of the ID token that was sent as a hint.
    pub id_token_hint_claims: Map<String, Value>,
    /// The user that the client expects.
    pub login_hint: String,
}

/// A request to log in.
#[derive(Clone, Deserialize, PartialEq)]
pub struct LoginRequest {
    /// Challenge of the request.
    pub challenge: Secret,
    /// Scopes that the client asked for.
    #[serde(default)]
    pub requested_scope: Vec<String>,
    /// Audiences that the client asked for.
    #[serde(default)]
    pub requested_access_token_audience: Vec<String>,
    /// Whether the subject is remembered: accept it unchanged, without showing a page.
    #[serde(default)]
    pub skip: bool,
    /// The remembered subject, or empty.
    #[serde(default)]
    pub subject: String,
    /// OpenID Connect parameters.
    #[serde(default, deserialize_with = "wire::object")]
    pub oidc_context: OidcContext,
    /// The client that sent the request. None if it cannot be read.
    #[serde(default, deserialize_with = "readable_client")]
    pub client: Option<Client>,
    /// URL of the client's request.
    #[serde(default)]
    pub request_url: String,
    /// Id of the session that the login starts or belongs to.
    #[serde(default)]
    pub session_id: String,
}

/// The code that a user entered to log in on another device (RFC 8628, section 3.3).
#[derive(Serialize)]
pub struct AcceptUserCode {
    /// The code, as the user entered it.
    pub user_code: String,
}

/// A request to consent.
#[derive(Clone, Deserialize, PartialEq)]
pub struct ConsentRequest {
    /// Challenge of the request.
    pub challenge: Secret,
    /// Scopes that the client asked for.
    #[serde(default)]
    pub requested_scope: Vec<String>,
    /// Audiences that the client asked for.
    #[serde(default)]
    pub requested_access_token_audience: Vec<String>,
    /// Whether the subject consented before, or the client needs no consent: accept without showing a page.
    #[serde(default)]
    pub skip: bool,
    /// The subject whose consent is requested.
    #[serde(default)]
    pub subject: String,
    /// OpenID Connect parameters.
    #[serde(default, deserialize_with = "wire::object")]
    pub oidc_context: OidcContext,
    /// The client that sent the request. None if it cannot be read.
    #[serde(default, deserialize_with = "readable_client")]
    pub client: Option<Client>,
    /// URL of the client's request.
    #[serde(default)]
    pub request_url: String,
    /// Challenge of the preceding login.
    #[serde(default)]
    pub login_challenge: Option<Secret>,
    /// Id of the session of the preceding login.
    #[serde(default)]
    pub login_session_id: String,
    /// Authentication context class that the login satisfied.
    #[serde(default)]
    pub acr: String,
    /// Authentication methods that the login used (RFC 8176).
    #[serde(default)]
    pub amr: Vec<String>,
    /// Data from the login app.
    #[serde(default)]
    pub context: Value,
}

/// A request to log out.
#[derive(Clone, Deserialize, PartialEq)]
pub struct LogoutRequest {
    /// Challenge of the request. Hydra 1.9 and 1.10 do not return it.
    #[serde(default)]
    pub challenge: Option<Secret>,
    /// The subject to log out.
    #[serde(default)]
    pub subject: String,
    /// Id of the session.
    #[serde(default)]
    pub sid: String,
    /// URL of the request, which holds an ID token if a client sent it.
    #[serde(default)]
    pub request_url: Option<Secret>,
    /// Whether a client sent the request, not the user.
    #[serde(default)]
    pub rp_initiated: bool,
    /// The client that sent the request, if one did and it can be read.
    #[serde(default, deserialize_with = "readable_client")]
    pub client: Option<Client>,
}

/// The answer to a request to log in. Hydra refuses members that its version does not know.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AcceptLogin {
    /// The subject that logged in; the request's subject if its `skip` is set.
    pub subject: String,
    /// Whether to remember the login in this browser.
    pub remember: bool,
    /// For how many seconds; 0 means until the browser is closed, by Hydra's settings.
    pub remember_for: i64,
    /// Whether to extend a remembered login from now on. Version 2 only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub extend_session_lifespan: bool,
    /// Authentication context class that the login satisfied.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub acr: String,
    /// Authentication methods that the login used (RFC 8176).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
    /// The session of the identity provider behind the login app. Version 2.1 and later only.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub identity_provider_session_id: String,
    /// A subject identifier for this client instead of the one that Hydra would generate.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub force_subject_identifier: String,
    /// Data for the consent app.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub context: Value,
}

/// Additional claims in the tokens.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ConsentSession {
    /// Claims for the access token, which an introspection shows as `ext`.
    pub access_token: Map<String, Value>,
    /// Claims for the ID token.
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
    /// Additional claims in the tokens.
    #[serde(skip_serializing_if = "is_default")]
    pub session: ConsentSession,
    /// Whether the consent also applies to later requests.
    #[serde(skip_serializing_if = "is_default")]
    pub remember: bool,
    /// For how many seconds; 0 means forever.
    #[serde(skip_serializing_if = "is_default")]
    pub remember_for: i64,
    /// Data that is shown with the consent. Version 2 only.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub context: Value,
}

/// Why a request is denied, as sent to the client (RFC 6749, section 4.1.2.1).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Reject {
    /// Error code, for example `access_denied`. If empty, Hydra uses its own.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// Description for the client's developer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error_description: String,
    /// Hint that might help.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error_hint: String,
    /// Details that only logs show.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error_debug: String,
    /// HTTP status of the error. If 0, Hydra uses its own.
    #[serde(skip_serializing_if = "is_default")]
    pub status_code: u16,
}

fn readable_client<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Client>, D::Error> {
    Value::deserialize(deserializer).map(Client::parse)
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
