//! Windows: the times at which rotations by age may begin. Pure.

use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use k8s_openapi::jiff::civil::DateTime;
use k8s_openapi::jiff::tz::{AmbiguousOffset, TimeZone};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::api::oauth2_client::RotationWindow;

/// Years in which a window is looked for. There are at most eight between two leap days, and without an end the search
/// for a day that does not exist would take long.
const YEARS: i16 = 8;

/// Windows of a spec. Without any, every time is in one.
pub(crate) struct Windows(Vec<Window>);

struct Window {
    /// Five fields.
    schedule: String,
    zone: TimeZone,
    open_for: Duration,
}

impl Windows {
    /// Reads the windows of a spec.
    ///
    /// # Errors
    /// What is wrong with them, as part of a sentence.
    pub(crate) fn of(windows: &[RotationWindow]) -> Result<Self, String> {
        windows.iter().map(Window::of).collect::<Result<_, _>>().map(Windows)
    }

    /// When something that is due at this time may begin: in the window that is open then, or else when the next one
    /// opens. [`Timestamp::MAX`] if none ever does. `now`: a window in the past is missed.
    pub(crate) fn first(&self, due: Timestamp, now: Timestamp) -> Timestamp {
        if self.0.is_empty() {
            return due;
        }
        let from = due.max(now);
        let opens = self.0.iter().filter_map(|window| window.first(from)).min();
        opens.map_or(Timestamp::MAX, |opens| opens.max(due))
    }
}

impl Window {
    fn of(window: &RotationWindow) -> Result<Self, String> {
        let schedule = window.schedule.clone();
        if schedule.split_whitespace().count() != 5 || schedule.contains('+') || in_years(&schedule, 2000).is_none() {
            let problem = "a schedule is not a cron expression; write minute, hour, day of month, month and day of week, such as `0 2 * * 6`";
            return Err(problem.to_owned());
        }
        let zone = window.time_zone.as_deref().map_or(Ok(TimeZone::UTC), TimeZone::get);
        Ok(Window {
            schedule,
            zone: zone.map_err(|_| {
                "a timeZone is not in the IANA time zone database; write a name such as Europe/Berlin".to_owned()
            })?,
            open_for: crate::duration::parse(&window.duration).unwrap_or_default(),
        })
    }

    /// When the window opened that is open at this time, or else when the next one opens.
    fn first(&self, at: Timestamp) -> Option<Timestamp> {
        let earliest = at.checked_sub(SignedDuration::try_from(self.open_for).ok()?).ok()?;
        let mut clock = self.zone.to_datetime(earliest);
        let schedule = in_years(&self.schedule, clock.year())?;
        loop {
            clock = schedule.find_next_occurrence(&clock, false).ok()?;
            let opens = self.instant(clock)?;
            // An hour that the clock shows twice counts once.
            if opens > earliest {
                return Some(opens);
            }
        }
    }

    /// When the clock of the zone shows this time: first, if it does so twice. If it skips the time, when it does.
    fn instant(&self, clock: DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(clock);
        match ambiguous.offset() {
            AmbiguousOffset::Gap { before, .. } => {
                let within = before.to_timestamp(clock).ok()?;
                let skips = self
                    .zone
                    .following(within.checked_sub(SignedDuration::from_hours(24)).ok()?);
                skips.map(|skip| skip.timestamp()).find(|skip| *skip <= within)
            }
            AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => ambiguous.compatible().ok(),
        }
    }
}

