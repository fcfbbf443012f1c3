//! What the probes say, from what the parts of the process have reported.

use std::time::{Duration, Instant};

use oidc_operator::health::{BEAT, FAILING, HANG, Health, Prerequisites, Stage, Vitals};

const CLIENTS: &str = "OAuth2Client";
const SECRETS: &str = "Secret";
const SECOND: Duration = Duration::from_secs(1);

/// What was reported, and how many seconds after the start.
enum Report {
    Runtime,
    Beat(&'static str),
    Well(&'static str),
    Failed(&'static str),
    Ended(&'static str),
}
use Report::{Beat, Ended, Failed, Runtime, Well};

type Reports = Vec<(Duration, Report)>;

/// A working operator that hears these reports, at the time `now`.
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
fn readiness_follows_the_stage_and_what_the_cluster_has() {
    let missing = Prerequisites::Unmet("install the CRDs".to_owned());
    let table = [
        (Stage::Working, Prerequisites::Met, None),
        (Stage::StandingBy, Prerequisites::Met, None),
        (Stage::Starting, Prerequisites::Met, Some("Lease")),
        (Stage::Filling, Prerequisites::Met, Some("caches")),
        (Stage::StandingBy, Prerequisites::Unknown, Some("looked for")),
        (Stage::StandingBy, missing.clone(), Some("install the CRDs")),
        (Stage::Working, missing, Some("install the CRDs")),
        (Stage::Working, Prerequisites::Unknown, Some("looked for")),
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
            "what the cluster lacks is no reason to start again"
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
            "it went well at last",
            vec![
                (first, Failed(CLIENTS)),
                (again, Failed(CLIENTS)),
                (again, Well(CLIENTS)),
            ],
            first + just,
            true,
        ),
        (
            "silence after an error: nobody has accepted it",
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
        assert_eq!(live, Ok(()), "{what}: starting again would not help");
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
fn a_hung_runtime_and_a_watch_that_hangs_or_dies_end_the_process() {
    let late = HANG + SECOND;
    let alive = |now: Duration| vec![(now, Runtime), (now, Beat(CLIENTS))];
    let mut died = alive(late);
    died.push((late, Ended(SECRETS)));
    let table: [(&str, Reports, Duration, Option<&str>); 6] = [
        ("nothing yet", vec![], BEAT, None),
        ("all turn", alive(late), late + HANG, None),
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
                assert_eq!(ready, live, "{what}: what hangs is not ready either");
            }
        }
    }
}

#[test]
fn a_watch_whose_task_panics_has_ended() {
    let health = std::sync::Arc::new(Health::default());
    let watched = health.watch(CLIENTS);
    watched.went_well();
    assert_eq!(health.live(), Ok(()));
    let ended = std::thread::spawn(move || {
        let _watched = watched;
        panic!("an object that nobody can stand");
    });
    assert!(ended.join().is_err());
    let said = health.live().expect_err("it has ended");
    assert!(said.contains(CLIENTS), "{said}");
    let _anew = health.watch(CLIENTS);
    assert_eq!(health.live(), Ok(()), "one that is started again is judged afresh");
}

#[test]
fn the_same_finding_is_told_once() {
    let health = Health::default();
    assert!(health.found(Prerequisites::Met));
    assert!(!health.found(Prerequisites::Met));
    assert!(health.found(Prerequisites::Unmet("install the CRDs".to_owned())));
}
