//! Memory of a process: its own writes win until the watch has caught up, and a mark set during a pass stays.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use oidc_operator::api::OAuth2Client;
use oidc_operator::api::oauth2_client::OAuth2ClientSpec;
use oidc_operator::controller::engine::children::Child;
use oidc_operator::controller::engine::children::Children;
use oidc_operator::controller::engine::memory::Memory;
use oidc_operator::controller::engine::version::is_newer;
use oidc_operator::error::{Error, Outage};

const UID: &str = "uid-1";

fn object(uid: Option<&str>, version: &str) -> Arc<OAuth2Client> {
    let mut client = OAuth2Client::new("shop", OAuth2ClientSpec::default());
    client.metadata.uid = uid.map(str::to_owned);
    client.metadata.resource_version = Some(version.to_owned());
    Arc::new(client)
}

fn newest(memory: &Memory<OAuth2Client>, cached: &str) -> String {
    let newest = memory.newest(object(Some(UID), cached));
    newest.metadata.resource_version.clone().unwrap_or_default()
}

fn memory() -> Memory<OAuth2Client> {
    Memory::default()
}

#[test]
fn a_released_object_stays_released_until_a_newer_version() {
    let memory = memory();
    assert!(!memory.is_released(&object(Some(UID), "8")), "nothing was released");
    memory.released(&object(Some(UID), "10"));
    for (version, expected) in [("9", true), ("10", true), ("11", false)] {
        assert_eq!(memory.is_released(&object(Some(UID), version)), expected, "{version}");
    }
    assert!(
        !memory.is_released(&object(Some("uid-2"), "8")),
        "another resource with this name"
    );
    memory.forget(UID);
    assert!(!memory.is_released(&object(Some(UID), "8")), "it is forgotten");
}

#[test]
fn what_was_sent_is_remembered_without_a_time_of_the_server() {
    let memory = memory();
    memory.wrote_at(UID, None, Some(7));
    memory.wrote(object(Some(UID), "10"));
    memory.seen(&object(Some(UID), "10"));
    assert!(memory.has_sent(UID, 7), "it was forgotten with the status");
    assert!(!memory.has_sent(UID, 8), "something else was sent");
}

#[test]
fn the_pass_after_a_write_that_did_not_end_well_reads_the_server() {
    let memory = memory();
    let failure = Error::Unavailable(Outage::Silent);
    let fails = || assert!(memory.failed(UID, &failure) < 2);
    let succeeds = || memory.succeeded(UID);
    let table: [(&str, bool, &dyn Fn(), bool); 5] = [
        ("wrote and failed", true, &fails, true),
        ("wrote and ended in a panic", true, &|| {}, true),
        ("failed again, before it wrote", false, &fails, true),
        ("succeeded", false, &succeeds, false),
        ("wrote and succeeded", true, &succeeds, false),
    ];
    assert!(!memory.begins(UID), "nothing was written");
    let mut was_half_done = false;
    for (pass, writes, end, expected) in table {
        if writes {
            memory.writing(UID);
            memory.confirmed(UID);
        }
        assert_eq!(memory.is_half_done(UID), was_half_done, "during the pass that {pass}");
        end();
        memory.seen(&object(Some(UID), "1"));
        assert_eq!(memory.begins(UID), expected, "after a pass that {pass}");
        was_half_done = expected;
    }
}

#[test]
fn what_a_policy_says_is_compared_with_what_it_said_last() {
    let memory = memory();
    for (said, expected) in [(1, false), (1, true), (2, false), (1, false), (1, true)] {
        assert_eq!(memory.repeats(UID, said), expected, "{said}");
    }
    memory.succeeded(UID);
    assert!(!memory.repeats(UID, 1), "it was admitted in between");
}

#[test]
fn our_own_write_wins_until_the_watch_has_caught_up() {
    let memory = memory();
    assert_eq!(newest(&memory, "8"), "8", "nothing was written");
    memory.wrote(object(Some(UID), "10"));
    assert_eq!(newest(&memory, "8"), "10");
    assert_eq!(newest(&memory, "9"), "10"); // numbers, not text: "9" is not newer than "10"
    assert_eq!(newest(&memory, "10"), "10");
    assert_eq!(newest(&memory, "12"), "12");
    assert_eq!(
        newest(&memory, "11"),
        "11",
        "a write that the watch has shown is forgotten"
    );
}

#[test]
fn a_later_write_of_ours_replaces_the_earlier_one() {
    let memory = memory();
    memory.wrote(object(Some(UID), "10"));
    memory.wrote(object(Some(UID), "11"));
    assert_eq!(newest(&memory, "10"), "11");
}

#[test]
fn our_own_copy_is_dropped_once_the_watch_has_shown_it() {
    let memory = memory();
    memory.wrote(object(Some(UID), "10"));
    memory.seen(&object(Some(UID), "9"));
    assert_eq!(newest(&memory, "8"), "10", "an older one changes nothing");
    memory.seen(&object(Some(UID), "10"));
    assert_eq!(newest(&memory, "8"), "8");
}

