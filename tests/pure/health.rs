//! Results of the probes for given reports of the parts of the process.

use std::time::{Duration, Instant};

use oidc_operator::health::{BEAT, FAILING, HANG, Health, Prerequisites, Stage, Vitals};

const CLIENTS: &str = "OAuth2Client";
const SECRETS: &str = "Secret";
const SECOND: Duration = Duration::from_secs(1);

/// A report of a part of the process.
enum Report {
    Runtime,
    Beat(&'static str),
    Well(&'static str),
    Failed(&'static str),
    Ended(&'static str),
}
use Report::{Beat, Ended, Failed, Runtime, Well};

/// Reports, each with its time since the start.
type Reports = Vec<(Duration, Report)>;

/// Liveness and readiness of a working operator that got these reports, at the time `now`.
fn working(reports: &[(Duration, Report)], now: Duration) -> (Result<(), String>, Result<(), String>) {
    let start = Instant::now();
    let mut vitals = Vitals::new(start);
    vitals.enter(Stage::Working);
    vitals.found(Prerequisites::Met);
    for (after, report) in reports {
        let at = start + *after;
        match report {
            Runtime => vitals.runtime_beats(at),
            Beat(kind) => vitals.watch_beats(kind, at),
            Well(kind) => vitals.watch_went_well(kind),
            Failed(kind) => vitals.watch_failed(kind, at),
            Ended(kind) => vitals.watch_ended(kind, at),
        }
    }
    (vitals.live(start + now), vitals.ready(start + now))
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn readiness_depends_on_the_stage_and_the_prerequisites() {
    let missing = Prerequisites::Unmet("install the CRDs".to_owned());
    let table = [
        (Stage::Working, Prerequisites::Met, None),
        (Stage::StandingBy, Prerequisites::Met, None),
        (Stage::Starting, Prerequisites::Met, Some("Lease")),
        (Stage::Filling, Prerequisites::Met, Some("caches")),
        (Stage::StandingBy, Prerequisites::Unknown, Some("checking")),
        (Stage::StandingBy, missing.clone(), Some("install the CRDs")),
        (Stage::Working, missing, Some("install the CRDs")),
        (Stage::Working, Prerequisites::Unknown, Some("checking")),
    ];
    for (stage, prerequisites, reason) in table {
        let now = Instant::now();
        let mut vitals = Vitals::new(now);
        vitals.enter(stage);
        vitals.found(prerequisites.clone());
        let said = vitals.ready(now);
        match reason {
            None => assert_eq!(said, Ok(()), "{stage:?}, {prerequisites:?}"),
            Some(reason) => {
                let said = said.expect_err("not ready");
                assert!(said.contains(reason) && !said.contains('\n'), "{said}");
            }
        }
        assert_eq!(
            vitals.live(now),
            Ok(()),
            "a missing prerequisite is no reason to restart"
        );
    }
}

#[test]
fn a_watch_that_keeps_failing_makes_the_operator_unready_and_is_named() {
    let just = FAILING + SECOND;
    let first = at(10);
    let again = first + FAILING;
    let table: [(&str, Reports, Duration, bool); 8] = [
        ("one error", vec![(first, Failed(CLIENTS))], first + SECOND, true),
        (
            "errors for too long",
            vec![(first, Failed(CLIENTS)), (again, Failed(CLIENTS))],
            first + just,
            false,
        ),
        (
            "a success between them",
            vec![
                (first, Failed(CLIENTS)),
                (at(20), Well(CLIENTS)),
                (again, Failed(CLIENTS)),
            ],
            first + just,
            true,
        ),
        (
            "a beat is no success",
            vec![
                (first, Failed(CLIENTS)),
                (at(20), Beat(CLIENTS)),
                (again, Failed(CLIENTS)),
            ],
            first + just,
            false,
        ),
        (
            "another watch's success",
            vec![
                (first, Failed(CLIENTS)),
                (at(20), Well(SECRETS)),
                (again, Failed(CLIENTS)),
            ],
            first + just,
            false,
        ),
        (
            "a success at last",
            vec![
                (first, Failed(CLIENTS)),
                (again, Failed(CLIENTS)),
                (again, Well(CLIENTS)),
            ],
            first + just,
            true,
        ),
        (
            "silence after an error: the watch was not accepted again",
            vec![(first, Failed(CLIENTS))],
            first + just,
            false,
        ),
        (
            "accepted after one error, and silent since",
            vec![(first, Failed(CLIENTS)), (first + SECOND, Well(CLIENTS))],
            first + just,
            true,
        ),
    ];
    for (what, mut reports, now, ready) in table {
        reports.push((now, Runtime));
        reports.extend([(now, Beat(CLIENTS)), (now, Beat(SECRETS))]);
        let (live, said) = working(&reports, now);
        assert_eq!(live, Ok(()), "{what}: a restart would not help");
        match (ready, said) {
            (true, said) => assert_eq!(said, Ok(()), "{what}"),
            (false, said) => {
                let said = said.expect_err(what);
                assert!(said.contains(CLIENTS) && !said.contains(SECRETS), "{what}: {said}");
            }
        }
    }
}

#[test]
fn a_hung_runtime_or_a_hung_or_ended_watch_fails_liveness() {
    let late = HANG + SECOND;
    let alive = |now: Duration| vec![(now, Runtime), (now, Beat(CLIENTS))];
    let mut died = alive(late);
    died.push((late, Ended(SECRETS)));
    let table: [(&str, Reports, Duration, Option<&str>); 6] = [
        ("nothing yet", vec![], BEAT, None),
        ("all beat", alive(late), late + HANG, None),
        ("the runtime hangs", vec![(at(1), Runtime)], at(1) + late, Some("hangs")),
        ("it hangs from the start", vec![], late, Some("hangs")),
        (
            "a watch hangs",
            vec![(late, Runtime), (at(0), Beat(CLIENTS))],
            late,
            Some(CLIENTS),
        ),
        ("a watch has ended", died, late, Some(SECRETS)),
    ];
    for (what, reports, now, reason) in table {
        let (live, ready) = working(&reports, now);
        match reason {
            None => assert_eq!((live, ready), (Ok(()), Ok(())), "{what}"),
            Some(reason) => {
                let said = live.clone().expect_err(what);
                assert!(said.contains(reason) && !said.contains('\n'), "{what}: {said}");
                assert_eq!(ready, live, "{what}: a hung process is not ready either");
            }
        }
    }
}

#[test]
fn a_watch_whose_task_panics_counts_as_ended() {
    let health = std::sync::Arc::new(Health::default());
    let watched = health.watch(CLIENTS);
    watched.went_well();
    assert_eq!(health.live(), Ok(()));
    let ended = std::thread::spawn(move || {
        let _watched = watched;
        panic!("an object that makes the task panic");
    });
    assert!(ended.join().is_err());
    let said = health.live().expect_err("it has ended");
    assert!(said.contains(CLIENTS), "{said}");
    let _anew = health.watch(CLIENTS);
    assert_eq!(health.live(), Ok(()), "a restarted watch starts with a clean state");
}

#[test]
fn an_unchanged_finding_is_reported_once() {
    let health = Health::default();
    assert!(health.found(Prerequisites::Met));
    assert!(!health.found(Prerequisites::Met));
    assert!(health.found(Prerequisites::Unmet("install the CRDs".to_owned())));
}
