//! How an error is treated: all that the engine asks of one.

use std::time::Duration;

use crate::api::condition::Reason;

/// What has to happen before a resource can be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The spec must change.
    Invalid,
    /// Something else must come or change. A watch wakes the resource where there is one; what is not watched is looked at again soon.
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

/// When a resource is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Only after a change that a watch shows.
    Never,
    /// What it waits for is on its way.
    Pending,
    /// As soon as no request of the operator can be under way any more.
    Unconfirmed,
    /// More and more seldom, up to the patience of the kind; and not before this time has passed.
    Passing(Duration),
    /// As [`Retry::Passing`], one at a time in each namespace: it is the resource's own doing that the server does not answer, and the recovery of the
    /// server changes nothing.
    Slow,
    /// As [`Retry::Passing`], but soon: the server works, and the request met another one.
    Met,
    /// Within half a minute: a watch wakes the resource first where there is one.
    Watched,
    /// Within a minute: nobody tells when what is in the way goes.
    InTheWay,
    /// Within ten minutes, the first time soon.
    Fault,
    /// Each minute.
    Minutely,
    /// Every ten minutes.
    Seldom,
}

impl Retry {
    /// How long until the next try, without jitter. None: there is none. `failures`: how many came in a row before this one; `patience`: the longest wait while something passing
    /// is in the way.
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

/// Whether people hear of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// In the conditions, and in an event.
    Told,
    /// Not at all: the next pass, here or elsewhere, says more.
    Silent,
}

/// Whose trouble an error may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspect {
    /// The resource's alone.
    Resource,
    /// The server's, so that its own pass looks.
    Server,
}

/// How an error is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Treatment {
    /// What has to happen.
    pub class: Class,
    /// The reason of the conditions.
    pub reason: Reason,
    /// When the resource is tried again.
    pub retry: Retry,
    /// Whether people hear of it.
    pub report: Report,
    /// Whose trouble it may be.
    pub suspect: Suspect,
}

impl Treatment {
    /// What is told, is the resource's alone, and is tried again as its class has it.
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

    /// Tried again otherwise.
    pub(super) fn again(self, retry: Retry) -> Self {
        Treatment { retry, ..self }
    }

    /// Told to nobody.
    pub(super) fn silent(self) -> Self {
        let report = Report::Silent;
        Treatment { report, ..self }
    }

    /// The server's own pass does not look.
    pub(super) fn of_the_resource(self) -> Self {
        let suspect = Suspect::Resource;
        Treatment { suspect, ..self }
    }

    /// The server's own pass looks.
    pub(super) fn of_the_server(self) -> Self {
        let suspect = Suspect::Server;
        Treatment { suspect, ..self }
    }
}
