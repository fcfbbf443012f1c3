//! What the operator reports of an OAuth2Client.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{ClientType, GrantType, ResponseType, SubjectType, TokenEndpointAuthMethod};
use crate::api::authorization_server::status::Endpoints;
use crate::api::refs::DeletionPolicy;

/// What the operator knows of the client.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq)]
#[schemars(extend("default" = {"observedGeneration": -1}))]
#[serde(rename_all = "camelCase")]
pub struct OAuth2ClientStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready and Synced always; Reconciling, Stalled and Suspended while they hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(length(max = 16))]
    pub conditions: Vec<Condition>,
    /// Name of the object on the server, where clients have one besides their id. It is kept here from before the first write on, and makes the object ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// UID of the AuthorizationServer that the name was claimed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_uid: Option<String>,
    /// Id of the Kubernetes cluster (`--cluster-id` of its operator) that keeps the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// The JsonWebKeySet whose key signs the tokens of the client, on a server where that cannot change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_set_name: Option<String>,
    /// The client_id on the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Name of the credentials Secret, once it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
    /// Issuer and endpoints that the client talks to, where they are those of a provider. On Ory Hydra they are those of the AuthorizationServer, whose
    /// status has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Box<Endpoints>>,
    /// The values in force, defaults included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    // Atomic: one owner for the whole costs the Kubernetes API less than one for each field.
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub effective: Option<Effective>,
    /// Ids of the keys that the client was registered with, if it refers to a JsonWebKeySet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub key_ids: Vec<String>,
    /// Since when the client secret in force has been, if the operator made it; of one that only others know, since when the client was taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<String>,
    /// Whether the client was on the server before this resource, and was taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<bool>,
    /// When the server last stored what the operator sent, by the server's own clock. Another value there means that somebody else wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
    /// Digest of the inputs of the last successful reconciliation. Internal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<String>,
}

/// Values in force, defaults included.
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
