//! How to reach an Ory Hydra.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::refs::{SecretKeyRef, SecretRef};

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
    /// The issuer that the server must have. Needed only to confirm an intended change of the issuer (reason `IssuerChanged`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 1024))]
    pub issuer: Option<String>,
    /// Which of Hydra's admin APIs the server speaks. Default: Auto, which uses the version that the server reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HydraVersion")]
    pub version: Option<HydraVersion>,
    /// How to log in to the admin API. Default: no login, because Hydra itself has none.
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

/// A bearer token from a Secret. The operator refuses a token that the Kubernetes API accepts.
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
