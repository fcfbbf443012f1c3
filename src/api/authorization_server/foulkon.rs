//! How to reach Foulkon.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::hydra::{Basic, BearerToken};

/// Default of `pathPrefix`.
pub const PATH_PREFIX: &str = "/oidc-operator/";

/// Where a Foulkon worker is and how to log in to it.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.pathPrefix) ? has(oldSelf.pathPrefix) && self.pathPrefix == oldSelf.pathPrefix : !has(oldSelf.pathPrefix)")
    .message("foulkon.pathPrefix is immutable: create another AuthorizationServer for the other prefix").field_path(".pathPrefix"))]
pub struct FoulkonServer {
    /// URL of the worker, without `/api/v1`, for example `https://foulkon-worker.foulkon:8000`. A changed URL means
    /// that the same server has moved.
    #[schemars(length(max = 1024), regex(pattern = r"^https?://[^/?#@\s]+(/[^?#\s]*)?$"))]
    pub worker_url: String,
    /// Start of the path of every provider that the operator manages. The operator changes nothing outside this prefix,
    /// and counts providers within it that have no resource (`status.orphans`). Clusters or AuthorizationServers that
    /// share a Foulkon need different prefixes. Default: `/oidc-operator/`. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 128),
        regex(pattern = r"^/[A-Za-z0-9/+-]+[A-Za-z0-9]/$")
    )]
    #[x_kube(validation = Rule::new("!self.contains('//')")
        .message("pathPrefix: must not contain two slashes in a row"))]
    pub path_prefix: Option<String>,
    /// How to log in to the worker.
    pub auth: FoulkonAuth,
}

/// How to log in to Foulkon: exactly one of basic and bearerToken.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.basic) != has(self.bearerToken)")
    .message("auth: set exactly one of basic and bearerToken"))]
pub struct FoulkonAuth {
    /// The admin in the worker's configuration file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Basic")]
    pub basic: Option<Basic>,
    /// ID token of a user who may manage OIDC providers. The worker reports neither its version nor its loaded
    /// providers to such a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BearerToken")]
    pub bearer_token: Option<BearerToken>,
}

impl FoulkonServer {
    /// Start of the path of every provider that the operator manages.
    pub fn prefix(&self) -> &str {
        self.path_prefix.as_deref().unwrap_or(PATH_PREFIX)
    }
}
