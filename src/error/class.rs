//! What an error means for conditions, events and retries: one exhaustive match.

use super::{ClusterFault, Error, Outage};
use crate::api::condition::Reason;

/// How an error is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The spec must change.
    Invalid,
    /// Something else must come or change. A watch wakes us where there is one; what is not watched is looked at again soon.
    Blocked,
    /// The access rules must change.
    NotAllowed,
    /// The operator's login must change.
    ServerRefused,
    /// Somebody else's object is in the way.
    NotOwned,
    /// Another server or version is needed.
    Unsupported,
    /// It passes.
    Transient,
    /// A fault of the operator or of the server.
    Bug,
}

impl Error {
    /// Class and reason.
    pub fn class(&self) -> (Class, Reason) {
        match self {
            // A Secret may still be corrected; nothing in the spec need change.
            Error::UnusableSecret { .. } => (Class::Blocked, Reason::InvalidSpec),
            Error::InvalidField {
                field: "tls.caRef" | "tls.clientCertificateRef" | "hydra.auth" | "foulkon.auth",
                ..
            } => (Class::Blocked, Reason::InvalidSpec),
            Error::InvalidField { .. } | Error::MetadataRefused(_) | Error::Unreadable(_) => {
                (Class::Invalid, Reason::InvalidSpec)
            }
            Error::UnsupportedVersion(..)
            | Error::UnsupportedFields { .. }
            | Error::UnsupportedKind { .. }
            | Error::RotationWithoutOverlap(_) => (Class::Unsupported, Reason::UnsupportedByServer),
            Error::NotAllowed { .. } => (Class::NotAllowed, Reason::NotAllowed),
            Error::ServerNotFound(_) | Error::NoDefaultServer | Error::CleanupWithoutServer(..) => {
                (Class::Blocked, Reason::ServerNotFound)
            }
            Error::ServerNotReady(_)
            | Error::ServerGoing(_)
            | Error::ServerPending(_)
            | Error::NamespacePending(_)
            | Error::PublicUrlMissing(_)
            | Error::VariableUnknown { .. }
            | Error::VariablePending { .. } => (Class::Blocked, Reason::ServerNotReady),
            Error::ReferenceNotFound {
                kind: "Secret" | "ConfigMap",
                ..
            } => (Class::Blocked, Reason::SecretNotFound),
            Error::ReferenceNotFound { .. } => (Class::Blocked, Reason::ReferenceNotFound),
            Error::ReferenceNotReady { .. } | Error::NoPrivateKey(_) => (Class::Blocked, Reason::ReferenceNotReady),
            // It may be made anew on the right server.
            Error::ReferenceElsewhere { .. } => (Class::Blocked, Reason::InvalidSpec),
            Error::ServerRefused(_) => (Class::ServerRefused, Reason::ServerRefused),
            Error::SecretUnknown => (Class::Invalid, Reason::SecretUnknown),
            Error::NotOwned(_)
            | Error::NotAdopted(_)
            | Error::OtherCluster { .. }
            | Error::KeySetNotOwned(_)
            | Error::ObjectNotOwned { .. }
            | Error::NameClaimed { .. } => (Class::NotOwned, Reason::NotOwned),
            Error::SecretConflict(_) => (Class::NotOwned, Reason::SecretConflict),
            Error::SecretGoing(_) => (Class::Blocked, Reason::SecretConflict),
            Error::ConfigMapConflict(_) => (Class::NotOwned, Reason::ConfigMapConflict),
            Error::ConfigMapGoing(_) => (Class::Blocked, Reason::ConfigMapConflict),
            Error::Contested => (Class::NotOwned, Reason::Conflict),
            Error::Unavailable(_) | Error::Unverified(_) => (Class::Transient, Reason::ServerUnavailable),
            Error::Unfinished(_) => (Class::Transient, Reason::Timeout),
            Error::NotRecognized { .. } => (Class::Transient, Reason::ServerNotRecognized),
            Error::IssuerChanged { .. } => (Class::Blocked, Reason::IssuerChanged),
            Error::IssuerMismatch { .. } => (Class::Blocked, Reason::IssuerMismatch),
            Error::NoSigningKey(_) | Error::PrivateKeysPublished(_) => (Class::Blocked, Reason::InvalidKeys),
            Error::InUse(_) | Error::InUseBy { .. } => (Class::Blocked, Reason::InUse),
            Error::CleanupWaits { .. } | Error::CleanupUnconfirmed => (Class::Transient, Reason::Deleting),
            Error::Cluster(_) | Error::NotLeader | Error::TooLong => (Class::Transient, Reason::ClusterUnavailable),
            Error::Login(fault) => fault.class(),
            Error::Vault(fault) => fault.class(),
            Error::Foulkon(fault) => fault.class(),
            Error::Reply { .. } => (Class::Bug, Reason::InternalError),
        }
    }

    /// Whether nothing can help but a change that a watch shows, so that there is no need to try again.
    pub fn is_final(&self) -> bool {
        matches!(self, Error::UnsupportedKind { .. })
    }

    /// Whether nothing should be written to status for it: the next pass, here or elsewhere, says more.
    pub fn is_silent(&self) -> bool {
        matches!(
            self,
            Error::ServerPending(_)
                | Error::NamespacePending(_)
                | Error::NotLeader
                | Error::Unverified(_)
                | Error::Cluster(ClusterFault::Conflict | ClusterFault::Silent)
        )
    }

    /// Whether it is the resource's own doing that the server does not answer, so that the server's recovery changes nothing.
    pub fn is_own_delay(&self) -> bool {
        matches!(self, Error::Unfinished(_))
    }

    /// Whether the server itself may be in trouble, so that its own controller should look.
    pub fn is_outage(&self) -> bool {
        match self {
            Error::Unavailable(outage) | Error::Unverified(outage) => *outage != Outage::Known,
            Error::ServerRefused(_) | Error::Unfinished(_) => true,
            Error::Login(fault) => fault.speaks_of_the_server(),
            Error::Vault(fault) => fault.speaks_of_the_server(),
            Error::Foulkon(fault) => fault.speaks_of_the_server(),
            _ => false,
        }
    }
}
