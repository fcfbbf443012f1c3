//! How an error is treated: everything that the engine needs to know about it.

use std::time::Duration;

use crate::api::condition::Reason;

/// What has to happen before a resource can be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The spec must change.
    Invalid,
    /// Something else must appear or change. A watch wakes the resource if there is one; without a watch, the operator
    /// soon tries again.
    Blocked,
    /// The access rules must change.
    NotAllowed,
    /// The operator's login must change.
    ServerRefused,
    /// An object of another owner blocks the resource.
    NotOwned,
    /// Another server or version is needed.
    Unsupported,
    /// The problem passes without a change.
    Transient,
    /// A fault of the operator or of the server.
    Bug,
}

/// When a resource is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Only after a change that a watch reports.
    Never,
    /// Very soon: what the resource waits for is about to happen.
    Pending,
    /// As soon as no request of the operator can still be in progress.
    Unconfirmed,
    /// At increasing intervals up to the patience of the kind, and not before this time has passed.
    Passing(Duration),
    /// As [`Retry::Passing`], but one resource at a time in each namespace. The resource itself makes the server fail
    /// to answer, so the server's recovery does not help.
    Slow,
    /// As [`Retry::Passing`], but soon: the server works, and the request conflicted with another one.
    Met,
    /// Within half a minute. If there is a watch, it wakes the resource earlier.
    Watched,
    /// Within a minute: no watch reports when the blocking object is deleted.
    InTheWay,
    /// Within ten minutes, and the first time after a few seconds.
    Fault,
    /// Every minute.
    Minutely,
    /// Every ten minutes.
    Seldom,
}

impl Retry {
    /// Time until the next try, without jitter. None: there is no next try. `failures`: consecutive failures before
    /// this one. `patience`: maximum wait for a problem that passes.
    pub fn wait(self, failures: u32, patience: Duration) -> Option<Duration> {
        const MINUTE: Duration = Duration::from_secs(60);
        let doubling =
            |first: Duration, longest: Duration| (first * 2u32.saturating_pow(failures.min(16))).min(longest);
        let half_a_second = Duration::from_millis(500);
        Some(match self {
            Retry::Never => return None,
            Retry::Pending => doubling(Duration::from_millis(200), Duration::from_secs(5)),
            Retry::Unconfirmed => Duration::from_secs(2),
            Retry::Passing(at_least) => doubling(half_a_second, patience).max(at_least),
            Retry::Slow => doubling(half_a_second, patience),
            Retry::Met => doubling(half_a_second, patience.min(MINUTE / 2)),
            Retry::Watched => doubling(Duration::from_secs(2), MINUTE / 2),
            Retry::InTheWay => doubling(Duration::from_secs(5), MINUTE),
            Retry::Fault => doubling(Duration::from_secs(5), 10 * MINUTE),
            Retry::Minutely => MINUTE,
            Retry::Seldom => 10 * MINUTE,
        })
    }
}

/// Whether an error is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// In the conditions, and in an event.
    Told,
    /// Like [`Report::Told`], but only once the resource has failed for some time: usually the next try succeeds.
    ToldLate,
    /// Not at all: the next pass, in this process or in another one, reports more.
    Silent,
}

impl Report {
    /// Whether an error is reported after the resource has failed for this time.
    pub fn is_due(self, failing_for: Duration) -> bool {
        const LATE: Duration = Duration::from_secs(120);
        match self {
            Report::Told => true,
            Report::ToldLate => failing_for >= LATE,
            Report::Silent => false,
        }
    }
}

/// Where the cause of an error may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspect {
    /// Only in the resource.
    Resource,
    /// In the server. Then the server's own pass checks it.
    Server,
}

/// How an error is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Treatment {
    /// What has to happen.
    pub class: Class,
    /// Reason of the conditions.
    pub reason: Reason,
    /// When the resource is tried again.
    pub retry: Retry,
    /// Whether the error is reported.
    pub report: Report,
    /// Where the cause may be.
    pub suspect: Suspect,
}

impl Treatment {
    /// The default of a class: the error is reported, its cause is in the resource, and the retry depends on the class.
    pub(super) fn of(class: Class, reason: Reason) -> Self {
        let retry = match class {
            Class::Transient | Class::ServerRefused => Retry::Passing(Duration::ZERO),
            Class::Blocked => Retry::Watched,
            Class::NotOwned => Retry::InTheWay,
            Class::Bug => Retry::Fault,
            Class::Unsupported => Retry::Minutely,
            Class::Invalid | Class::NotAllowed => Retry::Seldom,
        };
        Treatment {
            class,
            reason,
            retry,
            report: Report::Told,
            suspect: Suspect::Resource,
        }
    }

    /// With another retry.
    pub(super) fn again(self, retry: Retry) -> Self {
        Treatment { retry, ..self }
    }

    /// Not reported.
    pub(super) fn silent(self) -> Self {
        let report = Report::Silent;
        Treatment { report, ..self }
    }

    /// Reported only if it persists.
    pub(super) fn late(self) -> Self {
        let report = Report::ToldLate;
        Treatment { report, ..self }
    }

    /// With this suspect: a check by the server's own pass, or none.
    pub(super) fn suspecting(self, suspect: Suspect) -> Self {
        Treatment { suspect, ..self }
    }

    /// Without a check by the server's own pass.
    pub(super) fn of_the_resource(self) -> Self {
        self.suspecting(Suspect::Resource)
    }

    /// With a check by the server's own pass.
    pub(super) fn of_the_server(self) -> Self {
        self.suspecting(Suspect::Server)
    }
}
