//! The treatment of every error, in one exhaustive match.

use std::time::Duration;

use super::Error;
use super::earlier::Listing;
use super::outage::{ClusterFault, Denial, Outage, Wording};
use super::source::Source;
use super::treatment::Class::{
    self, Blocked, Bug, Invalid, NotAllowed, NotOwned, ServerRefused, Transient, Unsupported,
};
use super::treatment::{Report, Retry, Suspect, Treatment};
use crate::api::condition::Reason;

impl Error {
    /// The treatment of the error.
    pub fn treatment(&self) -> Treatment {
        let of = Treatment::of;
        match self {
            // The referenced object may be corrected without a change of the spec.
            Error::UnusableSecret { .. } | Error::UnusableSource { .. } | Error::ReferenceElsewhere { .. } => {
                of(Blocked, Reason::InvalidSpec)
            }
            Error::InvalidField { .. } | Error::Unreadable(_) | Error::MetadataRefused(_) => {
                of(Invalid, Reason::InvalidSpec)
            }
            Error::UnsupportedVersion(..) | Error::UnsupportedFields { .. } | Error::RotationWithoutOverlap(_) => {
                of(Unsupported, Reason::UnsupportedByServer)
            }
            // The kind of a resource and the API of a server never change.
            Error::UnsupportedKind { .. } => of(Unsupported, Reason::UnsupportedByServer).again(Retry::Never),
            Error::NotAllowed { .. } => of(NotAllowed, Reason::NotAllowed),
            Error::NamespaceLeft(_) => of(NotAllowed, Reason::NamespaceNotWatched),
            Error::NamespaceNotWatched(_) => of(NotAllowed, Reason::NamespaceNotWatched).again(Retry::Never),
            Error::ServerNotFound(_) | Error::NoDefaultServer | Error::CleanupWithoutServer(..) => {
                of(Blocked, Reason::ServerNotFound)
            }
            Error::ServerNotReady(_) | Error::ServerGoing(_) => of(Blocked, Reason::ServerNotReady),
            Error::VariableUnknown { .. } | Error::VariablePending { .. } => of(Blocked, Reason::ServerNotReady),
            Error::SourceNotFound { .. } => of(Blocked, Reason::SecretNotFound),
            Error::ReferenceNotFound { .. } => of(Blocked, Reason::ReferenceNotFound),
            Error::ReferenceNotReady { .. } | Error::NoPrivateKey(_) => of(Blocked, Reason::ReferenceNotReady),
            Error::ServerPending(_) | Error::NamespacePending(_) => {
                of(Blocked, Reason::ServerNotReady).again(Retry::Pending).silent()
            }
            Error::ServerRefused(_) | Error::ProbeDenied(_) => of(ServerRefused, Reason::ServerRefused).of_the_server(),
            Error::SecretUnknown => of(Invalid, Reason::SecretUnknown),
            Error::SecretMismatch => of(Blocked, Reason::SecretMismatch),
            Error::NotOwned(_) | Error::NotAdopted(_) | Error::KeySetNotOwned(_) => of(NotOwned, Reason::NotOwned),
            Error::ObjectNotOwned { .. } | Error::NameClaimed { .. } => of(NotOwned, Reason::NotOwned),
            // A copy must not put load on the server of the original. Usually a restart with other settings ends this.
            Error::OtherCluster { .. } => of(NotOwned, Reason::NotOwned).again(Retry::Seldom),
            Error::Earlier(fault) => fault.treatment(),
            Error::SecretConflict(_) => of(NotOwned, Reason::SecretConflict),
            Error::ConfigMapConflict(_) => of(NotOwned, Reason::ConfigMapConflict),
            Error::Going(kind, _) => of(Blocked, conflict_of(*kind)),
            Error::Contested(_) => of(NotOwned, Reason::Conflict),
            Error::Unavailable(outage) => of_outage(outage),
            Error::PublicUnavailable(outage) => of_outage(outage).of_the_resource(),
            Error::Unverified(outage) => of_outage(outage).again(Retry::Passing(Duration::ZERO)).silent(),
            Error::Unfinished(_) => of(Transient, Reason::Timeout).again(Retry::Slow).of_the_server(),
            Error::NotRecognized { .. } | Error::ProbeNotFound => of(Transient, Reason::ServerNotRecognized),
            Error::InUse(_) | Error::InUseBy { .. } => of(Blocked, Reason::InUse),
            Error::CleanupWaits { suspect, .. } => of(Transient, Reason::Deleting).suspecting(*suspect),
            Error::CleanupUnconfirmed => of(Transient, Reason::Deleting).again(Retry::Unconfirmed),
            Error::Cluster(fault) => of_cluster(fault),
            Error::NotLeader => of(Transient, Reason::ClusterUnavailable).silent(),
            Error::TooLong => of(Transient, Reason::ClusterUnavailable),
            Error::Login(fault) => fault.treatment(),
            Error::Issuer(fault) => fault.treatment(),
            Error::Vault(fault) => fault.treatment(),
            Error::Foulkon(fault) => fault.treatment(),
            Error::Overtaken => of(Transient, Reason::ServerUnavailable).again(Retry::Met),
            Error::Reply { .. } | Error::Internal(_) => of(Bug, Reason::InternalError),
        }
    }

