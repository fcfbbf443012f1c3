//! What can go wrong on a Vault or an OpenBao only.

use super::treatment::{Class, Treatment};
use super::wording::shown;
use crate::api::condition::Reason;

/// What went wrong. As for [`super::Error`], `Display` is the message of the condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultFault {
    /// It answers nothing until somebody unseals it.
    #[error("The server is sealed; unseal it. The operator keeps trying.")]
    Sealed,
    /// It was never set up.
    #[error("The server is not initialized; initialize and unseal it. The operator keeps trying.")]
    Uninitialized,
    /// It sends requests elsewhere, where a token must not follow.
    #[error(
        "The server is a standby that redirects requests to another address, which the operator does not follow; set vault.address to the active server, or to one that forwards requests itself."
    )]
    Standby,
    /// It waits for a disaster of another cluster.
    #[error(
        "The server is a disaster recovery secondary and answers no requests; set vault.address to the primary cluster."
    )]
    Secondary,
    /// It is another server.
    #[error(
        "The server at vault.address belongs to cluster `{}` and belonged to `{}`, so nothing is written. If that is right, confirm it by setting vault.clusterId to the new one.",
        shown(.found),
        shown(.known)
    )]
    ClusterChanged {
        /// Id in status or spec.
        known: String,
        /// Id that the server tells.
        found: String,
    },
    /// No such Vault namespace.
    #[error("The Vault namespace in vault.namespace does not exist; create it or correct the name.")]
    NamespaceNotFound,
    /// The version is too old.
    #[error("The server reports version `{}`, whose identity engine is not yet an OpenID Connect provider; upgrade it to 1.10 or later.", shown(.0))]
    TooOld(String),
    /// No login is to be had.
    #[error("The operator cannot log in: {0}. Look at vault.auth and at the auth method on the server.")]
    LoginFailed(&'static str),
    /// The policies of the login do not cover it.
    #[error(
        "The operator is logged in, but its policies on the server do not allow {0}; compare them with the policy that comes with the operator."
    )]
    PermissionDenied(&'static str),
    /// The object is the server's own.
    #[error("{field}: `{}` is the server's own; choose another name.", shown(.name))]
    Reserved {
        /// The field that names it.
        field: &'static str,
        /// Its name.
        name: String,
    },
    /// The server takes no other value once the object is there.
    #[error(
        "{} cannot be changed on this server once the object is there; nothing was changed. Set it back, or create a new resource.",
        .0.join(", ")
    )]
    Immutable(Vec<&'static str>),
    /// Something refers to it on the server.
    #[error(
        "The {0} is still in use by another object on the server; the operator deletes it once that object is gone."
    )]
    InUse(&'static str),
    /// A client's ID tokens would outlive the keys that verify them.
    #[error(
        "rotation: a client of the key has ID tokens that are valid for longer than a public key would stay published; shorten its idTokenTtl, or lengthen rotation.overlap."
    )]
    TtlInUse,
    /// A client's ID tokens would outlive the key as it is now.
    #[error(
        "idTokenTtl: ID tokens would be valid for longer than the key's public half stays published on the server; shorten it, or have the key changed. The operator keeps trying."
    )]
    TtlTooLong,
    /// The server has no namespaces.
    #[error(
        "This server has no namespaces and would ignore the one in vault.namespace; nothing is written. Remove it, or upgrade the server."
    )]
    NoNamespaces,
    /// What the object refers to is not on the server.
    #[error("The server does not have something that the spec refers to: {0}. The operator keeps trying.")]
    Missing(&'static str),
    /// No such entity or group.
    #[error("{field}: the server has no {type_} `{}`; nothing was changed. Create it, or correct the name.", shown(.name))]
    IdentityNotFound {
        /// The field that names it.
        field: &'static str,
        /// `entity`, `group` or `auth method`.
        type_: &'static str,
        /// Its name.
        name: String,
    },
    /// The client is not on the list of what it refers to.
    #[error("Waiting for {kind} `{namespace}/{name}` to list the client.")]
    NotListed {
        /// Kind of what keeps the list.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Its namespace.
        namespace: String,
    },
    /// A provider of another namespace does not want clients of this one.
    #[error(
        "providerRefs: OidcProvider `{0}/{1}` does not admit clients of this namespace; have its allowedNamespaces admit it, or take the reference out."
    )]
    NotAdmitted(String, String),
    /// A provider that nobody may use has no keys to show.
    #[error(
        "No client may use the provider yet, so it publishes no keys; name one in allowedClients, or the provider in a client's providerRefs."
    )]
    NoClients,
    /// A provider with clients and without keys.
    #[error(
        "The provider publishes no public key to verify tokens with; look at its clients and their keys on the server."
    )]
    NoKeys,
}

impl VaultFault {
    /// How it is treated. What keeps every resource from the server is for the server's own pass to look at.
    pub(super) fn treatment(&self) -> Treatment {
        match self {
            VaultFault::Sealed => Treatment::of(Class::Transient, Reason::ServerSealed).of_the_server(),
            VaultFault::Uninitialized => Treatment::of(Class::Transient, Reason::ServerUninitialized).of_the_server(),
            VaultFault::Standby => Treatment::of(Class::Transient, Reason::ServerStandby),
            VaultFault::Secondary => Treatment::of(Class::Transient, Reason::ServerStandby).of_the_server(),
            VaultFault::ClusterChanged { .. } => Treatment::of(Class::Blocked, Reason::ServerChanged),
            VaultFault::NamespaceNotFound => Treatment::of(Class::Blocked, Reason::NamespaceNotFound).of_the_server(),
            VaultFault::TooOld(_) => Treatment::of(Class::Unsupported, Reason::UnsupportedByServer),
            VaultFault::LoginFailed(_) => Treatment::of(Class::ServerRefused, Reason::LoginFailed).of_the_server(),
            VaultFault::PermissionDenied(_) => Treatment::of(Class::ServerRefused, Reason::PermissionDenied),
            VaultFault::Reserved { .. } | VaultFault::Immutable(_) => {
                Treatment::of(Class::Invalid, Reason::InvalidSpec)
            }
            VaultFault::InUse(_) => Treatment::of(Class::Blocked, Reason::InUse),
            VaultFault::TtlInUse | VaultFault::TtlTooLong => Treatment::of(Class::Blocked, Reason::InvalidSpec),
            VaultFault::NoNamespaces => Treatment::of(Class::Unsupported, Reason::UnsupportedByServer),
            VaultFault::Missing(_) | VaultFault::IdentityNotFound { .. } => {
                Treatment::of(Class::Blocked, Reason::ReferenceNotFound)
            }
            VaultFault::NotListed { .. } | VaultFault::NoClients => {
                Treatment::of(Class::Blocked, Reason::ReferenceNotReady)
            }
            VaultFault::NoKeys => Treatment::of(Class::Blocked, Reason::InvalidKeys),
            VaultFault::NotAdmitted(..) => Treatment::of(Class::Blocked, Reason::NotAllowed),
        }
    }
}
