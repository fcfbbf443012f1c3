//! When something that ages is due: by its age, or because a time was asked for. Pure.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use sha2::{Digest, Sha256};

use crate::api::ROTATE_AT_ANNOTATION;
use crate::error::{Error, Result};

/// What the message of a resource adds while it waits.
pub(crate) const WAITS: &str = "what rotate-at asks for waits until minRotationPeriod of the access rule has passed";

/// When what is in use is to be replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// How long it is used. None: until it is asked for.
    pub period: Option<Duration>,
    /// From when on one that is older is to be replaced.
    pub asked_at: Option<Timestamp>,
    /// How long it is used at least, whatever is asked for: whoever edits an annotation in a loop makes no load.
    pub min: Duration,
    /// When it was replaced last, as far as the status knows: what is written down where a tenant may edit it cannot be older.
    pub rotated_at: Option<Timestamp>,
    /// When it is this resource's turn, if it is late by its age, as many may be.
    pub turn: Option<Timestamp>,
}

impl Schedule {
    /// A period, as the spec has it, and the annotation of the resource.
    ///
    /// # Errors
    /// [`Error::InvalidField`] if the annotation is no time.
    pub(crate) fn of(resource: &impl ResourceExt, period: Option<&str>) -> Result<Self> {
        let asked = resource.annotations().get(ROTATE_AT_ANNOTATION);
        let asked_at = asked
            .map(|at| at.parse())
            .transpose()
            .map_err(|_| Error::InvalidField {
                field: "metadata.annotations",
                problem: format!("{ROTATE_AT_ANNOTATION} is no RFC 3339 time such as 2026-01-31T12:00:00Z"),
            })?;
        let period = period.and_then(crate::duration::parse);
        Ok(Schedule {
            period,
            asked_at,
            ..Schedule::default()
        })
    }

    /// With these bounds.
    pub(crate) fn bounded(self, min: Duration, rotated_at: Option<&str>, now: Timestamp) -> Self {
        Schedule {
            min,
            rotated_at: rotated_at.and_then(|at| past(at, now)),
            ..self
        }
    }

    /// Whether what is in use since then is to be replaced. `ahead`: how much earlier than its age would have it.
    pub(crate) fn is_due(&self, since: Timestamp, ahead: Duration, now: Timestamp) -> bool {
        self.next(since, ahead).is_some_and(|at| at <= now)
    }

    /// When what is in use since then is to be replaced. None: not for that alone.
    pub(crate) fn next(&self, since: Timestamp, ahead: Duration) -> Option<Timestamp> {
        self.by_age(since, ahead).into_iter().chain(self.asked(since)).min()
    }

    /// When what is in use since then is to be replaced because of its age.
    pub(crate) fn by_age(&self, since: Timestamp, ahead: Duration) -> Option<Timestamp> {
        let period = self.period?.saturating_sub(ahead);
        let at = later(self.since(since), period);
        Some(self.turn.map_or(at, |turn| turn.max(at)))
    }

    /// When what is in use since then is to be replaced because somebody asks for it: no sooner than it may be. None: nobody does.
    pub(crate) fn asked(&self, since: Timestamp) -> Option<Timestamp> {
        let since = self.since(since);
        let asked = self.asked_at.filter(|at| *at > since);
        asked.map(|at| at.max(later(since, self.min)))
    }

    /// Whether what is asked for would be done by now, if it were not too soon.
    pub(crate) fn is_held_back(&self, since: Timestamp, now: Timestamp) -> bool {
        self.asked_at.is_some_and(|at| at <= now) && self.asked(since).is_some_and(|at| at > now)
    }

    /// Since when what is in use is, if it is said to be since then.
    pub(crate) fn since(&self, since: Timestamp) -> Timestamp {
        self.rotated_at.map_or(since, |at| at.max(since))
    }
}

/// What is no later than this is on time, and waits for no turn.
pub(crate) const ON_TIME: Duration = Duration::from_secs(10);

/// Each resource lengthens the window over which late rotations are spread by this much.
const SHARE: Duration = Duration::from_millis(20);

/// Longest window.
const LONGEST: Duration = Duration::from_secs(300);

/// A time that a status says: nothing was done in the future.
pub(crate) fn past(text: &str, now: Timestamp) -> Option<Timestamp> {
    text.parse().ok().filter(|at| *at <= now)
}

/// How long a resource waits for its turn when many may be late, after an outage or when the clock has jumped. It is always the same for one resource.
/// `all`: how many there are.
pub(crate) fn turn(uid: &str, all: usize) -> Duration {
    let window = SHARE
        .saturating_mul(u32::try_from(all).unwrap_or(u32::MAX))
        .min(LONGEST);
    let hash = Sha256::digest(uid);
    let place = hash.iter().take(2).fold(0, |place, byte| place << 8 | u32::from(*byte));
    window * place / (1 << 16)
}

/// A time so much later; the end of time if there is none so late.
pub(crate) fn later(at: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// How long until a time; a moment if it is past.
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
    fn due_by_age_or_because_it_was_asked_for() {
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
            (&late, 0, 50, true, Some(50)), // what is asked for waits for no turn
            (&aged, 0, 89, false, Some(90)),
            (&aged, 0, 90, true, Some(90)),
            (&asked, 0, 49, false, Some(50)),
            (&asked, 0, 50, true, Some(50)),
            (&asked, 50, 1_000, false, None), // once
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
    fn many_that_are_due_at_once_come_one_after_another() {
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
            // In no tenth of the time come twice as many as should.
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
    fn what_is_asked_for_again_and_again_is_done_as_often_as_it_may_be() {
        let asked = |asked: i64, rotated: Option<i64>| Schedule {
            asked_at: Some(at(asked)),
            min: Duration::from_secs(60),
            rotated_at: rotated.map(at),
            ..Schedule::default()
        };
        let table = [
            // asked for, last by the status, in use since; done at
            (10, None, 0, Some(60)),
            (59, None, 0, Some(60)), // however often it is edited
            (61, None, 0, Some(61)),
            (10, Some(10), 10, None),
            (70, Some(60), 60, Some(120)),
            (70, Some(60), 0, Some(120)), // what is in use was made to look older
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
