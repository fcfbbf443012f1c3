//! When client secrets are replaced.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When the client secret is replaced: after `period`, and when the annotation `oidc-operator.dev/rotate-at` (an RFC
/// 3339 time) requests it, but no more often than `minRotationPeriod` of the server's access rules allows (1h by
/// default). Ory Hydra keeps one secret per client: logins fail from the replacement until the application has read the
/// new secret.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SecretRotation {
    /// How long a secret is used, as a duration such as `720h`. Minimum: `minRotationPeriod`. Default: until the
    /// annotation requests a new secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 32),
        regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$")
    )]
    #[x_kube(validation = Rule::new("!self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') || duration(self) >= duration('1s')").message("rotation.period: must be at least 1s"))]
    pub period: Option<String>,
    /// Whether the operator replaces the secret on a server that then rejects the old secret at once, such as Ory
    /// Hydra. Default: Refuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "WithoutOverlap")]
    pub without_overlap: Option<WithoutOverlap>,
}

/// What happens on a server that keeps only one secret per client.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum WithoutOverlap {
    /// The operator does not replace the secret, and the resource reports it.
    #[default]
    Refuse,
    /// The operator replaces the secret, and logins fail until the application has read the new one.
    Allow,
}