    /// Class and reason of the treatment.
    pub fn class(&self) -> (Class, Reason) {
        let treatment = self.treatment();
        (treatment.class, treatment.reason)
    }

    /// Whether the server itself may have failed. Then its own pass checks it.
    pub fn is_outage(&self) -> bool {
        self.treatment().suspect == Suspect::Server
    }

    /// The error as a resource reports it. The server's own pass probes an outage and reports the details, so each
    /// cause is reported in one place. An answer of the server to this resource's own request is kept.
    pub fn for_resource(self) -> Self {
        match self {
            Error::Unavailable(Outage::Status(429 | 500, _) | Outage::Busy)
            | Error::Unfinished(_)
            | Error::ServerRefused(_)
            | Error::Unverified(_)
            | Error::CleanupWaits { .. } => self,
            error if error.is_outage() => Error::Unavailable(Outage::Reported),
            error => error,
        }
    }

    /// Whether the Kubernetes API does not let the operator do something, by RBAC or by a policy.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Error::Cluster(ClusterFault::Forbidden | ClusterFault::Denied(..)))
    }

    /// The message of the condition, or the former one if it says the same: others put times and ids into what we quote.
    pub fn message(&self, former: Option<&str>, wording: Wording) -> String {
        let message = self.to_string();
        match (self.denial(), former) {
            (Some(denial), Some(former)) if denial.is_told_by(former, &message, wording) => former.to_owned(),
            _ => message,
        }
    }

    /// What an admission policy or a quota says, if that is the error.
    pub fn denial(&self) -> Option<&Denial> {
        match self {
            Error::Cluster(ClusterFault::Denied(_, denial)) => Some(denial),
            _ => None,
        }
    }

    /// Whether the error is not reported.
    pub fn is_silent(&self) -> bool {
        self.treatment().report == Report::Silent
    }
}

impl Listing {
    /// The state after the last attempt. `failed`: why it failed.
    pub fn after(failed: Option<&Error>) -> Self {
        match failed {
            None => Listing::Running,
            Some(Error::Unavailable(Outage::Limited(_))) => Listing::Limited,
            Some(_) => Listing::Failed,
        }
    }
}

/// The server's own pass checks the server after an outage, unless it has already reported that outage.
fn of_outage(outage: &Outage) -> Treatment {
    let passing = Treatment::of(Transient, Reason::ServerUnavailable);
    match outage {
        Outage::Reported => passing,
        Outage::Busy => passing.again(Retry::Met).of_the_server(),
        Outage::Status(_, after) => passing.again(Retry::Passing(after.unwrap_or_default())).of_the_server(),
        // A server that limits the rate works.
        Outage::Limited(after) => passing.again(Retry::Passing(*after)).late(),
        Outage::Unreachable(..)
        | Outage::Tls(_)
        | Outage::Proxy(_)
        | Outage::NotHttp
        | Outage::Silent
        | Outage::Unfinished
        | Outage::Broken
        | Outage::Known => passing.of_the_server(),
    }
}

fn of_cluster(fault: &ClusterFault) -> Treatment {
    let passing = Treatment::of(Transient, Reason::ClusterUnavailable);
    match fault {
        // No watch shows policies and quotas.
        ClusterFault::Denied(..) => Treatment::of(Blocked, Reason::AdmissionDenied),
        ClusterFault::TypeFixed { .. } => Treatment::of(NotOwned, Reason::SecretConflict),
        ClusterFault::Conflict | ClusterFault::Silent => passing.silent(),
        ClusterFault::Gone => passing.again(Retry::Never).silent(),
        ClusterFault::Forbidden | ClusterFault::Status(_) => passing,
    }
}

fn conflict_of(kind: Source) -> Reason {
    match kind {
        Source::Secret => Reason::SecretConflict,
        Source::ConfigMap => Reason::ConfigMapConflict,
    }
}
