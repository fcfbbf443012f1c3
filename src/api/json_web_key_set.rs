//! `JsonWebKeySet`: keys that are made or imported, rotated, and handed out.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::refs::{SecretKeyRef, ServerRef};

/// Key of the private key's id in its Secret.
pub const KID: &str = "kid";

/// Key of the private key as a JWK.
pub const JWK: &str = "jwk.json";

/// Key of the private key as PEM.
pub const PEM: &str = "key.pem";

/// A set of signing keys (RFC 7517). On Ory Hydra the operator makes the keys or takes yours, keeps them on the server as a key set, and rotates them; an
/// OAuth2Client refers to it by `keySetRef` and proves itself with its private key (`private_key_jwt`). On HashiCorp Vault and OpenBao it is a named key, which
/// the server makes, rotates and signs the tokens of those OAuth2Clients with that refer to it.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "oidc-operator.dev",
    doc = "A set of keys: the operator or the server makes them, publishes the public halves and rotates them.",
    version = "v1alpha1",
    kind = "JsonWebKeySet",
    namespaced,
    status = "JsonWebKeySetStatus",
    shortname = "jwks",
    category = "oidc",
    selectable = ".spec.serverRef.name",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(name = "Key", type_ = "string", json_path = ".status.currentKeyId"),
    printcolumn(name = "Secret", type_ = "string", json_path = ".status.secretName"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[kube(validation = Rule::new("!self.metadata.name.matches('^(oac|jwks)-[0-9a-f]{8}-')")
    .message("metadata.name: names that start like jwks-01234567- are kept for the operator's ledgers"))]
#[kube(validation = Rule::new("!has(self.spec.import) || !has(self.spec.privateKey) || self.spec.import.secretRef.name != (has(self.spec.privateKey.secretName) ? self.spec.privateKey.secretName : self.metadata.name)")
    .message("import: names the Secret that the operator writes; keep your own key in another one").field_path(".spec.import"))]
#[kube(validation = Rule::new("!has(self.spec.publish) || !has(self.spec.publish.secretName) || !(has(self.spec.import) && self.spec.import.secretRef.name == self.spec.publish.secretName || has(self.spec.privateKey) && (has(self.spec.privateKey.secretName) ? self.spec.privateKey.secretName : self.metadata.name) == self.spec.publish.secretName)")
    .message("publish.secretName: the Secret of the public keys must be another one than that of a private key").field_path(".spec.publish.secretName"))]
#[x_kube(validation = Rule::new("has(self.serverRef) ? has(oldSelf.serverRef) && self.serverRef.name == oldSelf.serverRef.name : !has(oldSelf.serverRef)")
    .message("serverRef is immutable: create a new JsonWebKeySet for the other server").field_path(".serverRef"))]
#[x_kube(validation = Rule::new("has(self.setName) ? has(oldSelf.setName) && self.setName == oldSelf.setName : !has(oldSelf.setName)")
    .message("setName is immutable: create a new JsonWebKeySet of the other name").field_path(".setName"))]
#[x_kube(validation = Rule::new("has(self.generate) != has(self.import)")
    .message("set generate, for keys that the operator makes, or import, for a key of yours"))]
#[x_kube(validation = Rule::new("!has(self.rotation) || has(self.generate)")
    .message("rotation: goes with generate; to rotate a key of yours, change the Secret that import names").field_path(".rotation"))]
