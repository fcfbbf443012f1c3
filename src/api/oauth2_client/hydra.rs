//! What of a client only Ory Hydra has.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{self, AccessTokenStrategy};

/// Settings that only Ory Hydra has.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HydraClient {
    /// Lifetimes by grant type; each overrides accessTokenTtl, idTokenTtl or refreshTokenTtl.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TokenLifespans")]
    pub token_lifespans: Option<TokenLifespans>,
    /// Users are not asked for consent. Needs a grant in the server's access rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub skip_consent: Option<bool>,
    /// Users are not asked whether to log out. Needs a grant in the server's access rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub skip_logout_consent: Option<bool>,
    /// Form of access tokens: opaque, or signed JWT. Default: the server's setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "AccessTokenStrategy")]
    pub access_token_strategy: Option<AccessTokenStrategy>,
}

/// Lifetimes of tokens by grant type, each a duration such as `1h`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = values::durations)]
pub struct TokenLifespans {
    /// Access token from the authorization code grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_code_grant_access_token: Option<String>,
    /// ID token from the authorization code grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_code_grant_id_token: Option<String>,
    /// Refresh token from the authorization code grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_code_grant_refresh_token: Option<String>,
    /// Access token from the client credentials grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_credentials_grant_access_token: Option<String>,
    /// Access token from the implicit grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub implicit_grant_access_token: Option<String>,
    /// ID token from the implicit grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub implicit_grant_id_token: Option<String>,
    /// Access token from the JWT bearer grant (RFC 7523).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt_bearer_grant_access_token: Option<String>,
    /// Access token from a refresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token_grant_access_token: Option<String>,
    /// ID token from a refresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token_grant_id_token: Option<String>,
    /// Refresh token from a refresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token_grant_refresh_token: Option<String>,
}
