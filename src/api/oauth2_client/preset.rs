//! Layouts of the credentials Secret for applications that many people run: what each of them reads.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An application whose layout of the Secret is known.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum Preset {
    /// OAuth2 Proxy: `config.existingSecret` of its chart.
    OAuth2Proxy,
    /// Envoy Gateway: `clientIDRef` and `clientSecret` of a SecurityPolicy.
    EnvoyGateway,
    /// Argo CD: `$NAME:clientID` and `$NAME:clientSecret` in `oidc.config`.
    ArgoCD,
    /// Grafana: variables of its generic OAuth login, for `envFromSecret` of its chart.
    Grafana,
    /// Service Binding for Kubernetes (servicebinding.io), with the entries that Spring Cloud Bindings reads.
    ServiceBinding,
}

/// The layout that a preset stands for. The spec overrides each of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresetLayout {
    /// Type of the Secret.
    pub type_: &'static str,
    /// Key of the client id.
    pub client_id: &'static str,
    /// Key of the client secret.
    pub client_secret: &'static str,
    /// More entries, as in `credentials.data`.
    pub data: &'static [(&'static str, &'static str)],
    /// Keys of random values, each of which is made once and then kept.
    pub random: &'static [&'static str],
    /// Labels.
    pub labels: &'static [(&'static str, &'static str)],
}

/// Type of a Secret unless the spec or a preset says otherwise.
pub const OPAQUE: &str = "Opaque";

/// The layout without a preset.
pub const PLAIN: PresetLayout = PresetLayout {
    type_: OPAQUE,
    client_id: "CLIENT_ID",
    client_secret: "CLIENT_SECRET",
    data: &[],
    random: &[],
    labels: &[],
};

/// Keys that several applications read.
const WITH_DASHES: PresetLayout = PresetLayout {
    client_id: "client-id",
    client_secret: "client-secret",
    ..PLAIN
};

impl Preset {
    /// Every preset.
    pub const ALL: [Preset; 5] = [
        Preset::OAuth2Proxy,
        Preset::EnvoyGateway,
        Preset::ArgoCD,
        Preset::Grafana,
        Preset::ServiceBinding,
    ];

    /// What the preset stands for.
    pub fn layout(self) -> PresetLayout {
        match self {
            Preset::OAuth2Proxy => PresetLayout {
                random: &["cookie-secret"],
                ..WITH_DASHES
            },
            Preset::EnvoyGateway => WITH_DASHES,
            Preset::ArgoCD => PresetLayout {
                client_id: "clientID",
                client_secret: "clientSecret",
                labels: &[("app.kubernetes.io/part-of", "argocd")],
                ..PLAIN
            },
            Preset::Grafana => PresetLayout {
                client_id: "GF_AUTH_GENERIC_OAUTH_CLIENT_ID",
                client_secret: "GF_AUTH_GENERIC_OAUTH_CLIENT_SECRET",
                data: &[
                    ("GF_AUTH_GENERIC_OAUTH_ENABLED", "true"),
                    ("GF_AUTH_GENERIC_OAUTH_AUTH_URL", "$(authorizationEndpoint)"),
                    ("GF_AUTH_GENERIC_OAUTH_TOKEN_URL", "$(tokenEndpoint)"),
                    ("GF_AUTH_GENERIC_OAUTH_API_URL", "$(userinfoEndpoint)"),
                ],
                ..PLAIN
            },
            Preset::ServiceBinding => PresetLayout {
                type_: "servicebinding.io/oauth2",
                data: &[
                    ("type", "oauth2"),
                    ("provider", "oidc-operator"),
                    ("uri", "$(issuer)"),
                    ("issuer-uri", "$(issuer)"),
                ],
                ..WITH_DASHES
            },
        }
    }
}