pub struct JsonWebKeySetSpec {
    /// The AuthorizationServer. Left out: the one named `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ServerRef")]
    pub server_ref: Option<ServerRef>,
    /// Name of the key set on the server. Default: on Ory Hydra the UID of this resource; on Vault and OpenBao the namespace and the name of this resource
    /// with a dot between them. Another name needs a grant in the server's access rules (`objectNames`; `reservedKeySets` for the server's own). Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 128),
        regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._~-]*$")
    )]
    #[x_kube(validation = Rule::new("!self.matches('^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$')")
        .message("setName: must not look like a UUID, since those are the names of sets that name none"))]
    #[x_kube(validation = Rule::new("!self.contains('..')")
        .message("setName: must not contain two dots in a row"))]
    pub set_name: Option<String>,
    /// The operator makes the keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Generate")]
    pub generate: Option<Generate>,
    /// The key is yours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Import")]
    pub import: Option<Import>,
    /// When keys are replaced. Left out: only when the annotation `oidc-operator.dev/rotate-at` (an RFC 3339 time) asks for it, and no more often than
    /// `minRotationPeriod` of the server's access rules lets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "KeyRotation")]
    pub rotation: Option<KeyRotation>,
    /// A Secret for the application that signs: the private key in use, as `jwk.json` (RFC 7517) and `key.pem` (PKCS #8), and its id as `kid`. Left out:
    /// the private key is in no Secret but the operator's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PrivateKeyOutput")]
    pub private_key: Option<PrivateKeyOutput>,
    /// Where the public keys are published, for applications that verify what is signed. Left out: in the status alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PublishKeys")]
    pub publish: Option<PublishKeys>,
}

/// Which keys the operator makes.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub struct Generate {
    /// Signature algorithm (RFC 7518, section 3.1; RFC 8037 for EdDSA). A changed one counts from the next key on, which is made at once.
    pub algorithm: KeyAlgorithm,
    /// Who makes the keys. `Operator`, the default: the operator, RSA keys with 2048 bits. `Server`: the server, which knows RS256 (4096 bits), ES256, ES512
    /// and EdDSA; not for the server's own sets. A changed one counts from the next key on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "KeyMaker")]
    pub by: Option<KeyMaker>,
}

/// Who makes keys.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum KeyMaker {
    /// The operator.
    #[default]
    Operator,
    /// The authorization server.
    Server,
}

/// Signature algorithms of keys.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[allow(missing_docs)] // each name is its own definition
pub enum KeyAlgorithm {
    RS256,
    PS256,
    ES256,
    ES384,
    ES512,
    EdDSA,
}

impl KeyAlgorithm {
    /// The name in a key's `alg`.
    pub fn as_str(self) -> &'static str {
        match self {
            KeyAlgorithm::RS256 => "RS256",
            KeyAlgorithm::PS256 => "PS256",
            KeyAlgorithm::ES256 => "ES256",
            KeyAlgorithm::ES384 => "ES384",
            KeyAlgorithm::ES512 => "ES512",
            KeyAlgorithm::EdDSA => "EdDSA",
        }
    }
}

/// Where a key of the user's is.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Import {
    /// The Secret and the key within it: a private key as JWK, a JWKS with one private key, or PEM (PKCS #8, PKCS #1 or SEC 1). A change is taken over at
    /// once if the Secret carries the label `oidc-operator.dev/watch: "true"`, else within a minute.
    pub secret_ref: SecretKeyRef,
}

/// When keys are replaced. A new key is known to all who verify before it signs, and an old one stays known after it.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct KeyRotation {
    /// How long a key signs, as a duration such as `720h`; at least `minRotationPeriod` of the server's access rules, which is an hour unless they say another.
    #[schemars(length(max = 32), regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    #[x_kube(validation = Rule::new("!self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') || duration(self) >= duration('1s')").message("rotation.period: at least 1s"))]
    pub period: String,
    /// How long a new public key is published before its private half signs; clients that refer to the set have to carry it in any case. Default: 1m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 32),
        regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$")
    )]
    #[x_kube(validation = Rule::new("!self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') || duration(self) >= duration('0s')").message("rotation.prePublish: longer than any duration can be"))]
    pub pre_publish: Option<String>,
    /// How long an old public key stays published after its private half signed last: longer than applications take to see a changed Secret, and than what
    /// was signed is valid. Default: 1h; on Vault and OpenBao, whose `verification_ttl` it is, 24h or ten times the period, whichever is shorter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 32),
        regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$")
    )]
    #[x_kube(validation = Rule::new("!self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') || duration(self) >= duration('0s')").message("rotation.overlap: longer than any duration can be"))]
    pub overlap: Option<String>,
}

