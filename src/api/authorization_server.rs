//! `AuthorizationServer`: where an admin API is, how to log in, who may use it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access::{AccessRule, OnRevoked};
use super::oauth2_client::SubjectType;
use super::refs::{SecretKeyRef, SecretRef};

/// An authorization server and its admin API. Cluster-scoped: only a platform admin can point the operator at a URL or hand it credentials.
/// Secrets and ConfigMaps that it refers to are read in the operator's own namespace.
#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "oidc-operator.dev",
    version = "v1alpha1",
    kind = "AuthorizationServer",
    status = "AuthorizationServerStatus",
    shortname = "authserver",
    category = "oidc",
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
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Login", type_ = "string", json_path = ".status.login"),
    printcolumn(name = "Resources", type_ = "integer", json_path = ".status.resources"),
    printcolumn(
        name = "Issuer",
        type_ = "string",
        json_path = ".status.endpoints.issuer",
        priority = 1
    ),
    printcolumn(name = "Orphans", type_ = "integer", json_path = ".status.orphans", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationServerSpec {
    /// An Ory Hydra server.
    pub hydra: HydraServer,
    /// How the server is verified, and how the operator proves itself, on https connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Tls")]
    pub tls: Option<Tls>,
    /// Who may use this server. Nothing listed means nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub access: Vec<AccessRule>,
    /// What becomes of remote objects when no access rule selects their namespace and kind any more. A broken limit never deletes. Default: Keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "OnRevoked")]
    pub on_revoked: Option<OnRevoked>,
    /// How often everything is compared with the server, as a duration such as `10m`; at least one second. Default: 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 32),
        regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$")
    )]
    #[x_kube(validation = Rule::new("!self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') || duration(self) >= duration('1s')").message("resyncInterval: at least 1s"))]
    pub resync_interval: Option<String>,
}

/// Where an Ory Hydra server is and how to log in to its admin API.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.issuer) || has(self.publicUrl)")
    .message("issuer: goes with publicUrl, where the issuer is looked up").field_path(".issuer"))]
pub struct HydraServer {
    /// Base URL of the admin API, without `/admin`, for example `http://hydra-admin.hydra:4445`. A changed URL means that the same server moved.
    #[schemars(length(max = 1024), regex(pattern = r"^https?://[^/?#@\s]+(/[^?#\s]*)?$"))]
    pub admin_url: String,
    /// Base URL of the public API, for example `https://id.example.com`. With it the operator reads the discovery document, checks the issuer, and
    /// knows the endpoints for status and Secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 1024),
        regex(pattern = r"^https?://[^/?#@\s]+(/[^?#\s]*)?$")
    )]
    pub public_url: Option<String>,
    /// The issuer that the server must have. Needed only to confirm that the issuer has changed on purpose (reason `IssuerChanged`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 1024))]
    pub issuer: Option<String>,
    /// Which of Hydra's admin APIs the server speaks. Default: Auto, found out from the version that the server reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HydraVersion")]
    pub version: Option<HydraVersion>,
    /// How to log in to the admin API. Left out: no login, as a plain Hydra has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Auth")]
    pub auth: Option<Auth>,
    /// Sent as `X-Forwarded-Proto`, for servers that terminate TLS elsewhere (`https`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ForwardedProto")]
    pub forwarded_proto: Option<ForwardedProto>,
}

/// Which of Hydra's admin APIs a server speaks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum HydraVersion {
    /// What the version says that the server reports.
    #[default]
    Auto,
    /// That of Hydra 1.x.
    V1,
    /// That of Hydra from 2.0 on.
    V2,
}

/// Value of the `X-Forwarded-Proto` header.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ForwardedProto {
    /// `http`
    Http,
    /// `https`
    Https,
}

/// How to log in to an admin API that stands behind a proxy: at most one of bearerToken and basic, and any headers.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.bearerToken) && has(self.basic))")
    .message("auth: set bearerToken or basic, not both"))]
pub struct Auth {
    /// `Authorization: Bearer …` (RFC 6750).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BearerToken")]
    pub bearer_token: Option<BearerToken>,
    /// `Authorization: Basic …` (RFC 7617).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Basic")]
    pub basic: Option<Basic>,
    /// Further headers, each with its value from a Secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<Header>,
}

/// A bearer token from a Secret.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BearerToken {
    /// The Secret, in the operator's namespace, and the key that holds the token.
    pub secret_ref: SecretKeyRef,
}

/// A user name and password from a Secret of type `kubernetes.io/basic-auth`, or any with the keys `username` and `password`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Basic {
    /// The Secret, in the operator's namespace.
    pub secret_ref: SecretRef,
}

/// A header with its value from a Secret.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// Name of the header.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub name: String,
    /// The Secret, in the operator's namespace, and the key that holds the value.
    pub secret_ref: SecretKeyRef,
}

/// TLS settings. Verification cannot be switched off.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// Certificates (PEM) of authorities to trust instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "CaRef")]
    pub ca_ref: Option<CaRef>,
    /// Name that the admin API's certificate must carry, where it is not the host of adminUrl. Also sent as SNI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 253))]
    pub server_name: Option<String>,
    /// A Secret of type `kubernetes.io/tls` in the operator's namespace: the client certificate shown to the admin API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SecretRef")]
    pub client_certificate_ref: Option<SecretRef>,
}

/// Where CA certificates are kept, in the operator's namespace.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct CaRef {
    /// ConfigMap or Secret.
    pub kind: CaKind,
    /// Name of the object.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// Key within its data, for example `ca.crt`.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// Kind of object that holds CA certificates.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum CaKind {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
}

/// What the operator knows of the server.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq)]
#[schemars(extend("default" = {"observedGeneration": -1}))]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationServerStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready and Synced always; Reconciling, Stalled and Insecure while they hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(length(max = 16))]
    pub conditions: Vec<Condition>,
    /// Which API the server speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flavour: Option<String>,
    /// The version that the server reports, for example `v2.3.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How the operator logs in: None, Bearer, Basic, Headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// Issuer and endpoints from the discovery document (OpenID Connect Discovery 1.0, section 3); only with publicUrl.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,
    /// Subject types that the discovery document lists; only with publicUrl.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subject_types: Vec<SubjectType>,
    /// What this version of the server can do beyond what every supported one can. What it cannot do is refused with reason `UnsupportedByServer`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Capability>,
    /// Number of resources that use this server, as of the last sweep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<i64>,
    /// Number of remote objects that carry our marker and have no resource any more, as of the last sweep. They are never deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orphans: Option<i64>,
}

/// Something that one version of a server can do and another cannot.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum Capability {
    /// Lifetimes of tokens per client.
    TokenLifespans,
    /// Clients that skip consent, at login or at logout.
    SkipConsent,
    /// The form of access tokens chosen per client.
    AccessTokenStrategy,
    /// Client secrets of more than 72 bytes.
    LongSecrets,
    /// Public keys that are published before their private halves sign.
    KeyPrePublication,
    /// Expired tokens flushed on request.
    FlushTokens,
}

/// What a status says of a server that defaults, Secrets and refusals are made from.
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
    /// What a status says.
    pub fn of(status: &AuthorizationServerStatus) -> Self {
        Facts {
            endpoints: status.endpoints.clone(),
            subject_types: status.subject_types.clone(),
            capabilities: status.capabilities.clone(),
        }
    }
}

/// Issuer and endpoints, as the discovery document names them.
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
