//! Faults that only a Vault or OpenBao server has.

use super::treatment::{Class, Treatment};
use super::wording::shown;
use crate::api::condition::Reason;

/// Why a pass failed. As for [`super::Error`], `Display` is the message of the condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultFault {
    /// The server is sealed: it answers no requests until it is unsealed.
    #[error("The server is sealed; unseal it. The operator keeps trying.")]
    Sealed,
    /// The server was never initialized.
    #[error("The server is not initialized; initialize and unseal it. The operator keeps trying.")]
    Uninitialized,
    /// The server redirects requests, and the operator must not send its token to another address.
    #[error(
        "The server is a standby that redirects requests to another address, and the operator does not follow redirects. Set vault.address to the active server, or to a server that forwards requests itself."
    )]
    Standby,
    /// The server is a disaster recovery secondary of another cluster.
    #[error(
        "The server is a disaster recovery secondary and answers no requests. Set vault.address to the primary cluster."
    )]
    Secondary,
    /// The server belongs to another cluster than before.
    #[error(
        "The server at vault.address belongs to cluster `{}` instead of `{}`, so the operator writes nothing. If this is intended, set vault.clusterId to the new id.",
        shown(.found),
        shown(.known)
    )]
    ClusterChanged {
        /// Id in status or spec.
        known: String,
        /// Id that the server reports.
        found: String,
    },
    /// The Vault namespace does not exist.
    #[error("The Vault namespace in vault.namespace does not exist. Create it or correct the name.")]
    NamespaceNotFound,
    /// The version is too old.
    #[error("The server reports version `{}`, whose identity engine is not an OpenID Connect provider. Upgrade the server to 1.10 or later.", shown(.0))]
    TooOld(String),
    /// The operator cannot log in.
    #[error("The operator cannot log in: {0}. Check vault.auth and the auth method on the server.")]
    LoginFailed(&'static str),
    /// The policies of the login do not allow an operation.
    #[error(
        "The operator can log in, but its policies on the server do not allow {0}. Compare them with the policy that comes with the operator."
    )]
    PermissionDenied(&'static str),
    /// The server reserves the name.
    #[error("{field}: the server reserves the name `{}`. Create a new resource with another name.", shown(.name))]
    Reserved {
        /// Field with the name.
        field: &'static str,
        /// The reserved name.
        name: String,
    },
    /// The server has an object of this name for itself, and no spec may create or choose it.
    #[error(
        "{field}: the {type_} `{}` is the server's own and can only be adopted. Set adoption: Allow and ask the server's admin to list it in adopt.objectNames (a key also needs reservedKeySets: Allow), or create a new resource with another name.",
        shown(.name)
    )]
    Own {
        /// Field with the name.
        field: &'static str,
        /// Type of the object.
        type_: &'static str,
        /// The reserved name.
        name: String,
    },
    /// The server has no such object of its own.
    #[error(
        "This server has no {0} of its own to adopt, and the operator does not create one. Create a new resource with another name, or upgrade the server."
    )]
    NoOwn(&'static str),
    /// The server does not delete its own objects.
    #[error("deletionPolicy: the server does not delete its own {0}. Set Orphan, or leave it out.")]
    NotDeletable(&'static str),
    /// An object that should be adopted differs in what no write can change.
    #[error(
        "The object on the server differs from this resource in {}, which cannot be changed there; nothing was changed. Set what the object has, or create a new resource with another name.",
        .0.join(", ")
    )]
    Unlike(Vec<&'static str>),
    /// An adoption would let everybody log in to a client that only some may use.
    #[error(
        "assignmentRefs: the client on the server lets only the members of its assignments log in, but with this resource everybody could; nothing was changed. Name Assignments, or give the client the assignment `allow_all` on the server."
    )]
    Opens,
    /// A list to adopt has too many clients.
    #[error(
        "The list of clients on the server names more than a thousand that no resource has, which is more than the operator keeps; nothing was changed. Remove those that do not exist any more from allowed_client_ids."
    )]
    TooManyClients,
    /// A client that stays on the server is still in a list that would drop it.
    #[error(
        "Waiting for {kind} `{namespace}/{name}` to keep the client in its list; if it is not ready, its message says why. The annotation `oidc-operator.dev/abandon=true` ends the wait, but may delete the Secret."
    )]
    NotYetKept {
        /// Kind of the resource with the list.
        kind: &'static str,
        /// Name of the resource.
        name: String,
        /// Namespace of the resource.
        namespace: String,
    },
    /// The server does not allow changes of the field after the object was created.
    #[error(
        "{} cannot be changed on this server after the object was created; nothing was changed. Undo the change, or create a new resource.",
        .0.join(", ")
    )]
    Immutable(Vec<&'static str>),
    /// Another object on the server refers to the object.
    #[error("Another object on the server still uses the {0}. The operator deletes it when that object is gone.")]
    InUse(&'static str),
    /// A client's ID tokens would outlive the keys that verify them.
    #[error(
        "rotation: a client of the key has ID tokens that are valid for longer than a public key would stay published. Shorten its idTokenTtl, or lengthen rotation.overlap."
    )]
    TtlInUse,
    /// A client's ID tokens would outlive the public half of its key.
    #[error(
        "idTokenTtl: ID tokens would be valid for longer than the server publishes the public key; shorten it, or change the key. The operator keeps trying."
    )]
    TtlTooLong,
    /// The server has no namespaces.
    #[error(
        "This server has no namespaces and would ignore the one in vault.namespace, so the operator writes nothing. Remove vault.namespace, or upgrade the server."
    )]
    NoNamespaces,
    /// The server dropped fields that it does not know.
    #[error("The server does not know what this resource sets in {}, and dropped it. Remove it, or upgrade the server.", .0.join(", "))]
    Dropped(Vec<&'static str>),
    /// The server stores other values than it was sent.
    #[error(
        "The server stores another value than requested in {}. Write the value in the form that the server stores, or leave it out.",
        .0.join(", ")
    )]
    NotKept(Vec<&'static str>),
    /// Something that the object refers to does not exist on the server.
    #[error("The spec refers to {0} that does not exist on the server. Create it there; the operator keeps trying.")]
    Missing(&'static str),
    /// The key of clients without keySetRef does not exist on the server.
    #[error(
        "The server has no key `default`, which clients without keySetRef use; set keySetRef. The operator keeps trying."
    )]
    NoDefaultKey,
    /// The entity, group or auth method does not exist.
    #[error("{field}: the server has no {type_} `{}`; nothing was changed. Create it, or correct the name.", shown(.name))]
    IdentityNotFound {
        /// Field with the name.
        field: &'static str,
        /// `entity`, `group` or `auth method`.
        type_: &'static str,
        /// The missing name.
        name: String,
    },
    /// A resource that the client refers to does not list the client yet.
    #[error("Waiting for {kind} `{namespace}/{name}` to list the client.")]
    NotListed {
        /// Kind of the resource with the list.
        kind: &'static str,
        /// Name of the resource.
        name: String,
        /// Namespace of the resource.
        namespace: String,
    },
    /// A provider in another namespace does not admit clients of this namespace.
    #[error(
        "providerRefs: OidcProvider `{0}/{1}` does not admit clients of this namespace. Admit it in allowedNamespaces of the provider, or remove the reference."
    )]
    NotAdmitted(String, String),
    /// A provider without clients publishes no keys.
    #[error(
        "No client may use the provider yet, so it publishes no keys. Name a client in allowedClients, or the provider in a client's providerRefs."
    )]
    NoClients,
    /// A provider with clients publishes no keys.
    #[error(
        "The provider publishes no public key to verify tokens with. Check its clients and their keys on the server."
    )]
    NoKeys,
}

