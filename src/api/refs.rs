//! References and small types that specs share.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Reference to an AuthorizationServer.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub struct ServerRef {
    /// Name of the AuthorizationServer (cluster-scoped).
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
}

/// Reference to a key of a Secret. The Secret is in the namespace of the resource; for an AuthorizationServer, in the
/// operator's namespace.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// Key in the data of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// Reference to a Secret.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub struct SecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
}

/// What happens to the object on the server when its resource is deleted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// The operator also deletes the remote object and the credentials Secret.
    #[default]
    Delete,
    /// The remote object and the credentials Secret stay and keep working.
    Orphan,
}

impl DeletionPolicy {
    /// The value as written in a manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            DeletionPolicy::Delete => "Delete",
            DeletionPolicy::Orphan => "Orphan",
        }
    }
}

/// What the operator does about the object of a resource.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum ManagementPolicy {
    /// It makes the object match the spec.
    #[default]
    Full,
    /// It compares the object with the spec, and writes nothing.
    ObserveOnly,
}

/// Whether a resource may adopt a remote object that already exists.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum Adoption {
    /// The operator does not touch the object, and the resource reports the conflict.
    #[default]
    Never,
    /// The operator adopts the object if the server's access rules list it.
    Allow,
}

/// Reference to a resource of the same namespace.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub struct LocalRef {
    /// Name of the resource.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
}

/// Reference to an OidcProvider, in this namespace or in another namespace if the provider admits this one.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub struct ProviderRef {
    /// Namespace of the OidcProvider. Default: the namespace of this resource.
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

/// Name and path of an OidcProvider on Foulkon. When one of them changes, the server renames or moves the provider.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
pub struct FoulkonPlace {
    /// Name of the provider. Default: the namespace and the name of this resource, with two dashes between them and
    /// dashes instead of dots. Another name needs a grant in the server's access rules: `objectNames`, or
    /// `adopt.objectNames` for an existing provider that is adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 127), regex(pattern = r"^[A-Za-z0-9-]+$"))]
    pub name: Option<String>,
    /// Path of the provider, below `foulkon.pathPrefix` of the AuthorizationServer. Default: that prefix, the
    /// namespace, and the UID of this resource, by which the operator recognizes the provider. Another path needs a
    /// grant (`objectNames`) in the server's access rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 511),
        regex(pattern = r"^/[A-Za-z0-9_/+-]+[A-Za-z0-9_]/$")
    )]
    #[x_kube(validation = Rule::new("!self.contains('//')")
        .message("path: must not contain two slashes in a row"))]
    pub path: Option<String>,
}

/// Name of the resource's object on Vault and OpenBao.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub struct VaultName {
    /// Name of the object. Default: the namespace and the name of this resource, with a dot between them. Another name
    /// needs a grant in the server's access rules: `objectNames`, or `adopt.objectNames` for an existing object that is
    /// adopted. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 256), regex(pattern = r"^\w(([\w.-]+)?\w)?$"))]
    pub name: Option<String>,
}
