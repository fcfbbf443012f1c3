//! What the operator reports about a server.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::oauth2_client::values::SubjectType;

/// Observed state of the server.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq)]
#[schemars(extend("default" = {"observedGeneration": -1}))]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationServerStatus {
    /// `metadata.generation` that this status describes; -1 until the operator has processed the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready and Synced, always present; Reconciling, Stalled, Insecure and RestartRequired, present only while True.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(length(max = 16))]
    pub conditions: Vec<Condition>,
    /// When the operator first found a new `metadata.generation` in order (RFC 3339). A check or comparison of the same
    /// generation leaves it as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sync_time: Option<String>,
    /// Value of the annotation `oidc-operator.dev/reconcile-at` or `reconcile.fluxcd.io/requestedAt` that the operator
    /// handled last; if both are set, both values with a space between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// API that the server speaks: hydra, vault or foulkon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flavour: Option<String>,
    /// The version that the server reports, for example `v2.3.0`. Empty if the server does not report it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How the operator logs in: None, Bearer, Basic or Headers; on Vault and OpenBao Kubernetes, JWT, AppRole, Token
    /// or Certificate, with the role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// Issuer and endpoints from the discovery document (OpenID Connect Discovery 1.0, section 3). On Ory Hydra only
    /// with publicUrl; on Vault and OpenBao those of the provider `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,
    /// Subject types that the discovery document lists; only with publicUrl.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subject_types: Vec<SubjectType>,
    /// Optional features that this version of the server supports. The operator refuses fields that need another
    /// feature (reason `UnsupportedByServer`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Capability>,
    /// Id of the cluster that a Vault or an OpenBao belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// Whether the Foulkon worker has loaded all current providers of the operator and no deleted ones. Empty if the
    /// worker does not report it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded: Option<bool>,
    /// Number of resources that use this server, as of the last comparison.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<i64>,
    /// Number of remote objects without a resource, as of the last comparison: on Ory Hydra clients with this cluster's
    /// marker, on Foulkon providers below pathPrefix. `spec.orphans` decides what happens to them. Empty on Vault and
    /// OpenBao, where objects cannot carry a marker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orphans: Option<i64>,
}

/// A feature that some versions of a server have and others lack.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum Capability {
    /// Token lifetimes per client.
    TokenLifespans,
    /// Clients that skip consent, at login or at logout.
    SkipConsent,
    /// Format of access tokens per client.
    AccessTokenStrategy,
    /// Client secrets of more than 72 bytes.
    LongSecrets,
    /// Public keys that are published before their private halves sign.
    KeyPrePublication,
    /// Deletion of expired tokens on request.
    FlushTokens,
    /// Client ids with slashes, such as URLs.
    SlashesInClientIds,
    /// The device authorization grant (RFC 8628).
    DeviceAuthorizationGrant,
    /// The client credentials grant, on servers whose clients otherwise have only the authorization code grant.
    ClientCredentials,
}

/// Facts about a server on which defaults, Secrets and refusals depend.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Issuer and endpoints.
    pub endpoints: Option<Endpoints>,
    /// Subject types.
    pub subject_types: Vec<SubjectType>,
    /// Capabilities.
    pub capabilities: Vec<Capability>,
}

impl Facts {
    /// The facts in a status.
    pub fn of(status: &AuthorizationServerStatus) -> Self {
        Facts {
            endpoints: status.endpoints.clone(),
            subject_types: status.subject_types.clone(),
            capabilities: status.capabilities.clone(),
        }
    }
}

/// Issuer and endpoints from the discovery document.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// Issuer identifier: the `iss` of every token.
    #[serde(default)]
    pub issuer: String,
    /// URL of the discovery document.
    #[serde(default)]
    pub discovery_url: String,
    /// Authorization endpoint (RFC 6749, section 3.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_endpoint: Option<String>,
    /// Device authorization endpoint (RFC 8628, section 3.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_authorization_endpoint: Option<String>,
    /// Token endpoint (RFC 6749, section 3.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint: Option<String>,
    /// UserInfo endpoint (OpenID Connect Core 1.0, section 5.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub userinfo_endpoint: Option<String>,
    /// URL of the server's JSON Web Key Set (RFC 7517).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// Revocation endpoint (RFC 7009).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint: Option<String>,
    /// Logout endpoint (OpenID Connect RP-Initiated Logout 1.0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_session_endpoint: Option<String>,
}
