//! From the result of a pass to conditions, event, retry and message.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::events::EventType;
use oidc_operator::admin::hydra::version::Unsupported;
use oidc_operator::api::condition::{
    self, INSECURE, READY, RECONCILING, Reason, STALLED, SUSPENDED, SYNCED, Wanted, merge,
};
use oidc_operator::controller::engine::verdict::{self, Done, Logged, event, logged};
use oidc_operator::error::{Class, ClusterFault, Denial, EarlierFault, Error, Listing, Outage, Wording};

use crate::errors::{examples, s};

const PATIENCE: Duration = Duration::from_secs(300);

fn retry(error: &Error, failures: u32, patience: Duration) -> Duration {
    let wait = error.treatment().retry.wait(failures, patience);
    wait.expect("a retry")
}

fn done(message: &str) -> Done {
    Done {
        message: message.to_owned(),
        ..Done::default()
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a time")
}

fn conditions(result: Result<&Done, &Error>, standing: Vec<Wanted>, old: &[Condition]) -> Vec<Wanted> {
    verdict::conditions(result, standing, old, Wording::Replaced)
}

/// The conditions of a resource after a pass, as stored.
fn stored(result: Result<&Done, &Error>, old: &[Condition]) -> Vec<Condition> {
    merge(old, conditions(result, Vec::new(), old), 1, at(0))
}

/// `type=status/reason` of each condition, in order.
fn short(conditions: &[Wanted]) -> Vec<String> {
    let each = conditions.iter();
    each.map(|c| format!("{}={}/{}", c.type_, c.status, c.reason.as_str()))
        .collect()
}

#[test]
fn a_success_is_ready_and_synced_and_nothing_else() {
    let found = conditions(Ok(&done("All is well.")), Vec::new(), &[]);
    assert_eq!(short(&found), ["Ready=True/Available", "Synced=True/Available"]);
    assert!(found.iter().all(|c| c.message == "All is well."));
}

#[test]
fn extra_conditions_of_a_kind_are_set_however_a_pass_ends() {
    let insecure = || {
        vec![Wanted {
            type_: INSECURE,
            status: "True",
            reason: Reason::PlainHttp,
            message: s("Plain."),
        }]
    };
    let well = conditions(Ok(&done("Well.")), insecure(), &[]);
    let badly = conditions(Err(&Error::TooLong), insecure(), &[]);
    for found in [well, badly] {
        assert_eq!(
            short(&found).last().map(String::as_str),
            Some("Insecure=True/PlainHttp")
        );
    }
}

#[test]
fn a_failure_is_reconciling_or_stalled_and_never_both() {
    for error in examples() {
        let (class, reason) = error.class();
        // A failure that another object could fix is never stalled.
        let kstatus = match class {
            Class::Invalid | Class::NotOwned | Class::Unsupported => STALLED,
            Class::Blocked | Class::NotAllowed | Class::ServerRefused | Class::Transient | Class::Bug => RECONCILING,
        };
        let found = conditions(Err(&error), Vec::new(), &[]);
        let reason = reason.as_str();
        let expected = [
            format!("{READY}=False/{reason}"),
            format!("{SYNCED}=False/{reason}"),
            format!("{kstatus}=True/{reason}"),
        ];
        assert_eq!(short(&found), expected, "{error:?}");
        assert!(found.iter().all(|c| c.message == error.to_string()), "{error:?}");
    }
}

#[test]
fn a_synced_resource_that_lacks_something_is_not_ready() {
    let done = Done {
        lacks: Some(Error::SecretUnknown),
        ..done("All was done.")
    };
    let found = conditions(Ok(&done), Vec::new(), &[]);
    let expected = [
        format!("{READY}=False/SecretUnknown"),
        format!("{STALLED}=True/SecretUnknown"),
        format!("{SYNCED}=True/Available"),
    ];
    assert_eq!(short(&found), expected);
}

/// A wrong value in a referenced Secret is not final: the Secret may be applied in the same commit.
#[test]
fn an_unusable_value_in_a_secret_is_not_stalled_and_is_checked_again_within_a_minute() {
    let error = Error::UnusableSecret {
        secret: s("mine"),
        key: s("secret"),
        problem: "is not text",
    };
    let found = conditions(Err(&error), Vec::new(), &[]);
    assert!(found.iter().all(|c| c.type_ != STALLED), "{found:?}");
    assert!(retry(&error, 20, PATIENCE) <= Duration::from_secs(60));
}

#[test]
fn a_suspended_resource_stays_ready_if_it_was_and_otherwise_says_nothing_about_it() {
    let suspended = Done {
        suspended: true,
        ..done("Suspended.")
    };
    let ready = stored(Ok(&done("Well.")), &[]);
    let failed = stored(Err(&Error::TooLong), &[]);
    let still = stored(Ok(&suspended), &ready);
    for (what, old, expected) in [
        ("never ready", &vec![], None),
        ("was ready", &ready, Some("Ready=True/Available")),
        ("was ready, for the second time", &still, Some("Ready=True/Available")),
        ("had failed", &failed, None),
    ] {
        let found = conditions(Ok(&suspended), Vec::new(), old);
        let others = ["Synced=Unknown/Suspended", "Suspended=True/Suspended"];
        let expected: Vec<&str> = expected.into_iter().chain(others).collect();
        assert_eq!(short(&found), expected, "{what}");
    }
}

#[test]
fn an_observed_object_that_differs_makes_the_resource_stalled() {
    let detected = Wanted {
        type_: "DriftDetected",
        status: "True",
        reason: Reason::DriftDetected,
        message: "It differs.".to_owned(),
    };
    let differs = Done {
        unlike: Some(Reason::DriftDetected),
        standing: vec![detected],
        ..done("It differs.")
    };
    let found = conditions(Ok(&differs), Vec::new(), &stored(Ok(&done("Well.")), &[]));
    let expected = [
        "Ready=False/DriftDetected",
        "Synced=False/DriftDetected",
        "Stalled=True/DriftDetected",
        "DriftDetected=True/DriftDetected",
    ];
    assert_eq!(short(&found), expected);
}

#[test]
fn conditions_that_no_longer_apply_are_removed() {
    let failed = stored(Err(&Error::TooLong), &[]);
    assert!(condition::find(&failed, RECONCILING).is_some());
    let suspended = stored(
        Ok(&Done {
            suspended: true,
            ..done("Suspended.")
        }),
        &failed,
    );
    assert!(condition::find(&suspended, RECONCILING).is_none());
    let well = stored(Ok(&done("Well.")), &suspended);
    assert!(condition::find(&well, SUSPENDED).is_none());
    assert_eq!(well.len(), 2);
}

#[test]
fn a_transition_time_changes_only_with_the_status() {
    let first = merge(&[], conditions(Err(&Error::TooLong), Vec::new(), &[]), 3, at(100));
    assert!(first.iter().all(|c| c.last_transition_time.0 == at(100)));
    assert!(first.iter().all(|c| c.observed_generation == Some(3)));
    // Another reason and message, another generation, the same status.
    let second = merge(
        &first,
        conditions(Err(&Error::NoDefaultServer), Vec::new(), &first),
        4,
        at(200),
    );
    for condition in &second {
        assert_eq!(condition.last_transition_time.0, at(100), "{condition:?}");
        assert_eq!(condition.reason, "ServerNotFound");
        assert_eq!(condition.observed_generation, Some(4));
    }
    let third = merge(&second, conditions(Ok(&done("Well.")), Vec::new(), &second), 4, at(300));
    assert!(third.iter().all(|c| c.last_transition_time.0 == at(300)));
    let fourth = merge(&third, conditions(Ok(&done("Well.")), Vec::new(), &third), 4, at(400));
    assert_eq!(fourth, third, "the same again changes nothing");
    // A condition that returns gets a new time.
    let fifth = merge(
        &fourth,
        conditions(Err(&Error::TooLong), Vec::new(), &fourth),
        4,
        at(500),
    );
    let reconciling = condition::find(&fifth, RECONCILING).expect("Reconciling");
    assert_eq!(reconciling.last_transition_time.0, at(500));
}

#[test]
fn events_are_emitted_only_on_transitions() {
    let well = stored(Ok(&done("Well.")), &[]);
    let other = stored(Ok(&done("Well, and otherwise.")), &[]);
    let failed = stored(Err(&Error::TooLong), &[]);
    let refused = stored(Err(&Error::ServerRefused(401)), &[]);
    let forbidden = stored(Err(&Error::ServerRefused(403)), &[]);
    let suspended = stored(
        Ok(&Done {
            suspended: true,
            ..done("Suspended.")
        }),
        &[],
    );
    let none: Vec<Condition> = Vec::new();
    // Whether the event is a warning, and its reason.
    let cases = [
        ("well from the start", &none, &well, None),
        (
            "failed from the start",
            &none,
            &failed,
            Some((true, "ClusterUnavailable")),
        ),
        ("suspended from the start", &none, &suspended, None),
        ("still well", &well, &well, None),
        ("still well, another message", &well, &other, None),
        ("still failed", &failed, &failed, None),
        (
            "failed for another reason",
            &failed,
            &refused,
            Some((true, "ServerRefused")),
        ),
        (
            "failed with another message",
            &refused,
            &forbidden,
            Some((true, "ServerRefused")),
        ),
        (
            "failed after all was well",
            &well,
            &failed,
            Some((true, "ClusterUnavailable")),
        ),
        ("well again", &failed, &well, Some((false, "Available"))),
        ("suspended while failing", &failed, &suspended, None),
        ("well after it was suspended", &suspended, &well, None),
        (
            "failed after it was suspended",
            &suspended,
            &failed,
            Some((true, "ClusterUnavailable")),
        ),
    ];
    for (what, old, new, expected) in cases {
        let found = event(old, new);
        let found = found
            .as_ref()
            .map(|e| (matches!(e.type_, EventType::Warning), e.reason.as_str()));
        assert_eq!(found, expected, "{what}");
    }
    let event = event(&well, &failed).expect("an event");
    let ready = condition::find(&failed, READY).expect("Ready");
    assert_eq!(event.note.as_ref(), Some(&ready.message));
}

#[test]
fn without_a_ready_condition_there_is_no_event() {
    assert!(event(&[], &[]).is_none());
}

#[test]
fn retries_never_come_sooner_with_more_failures_and_have_a_cap() {
    for error in examples() {
        // Neither the kind of a resource nor the API of its server changes, nor the namespaces of a running operator; a
        // watch reports everything that could help. What is gone does not come back.
        let is_final = matches!(error, Error::UnsupportedKind { .. } | Error::NamespaceNotWatched(_));
        if is_final || matches!(error, Error::Cluster(ClusterFault::Gone)) {
            assert_eq!(error.treatment().retry.wait(0, PATIENCE), None);
            continue;
        }
        let mut last = Duration::ZERO;
        for failures in (0..70).chain([u32::MAX]) {
            let wait = retry(&error, failures, PATIENCE);
            assert!(wait >= last, "{error:?}: {failures}");
            assert!(
                wait >= Duration::from_millis(200),
                "{error:?}: {failures} in a hot loop"
            );
            assert!(wait <= Duration::from_secs(600), "{error:?}: {failures}");
            last = wait;
        }
    }
}

#[test]
fn transient_failures_are_retried_with_growing_pauses_up_to_the_patience() {
    let silent = Error::Unavailable(Outage::Silent);
    let waits: Vec<u128> = (0..5).map(|n| retry(&silent, n, PATIENCE).as_millis()).collect();
    assert_eq!(waits, [500, 1000, 2000, 4000, 8000]);
    assert_eq!(retry(&silent, 40, PATIENCE), PATIENCE);
    assert_eq!(retry(&silent, 40, Duration::from_secs(5)), Duration::from_secs(5));
    assert_eq!(
        retry(&Error::ServerRefused(401), 40, Duration::from_secs(5)),
        Duration::from_secs(5)
    );
}

#[test]
fn every_class_has_its_own_longest_pause() {
    let cases = [
        (Error::NoDefaultServer, Class::Blocked, 30),
        (Error::NotOwned(s("x")), Class::NotOwned, 60),
        (
            Error::OtherCluster {
                type_: "client",
                name: s("x"),
                cluster: s("y"),
            },
            Class::NotOwned,
            600,
        ),
        (
            Error::Reply {
                operation: "x",
                problem: "y",
            },
            Class::Bug,
            600,
        ),
        (Error::MetadataRefused(vec![]), Class::Invalid, 600),
        (
            Error::UnsupportedVersion(s("v1"), Unsupported::TooOld),
            Class::Unsupported,
            60,
        ),
        (Error::TooLong, Class::Transient, 300),
        (Error::Unavailable(Outage::Busy), Class::Transient, 30),
        (Error::ServerPending(s("x")), Class::Blocked, 5),
        (EarlierFault::Unproven(s("x")).into(), Class::NotOwned, 600),
        (unlisted(Listing::Failed), Class::Blocked, 30),
        (Error::NamespacePending(s("x")), Class::Blocked, 5),
    ];
    for (error, class, seconds) in cases {
        assert_eq!(error.class().0, class, "{error:?}");
        assert_eq!(retry(&error, 60, PATIENCE), Duration::from_secs(seconds), "{error:?}");
    }
}

fn unlisted(listing: Listing) -> Error {
    let server = s("main");
    EarlierFault::Unlisted { server, listing }.into()
}

/// A first listing usually ends soon. One that failed may never succeed.
#[test]
fn a_wait_for_a_listing_is_told() {
    let limited = Error::Unavailable(Outage::Limited(Duration::ZERO));
    let table = [
        (None, Listing::Running, false),
        (Some(&limited), Listing::Limited, false),
        (Some(&Error::ServerRefused(403)), Listing::Failed, true),
    ];
    for (failed, listing, at_once) in table {
        assert_eq!(Listing::after(failed), listing);
        let report = unlisted(listing).treatment().report;
        assert_eq!(report.is_due(Duration::ZERO), at_once, "{listing:?}");
        assert!(report.is_due(Duration::from_secs(120)), "{listing:?}");
    }
}

/// A webhook may put times and ids into its words, at each try others.
#[test]
fn a_denial_with_another_time_changes_no_condition() {
    let denied = |object: &str, words: &str| {
        let said = format!("admission webhook \"w\" denied the request: {words}");
        let denial = Denial::of(&said, Some(&[])).expect("a denial");
        Error::Cluster(ClusterFault::Denied(s(object), denial))
    };
    let before = stored(Err(&denied("Secret `a`", "no team, at 20:01")), &[]);
    for (object, words, is_same) in [
        ("Secret `a`", "no team, at 20:02", true),
        ("Secret `a`", "no owner, at 20:02", false),
        ("Secret `b`", "no team, at 20:01", false),
    ] {
        let now = stored(Err(&denied(object, words)), &before);
        assert_eq!(now == before, is_same, "{object} {words}");
        assert_eq!(event(&before, &now).is_none(), is_same, "{object} {words}");
    }
}

#[test]
fn a_server_that_asks_for_a_longer_pause_gets_it_and_a_shorter_one_changes_nothing() {
    let down = |pause| Error::Unavailable(Outage::Status(503, Some(pause)));
    let refusing = |pause| Error::Unavailable(Outage::Status(429, Some(pause)));
    let limited = |pause| Error::Unavailable(Outage::Limited(pause));
    for asks in [down, refusing, limited] {
        let asks = |seconds| asks(Duration::from_secs(seconds));
        assert_eq!(retry(&asks(60), 0, PATIENCE), Duration::from_secs(60));
        assert_eq!(retry(&asks(60), 0, Duration::from_secs(5)), Duration::from_secs(60));
        assert_eq!(retry(&asks(1), 4, PATIENCE), Duration::from_secs(8));
        assert_eq!(retry(&asks(0), 0, PATIENCE), Duration::from_millis(500));
    }
}

#[test]
fn new_words_of_a_policy_are_told_after_a_change_of_the_spec_or_once_they_are_repeated() {
    let denied = |words: &str| {
        let said = format!("admission webhook \"w\" denied the request: {words}");
        let denial = Denial::of(&said, Some(&[])).expect("a denial");
        Error::Cluster(ClusterFault::Denied("Secret `app`".to_owned(), denial))
    };
    let told = |conditions: &[Condition], words: &str| {
        let of_words =
            |c: &Condition| c.message.contains(words) == matches!(c.type_.as_str(), READY | SYNCED | RECONCILING);
        conditions.iter().all(of_words)
    };
    let first = denied("ticket abc");
    let old = merge(&[], conditions(Err(&first), Vec::new(), &[]), 3, at(0));
    assert!(told(&old, "ticket abc"), "{old:?}");
    for (words, generation, has_said, expected) in [
        ("ticket cab", 3, false, "ticket abc"),
        ("ticket abc", 3, true, "ticket abc"),
        ("no team", 3, true, "no team"),
        ("no team", 4, false, "no team"),
    ] {
        let now = denied(words);
        let wording = verdict::wording(&old, generation, has_said);
        let new = merge(
            &old,
            verdict::conditions(Err(&now), Vec::new(), &old, wording),
            generation,
            at(1),
        );
        assert!(told(&new, expected), "{words} {generation} {has_said}: {new:?}");
        let is_silent = verdict::event(&old, &new).is_none();
        assert_eq!(is_silent, expected == "ticket abc", "{words} {generation} {has_said}");
    }
    assert_eq!(verdict::wording(&[], 1, false), Wording::Replaced);
}

#[test]
fn the_log_tells_a_change_once() {
    let said = |old: &[Condition], new: &[Condition], is_on_server: bool| {
        logged(old, new, is_on_server).map(|logged| match logged {
            Logged::Ready(_) => "ready",
            Logged::Failing(_) => "failing",
            Logged::Changed(_) => "changed",
        })
    };
    let ready = stored(Ok(&done("All is well.")), &[]);
    let other = stored(Ok(&done("It is well.")), &[]);
    let failing = stored(Err(&Error::NamespaceNotWatched("a".to_owned())), &[]);
    let worse = stored(Err(&Error::NamespaceNotWatched("b".to_owned())), &[]);
    let still = stored(Ok(&Done::suspended()), &[]);
    let table: [(&[Condition], &[Condition], &str, &str); 9] = [
        (&[], &ready, "ready", "ready"),
        (&failing, &ready, "ready", "ready"),
        (&ready, &ready, "changed", ""), // something else in the status has changed
        (&ready, &other, "ready", "ready"),
        (&ready, &failing, "failing", "failing"),
        (&failing, &failing, "", ""),
        (&failing, &worse, "failing", "failing"),
        (&[], &still, "", ""),
        (&still, &still, "", ""),
    ];
    for (row, (old, new, of_resource, of_server)) in table.into_iter().enumerate() {
        assert_eq!(said(old, new, true).unwrap_or_default(), of_resource, "{row}");
        assert_eq!(said(old, new, false).unwrap_or_default(), of_server, "{row}");
    }
    assert_eq!(said(&ready, &[], true), None);
}
