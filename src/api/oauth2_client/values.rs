//! Protocol values: closed sets, written as in the protocols.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Scopes that a client may get without a list of its own.
pub const DEFAULT_SCOPES: [&str; 2] = [OPENID, OFFLINE_ACCESS];
pub(super) const OPENID: &str = "openid";
pub(super) const OFFLINE_ACCESS: &str = "offline_access";

/// Whether a client can keep a secret.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum ClientType {
    /// A server-side application, which can.
    #[default]
    Confidential,
    /// A browser or native application, which cannot.
    Public,
}

/// Grant types (RFC 6749, RFC 7523, RFC 8628).
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub enum GrantType {
    /// Login in the browser.
    AuthorizationCode,
    /// New tokens without user interaction.
    RefreshToken,
    /// Machine to machine.
    ClientCredentials,
    /// Tokens directly from the authorization endpoint; discouraged.
    Implicit,
    /// Exchanges a JWT from a trusted issuer for a token.
    #[serde(rename = "urn:ietf:params:oauth:grant-type:jwt-bearer")]
    JwtBearer,
    /// Login in a browser on another device, for applications on TVs and in terminals.
    #[serde(rename = "urn:ietf:params:oauth:grant-type:device_code")]
    DeviceCode,
}

/// Response types (OAuth 2.0 Multiple Response Type Encoding Practices).
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum ResponseType {
    /// An authorization code.
    #[serde(rename = "code")]
    Code,
    /// An access token.
    #[serde(rename = "token")]
    Token,
    /// An ID token.
    #[serde(rename = "id_token")]
    IdToken,
    /// An authorization code and an ID token.
    #[serde(rename = "code id_token")]
    CodeIdToken,
    /// An authorization code and an access token.
    #[serde(rename = "code token")]
    CodeToken,
    /// An ID token and an access token.
    #[serde(rename = "id_token token")]
    IdTokenToken,
    /// An authorization code, an ID token and an access token.
    #[serde(rename = "code id_token token")]
    CodeIdTokenToken,
}

/// How subjects identify users to a client.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum SubjectType {
    /// The same subject for all clients.
    Public,
    /// A different subject for each sector.
    Pairwise,
}

/// Client authentication methods (OpenID Connect Core 1.0, section 9).
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum TokenEndpointAuthMethod {
    /// Id and secret in the Authorization header.
    ClientSecretBasic,
    /// Id and secret in the request body.
    ClientSecretPost,
    /// A JWT signed with the client's key.
    PrivateKeyJwt,
    /// No authentication: a public client.
    None,
}

/// Signature algorithms (RFC 7518).
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[allow(missing_docs)] // each name is its own definition
pub enum SigningAlg {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
}

/// Signature algorithms of request objects.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[allow(missing_docs)] // each name is its own definition
pub enum RequestObjectSigningAlg {
    #[serde(rename = "none")]
    None,
    RS256,
    ES256,
}

/// Signature algorithms of UserInfo responses.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum UserinfoSignedResponseAlg {
    /// Plain JSON.
    #[default]
    #[serde(rename = "none")]
    None,
    /// A JWT signed with RSA and SHA-256.
    RS256,
}

/// Format of access tokens.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum AccessTokenStrategy {
    /// A signed JWT (RFC 9068).
    Jwt,
    /// A random string.
    Opaque,
}

/// What the operator does when a client that it adopts has another secret than the one of `clientSecretRef`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum OnSecretMismatch {
    /// It changes nothing, and the resource reports the difference.
    #[default]
    Refuse,
    /// It adopts the client and replaces its secret.
    Replace,
}

/// An open object that declares our own key, so that a rule can refuse it: CEL does not see undeclared keys.
pub(super) fn metadata_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 64,
        "x-kubernetes-preserve-unknown-fields": true,
        "properties": {
            "oidc-operator.dev": {
                "description": "Reserved for the operator; refused here.",
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": true
            }
        },
        "x-kubernetes-validations": [{
            "rule": "!has(self.oidc__dash__operator__dot__dev)",
            "message": "metadata: the key oidc-operator.dev is reserved for the operator; remove it"
        }]
    })
}

/// Turns every property of a schema into a non-null duration.
pub(super) fn durations(schema: &mut Schema) {
    let Some(properties) = schema.get_mut("properties").and_then(|p| p.as_object_mut()) else {
        return;
    };
    for property in properties.values_mut().filter_map(|p| p.as_object_mut()) {
        property.insert("type".into(), "string".into());
        property.insert("maxLength".into(), 32.into());
        property.insert("pattern".into(), r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$".into());
        property.insert(
            "x-kubernetes-validations".into(),
            serde_json::json!([{ "rule": "!self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') || duration(self) >= duration('0s')", "message": "the duration is too long; set a shorter one" }]),
        );
        property.remove("nullable");
    }
}
