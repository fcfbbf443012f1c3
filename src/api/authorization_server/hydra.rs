//! How to reach Ory Hydra.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::refs::{SecretKeyRef, SecretRef};

/// Where an Ory Hydra server is and how to log in to its admin API.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.issuer) || has(self.publicUrl)")
    .message("issuer: needs publicUrl, where the operator reads the issuer; set publicUrl or leave issuer out").field_path(".issuer"))]
pub struct HydraServer {
    /// Base URL of the admin API, without `/admin`, for example `http://hydra-admin.hydra:4445`. A changed URL means
    /// that the same server has moved.
    #[schemars(length(max = 1024), regex(pattern = r"^https?://[^/?#@\s]+(/[^?#\s]*)?$"))]
    pub admin_url: String,
    /// Base URL of the public API, for example `https://id.example.com`. The operator reads the discovery document
    /// there, checks the issuer, and knows the endpoints for status and Secrets. It may be an address that only the
    /// operator uses: applications get the issuer and the endpoints that the document names. Default: none of this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 1024),
        regex(pattern = r"^https?://[^/?#@\s]+(/[^?#\s]*)?$")
    )]
    pub public_url: Option<String>,
    /// The issuer that the server must have. Needed only to confirm an intended change of the issuer (reason
    /// `IssuerChanged`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 1024))]
    pub issuer: Option<String>,
    /// Version of Hydra's admin API: V1 (Hydra 1.x), V2 (Hydra 2.0 and later), or Auto, which uses the version that the
    /// server reports at `/version`. Set V1 or V2 if a gateway in front of the server routes only the admin API, as on
    /// Ory Network (V2). Default: Auto.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HydraVersion")]
    pub version: Option<HydraVersion>,
    /// How to log in to the admin API. Default: no login, since Hydra itself has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Auth")]
    pub auth: Option<Auth>,
    /// Value of the `X-Forwarded-Proto` header, for servers that terminate TLS elsewhere (`https`). The operator sends
    /// it to the admin API and to the public API. Default: the operator does not send the header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ForwardedProto")]
    pub forwarded_proto: Option<ForwardedProto>,
}

/// Version of Hydra's admin API.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum HydraVersion {
    /// The version that the server reports decides.
    #[default]
    Auto,
    /// Admin API of Hydra 1.x.
    V1,
    /// Admin API of Hydra 2.0 and later.
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

/// How to log in to an admin API behind a proxy: at most one of bearerToken and basic, and any headers.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.bearerToken) && has(self.basic))")
    .message("auth: set bearerToken or basic, not both"))]
pub struct Auth {
    /// Sends `Authorization: Bearer …` (RFC 6750).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BearerToken")]
    pub bearer_token: Option<BearerToken>,
    /// Sends `Authorization: Basic …` (RFC 7617).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Basic")]
    pub basic: Option<Basic>,
    /// Additional headers, whose values come from Secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<Header>,
}

/// A bearer token from a Secret. The operator refuses a token that the Kubernetes API accepts.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BearerToken {
    /// The Secret in the operator's namespace, and the key in it that holds the token.
    pub secret_ref: SecretKeyRef,
}

/// User name and password from a Secret of type `kubernetes.io/basic-auth`, or from any Secret with the keys `username`
/// and `password`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Basic {
    /// The Secret in the operator's namespace.
    pub secret_ref: SecretRef,
}

/// A header whose value comes from a Secret.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// Name of the header.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub name: String,
    /// The Secret in the operator's namespace, and the key in it that holds the value.
    pub secret_ref: SecretKeyRef,
}