#[test]
fn a_namesake_with_another_uid_is_another_resource() {
    let memory = memory();
    memory.wrote(object(Some("uid-0"), "10"));
    assert_eq!(newest(&memory, "8"), "8");
}

#[test]
fn an_object_without_uid_is_returned_unchanged() {
    let memory = memory();
    memory.wrote(object(None, "10"));
    let newest = memory.newest(object(None, "8"));
    assert_eq!(newest.metadata.resource_version.as_deref(), Some("8"));
}

#[test]
fn a_resource_fails_since_the_first_failure_after_a_success() {
    let memory = memory();
    assert_eq!(memory.failing_for(UID), Duration::ZERO);
    memory.failed(UID, &Error::TooLong);
    let first = memory.failing_for(UID);
    memory.failed(UID, &Error::TooLong);
    assert!(memory.start_anew(UID));
    let second = memory.failing_for(UID);
    assert!(second > first);
    memory.succeeded(UID);
    assert_eq!(memory.failing_for(UID), Duration::ZERO);
    memory.failed(UID, &Error::TooLong);
    assert!(memory.failing_for(UID) < second);
}

#[test]
fn a_deleted_resource_is_forgotten_completely() {
    let memory = memory();
    memory.wrote(object(Some(UID), "10"));
    memory.mark(UID);
    memory.failed(UID, &Error::TooLong);
    memory.corrected(UID);
    memory.writing(UID);
    memory.forget(UID);
    assert_eq!(newest(&memory, "8"), "8");
    assert_eq!(memory.marked(UID), None);
    assert!(!memory.is_failing(UID));
    assert_eq!(memory.corrections(UID), 0);
    assert!(!memory.is_unconfirmed(UID));
}

#[test]
fn versions_are_compared_as_numbers_and_any_is_newer_than_none() {
    let cases = [
        (Some("2"), Some("1"), true),
        (Some("10"), Some("9"), true),
        (Some("1"), Some("1"), false),
        (Some("1"), Some("2"), false),
        (Some("1"), None, true),
        (None, Some("1"), false),
        (None, None, false),
        (Some("x"), Some("1"), false),
        (Some("1"), Some("x"), true),
    ];
    for (one, other, expected) in cases {
        assert_eq!(is_newer(one, other), expected, "{one:?} {other:?}");
    }
}

#[test]
fn a_mark_set_during_a_pass_survives_the_end_of_the_pass() {
    let memory = memory();
    assert_eq!(memory.marked(UID), None);
    memory.mark(UID);
    let started_with = memory.marked(UID).expect("a mark");
    memory.mark(UID);
    memory.clear_mark(UID, started_with);
    let second = memory.marked(UID).expect("the mark that was set meanwhile");
    memory.clear_mark(UID, second);
    assert_eq!(memory.marked(UID), None);
}

#[test]
fn clearing_an_old_mark_again_changes_nothing() {
    let memory = memory();
    memory.mark(UID);
    let first = memory.marked(UID).expect("a mark");
    memory.mark(UID);
    let second = memory.marked(UID).expect("a mark");
    memory.clear_mark(UID, second);
    memory.clear_mark(UID, first);
    assert_eq!(memory.marked(UID), None);
    memory.mark(UID);
    assert!(memory.marked(UID).is_some());
}

#[test]
fn marks_of_different_resources_do_not_mix() {
    let memory = memory();
    memory.mark(UID);
    memory.mark("uid-2");
    let mark = memory.marked(UID).expect("a mark");
    memory.clear_mark(UID, mark);
    assert_eq!(memory.marked(UID), None);
    assert!(memory.marked("uid-2").is_some());
}

#[test]
fn consecutive_failures_are_counted_and_a_success_resets_them() {
    let memory = memory();
    assert!(!memory.is_failing(UID));
    assert_eq!(
        [
            memory.failed(UID, &Error::TooLong),
            memory.failed(UID, &Error::TooLong),
            memory.failed(UID, &Error::TooLong)
        ],
        [0, 1, 2]
    );
    assert!(memory.is_failing(UID));
    memory.succeeded(UID);
    assert!(!memory.is_failing(UID));
    assert_eq!(memory.failed(UID, &Error::TooLong), 0);
}

#[test]
fn a_failure_of_the_resources_own_doing_is_not_reset_when_the_server_recovers() {
    let memory = memory();
    assert!(!memory.start_anew(UID), "it does not fail");
    memory.failed(UID, &Error::Unavailable(Outage::Known));
    memory.failed(UID, &Error::Unavailable(Outage::Known));
    assert!(memory.start_anew(UID));
    assert_eq!(memory.failed(UID, &Error::Unfinished(vec![])), 1);
    assert!(!memory.start_anew(UID));
    assert_eq!(memory.failed(UID, &Error::TooLong), 2);
    assert!(memory.start_anew(UID));
}

#[test]
fn corrections_are_counted_for_each_resource() {
    let memory = memory();
    assert_eq!(memory.corrections(UID), 0);
    for _ in 0..3 {
        memory.corrected(UID);
    }
    assert_eq!(memory.corrections(UID), 3);
    assert_eq!(memory.corrections("uid-2"), 0);
    memory.succeeded(UID);
    assert_eq!(
        memory.corrections(UID),
        3,
        "a success does not reset the count of foreign writes"
    );
}

