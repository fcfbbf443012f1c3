//! References and small types that specs share.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The AuthorizationServer that a resource lives on.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub struct ServerRef {
    /// Name of the AuthorizationServer (cluster-scoped).
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
}

/// One key of a Secret. The namespace is never the user's choice: the resource's own, or the operator's for an AuthorizationServer.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// Key within the Secret's data.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// A Secret by name.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub struct SecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
}

/// What happens to the object on the server when its resource is deleted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// The remote object and the credentials Secret are deleted too.
    #[default]
    Delete,
    /// The remote object and the credentials Secret stay and keep working.
    Orphan,
}

impl DeletionPolicy {
    /// The value as it is written in a manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            DeletionPolicy::Delete => "Delete",
            DeletionPolicy::Orphan => "Orphan",
        }
    }
}

/// Whether a remote object that exists already may become the resource's.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum Adoption {
    /// The operator does not touch it, and the resource reports it.
    #[default]
    Never,
    /// The operator adopts it, if the server's access rules allow it by name.
    Allow,
}

/// A resource of the same namespace, by name.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub struct LocalRef {
    /// Name of the resource.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
}

/// An OidcProvider, of this namespace or of another one that admits it.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub struct ProviderRef {
    /// Namespace of the OidcProvider. Default: that of this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub namespace: Option<String>,
    /// Name of the OidcProvider.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
}

/// What only a Foulkon knows of an OidcProvider. Both can be changed: the server then renames or moves the provider.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
pub struct FoulkonPlace {
    /// Name of the provider. Default: the namespace and the name of this resource with two dashes between them, dots as dashes. Asking for one needs a
    /// grant in the server's access rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 127), regex(pattern = r"^[A-Za-z0-9-]+$"))]
    pub name: Option<String>,
    /// Path of the provider, below `foulkon.pathPrefix` of the AuthorizationServer. Default: that prefix, the namespace, and the UID of
    /// this resource, by which the operator knows the provider again. Asking for one needs a grant in the server's access rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 511),
        regex(pattern = r"^/[A-Za-z0-9_/+-]+[A-Za-z0-9_]/$")
    )]
    #[x_kube(validation = Rule::new("!self.contains('//')")
        .message("path: no two slashes stand beside each other"))]
    pub path: Option<String>,
}

/// What only a Vault or an OpenBao knows of a resource: the name of its object there.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub struct VaultName {
    /// Name of the object. Default: the namespace and the name of this resource with a dot between them. Asking for one needs a grant in the server's
    /// access rules. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 256), regex(pattern = r"^\w(([\w.-]+)?\w)?$"))]
    pub name: Option<String>,
}
