//! Layout of the credentials Secret.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::preset::Preset;

/// Variables that `credentials.data` may use, as `$(name)` or `$(name|encoding)`.
pub const VARIABLES: [&str; 17] = [
    "clientId",
    "clientSecret",
    "basicCredentials",
    "scope",
    "audience",
    "keyId",
    "privateKey",
    "privateKeyJwk",
    "issuer",
    "discoveryUrl",
    "authorizationEndpoint",
    "deviceAuthorizationEndpoint",
    "tokenEndpoint",
    "userinfoEndpoint",
    "jwksUri",
    "revocationEndpoint",
    "endSessionEndpoint",
];

/// The Secret that applications mount: its name, its keys, and additional content.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.keys) || has(self.preset) || (has(self.keys.clientId) ? self.keys.clientId : 'CLIENT_ID') != (has(self.keys.clientSecret) ? self.keys.clientSecret : 'CLIENT_SECRET')")
    .message("credentials.keys: clientId and clientSecret must be different keys").field_path(".keys"))]
#[x_kube(validation = Rule::new("!has(self.data) || self.data.all(k, k.matches('^[-._a-zA-Z0-9]+$') && (has(self.preset) || k != (has(self.keys) && has(self.keys.clientId) ? self.keys.clientId : 'CLIENT_ID') && k != (has(self.keys) && has(self.keys.clientSecret) ? self.keys.clientSecret : 'CLIENT_SECRET')))")
    .message("credentials.data: keys must consist of letters, digits, dots, dashes and underscores, and must differ from those of the client id and secret").field_path(".data"))]
#[x_kube(validation = Rule::new(r"!has(self.data) || self.data.all(k, self.data[k].matches('^([^$]|[$]([^(]|$)|[$][(](clientId|clientSecret|basicCredentials|scope|audience|keyId|privateKey|privateKeyJwk|issuer|discoveryUrl|authorizationEndpoint|deviceAuthorizationEndpoint|tokenEndpoint|userinfoEndpoint|jwksUri|revocationEndpoint|endSessionEndpoint)([|](url|base64|json))?[)])*$'))")
    .message("credentials.data: `$(` must start a variable; the variables are $(clientId), $(clientSecret), $(basicCredentials), $(scope), $(audience), $(keyId), $(privateKey), $(privateKeyJwk), $(issuer), $(discoveryUrl), $(authorizationEndpoint), $(deviceAuthorizationEndpoint), $(tokenEndpoint), $(userinfoEndpoint), $(jwksUri), $(revocationEndpoint) and $(endSessionEndpoint), and an encoding may follow: $(clientSecret|url), |base64 or |json").field_path(".data"))]
#[x_kube(validation = Rule::new("(!has(self.labels) || self.labels.all(k, !k.contains('oidc-operator.dev/') && (!k.contains('kubernetes.io/') || k.startsWith('app.kubernetes.io/')))) && (!has(self.annotations) || self.annotations.all(k, !k.contains('oidc-operator.dev/') && !k.contains('kubernetes.io/')))")
    .message("credentials: labels and annotations of kubernetes.io (other than app.kubernetes.io labels) and of oidc-operator.dev are reserved; remove them"))]
pub struct Credentials {
    /// Lays the Secret out for an application that is known: OAuth2Proxy (with a random `cookie-secret`, which is made
    /// once and kept as long as the Secret exists), EnvoyGateway, ArgoCD, Grafana, or ServiceBinding (which also sets
    /// `status.binding`). The other fields add to the preset and override it. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Preset")]
    pub preset: Option<Preset>,
    /// Type of the Secret, for example `servicebinding.io/oauth2`. Kubernetes never changes the type of a Secret, so
    /// another type needs another secretName, or that you delete the Secret. Default: Opaque.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 253),
        regex(pattern = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?$")
    )]
    #[x_kube(validation = Rule::new("!self.matches('^([a-z0-9.-]*[.])?(kubernetes[.]io|k8s[.]io|oidc-operator[.]dev)/')")
        .message("credentials.type: types of kubernetes.io, k8s.io and oidc-operator.dev have a meaning of their own; choose another type"))]
    pub type_: Option<String>,
    /// Name of the Secret. Default: the name of this resource. When it changes, the operator deletes the Secret of the
    /// old name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    #[x_kube(validation = Rule::new("!self.matches('^oac-[0-9a-f]{8}-')")
        .message("credentials.secretName: names that start like oac-01234567- are reserved for the operator's ledgers; choose another name"))]
    pub secret_name: Option<String>,
    /// Keys of the client id and secret. Default: those of the preset, or CLIENT_ID and CLIENT_SECRET.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SecretKeys")]
    pub keys: Option<SecretKeys>,
    /// Additional entries: text with variables such as `$(issuer)`. `$(scope)` and `$(audience)` list all scopes and
    /// audiences that the client may request, `$(basicCredentials)` is the value for HTTP Basic authentication.
    /// `$(clientSecret|url)` form-encodes a value, `|base64` encodes it in Base64 and `|json` as a JSON string.
    /// `$(keyId)`, `$(privateKey)` (PEM, PKCS #8) and `$(privateKeyJwk)` describe the key with which the
    /// JsonWebKeySet of keySetRef signs now, and need its `privateKey`. All entries together have at most 1 MiB; each
    /// variable for a secret or a private key counts as 8 KiB.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "data_schema")]
    pub data: BTreeMap<String, String>,
    /// Labels of the Secret, and of the operator's ledger of the client, so that both satisfy a policy that wants them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the Secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub annotations: BTreeMap<String, String>,
}

/// Keys in the credentials Secret.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeys {
    /// Key of the client id. Default: that of the preset, or CLIENT_ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub client_id: Option<String>,
    /// Key of the client secret. Default: that of the preset, or CLIENT_SECRET.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub client_secret: Option<String>,
    /// Key of the former client secret while it is valid beside the current one (`rotation.overlap`), such as
    /// CLIENT_SECRET_PREVIOUS. Afterwards the Secret does not have the key. Default: the Secret never has the former one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub former_client_secret: Option<String>,
}

fn data_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": { "type": "string", "maxLength": 2048 }
    })
}
