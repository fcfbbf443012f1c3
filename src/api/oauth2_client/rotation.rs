//! When client secrets are replaced.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When the client secret is replaced: after `period`, and when the annotation `oidc-operator.dev/rotate-at` (an RFC 3339 time) asks for it, but no more
/// often than `minRotationPeriod` of the server's access rules lets it, which is an hour unless they say another. Ory Hydra
/// keeps one secret per client: from the moment it has the new one until the application has read it from the Secret, logins fail.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SecretRotation {
    /// How long a secret is used, as a duration such as `720h`; at least `minRotationPeriod`. Default: until the annotation requests another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 32),
        regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$")
    )]
    #[x_kube(validation = Rule::new("!self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') || duration(self) >= duration('1s')").message("rotation.period: at least 1s"))]
    pub period: Option<String>,
    /// Whether the operator replaces the secret on a server that then rejects the old one at once, such as Ory Hydra. Default: Refuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "WithoutOverlap")]
    pub without_overlap: Option<WithoutOverlap>,
}

/// What happens on a server that knows one secret per client only.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum WithoutOverlap {
    /// The operator replaces nothing, and the resource reports it.
    #[default]
    Refuse,
    /// The operator replaces the secret, and logins fail until the application has read the new one.
    Allow,
}
