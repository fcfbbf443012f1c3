//! When something that ages is due: by its age, or because a time was asked for. Pure.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use crate::api::ROTATE_AT_ANNOTATION;
use crate::error::{Error, Result};

/// When what is in use is to be replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// How long it is used. None: until it is asked for.
    pub period: Option<Duration>,
    /// From when on one that is older is to be replaced.
    pub asked_at: Option<Timestamp>,
}

impl Schedule {
    /// A period, as the spec has it, and the annotation of the resource.
    ///
    /// # Errors
    /// [`Error::InvalidField`] if the annotation is no time.
    pub fn of(resource: &impl ResourceExt, period: Option<&str>) -> Result<Self> {
        let asked = resource.annotations().get(ROTATE_AT_ANNOTATION);
        let asked_at = asked
            .map(|at| at.parse())
            .transpose()
            .map_err(|_| Error::InvalidField {
                field: "metadata.annotations",
                problem: format!("{ROTATE_AT_ANNOTATION} is no RFC 3339 time such as 2026-01-31T12:00:00Z"),
            })?;
        let period = period.and_then(crate::duration::parse);
        Ok(Schedule { period, asked_at })
    }

    /// Whether what is in use since then is to be replaced. `ahead`: how much earlier than its age would have it.
    pub fn is_due(&self, since: Timestamp, ahead: Duration, now: Timestamp) -> bool {
        let by_age = self.period.map(|period| later(since, period.saturating_sub(ahead)));
        by_age.is_some_and(|at| at <= now) || self.asked_at.is_some_and(|at| at <= now && since < at)
    }

    /// When what is in use since then is to be replaced. None: not for that alone.
    pub fn next(&self, since: Timestamp, ahead: Duration) -> Option<Timestamp> {
        let by_age = self.period.map(|period| later(since, period.saturating_sub(ahead)));
        let asked = self.asked_at.filter(|at| *at > since);
        by_age.into_iter().chain(asked).min()
    }
}

/// A time so much later; the end of time if there is none so late.
pub fn later(at: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// How long until a time; a moment if it is past.
pub fn wait_until(at: Timestamp) -> Duration {
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
            asked_at: None,
        };
        let asked = Schedule {
            period: None,
            asked_at: Some(at(50)),
        };
        let never = Schedule::default();
        let table = [
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
            asked_at: None,
        };
        assert_eq!(forever.next(at(0), ahead), Some(Timestamp::MAX));
    }
}
