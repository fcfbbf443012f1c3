//! When a rotation is due: by age, or because it was requested. Pure.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use sha2::{Digest, Sha256};

use crate::api::ROTATE_AT_ANNOTATION;
use crate::api::oauth2_client::RotationWait;

/// What the message adds while a requested rotation waits.
pub(crate) const WAITS: &str =
    "the rotation that rotate-at requests waits until minRotationPeriod of the access rule has passed";

/// When a secret or key in use is replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// How long it is used. None: until a rotation is requested.
    pub period: Option<Duration>,
    /// The requested time of a rotation: what is older is replaced then.
    pub asked_at: Option<Timestamp>,
    /// Minimum time in use, even if a rotation is requested, so that a user who edits the annotation in a loop causes
    /// no load.
    pub min: Duration,
    /// Last replacement according to the status. A time that is stored where a tenant can edit it counts as no earlier
    /// than this.
    pub rotated_at: Option<Timestamp>,
    /// The turn of this resource, if its rotation by age is late: many may be late at once.
    pub turn: Option<Timestamp>,
    /// When a window is open for its rotation by age.
    pub window: Option<Timestamp>,
    /// When its rotation by age keeps the distance from that of another resource.
    pub space: Option<Timestamp>,
}

impl Schedule {
    /// Makes a schedule from the period in the spec and the annotation of the resource. An annotation that is not a time
    /// requests nothing.
    pub(crate) fn of(resource: &impl ResourceExt, period: Option<&str>) -> Self {
        let asked = resource.annotations().get(ROTATE_AT_ANNOTATION);
        Schedule {
            period: period.and_then(crate::duration::parse),
            asked_at: asked.and_then(|at| at.parse().ok()),
            ..Schedule::default()
        }
    }

    /// Adds the minimum time in use, and the last rotation unless it is in the future.
    pub(crate) fn bounded(self, min: Duration, rotated_at: Option<&str>, now: Timestamp) -> Self {
        Schedule {
            min,
            rotated_at: rotated_at.and_then(|at| past(at, now)),
            ..self
        }
    }

    /// Whether what is in use since `since` is to be replaced now. `ahead`: how much earlier than at the end of its
    /// period.
    pub(crate) fn is_due(&self, since: Timestamp, ahead: Duration, now: Timestamp) -> bool {
        self.next(since, ahead).is_some_and(|at| at <= now)
    }

    /// When what is in use since `since` is to be replaced. None: neither by age nor by request.
    pub(crate) fn next(&self, since: Timestamp, ahead: Duration) -> Option<Timestamp> {
        self.by_age(since, ahead).into_iter().chain(self.asked(since)).min()
    }

    /// When what is in use since `since` is to be replaced because of its age.
    pub(crate) fn by_age(&self, since: Timestamp, ahead: Duration) -> Option<Timestamp> {
        let period = self.period?.saturating_sub(ahead);
        let at = later(self.since(since), period);
        [Some(at), self.window, self.space, self.turn]
            .into_iter()
            .flatten()
            .max()
    }

    /// When what is in use since `since` is to be replaced because it was requested, but not before the minimum time in
    /// use has passed. None: it was not requested.
    pub(crate) fn asked(&self, since: Timestamp) -> Option<Timestamp> {
        let since = self.since(since);
        let asked = self.asked_at.filter(|at| *at > since);
        asked.map(|at| at.max(later(since, self.min)))
    }

    /// When what is in use since `since` is as old as its period, whatever its rotation waits for then.
    pub(crate) fn old_at(&self, since: Timestamp) -> Option<Timestamp> {
        self.period.map(|period| later(self.since(since), period))
    }

    /// What a rotation by age that is due waits for, besides its turn. Until [`Schedule::old_at`] it waits for nothing, so
    /// who is told at that time must ask with the same `now`.
    pub(crate) fn waits_for(&self, since: Timestamp, now: Timestamp) -> Option<RotationWait> {
        let is_ahead = |at: Option<Timestamp>| at.is_some_and(|at| at > now);
        let is_old = self.old_at(since).is_some_and(|at| at <= now);
        match (is_ahead(self.window), is_ahead(self.space)) {
            (true, _) if is_old => Some(RotationWait::Window),
            (false, true) if is_old => Some(RotationWait::Spacing),
            _ => None,
        }
    }

    /// Whether a requested rotation waits only for the minimum time in use.
    pub(crate) fn is_held_back(&self, since: Timestamp, now: Timestamp) -> bool {
        self.asked_at.is_some_and(|at| at <= now) && self.asked(since).is_some_and(|at| at > now)
    }

    /// The start of use: `since`, or the last rotation if that is later.
    pub(crate) fn since(&self, since: Timestamp) -> Timestamp {
        self.rotated_at.map_or(since, |at| at.max(since))
    }
}

/// A rotation that is late by no more than this is on time and waits for no turn.
pub(crate) const ON_TIME: Duration = Duration::from_secs(10);

/// Each resource lengthens the window over which late rotations are spread by this much.
const SHARE: Duration = Duration::from_millis(20);

/// Longest window.
const LONGEST: Duration = Duration::from_secs(300);

/// Parses the time of a past action from a status. None if it is invalid or in the future.
pub(crate) fn past(text: &str, now: Timestamp) -> Option<Timestamp> {
    text.parse().ok().filter(|at| *at <= now)
}