/// The Secret with the private key, for the application that signs.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PrivateKeyOutput {
    /// Name of the Secret. Default: the name of this resource. When it changes, the operator deletes the Secret of the old name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    #[x_kube(validation = Rule::new("!self.matches('^(oac|jwks)-[0-9a-f]{8}-')")
        .message("privateKey.secretName: names that start like jwks-01234567- are kept for the operator's ledgers"))]
    pub secret_name: Option<String>,
}

/// Where the public keys are published: as a JWKS (RFC 7517, section 5) under the key `jwks.json`. What somebody else changes in the ConfigMap is put right
/// at the next look, within `resyncInterval` of the AuthorizationServer; in the Secret at once.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.secretName) && has(self.configMapName))")
    .message("publish: set configMapName or secretName, or neither"))]
pub struct PublishKeys {
    /// Name of a ConfigMap. Default, unless secretName is set: the name of this resource. When it changes, the operator deletes the ConfigMap of the old name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub config_map_name: Option<String>,
    /// Name of a Secret, for applications that can mount nothing else. When it changes, the operator deletes the Secret of the old name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    #[x_kube(validation = Rule::new("!self.matches('^(oac|jwks)-[0-9a-f]{8}-')")
        .message("publish.secretName: names that start like jwks-01234567- are kept for the operator's ledgers"))]
    pub secret_name: Option<String>,
}

/// What the operator knows of the keys. Public parts only.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq)]
#[schemars(extend("default" = {"observedGeneration": -1}))]
#[serde(rename_all = "camelCase")]
pub struct JsonWebKeySetStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready and Synced always; Reconciling and Stalled while they hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(length(max = 16))]
    pub conditions: Vec<Condition>,
    /// Name of the key set on the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_name: Option<String>,
    /// UID of the AuthorizationServer that the name was claimed on, on a server where keys have no place for a mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_uid: Option<String>,
    /// Id of the Kubernetes cluster (`--cluster-id` of its operator) that keeps the keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// Id of the key that signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_key_id: Option<String>,
    /// When the key that signs began to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<String>,
    /// The public keys that verifiers need now: of the key that signs, of the next, and of those before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "public_keys")]
    pub keys: Vec<Map<String, Value>>,
    /// Ids of the clients that may have tokens signed with the key, on a server that keeps such a list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10000))]
    pub client_ids: Vec<String>,
    /// When the next step of a rotation is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_step_at: Option<String>,
    /// Name of the Secret with the private key, once it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
    /// Name of the ConfigMap that the public keys are published in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_name: Option<String>,
    /// Digest of the inputs of the last successful reconciliation. Internal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<String>,
}

impl JsonWebKeySet {
    /// Name of the ConfigMap that the spec asks for, if it does.
    pub fn config_map_name(&self) -> Option<String> {
        let publish = self.spec.publish.as_ref()?;
        match (&publish.config_map_name, &publish.secret_name) {
            (Some(name), _) => Some(name.clone()),
            (None, Some(_)) => None,
            (None, None) => Some(self.name_any()),
        }
    }

    /// Name of the Secret with the private key that the spec asks for, if it does.
    pub fn private_key_secret_name(&self) -> Option<String> {
        let output = self.spec.private_key.as_ref()?;
        Some(output.secret_name.clone().unwrap_or_else(|| self.name_any()))
    }
}

impl JsonWebKeySetStatus {
    /// Ids of the public keys.
    pub fn key_ids(&self) -> Vec<&str> {
        self.keys.iter().filter_map(|key| key.get("kid")?.as_str()).collect()
    }
}

/// Whether the set of this name is the server's own: what it signs with, and its certificate.
pub fn is_reserved(set_name: &str) -> bool {
    set_name.to_ascii_lowercase().starts_with("hydra.") // some databases compare without regard to case
}

fn public_keys(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "maxItems": 16,
        "items": { "type": "object", "x-kubernetes-preserve-unknown-fields": true }
    })
}
