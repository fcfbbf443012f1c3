//! `AuthorizationServer`: where an admin API is, how to log in, and who may use it.

use std::time::Duration;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access::{AccessRule, ManagedKind, OnRevoked};
use super::refs::SecretRef;

mod foulkon;
mod hydra;
mod place;
pub(crate) mod status;
mod vault;

pub use foulkon::{FoulkonAuth, FoulkonServer};
pub use hydra::{Auth, Basic, BearerToken, ForwardedProto, Header, HydraServer, HydraVersion};
pub use status::{AuthorizationServerStatus, Capability, Endpoints, Facts};
pub use vault::{AppRole, Certificate, Jwt, Kubernetes, ServiceAccountToken, Token, VaultAuth, VaultServer};

/// An authorization server and its admin API, or a server that trusts tokens of other servers. It is cluster-scoped:
/// only a platform admin can set the URL and the credentials of the operator. The Secrets and ConfigMaps that it names
/// are in the operator's namespace.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "oidc-operator.dev",
    doc = "A server whose OAuth 2.0 and OpenID Connect resources the operator manages, how to reach it, and who may use it.",
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
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Issuer",
        type_ = "string",
        json_path = ".status.endpoints.issuer",
        priority = 1
    ),
    printcolumn(name = "Orphans", type_ = "integer", json_path = ".status.orphans", priority = 1),
    printcolumn(name = "Loaded", type_ = "boolean", json_path = ".status.loaded", priority = 1),
    printcolumn(name = "Last Sync", type_ = "date", json_path = ".status.lastSyncTime", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.hydra), has(self.vault), has(self.foulkon)].filter(x, x).size() == 1")
    .message("hydra, vault and foulkon select the API of the server; set exactly one of them"))]
#[x_kube(validation = Rule::new("!has(self.orphans) || self.orphans == 'Report' || has(self.hydra)")
    .message("orphans: Delete needs hydra, because objects on other servers carry no marker; leave it out").field_path(".orphans"))]
#[x_kube(validation = Rule::new("has(self.hydra) == has(oldSelf.hydra) && has(self.vault) == has(oldSelf.vault)")
    .message("hydra, vault and foulkon: the API of a server is immutable; create another AuthorizationServer"))]
pub struct AuthorizationServerSpec {
    /// Connection to an Ory Hydra server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HydraServer")]
    pub hydra: Option<HydraServer>,
    /// Connection to a HashiCorp Vault or OpenBao server, whose identity engine is an OpenID Connect provider
    /// (`identity/oidc`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "VaultServer")]
    pub vault: Option<VaultServer>,
    /// Connection to a Foulkon server, which accepts tokens of the providers that it knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "FoulkonServer")]
    pub foulkon: Option<FoulkonServer>,
    /// Which operator works on this server and on its resources: the one that was started with this class
    /// (`serverClass` of the chart). Default: the operator without a class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(min = 1, max = 40),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub server_class: Option<String>,
    /// How the operator verifies the server on https connections, and which client certificate it presents. Default:
    /// the system's CA certificates, and no client certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Tls")]
    pub tls: Option<Tls>,
    /// Which namespaces may use this server, and for what. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub access: Vec<AccessRule>,
    /// What happens to objects on the server when no access rule selects their namespace and kind any more. A broken
    /// limit never deletes an object. Default: Keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "OnRevoked")]
    pub on_revoked: Option<OnRevoked>,
    /// What happens to clients on Ory Hydra that carry this cluster's marker but whose OAuth2Client no longer exists,
    /// for example because a user removed its finalizer. Report: `status.orphans` counts them. Delete: the operator
    /// also deletes them, once two comparisons in a row and a list of all resources have not found the OAuth2Client.
    /// This includes clients left behind by the annotation `oidc-operator.dev/abandon`, or by `deletionPolicy: Orphan`
    /// while the server could not be reached. Adopted clients stay. Default: Report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Orphans")]
    pub orphans: Option<Orphans>,
    /// Shortest time between two rotations of client secrets by `rotation.period`, of all clients on the server, as a
    /// duration such as `10m`: if applications cannot use their new secrets, few are affected before somebody notices. A
    /// rotation that the annotation requests does not wait, and a restart of the operator ends the wait. On Ory Hydra.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 32),
        regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$")
    )]
    pub min_rotation_spacing: Option<String>,
    /// How often the operator compares all objects with the server, as a duration such as `10m`. Minimum: 1s. Default:
    /// 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 32),
        regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$")
    )]
    #[x_kube(validation = Rule::new("!self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') || duration(self) >= duration('1s')").message("resyncInterval: must be at least 1s"))]
    pub resync_interval: Option<String>,
}

/// What happens to remote objects whose resource no longer exists.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum Orphans {
    /// The operator counts them.
    #[default]
    Report,
    /// The operator deletes them.
    Delete,
}

/// The API of a server, and how to reach it.
#[derive(Clone, Copy, Debug)]
pub enum Flavour<'a> {
    /// Ory Hydra.
    Hydra(&'a HydraServer),
    /// HashiCorp Vault or OpenBao.
    Vault(&'a VaultServer),
    /// Foulkon.
    Foulkon(&'a FoulkonServer),
}

/// Default of `resyncInterval`.
const RESYNC: Duration = Duration::from_secs(600);

impl AuthorizationServerSpec {
    /// Whether the server supports a kind.
    pub fn has_kind(&self, kind: ManagedKind) -> bool {
        match self.flavour() {
            Some(Flavour::Hydra(_) | Flavour::Vault(_)) | None => true,
            Some(Flavour::Foulkon(_)) => kind == ManagedKind::OidcProvider,
        }
    }

    /// Whether the spec leads to the discovery document of the server.
    pub fn has_discovery(&self) -> bool {
        match self.flavour() {
            Some(Flavour::Hydra(hydra)) => hydra.public_url.is_some(),
            Some(Flavour::Vault(_) | Flavour::Foulkon(_)) | None => true,
        }
    }

    /// How often the operator compares everything on the server.
    pub fn resync_interval(&self) -> Duration {
        let parsed = self.resync_interval.as_deref().and_then(crate::duration::parse);
        parsed.unwrap_or(RESYNC).max(Duration::from_secs(1))
    }

    /// The API that the server speaks. None if only a later version of the operator knows the API.
    pub fn flavour(&self) -> Option<Flavour<'_>> {
        let hydra = self.hydra.as_ref().map(Flavour::Hydra);
        let vault = self.vault.as_ref().map(Flavour::Vault);
        hydra.or(vault).or(self.foulkon.as_ref().map(Flavour::Foulkon))
    }
}

/// TLS settings. Verification cannot be disabled.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// CA certificates (PEM) to trust instead of the system's. Default: the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "CaRef")]
    pub ca_ref: Option<CaRef>,
    /// Name that the certificate of the admin API must carry. Also sent as SNI. Default: the host of the admin URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 253))]
    pub server_name: Option<String>,
    /// Secret of type `kubernetes.io/tls` in the operator's namespace, with the client certificate that the operator
    /// presents to the admin API. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SecretRef")]
    pub client_certificate_ref: Option<SecretRef>,
}

/// Reference to CA certificates in the operator's namespace.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct CaRef {
    /// Kind of the object: ConfigMap or Secret.
    pub kind: CaKind,
    /// Name of the object.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// Key in the data of the object, for example `ca.crt`.
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
