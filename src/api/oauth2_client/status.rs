//! What the operator reports about an OAuth2Client.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rotation::RotationWait;
use super::values::{ClientType, GrantType, ResponseType, SubjectType, TokenEndpointAuthMethod};
use crate::api::authorization_server::status::Endpoints;
use crate::api::refs::DeletionPolicy;

/// Observed state of the client.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq)]
#[schemars(extend("default" = {"observedGeneration": -1}))]
#[serde(rename_all = "camelCase")]
pub struct OAuth2ClientStatus {
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
    /// Name of the object on the server, if clients have a name besides their id there. The operator stores it here
    /// before the first write; it proves that the object belongs to this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// UID of the AuthorizationServer on which the operator claimed the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_uid: Option<String>,
    /// Id of the Kubernetes cluster that manages the client (`--cluster-id` of its operator).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// JsonWebKeySet whose key signs the tokens of the client, if the server does not allow another key later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_set_name: Option<String>,
    /// The client_id on the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Id that the client has on the server, if it is neither `spec.clientId` nor the UID of the resource: clientIdFrom
    /// named it, or an earlier resource of this name registered the client. The operator stores the id here before it
    /// writes anything under it, and keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned_client_id: Option<String>,
    /// Name of the credentials Secret, once it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
    /// The credentials Secret as a binding of servicebinding.io, if the Secret is laid out as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Binding")]
    pub binding: Option<Binding>,
    /// Issuer and endpoints that the client uses, if they are those of a provider. On Ory Hydra they are in the status
    /// of the AuthorizationServer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Box<Endpoints>>,
    /// Effective values, defaults included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    // Atomic: one owner for the whole is cheaper for the Kubernetes API than an owner for each field.
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub effective: Option<Effective>,
    /// Ids of the keys that the client is registered with, if it refers to a JsonWebKeySet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub key_ids: Vec<String>,
    /// When the current client secret came into use (RFC 3339), if the operator generated it. If only others know the
    /// secret: when the client was adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<String>,
    /// When the operator replaces the client secret next (RFC 3339), according to `rotation.period` or the annotation
    /// `oidc-operator.dev/rotate-at`. Absent if neither asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_rotation_at: Option<String>,
    /// What the rotation that is due or requested waits for. Absent if none waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RotationWait")]
    pub rotation_waits_for: Option<RotationWait>,
    /// Until when the former client secret is valid beside the current one (RFC 3339), according to `rotation.overlap`.
    /// Absent if only the current one is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former_secret_until: Option<String>,
    /// Whether the client existed on the server before this resource and was adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<bool>,
    /// Whether your own client secret has characters that applications must form-encode before HTTP Basic authentication
    /// (RFC 6749, section 2.3.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_needs_encoding: Option<bool>,
    /// Fields of which the server stores another value than requested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub not_kept: Vec<String>,
    /// Grant types that an adopted client keeps although `grantTypes` does not list them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 256)))]
    pub kept_grant_types: Vec<String>,
    /// When the server last stored what the operator sent, by the server's clock. A different value on the server means
    /// that another writer changed the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
    /// Digest of the inputs of the last successful reconciliation. Internal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<String>,
}

/// A Secret with a binding (Service Binding for Kubernetes, Provisioned Service).
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub struct Binding {
    /// Name of the Secret.
    pub name: String,
}

/// Effective values, defaults included.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Effective {
    /// Client type.
    pub client_type: ClientType,
    /// Grant types.
    pub grant_types: Vec<GrantType>,
    /// Response types.
    pub response_types: Vec<ResponseType>,
    /// Scopes.
    pub scopes: Vec<String>,
    /// Token endpoint authentication method.
    pub token_endpoint_auth_method: TokenEndpointAuthMethod,
    /// Subject type.
    pub subject_type: SubjectType,
    /// Deletion policy.
    pub deletion_policy: DeletionPolicy,
}
