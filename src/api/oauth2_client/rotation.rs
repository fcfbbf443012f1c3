//! When client secrets are replaced.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Value of `overlap` for an overlap that ends when no pod uses the former secret any more.
pub const UNTIL_UNUSED: &str = "UntilUnused";

/// When the client secret is replaced: after `period`, and when the annotation `oidc-operator.dev/rotate-at` (an RFC
/// 3339 time) requests it, but no more often than `minRotationPeriod` of the server's access rules allows (1h by
/// default). With `overlap`, the former secret stays valid beside the new one, on a server that can keep both. Otherwise
/// logins fail from the replacement until the application has read the new secret.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.longestOverlap) || self.?overlap.orValue('') == 'UntilUnused'")
    .message("rotation.longestOverlap: needs overlap: UntilUnused; set that, or remove it").field_path(".longestOverlap"))]
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
    /// How long the former secret stays valid after the credentials Secret has the new one: a duration such as `24h`,
    /// shorter than `period`; or UntilUnused, which ends it as soon as every pod of the namespace that uses the
    /// credentials Secret has started since, and needs `rbac.pods.list` of the chart. It needs an Ory Hydra that can rotate secrets (newer than 26.2, and Ory Network); the operator asks the server. On
    /// another server, `withoutOverlap` decides. A shorter value, or none, also ends an overlap that has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 32),
        regex(pattern = r"^(UntilUnused|([0-9]+(\.[0-9]+)?(ms|s|m|h))+)$")
    )]
    #[x_kube(validation = Rule::new("!self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') || duration(self) >= duration('1s')").message("rotation.overlap: must be at least 1s"))]
    pub overlap: Option<String>,
    /// Longest overlap with `overlap: UntilUnused`, as a duration such as `72h`, shorter than `period`. Default: 24h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 32),
        regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$")
    )]
    #[x_kube(validation = Rule::new("!self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') || duration(self) >= duration('1s')").message("rotation.longestOverlap: must be at least 1s"))]
    pub longest_overlap: Option<String>,
    /// When a rotation by `period` may begin; one that is due waits for the next window. A rotation that the annotation
    /// requests waits for none. Default: at any time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub windows: Vec<RotationWindow>,
    /// Whether the operator replaces the secret on a server that then rejects the old secret at once, such as Ory
    /// Hydra up to 26.2. Default: Refuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "WithoutOverlap")]
    pub without_overlap: Option<WithoutOverlap>,
}

/// A time at which rotations may begin, again and again.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RotationWindow {
    /// When the window opens, as a cron expression: minute, hour, day of month, month and day of week, such as `0 2 * * 6`
    /// for Saturdays at two.
    #[schemars(length(min = 1, max = 128))]
    pub schedule: String,
    /// Time zone of the schedule, by its name in the IANA database, such as Europe/Berlin. Default: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// How long the window is open, as a duration such as `4h`. Minimum: 10m.
    #[schemars(length(max = 32), regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    #[x_kube(validation = Rule::new("!self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') || duration(self) >= duration('10m')").message("rotation.windows.duration: must be at least 10m, because rotations are spread over some minutes"))]
    pub duration: String,
}

/// What a rotation that is due or requested waits for.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq, Hash)]
pub enum RotationWait {
    /// A window of `rotation.windows`.
    Window,
    /// `minRotationSpacing` of the AuthorizationServer has to pass since the last rotation of another client.
    Spacing,
    /// The former secret has to end first.
    Overlap,
    /// `minRotationPeriod` of the access rule has to pass.
    MinRotationPeriod,
}

impl RotationWait {
    /// All of them.
    pub const ALL: [RotationWait; 4] = [
        RotationWait::Window,
        RotationWait::Spacing,
        RotationWait::Overlap,
        RotationWait::MinRotationPeriod,
    ];

    /// The name in the status.
    pub fn as_str(self) -> &'static str {
        match self {
            RotationWait::Window => "Window",
            RotationWait::Spacing => "Spacing",
            RotationWait::Overlap => "Overlap",
            RotationWait::MinRotationPeriod => "MinRotationPeriod",
        }
    }
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
