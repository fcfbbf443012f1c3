//! `JsonWebKeySet`: keys that are generated or imported, rotated, and published.

use kube::{CustomResource, KubeSchema, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::refs::{Adoption, DeletionPolicy, ManagementPolicy, SecretKeyRef, ServerRef};

mod status;

pub use status::JsonWebKeySetStatus;

/// Key in the private key's Secret: id of the private key.
pub const KID: &str = "kid";

/// Key in the private key's Secret: the private key as JWK.
pub const JWK: &str = "jwk.json";

/// Key of the public keys in ConfigMap and Secret.
pub const JWKS: &str = "jwks.json";

/// Key in the private key's Secret: the private key as PEM.
pub const PEM: &str = "key.pem";

/// A set of signing keys (RFC 7517). On Ory Hydra the operator generates the keys or imports yours, stores them on the
/// server as a key set, and rotates them. An OAuth2Client refers to the set by `keySetRef` and authenticates with its
/// private key (`private_key_jwt`). On HashiCorp Vault and OpenBao it is a named key: the server generates it, rotates
/// it, and signs the tokens of the OAuth2Clients that refer to it.
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
    printcolumn(name = "Server", type_ = "string", json_path = ".status.server"),
    printcolumn(name = "Secret", type_ = "string", json_path = ".status.secretName"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Set", type_ = "string", json_path = ".status.setName", priority = 1),
    printcolumn(name = "Key", type_ = "string", json_path = ".status.currentKeyId", priority = 1),
    printcolumn(name = "Last Sync", type_ = "date", json_path = ".status.lastSyncTime", priority = 1),
    printcolumn(
        name = "Next Rotation",
        type_ = "string",
        json_path = ".status.nextRotationAt",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[kube(validation = Rule::new("!self.metadata.name.matches('^(oac|jwks)-[0-9a-f]{8}-')")
    .message("metadata.name: names that start like jwks-01234567- or oac-01234567- are reserved for the operator's ledgers; choose another name"))]
#[kube(validation = Rule::new("!has(self.spec.import) || !has(self.spec.privateKey) || self.spec.import.secretRef.name != (has(self.spec.privateKey.secretName) ? self.spec.privateKey.secretName : self.metadata.name)")
    .message("import: names the Secret that the operator writes; keep your own key in another Secret").field_path(".spec.import"))]
#[kube(validation = Rule::new("!has(self.spec.publish) || !has(self.spec.publish.secretName) || !(has(self.spec.import) && self.spec.import.secretRef.name == self.spec.publish.secretName || has(self.spec.privateKey) && (has(self.spec.privateKey.secretName) ? self.spec.privateKey.secretName : self.metadata.name) == self.spec.publish.secretName)")
    .message("publish.secretName: names the Secret of a private key; publish the public keys in another Secret").field_path(".spec.publish.secretName"))]
#[x_kube(validation = Rule::new("(has(self.serverRef) ? self.serverRef.name : 'default') == (has(oldSelf.serverRef) ? oldSelf.serverRef.name : 'default')")
    .message("serverRef is immutable: create a new JsonWebKeySet for the other server").field_path(".serverRef"))]
#[x_kube(validation = Rule::new("has(self.setName) ? has(oldSelf.setName) && self.setName == oldSelf.setName : !has(oldSelf.setName)")
    .message("setName is immutable: create a new JsonWebKeySet with the other name").field_path(".setName"))]
#[x_kube(validation = Rule::new("has(self.generate) != has(self.import)")
    .message("set exactly one of generate, for new keys, and import, for your own key"))]
#[x_kube(validation = Rule::new("!has(self.rotation) || has(self.generate)")
    .message("rotation: needs generate; to rotate your own key, change the Secret that import names").field_path(".rotation"))]