/// A schedule from this year on.
fn in_years(schedule: &str, first: i16) -> Option<Cron> {
    let parser = CronParser::builder().seconds(Seconds::Required).year(Year::Required);
    let last = first.saturating_add(YEARS);
    parser.build().parse(&format!("0 {schedule} {first}-{last}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(rows: &[(&str, Option<&str>, &str)]) -> Result<Windows, String> {
        let window = |(schedule, zone, duration): &(&str, Option<&str>, &str)| RotationWindow {
            schedule: (*schedule).to_owned(),
            time_zone: zone.map(str::to_owned),
            duration: (*duration).to_owned(),
        };
        Windows::of(&rows.iter().map(window).collect::<Vec<_>>())
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    type Spec<'a> = (&'a str, Option<&'a str>, &'a str);
    type Row<'a> = (&'a [Spec<'a>], &'a str, &'a str, &'a str);

    const BERLIN: Spec<'_> = ("30 2 * * *", Some("Europe/Berlin"), "1h");
    const NEVER: Spec<'_> = ("0 0 31 2 *", None, "1h");

    fn check(table: &[Row<'_>]) {
        for (rows, due, now, begins) in table {
            let found = windows(rows).expect("windows").first(at(due), at(now));
            let expected = if begins.is_empty() { Timestamp::MAX } else { at(begins) };
            assert_eq!(found, expected, "{rows:?} {due} {now}");
        }
    }

    #[test]
    fn a_rotation_begins_in_a_window() {
        const SATURDAYS: (&str, Option<&str>, &str) = ("0 2 * * 6", None, "4h");
        const NIGHTS: (&str, Option<&str>, &str) = ("0 22 * * MON-FRI", None, "8h");
        // windows; due, now; begins
        let table: [Row<'_>; 7] = [
            (
                &[],
                "2026-11-25T12:00:00Z",
                "2026-11-27T12:00:00Z",
                "2026-11-25T12:00:00Z",
            ),
            // Wednesday, and the next Saturday.
            (
                &[SATURDAYS],
                "2026-11-25T12:00:00Z",
                "2026-11-25T12:00:00Z",
                "2026-11-28T02:00:00Z",
            ),
            // The window has not ended …
            (
                &[SATURDAYS],
                "2026-11-28T05:59:59Z",
                "2026-11-28T05:59:59Z",
                "2026-11-28T05:59:59Z",
            ),
            // … and has ended.
            (
                &[SATURDAYS],
                "2026-11-28T06:00:00Z",
                "2026-11-28T06:00:00Z",
                "2026-12-05T02:00:00Z",
            ),
            // It was due long ago: the window that is open now, and not a missed one.
            (
                &[SATURDAYS],
                "2026-11-01T00:00:00Z",
                "2026-11-28T03:00:00Z",
                "2026-11-28T02:00:00Z",
            ),
            (
                &[SATURDAYS],
                "2026-11-01T00:00:00Z",
                "2026-11-28T07:00:00Z",
                "2026-12-05T02:00:00Z",
            ),
            // The first of several.
            (
                &[SATURDAYS, NIGHTS],
                "2026-11-28T01:00:00Z",
                "2026-11-28T01:00:00Z",
                "2026-11-28T01:00:00Z",
            ),
        ];
        check(&table);
    }

    #[test]
    fn the_zone_of_a_window_counts() {
        // windows; due, now; begins
        let table: [Row<'_>; 4] = [
            // The zone counts, and half past two does not exist on the day when the clock goes forward.
            (
                &[BERLIN],
                "2026-11-25T12:00:00Z",
                "2026-11-25T12:00:00Z",
                "2026-11-26T01:30:00Z",
            ),
            (
                &[BERLIN],
                "2026-07-01T12:00:00Z",
                "2026-07-01T12:00:00Z",
                "2026-07-02T00:30:00Z",
            ),
            (
                &[BERLIN],
                "2026-03-28T12:00:00Z",
                "2026-03-28T12:00:00Z",
                "2026-03-29T01:00:00Z",
            ),
            (&[NEVER], "2026-11-25T12:00:00Z", "2026-11-25T12:00:00Z", ""),
        ];
        check(&table);
    }

    #[test]
    fn an_hour_that_the_clock_shows_twice_counts_once() {
        const SHORT: Spec<'_> = ("30 2 * * *", Some("Europe/Berlin"), "10m");
        // The clock goes back on 25 October 2026, at 01:00 UTC. windows; due, now; begins
        let table: [Row<'_>; 2] = [
            (
                &[SHORT],
                "2026-10-25T00:00:00Z",
                "2026-10-25T00:00:00Z",
                "2026-10-25T00:30:00Z",
            ),
            (
                &[SHORT],
                "2026-10-25T01:20:00Z",
                "2026-10-25T01:20:00Z",
                "2026-10-26T01:30:00Z",
            ),
        ];
        check(&table);
    }

    /// A schedule is a tenant's, and is evaluated in each pass.
    #[test]
    fn a_schedule_that_never_opens_is_cheap() {
        let begun = std::time::Instant::now();
        for (schedule, zone) in [
            ("0 0 31 2,4,6,9,11 *", None),
            ("0 0 30,31 2 *", Some("America/Nuuk")),
            ("59 23 31 2,4,6,9,11 1#5", Some("America/Nuuk")),
        ] {
            let windows = windows(&[(schedule, zone, "10m")]).expect("windows");
            for _ in 0..16 {
                windows.first(at("2026-11-25T12:00:00Z"), at("2026-11-25T12:00:00Z"));
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }

    #[test]
    fn mistakes_are_explained() {
        for (row, problem) in [
            (("every saturday", None, "1h"), "is not a cron expression"),
            (("0 0 2 * * 6", None, "1h"), "is not a cron expression"),
            (("0 25 * * *", None, "1h"), "is not a cron expression"),
            (("@daily", None, "1h"), "is not a cron expression"),
            // In the night before a Sunday without an hour, a search for this would go second by second.
            (
                ("0 23 24-30 3 +6", Some("America/Nuuk"), "10m"),
                "is not a cron expression",
            ),
            (
                ("0 2 * * 6", Some("Mars/Olympus"), "1h"),
                "is not in the IANA time zone database",
            ),
        ] {
            let found = windows(&[row]).err().unwrap_or_default();
            assert!(found.contains(problem), "{row:?}: {found}");
        }
    }
}
