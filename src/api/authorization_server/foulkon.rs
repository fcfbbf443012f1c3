//! How to reach a Foulkon.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::hydra::{Basic, BearerToken};

/// What the path of every provider of the operator's begins with, unless the spec says otherwise.
pub const PATH_PREFIX: &str = "/oidc-operator/";

/// Where a worker of a Foulkon is and how to log in to it.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.pathPrefix) ? has(oldSelf.pathPrefix) && self.pathPrefix == oldSelf.pathPrefix : !has(oldSelf.pathPrefix)")
    .message("foulkon.pathPrefix is immutable: create another AuthorizationServer for the other prefix").field_path(".pathPrefix"))]
pub struct FoulkonServer {
    /// URL of the worker, without `/api/v1`, for example `https://foulkon-worker.foulkon:8000`. A changed URL means that the same server moved.
    #[schemars(length(max = 1024), regex(pattern = r"^https?://[^/?#@\s]+(/[^?#\s]*)?$"))]
    pub worker_url: String,
    /// What the path of every provider of the operator's begins with: the operator touches nothing outside of it, and counts what nobody keeps within it.
    /// Several clusters, or several AuthorizationServers, on one Foulkon need prefixes of their own. Default: `/oidc-operator/`. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 128),
        regex(pattern = r"^/[A-Za-z0-9/+-]+[A-Za-z0-9]/$")
    )]
    #[x_kube(validation = Rule::new("!self.contains('//')")
        .message("pathPrefix: no two slashes stand beside each other"))]
    pub path_prefix: Option<String>,
    /// How to log in.
    pub auth: FoulkonAuth,
}

/// How to log in to a Foulkon: exactly one of basic and bearerToken.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.basic) != has(self.bearerToken)")
    .message("auth: set exactly one of basic and bearerToken"))]
pub struct FoulkonAuth {
    /// The admin of the worker's configuration file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Basic")]
    pub basic: Option<Basic>,
    /// An ID token of a user who may manage OIDC providers. The worker tells such a user neither its version nor which providers it has loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BearerToken")]
    pub bearer_token: Option<BearerToken>,
}

impl FoulkonServer {
    /// What the path of every provider of the operator's begins with.
    pub fn prefix(&self) -> &str {
        self.path_prefix.as_deref().unwrap_or(PATH_PREFIX)
    }
}