pub struct JsonWebKeySetSpec {
    /// The AuthorizationServer. Default: the AuthorizationServer named `default`. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ServerRef")]
    pub server_ref: Option<ServerRef>,
    /// Name of the key set on the server. Default: on Ory Hydra the UID of this resource; on Vault and OpenBao the
    /// namespace and the name of this resource, with a dot between them. Another name needs a grant in the server's
    /// access rules (`objectNames`; `adopt.objectNames` for an existing set that is adopted; `reservedKeySets` for the
    /// server's own sets). Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 128),
        regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._~-]*$")
    )]
    #[x_kube(validation = Rule::new("!self.matches('^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$')")
        .message("setName: must not look like a UUID, because key sets without setName get UUIDs as names; choose another name"))]
    #[x_kube(validation = Rule::new("!self.contains('..')")
        .message("setName: must not contain two dots in a row"))]
    pub set_name: Option<String>,
    /// Generates the keys. Set either generate or import.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Generate")]
    pub generate: Option<Generate>,
    /// Imports your own key. Not on Vault and OpenBao.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Import")]
    pub import: Option<Import>,
    /// When keys are replaced. Default: only when the annotation `oidc-operator.dev/rotate-at` (an RFC 3339 time)
    /// requests it, no more often than `minRotationPeriod` of the server's access rules allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "KeyRotation")]
    pub rotation: Option<KeyRotation>,
    /// Secret for the application that signs. It holds the private key in use as `jwk.json` (RFC 7517) and `key.pem`
    /// (PKCS #8), and its id as `kid`. Default: only the operator's own Secret holds the private key. Not on Vault and
    /// OpenBao.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PrivateKeyOutput")]
    pub private_key: Option<PrivateKeyOutput>,
    /// Where the operator publishes the public keys, for applications that verify signatures. Default: only in the
    /// status. Not on Vault and OpenBao.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PublishKeys")]
    pub publish: Option<PublishKeys>,
    /// Whether the operator adopts a key set that already exists on the server. Needs a grant in the server's access
    /// rules (`adopt.objectNames`), with its exact name. The operator changes it to match this spec, but keeps clients
    /// in the list of a Vault key that no resource has (`status.keptClientIds`). On Ory Hydra it takes over the private
    /// key that the server made last, which must have the algorithm of `generate`, and never touches the other keys of
    /// the set. With suspend: true the resource says what an adoption would change. The operator never adopts what
    /// another resource has. Not for key sets of a Hydra itself. Default: Never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Adoption")]
    pub adoption: Option<Adoption>,
    /// What happens to the keys on the server when this resource is deleted. Default: Delete, or Orphan if it was
    /// adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DeletionPolicy")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Full: the operator makes the key set on the server match this spec. ObserveOnly: it writes nothing on the server
    /// and makes no Secret and no ConfigMap, and only compares: Ready says whether the key set is as this spec
    /// describes it, and the condition DriftDetected names the fields that differ. It compares a key set that belongs
    /// to this resource, or one that it could adopt (see adoption). When this resource is deleted, the key set stays,
    /// as with deletionPolicy: Orphan, which the access rules must allow if the operator has made it. Default: Full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ManagementPolicy")]
    pub management_policy: Option<ManagementPolicy>,
    /// While true, the operator writes nothing for this resource, but still handles its deletion and a revoked access.
    /// Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub suspend: Option<bool>,
}

/// Which keys to generate.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub struct Generate {
    /// Signature algorithm (RFC 7518, section 3.1; RFC 8037 for EdDSA). After a change, the next key has the new
    /// algorithm and is generated at once.
    pub algorithm: KeyAlgorithm,
    /// Who generates the keys. `Operator`: the operator; RSA keys have 2048 bits. `Server`: the server, which supports
    /// RS256 (4096 bits), ES256, ES512 and EdDSA; not for the server's own sets. A change applies from the next key on.
    /// Default: Operator; on Vault and OpenBao always the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "KeyMaker")]
    pub by: Option<KeyMaker>,
}

/// Who generates keys.
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
    /// The algorithm as written in the `alg` of a key.
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

/// Source of a user's own key.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Import {
    /// The Secret and the key in it that holds a private key as JWK, a JWKS with one private key, or PEM (PKCS #8, PKCS
    /// #1 or SEC 1). The operator imports a change at once if the Secret has the label
    /// `oidc-operator.dev/watch: "true"` and the operator watches Secrets, and within a minute otherwise.
    pub secret_ref: SecretKeyRef,
}