/// Returns how long a resource waits for its turn when many may be late, after an outage or a jump of the clock. It is
/// always the same for one resource. `all`: the number of resources.
pub(crate) fn turn(uid: &str, all: usize) -> Duration {
    let window = SHARE
        .saturating_mul(u32::try_from(all).unwrap_or(u32::MAX))
        .min(LONGEST);
    let hash = Sha256::digest(uid);
    let place = hash.iter().take(2).fold(0, |place, byte| place << 8 | u32::from(*byte));
    window * place / (1 << 16)
}

/// Adds a duration to a time. Returns the end of time if the result is later.
pub(crate) fn later(at: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// Time until `at`; 100 ms if it has passed.
pub(crate) fn wait_until(at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or(Duration::from_millis(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("a time")
    }

    #[test]
    fn a_rotation_is_due_by_age_or_by_request() {
        let ahead = Duration::from_secs(10);
        let aged = Schedule {
            period: Some(Duration::from_secs(100)),
            ..Schedule::default()
        };
        let asked = Schedule {
            asked_at: Some(at(50)),
            ..Schedule::default()
        };
        let never = Schedule::default();
        let turn = |turn: i64| Schedule {
            turn: Some(at(turn)),
            asked_at: Some(at(50)),
            ..aged.clone()
        };
        let (early, late) = (turn(80), turn(200));
        let table = [
            (&early, 55, 144, false, Some(145)),
            (&late, 60, 199, false, Some(200)),
            (&late, 60, 200, true, Some(200)),
            (&late, 0, 50, true, Some(50)), // a request waits for no turn
            (&aged, 0, 89, false, Some(90)),
            (&aged, 0, 90, true, Some(90)),
            (&asked, 0, 49, false, Some(50)),
            (&asked, 0, 50, true, Some(50)),
            (&asked, 50, 1_000, false, None), // only once
            (&asked, 60, 1_000, false, None),
            (&never, 0, 1_000_000, false, None),
        ];
        for (schedule, since, now, due, next) in table {
            assert_eq!(
                schedule.is_due(at(since), ahead, at(now)),
                due,
                "{schedule:?} {since} {now}"
            );
            assert_eq!(schedule.next(at(since), ahead), next.map(at), "{schedule:?} {since}");
        }
        let forever = Schedule {
            period: Some(Duration::MAX),
            ..Schedule::default()
        };
        assert_eq!(forever.next(at(0), ahead), Some(Timestamp::MAX));
    }

    #[test]
    fn a_rotation_that_waits_is_told_as_soon_as_it_is_due() {
        let waiting = |window: Option<i64>, space: Option<i64>| Schedule {
            period: Some(Duration::from_secs(10)),
            window: window.map(at),
            space: space.map(at),
            ..Schedule::default()
        };
        let table = [
            (waiting(Some(100), Some(200)), RotationWait::Window),
            (waiting(None, Some(100)), RotationWait::Spacing),
        ];
        for (schedule, wait) in table {
            for now in [49, 50, 59, 60, 61, 99] {
                let said = schedule.waits_for(at(50), at(now));
                assert_eq!(said, (now >= 60).then_some(wait), "{schedule:?} at {now}");
                let is_told_later = schedule.old_at(at(50)).is_some_and(|due| due > at(now));
                assert!(said.is_some() != is_told_later, "{schedule:?} at {now}");
            }
        }
    }

    #[test]
    fn rotations_that_are_due_at_once_are_spread() {
        let turns = |all: usize| {
            let mut turns: Vec<Duration> = (0..all).map(|number| turn(&number.to_string(), all)).collect();
            turns.sort();
            turns
        };
        for (all, window) in [
            (1, 20),
            (50, 1_000),
            (1_000, 20_000),
            (15_000, 300_000),
            (60_000, 300_000),
        ] {
            let turns = turns(all);
            let window = Duration::from_millis(window);
            assert!(turns.iter().all(|turn| *turn < window), "{all}");
            // No tenth of the window has twice its share.
            for tenth in 0..10 {
                let (from, to) = (window * tenth / 10, window * (tenth + 1) / 10);
                let within = turns.iter().filter(|turn| (from..to).contains(turn)).count();
                assert!(all < 1_000 || within < all / 5, "{within} of {all} from {from:?} on");
            }
        }
        assert_eq!(turn("a", 100), turn("a", 100));
        assert_eq!(turn("a", 0), Duration::ZERO);
    }

    #[test]
    fn repeated_requests_rotate_only_as_often_as_allowed() {
        let asked = |asked: i64, rotated: Option<i64>| Schedule {
            asked_at: Some(at(asked)),
            min: Duration::from_secs(60),
            rotated_at: rotated.map(at),
            ..Schedule::default()
        };
        let table = [
            // requested at, last rotation in the status, in use since; due at
            (10, None, 0, Some(60)),
            (59, None, 0, Some(60)), // however often the annotation is edited
            (61, None, 0, Some(61)),
            (10, Some(10), 10, None),
            (70, Some(60), 60, Some(120)),
            (70, Some(60), 0, Some(120)), // the start of use was edited to an earlier time
            (50, Some(60), 0, None),
            (70, Some(0), 60, Some(120)), // the status is behind
        ];
        for (asked_at, rotated, since, done) in table {
            let schedule = asked(asked_at, rotated);
            assert_eq!(schedule.next(at(since), Duration::ZERO), done.map(at), "{schedule:?}");
            let Some(done) = done else { continue };
            for now in [asked_at, done - 1, done] {
                assert_eq!(schedule.is_due(at(since), Duration::ZERO, at(now)), now >= done);
                let held = now >= asked_at && now < done;
                assert_eq!(schedule.is_held_back(at(since), at(now)), held, "{schedule:?} {now}");
            }
        }
    }
}