#[test]
fn our_own_write_to_a_child_is_remembered_until_the_watch_shows_it() {
    let children = Children::default();
    let written = Child::Written("s".to_owned(), "7".to_owned());
    assert_eq!(children.get(UID, "shop"), None);
    children.wrote(UID, "shop", written.clone());
    children.wrote(UID, "oac-uid-1", Child::Deleted("l".to_owned()));
    assert_eq!(children.get(UID, "shop"), Some(written));
    assert_eq!(children.get("uid-2", "shop"), None);
    children.seen(UID, "shop");
    assert_eq!(children.get(UID, "shop"), None);
    assert_eq!(children.get(UID, "oac-uid-1"), Some(Child::Deleted("l".to_owned())));
    children.forget(UID);
    assert_eq!(children.get(UID, "oac-uid-1"), None);
}

/// Without a watch of Secrets, each pass remembers what it has read.
#[test]
fn what_was_read_of_a_child_does_not_replace_a_later_write() {
    let children = Children::default();
    let at = |version: &str| Child::Written("s".to_owned(), version.to_owned());
    let read = |uid: &str, version: &str| children.read(UID, "shop", uid.to_owned(), version.to_owned());
    read("s", "7");
    assert_eq!(children.get(UID, "shop"), Some(at("7")));
    read("s", "10");
    assert_eq!(children.get(UID, "shop"), Some(at("10")));
    read("s", "9");
    assert_eq!(children.get(UID, "shop"), Some(at("10")), "an older version");
    read("t", "11");
    assert_eq!(
        children.get(UID, "shop"),
        Some(Child::Written("t".to_owned(), "11".to_owned()))
    );
    children.wrote(UID, "gone", Child::Deleted("g".to_owned()));
    assert_eq!(children.names(UID), ["shop"]);
    assert!(children.names("uid-2").is_empty());
}

#[test]
fn a_write_is_unconfirmed_until_its_reply_arrives() {
    let memory = memory();
    assert!(!memory.is_unconfirmed(UID));
    memory.writing(UID);
    assert!(memory.is_unconfirmed(UID));
    assert!(!memory.is_unconfirmed("uid-2"));
    memory.confirmed(UID);
    assert!(!memory.is_unconfirmed(UID));
}

/// An earlier process may have started a write just before it ended.
#[test]
fn quiet_is_measured_from_the_last_unconfirmed_write_or_the_start_of_the_process() {
    let memory = memory();
    std::thread::sleep(Duration::from_millis(30));
    let since_start = memory.quiet_for(UID);
    assert!(since_start >= Duration::from_millis(30));
    memory.writing(UID);
    assert!(memory.quiet_for(UID) < since_start);
    assert!(memory.quiet_for("uid-2") >= since_start);
    memory.confirmed(UID);
    assert!(memory.quiet_for(UID) >= since_start);
}

#[test]
fn the_wait_for_a_turn_starts_when_it_is_first_seen() {
    let memory = memory();
    let (one, other) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
    let first = memory.due_for("a", one);
    assert!(memory.due_for("a", one) > first);
    let waited = memory.due_for("a", one);
    assert!(memory.due_for("a", other) < waited, "the next wait starts from zero");
    memory.not_due("a");
    assert!(memory.due_for("a", other) < waited);
}

#[test]
fn a_resource_arrives_once_and_counts_from_its_first_pass() {
    let memory = memory();
    let (first, second) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
    assert_eq!(memory.arrived("a"), None, "this process did not see its first pass");
    memory.came("a", first);
    memory.came("a", second);
    assert_eq!(memory.arrived("b"), None);
    assert_eq!(memory.arrived("a"), Some(first));
    assert_eq!(memory.arrived("a"), None);
}

#[test]
fn a_request_marks_the_resource_once_and_many_requests_are_paced() {
    let memory = memory();
    assert_eq!(memory.ask(UID, "first"), None);
    let mark = memory.marked(UID);
    assert_eq!(memory.ask(UID, "first"), None, "a retry is the same request");
    assert_eq!(memory.marked(UID), mark);
    memory.answered(UID);
    let accepted = (0..1_000).filter(|number| memory.ask(UID, &number.to_string()).is_none());
    assert_eq!(accepted.count(), 24, "a burst has 25 requests");
    let wait = memory.ask(UID, "next").expect("a wait");
    assert!(!wait.is_zero() && wait <= Duration::from_secs(300), "{wait:?}");
    assert_eq!(
        memory.ask("uid-2", "next"),
        None,
        "other resources have their own limit"
    );
}

#[test]
fn a_write_is_told_of_once() {
    let memory = memory();
    assert!(!memory.take_write(UID));
    memory.writing(UID);
    memory.confirmed(UID);
    assert!(memory.take_write(UID) && !memory.take_write(UID));
}

#[test]
fn the_end_of_an_object_is_told_once() {
    let memory = memory();
    memory.lives(UID);
    assert!(memory.ends(UID) && !memory.ends(UID));
    memory.lives(UID);
    assert!(memory.ends(UID));
}