/// When keys are replaced. Verifiers know a new key before it signs, and still know an old key after it has signed.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct KeyRotation {
    /// How long a key signs, as a duration such as `720h`. Minimum: `minRotationPeriod` of the server's access rules,
    /// which is 1h by default.
    #[schemars(length(max = 32), regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    #[x_kube(validation = Rule::new("!self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') || duration(self) >= duration('1s')").message("rotation.period: must be at least 1s"))]
    pub period: String,
    /// How long a new public key is published before its private half signs, as a duration such as `1m`. In any case,
    /// clients that refer to the set must be registered with the key first. Default: 1m. Not on Vault and OpenBao.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 32),
        regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$")
    )]
    #[x_kube(validation = Rule::new("!self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') || duration(self) >= duration('0s')").message("rotation.prePublish: the duration is too long; set a shorter one"))]
    pub pre_publish: Option<String>,
    /// How long an old public key stays published after its private half last signed, as a duration such as `1h`. Set
    /// it longer than applications need to see a changed Secret, and longer than what was signed is valid. Default: 1h.
    /// On Vault and OpenBao it is the `verification_ttl`; default there: 24h or ten times the period, whichever is
    /// shorter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 32),
        regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$")
    )]
    #[x_kube(validation = Rule::new("!self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') || duration(self) >= duration('0s')").message("rotation.overlap: the duration is too long; set a shorter one"))]
    pub overlap: Option<String>,
}

/// Secret with the private key, for the application that signs.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PrivateKeyOutput {
    /// Name of the Secret. Default: the name of this resource. When it changes, the operator deletes the Secret of the
    /// old name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    #[x_kube(validation = Rule::new("!self.matches('^(oac|jwks)-[0-9a-f]{8}-')")
        .message("privateKey.secretName: names that start like jwks-01234567- or oac-01234567- are reserved for the operator's ledgers; choose another name"))]
    pub secret_name: Option<String>,
}

/// Where the public keys are published: as a JWKS (RFC 7517, section 5) under the key `jwks.json`. The operator reverts
/// changes by others: in the Secret at once, in the ConfigMap at the next check, within `resyncInterval` of the
/// AuthorizationServer.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.secretName) && has(self.configMapName))")
    .message("publish: set configMapName or secretName, not both"))]
pub struct PublishKeys {
    /// Name of a ConfigMap. Default: the name of this resource, unless secretName is set. When it changes, the operator
    /// deletes the ConfigMap of the old name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub config_map_name: Option<String>,
    /// Name of a Secret, for applications that cannot mount a ConfigMap. When it changes, the operator deletes the
    /// Secret of the old name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    #[x_kube(validation = Rule::new("!self.matches('^(oac|jwks)-[0-9a-f]{8}-')")
        .message("publish.secretName: names that start like jwks-01234567- or oac-01234567- are reserved for the operator's ledgers; choose another name"))]
    pub secret_name: Option<String>,
}

impl JsonWebKeySet {
    /// Name of the ConfigMap that the spec requests, if any.
    pub fn config_map_name(&self) -> Option<String> {
        let publish = self.spec.publish.as_ref()?;
        match (&publish.config_map_name, &publish.secret_name) {
            (Some(name), _) => Some(name.clone()),
            (None, Some(_)) => None,
            (None, None) => Some(self.name_any()),
        }
    }

    /// Name of the Secret with the private key that the spec requests, if any.
    pub fn private_key_secret_name(&self) -> Option<String> {
        let output = self.spec.private_key.as_ref()?;
        Some(output.secret_name.clone().unwrap_or_else(|| self.name_any()))
    }
}

/// Whether a set of this name is one of the server's own: its signing keys and its certificate.
pub fn is_reserved(set_name: &str) -> bool {
    set_name.to_ascii_lowercase().starts_with("hydra.") // some databases ignore case
}
