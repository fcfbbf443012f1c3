//! Layout of the credentials Secret.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Variables that `credentials.data` may use, as `$(name)`.
pub const VARIABLES: [&str; 14] = [
    "clientId",
    "clientSecret",
    "scope",
    "keyId",
    "privateKey",
    "privateKeyJwk",
    "issuer",
    "discoveryUrl",
    "authorizationEndpoint",
    "tokenEndpoint",
    "userinfoEndpoint",
    "jwksUri",
    "revocationEndpoint",
    "endSessionEndpoint",
];

/// The Secret that applications mount: its name, its keys, and what else it holds.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.keys) || (has(self.keys.clientId) ? self.keys.clientId : 'CLIENT_ID') != (has(self.keys.clientSecret) ? self.keys.clientSecret : 'CLIENT_SECRET')")
    .message("credentials.keys: clientId and clientSecret need different keys").field_path(".keys"))]
#[x_kube(validation = Rule::new("!has(self.data) || self.data.all(k, k.matches('^[-._a-zA-Z0-9]+$') && k != (has(self.keys) && has(self.keys.clientId) ? self.keys.clientId : 'CLIENT_ID') && k != (has(self.keys) && has(self.keys.clientSecret) ? self.keys.clientSecret : 'CLIENT_SECRET'))")
    .message("credentials.data: keys consist of letters, digits, dot, dash and underscore, and are not those of the client id and secret").field_path(".data"))]
#[x_kube(validation = Rule::new(r"!has(self.data) || self.data.all(k, self.data[k].matches('^([^$]|[$]([^(]|$)|[$][(](clientId|clientSecret|scope|keyId|privateKey|privateKeyJwk|issuer|discoveryUrl|authorizationEndpoint|tokenEndpoint|userinfoEndpoint|jwksUri|revocationEndpoint|endSessionEndpoint)[)])*$'))")
    .message("credentials.data: the variables are $(clientId), $(clientSecret), $(scope), $(keyId), $(privateKey), $(privateKeyJwk), $(issuer), $(discoveryUrl), $(authorizationEndpoint), $(tokenEndpoint), $(userinfoEndpoint), $(jwksUri), $(revocationEndpoint) and $(endSessionEndpoint)").field_path(".data"))]
#[x_kube(validation = Rule::new("(!has(self.labels) || self.labels.all(k, !k.contains('oidc-operator.dev/') && (!k.contains('kubernetes.io/') || k.startsWith('app.kubernetes.io/')))) && (!has(self.annotations) || self.annotations.all(k, !k.contains('oidc-operator.dev/') && !k.contains('kubernetes.io/')))")
    .message("credentials: labels and annotations of kubernetes.io (other than app.kubernetes.io labels) and of oidc-operator.dev cannot be set"))]
pub struct Credentials {
    /// Name of the Secret. Default: the name of this resource. When it changes, the operator deletes the Secret of the old name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    #[x_kube(validation = Rule::new("!self.matches('^oac-[0-9a-f]{8}-')")
        .message("credentials.secretName: names that start like oac-01234567- are kept for the operator's ledgers"))]
    pub secret_name: Option<String>,
    /// Keys of the client id and secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SecretKeys")]
    pub keys: Option<SecretKeys>,
    /// Further entries: any text with variables such as `$(issuer)` in it. `$(scope)` is all that the client may ask for; `$(keyId)`, `$(privateKey)` (PEM,
    /// PKCS #8) and `$(privateKeyJwk)` are of the key with which the JsonWebKeySet of keySetRef signs now, and need its `privateKey`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "data_schema")]
    pub data: BTreeMap<String, String>,
    /// Labels of the Secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the Secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub annotations: BTreeMap<String, String>,
}

/// Keys within the credentials Secret.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeys {
    /// Key of the client id. Default: CLIENT_ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub client_id: Option<String>,
    /// Key of the client secret. Default: CLIENT_SECRET.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub client_secret: Option<String>,
}

fn data_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": { "type": "string", "maxLength": 2048 }
    })
}
