//! What the operator reports about a JsonWebKeySet.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::api::refs::DeletionPolicy;

/// Observed state of the keys. Public parts only.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq)]
#[schemars(extend("default" = {"observedGeneration": -1}))]
#[serde(rename_all = "camelCase")]
pub struct JsonWebKeySetStatus {
    /// `metadata.generation` that this status describes; -1 until the operator has processed the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Synced, always present; Ready, present unless the resource was suspended before it was ready;
    /// Reconciling, Stalled, Suspended and DriftDetected, present only while True.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(length(max = 16))]
    pub conditions: Vec<Condition>,
    /// Name of the AuthorizationServer in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// When the operator last wrote to the server for this resource, or first found the server in line with a new
    /// `metadata.generation` (RFC 3339). A comparison that finds nothing to do leaves it as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sync_time: Option<String>,
    /// Value of the annotation `oidc-operator.dev/reconcile-at` or `reconcile.fluxcd.io/requestedAt` that the operator
    /// handled last; if both are set, both values with a space between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// Name of the key set on the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_name: Option<String>,
    /// UID of the AuthorizationServer on which the operator claimed the name, if keys cannot carry a marker there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_uid: Option<String>,
    /// Id of the Kubernetes cluster that manages the keys (`--cluster-id` of its operator).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// Id of the key that signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_key_id: Option<String>,
    /// When the current key began to sign (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<String>,
    /// When the next key becomes the one that signs (RFC 3339), according to `rotation.period` or the annotation
    /// `oidc-operator.dev/rotate-at`. Absent if neither asks for it. Vault and OpenBao rotate by themselves after
    /// `rotation.period` and do not say when, so there it is the time of the annotation alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_rotation_at: Option<String>,
    /// The public keys that verifiers need now: the key that signs, the next key, and previous keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "public_keys")]
    pub keys: Vec<Map<String, Value>>,
    /// Ids of the clients whose tokens may be signed with the key, if the server keeps such a list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10000))]
    pub client_ids: Vec<String>,
    /// When the next step of a rotation is due (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_step_at: Option<String>,
    /// Name of the Secret with the private key, once it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
    /// Name of the ConfigMap with the public keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_name: Option<String>,
    /// Whether the key set existed on the server before this resource and was adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<bool>,
    /// Ids of clients that the list on the server had when it was adopted, and that no resource has added since. The
    /// operator keeps them in the list until somebody removes them there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub kept_client_ids: Vec<String>,
    /// Deletion policy in force, if it is another one than the default and the access rules allowed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Digest of the inputs of the last successful reconciliation. Internal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<String>,
}

impl JsonWebKeySetStatus {
    /// Ids of the public keys.
    pub fn key_ids(&self) -> Vec<&str> {
        self.keys.iter().filter_map(|key| key.get("kid")?.as_str()).collect()
    }
}

fn public_keys(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "maxItems": 16,
        "items": { "type": "object", "x-kubernetes-preserve-unknown-fields": true }
    })
}
