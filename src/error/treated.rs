//! The treatment of every error, in one exhaustive match.

use std::time::Duration;

use super::Error;
use super::outage::{ClusterFault, Outage};
use super::treatment::{Class, Report, Retry, Suspect, Treatment};
use crate::api::condition::Reason;

impl Error {
    /// How it is treated.
    pub fn treatment(&self) -> Treatment {
        match self {
            // A Secret may still be corrected; nothing in the spec need change.
            Error::UnusableSecret { .. } => Treatment::of(Class::Blocked, Reason::InvalidSpec),
            Error::UnusableSource { .. } => Treatment::of(Class::Blocked, Reason::InvalidSpec),
            Error::InvalidField { .. } | Error::MetadataRefused(_) | Error::Unreadable(_) => {
                Treatment::of(Class::Invalid, Reason::InvalidSpec)
            }
            Error::UnsupportedVersion(..) | Error::UnsupportedFields { .. } | Error::RotationWithoutOverlap(_) => {
                Treatment::of(Class::Unsupported, Reason::UnsupportedByServer)
            }
            // Neither the kind nor the API of a server changes.
            Error::UnsupportedKind { .. } => {
                Treatment::of(Class::Unsupported, Reason::UnsupportedByServer).again(Retry::Never)
            }
            Error::NotAllowed { .. } => Treatment::of(Class::NotAllowed, Reason::NotAllowed),
            Error::ServerNotFound(_) | Error::NoDefaultServer | Error::CleanupWithoutServer(..) => {
                Treatment::of(Class::Blocked, Reason::ServerNotFound)
            }
            Error::ServerNotReady(_)
            | Error::ServerGoing(_)
            | Error::PublicUrlMissing(_)
            | Error::VariableUnknown { .. }
            | Error::VariablePending { .. } => Treatment::of(Class::Blocked, Reason::ServerNotReady),
            Error::SourceNotFound { .. } => Treatment::of(Class::Blocked, Reason::SecretNotFound),
            Error::ReferenceNotFound { .. } => Treatment::of(Class::Blocked, Reason::ReferenceNotFound),
            Error::ReferenceNotReady { .. } | Error::NoPrivateKey(_) => {
                Treatment::of(Class::Blocked, Reason::ReferenceNotReady)
            }
            Error::ServerPending(_) | Error::NamespacePending(_) => {
                Treatment::of(Class::Blocked, Reason::ServerNotReady)
                    .again(Retry::Pending)
                    .silent()
            }
            // It may be made anew on the right server.
            Error::ReferenceElsewhere { .. } => Treatment::of(Class::Blocked, Reason::InvalidSpec),
            Error::ServerRefused(_) => Treatment::of(Class::ServerRefused, Reason::ServerRefused).of_the_server(),
            Error::SecretUnknown => Treatment::of(Class::Invalid, Reason::SecretUnknown),
            Error::NotOwned(_)
            | Error::NotAdopted(_)
            | Error::KeySetNotOwned(_)
            | Error::ObjectNotOwned { .. }
            | Error::NameClaimed { .. } => Treatment::of(Class::NotOwned, Reason::NotOwned),
            // A restored copy of a cluster must not keep the server of the original busy: as a rule a restart with another setting ends it.
            Error::OtherCluster { .. } => Treatment::of(Class::NotOwned, Reason::NotOwned).again(Retry::Seldom),
            Error::SecretConflict(_) => Treatment::of(Class::NotOwned, Reason::SecretConflict),
            Error::SecretGoing(_) => Treatment::of(Class::Blocked, Reason::SecretConflict),
            Error::ConfigMapConflict(_) => Treatment::of(Class::NotOwned, Reason::ConfigMapConflict),
            Error::ConfigMapGoing(_) => Treatment::of(Class::Blocked, Reason::ConfigMapConflict),
            Error::Contested => Treatment::of(Class::NotOwned, Reason::Conflict),
            Error::Unavailable(outage) => of_outage(*outage),
            Error::Unverified(outage) => of_outage(*outage).again(Retry::Passing(Duration::ZERO)).silent(),
            Error::Unfinished(_) => Treatment::of(Class::Transient, Reason::Timeout)
                .again(Retry::Slow)
                .of_the_server(),
            Error::NotRecognized { .. } => Treatment::of(Class::Transient, Reason::ServerNotRecognized),
            Error::IssuerChanged { .. } => Treatment::of(Class::Blocked, Reason::IssuerChanged),
            Error::IssuerMismatch { .. } => Treatment::of(Class::Blocked, Reason::IssuerMismatch),
            Error::NoSigningKey(_) | Error::PrivateKeysPublished(_) => {
                Treatment::of(Class::Blocked, Reason::InvalidKeys)
            }
            Error::InUse(_) | Error::InUseBy { .. } => Treatment::of(Class::Blocked, Reason::InUse),
            Error::CleanupWaits { .. } => Treatment::of(Class::Transient, Reason::Deleting),
            Error::CleanupUnconfirmed => Treatment::of(Class::Transient, Reason::Deleting).again(Retry::Unconfirmed),
            Error::Cluster(ClusterFault::Conflict | ClusterFault::Silent) | Error::NotLeader => {
                Treatment::of(Class::Transient, Reason::ClusterUnavailable).silent()
            }
            Error::Cluster(ClusterFault::Forbidden | ClusterFault::Status(_)) | Error::TooLong => {
                Treatment::of(Class::Transient, Reason::ClusterUnavailable)
            }
            Error::Login(fault) => fault.treatment(),
            Error::Vault(fault) => fault.treatment(),
            Error::Foulkon(fault) => fault.treatment(),
            Error::Reply { .. } => Treatment::of(Class::Bug, Reason::InternalError),
        }
    }

    /// Class and reason.
    pub fn class(&self) -> (Class, Reason) {
        let treatment = self.treatment();
        (treatment.class, treatment.reason)
    }

    /// Whether the server itself may be in trouble, so that its own pass looks.
    pub fn is_outage(&self) -> bool {
        self.treatment().suspect == Suspect::Server
    }

    /// Whether people hear nothing of it.
    pub fn is_silent(&self) -> bool {
        self.treatment().report == Report::Silent
    }
}

/// An outage is the server's to report, unless it is known already.
fn of_outage(outage: Outage) -> Treatment {
    let passing = Treatment::of(Class::Transient, Reason::ServerUnavailable);
    match outage {
        Outage::Known => passing,
        Outage::Busy => passing.again(Retry::Met).of_the_server(),
        Outage::Status(_, after) => passing.again(Retry::Passing(after.unwrap_or_default())).of_the_server(),
        Outage::Unreachable | Outage::Tls | Outage::Silent | Outage::Unfinished | Outage::Broken => {
            passing.of_the_server()
        }
    }
}