impl VaultFault {
    /// The treatment of the fault. The server's own pass checks the faults that keep every resource from using the
    /// server.
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
            VaultFault::Reserved { .. }
            | VaultFault::Own { .. }
            | VaultFault::NotDeletable(_)
            | VaultFault::Immutable(_) => Treatment::of(Class::Invalid, Reason::InvalidSpec),
            VaultFault::Unlike(_) | VaultFault::Opens | VaultFault::TooManyClients => {
                Treatment::of(Class::NotOwned, Reason::NotOwned)
            }
            VaultFault::InUse(_) => Treatment::of(Class::Blocked, Reason::InUse),
            VaultFault::TtlInUse | VaultFault::TtlTooLong => Treatment::of(Class::Blocked, Reason::InvalidSpec),
            VaultFault::NoNamespaces | VaultFault::Dropped(_) | VaultFault::NotKept(_) | VaultFault::NoOwn(_) => {
                Treatment::of(Class::Unsupported, Reason::UnsupportedByServer)
            }
            VaultFault::Missing(_) | VaultFault::NoDefaultKey | VaultFault::IdentityNotFound { .. } => {
                Treatment::of(Class::Blocked, Reason::ReferenceNotFound)
            }
            VaultFault::NotListed { .. } | VaultFault::NotYetKept { .. } | VaultFault::NoClients => {
                Treatment::of(Class::Blocked, Reason::ReferenceNotReady)
            }
            VaultFault::NoKeys => Treatment::of(Class::Blocked, Reason::InvalidKeys),
            VaultFault::NotAdmitted(..) => Treatment::of(Class::Blocked, Reason::NotAllowed),
        }
    }
}
