//! Client settings that only Ory Hydra has.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{self, AccessTokenStrategy};

/// Settings that only Ory Hydra has.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HydraClient {
    /// Hydra's `owner` of the client: a label without effect in Hydra, by which a portal may list its clients. An access
    /// rule may limit it (`clients.owners`). Without this field, the owner that the client has on the server stays; an
    /// empty text removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 1024))]
    #[x_kube(validation = Rule::new("!self.startsWith('oidc-operator.dev/')")
        .message("hydra.owner: earlier versions of the operator marked their clients with owners that start with oidc-operator.dev/; choose another owner"))]
    pub owner: Option<String>,
    /// Lifetimes by grant type. Each overrides accessTokenTtl, idTokenTtl or refreshTokenTtl.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TokenLifespans")]
    pub token_lifespans: Option<TokenLifespans>,
    /// Whether users are not asked for consent. Needs `clients.skipConsent` in the server's access rules. Default:
    /// false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub skip_consent: Option<bool>,
    /// Whether users are not asked to confirm a logout. Needs `clients.skipConsent` in the server's access rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub skip_logout_consent: Option<bool>,
    /// Format of access tokens: opaque, or jwt (signed). Default: the server's setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "AccessTokenStrategy")]
    pub access_token_strategy: Option<AccessTokenStrategy>,
}

/// Token lifetimes by grant type, each a duration such as `1h`.
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
    /// Access token from the device authorization grant (RFC 8628). From Hydra 25.4 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_authorization_grant_access_token: Option<String>,
    /// ID token from the device authorization grant. From Hydra 25.4 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_authorization_grant_id_token: Option<String>,
    /// Refresh token from the device authorization grant. From Hydra 25.4 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_authorization_grant_refresh_token: Option<String>,
    /// Access token from the implicit grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub implicit_grant_access_token: Option<String>,
    /// ID token from the implicit grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub implicit_grant_id_token: Option<String>,
    /// Access token from the JWT bearer grant (RFC 7523).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt_bearer_grant_access_token: Option<String>,
    /// Access token from the refresh token grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token_grant_access_token: Option<String>,
    /// ID token from the refresh token grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token_grant_id_token: Option<String>,
    /// Refresh token from the refresh token grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token_grant_refresh_token: Option<String>,
}
