//! The decision in read → compare → write.

use oidc_operator::admin::hydra::Client;
use oidc_operator::admin::hydra::sync::{Known, Step, decide, same_instant};
use oidc_operator::api::GROUP;
use serde_json::{Value, json};

use crate::marker;

const UID: &str = "uid-1";
const NOW: &str = "2026-01-01T00:00:00.5Z";

/// The desired client, marked with the revision of the ledger.
fn wanted(id: &str) -> Client {
    let mut client = Client {
        client_id: id.to_owned(),
        client_name: "Shop".to_owned(),
        token_endpoint_auth_method: "client_secret_basic".to_owned(),
        ..Client::default()
    };
    client.mark(&marker(UID, "r-1"));
    client
}

/// The same client on the server, with a change made there.
fn observed(id: &str, change: impl FnOnce(&mut Client)) -> Client {
    let mut client = wanted(id);
    client.updated_at = NOW.parse().ok();
    change(&mut client);
    client
}

fn known(updated_at: Option<&str>, must_read: bool) -> Known<'_> {
    Known {
        updated_at,
        must_read,
        may_take_over: false,
        is_settled: false,
    }
}

fn update(fields: &[&str], with_secret: bool, foreign: bool) -> Step {
    Step::Update {
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        with_secret,
        foreign,
    }
}

type Case = (&'static str, Option<Client>, Known<'static>, Step);

fn check(id: &str, cases: Vec<Case>) {
    for (what, observed, known, expected) in cases {
        assert_eq!(decide(&wanted(id), observed.as_ref(), known), expected, "{what}");
    }
}

#[test]
fn a_missing_client_is_created_whatever_is_known() {
    for known in [
        known(None, false),
        known(None, true),
        known(Some(NOW), false),
        known(Some(NOW), true),
    ] {
        assert_eq!(decide(&wanted("shop"), None, known), Step::Create, "{known:?}");
    }
}

#[test]
fn a_client_that_is_not_ours_is_never_written() {
    let bare = |client: &mut Client| client.unmark();
    let foreign = |client: &mut Client| client.mark(&marker("uid-2", "r-1"));
    let spoilt = |client: &mut Client| {
        client.metadata.insert(GROUP.to_owned(), json!("text"));
    };
    for (what, id, observed) in [
        ("no marker", "shop", observed("shop", bare)),
        ("another UID", "shop", observed("shop", foreign)),
        ("another UID on our id", UID, observed(UID, foreign)),
        ("an unreadable marker", "shop", observed("shop", spoilt)),
        ("an unreadable marker on our id", UID, observed(UID, spoilt)),
    ] {
        for known in [known(None, false), known(Some(NOW), true)] {
            assert_eq!(
                decide(&wanted(id), Some(&observed), known),
                Step::NotOwned,
                "{what} {known:?}"
            );
        }
    }
}

#[test]
fn an_adopted_client_gets_our_marker_and_the_secret() {
    let known = Known {
        may_take_over: true,
        ..known(None, false)
    };
    let bare = observed("shop", |client| client.unmark());
    let step = decide(&wanted("shop"), Some(&bare), known);
    assert_eq!(step, update(&["metadata"], true, false));
    assert_eq!(decide(&wanted("shop"), None, known), Step::Create);
}

#[test]
fn only_a_client_without_any_marker_is_unmarked() {
    let under_our_key = |value: Value| {
        observed("shop", |client| {
            client.metadata.insert(GROUP.to_owned(), value);
        })
    };
    for (what, client, expected) in [
        ("no marker", observed("shop", Client::unmark), true),
        ("our marker", observed("shop", |_| {}), false),
        (
            "metadata that an orphan keeps",
            under_our_key(json!({ "scopes": {} })),
            true,
        ),
        ("an unreadable marker", under_our_key(json!("text")), false),
    ] {
        assert_eq!(client.is_unmarked(), expected, "{what}");
    }
}

#[test]
fn name_and_namespace_of_a_marker_do_not_affect_ownership() {
    let moved = |client: &mut Client| {
        let mut mark = marker(UID, "r-1");
        mark.name = "before".to_owned();
        mark.namespace = "elsewhere".to_owned();
        client.mark(&mark);
    };
    let step = decide(&wanted("shop"), Some(&observed("shop", moved)), known(Some(NOW), false));
    assert_eq!(step, update(&["metadata"], false, false));
}

#[test]
fn without_our_own_marker_nothing_is_written() {
    let mut unmarked = wanted("shop");
    unmarked.unmark();
    let step = decide(&unmarked, Some(&observed("shop", |_| {})), known(Some(NOW), false));
    assert_eq!(step, Step::NotOwned);
}

#[test]
fn an_unmarked_client_under_our_uid_gets_marker_and_secret_again() {
    check(
        UID,
        vec![
            (
                "marker lost, with no known write since",
                Some(observed(UID, Client::unmark)),
                known(Some(NOW), false),
                update(&["metadata"], true, false),
            ),
            (
                "marker lost by a foreign write",
                Some(observed(UID, Client::unmark)),
                known(Some("2026-01-01T00:00:00.1Z"), false),
                update(&["metadata"], true, true),
            ),
        ],
    );
}

#[test]
fn a_client_in_sync_is_not_written() {
    check(
        "shop",
        vec![
            (
                "confirmed",
                Some(observed("shop", |_| {})),
                known(Some(NOW), false),
                Step::Nothing,
            ),
            (
                "confirmed and read",
                Some(observed("shop", |_| {})),
                known(Some(NOW), true),
                Step::Nothing,
            ),
            (
                "our request arrived, its reply did not",
                Some(observed("shop", |_| {})),
                known(None, false),
                Step::Nothing,
            ),
            (
                "the server reports no time",
                Some(observed("shop", |client| client.updated_at = None)),
                known(Some(NOW), false),
                Step::Nothing,
            ),
        ],
    );
}

#[test]
fn drift_is_corrected_without_the_secret() {
    check(
        "shop",
        vec![
            (
                "another name",
                Some(observed("shop", |client| client.client_name = "Drifted".to_owned())),
                known(Some(NOW), false),
                update(&["client_name"], false, false),
            ),
            (
                "more than one member",
                Some(observed("shop", |client| {
                    client.client_name.clear();
                    client.skip_consent = true;
                })),
                known(Some(NOW), true),
                update(&["client_name", "skip_consent"], false, false),
            ),
            (
                "an unknown member",
                Some(observed("shop", |client| {
                    client.other.insert("new".to_owned(), json!(1));
                })),
                known(Some(NOW), false),
                Step::Nothing,
            ),
        ],
    );
}

#[test]
fn the_secret_is_sent_when_the_one_on_the_server_may_not_be_ours() {
    let revision = |client: &mut Client| client.mark(&marker(UID, "r-0"));
    check(
        "shop",
        vec![
            (
                "another revision",
                Some(observed("shop", revision)),
                known(Some(NOW), false),
                update(&["metadata"], true, false),
            ),
            (
                "no revision",
                Some(observed("shop", |client| client.mark(&marker(UID, "")))),
                known(Some(NOW), false),
                update(&["metadata"], true, false),
            ),
            (
                "a foreign write since",
                Some(observed("shop", |_| {})),
                known(Some("2026-01-01T00:00:00.4Z"), false),
                update(&[], true, true),
            ),
            (
                "a clock that was set back counts as a foreign write too",
                Some(observed("shop", |_| {})),
                known(Some("2026-01-01T00:00:09.5Z"), false),
                update(&[], true, true),
            ),
            (
                "a foreign write with a change",
                Some(observed("shop", |client| client.client_name.clear())),
                known(Some("2026-01-01T00:00:00.4Z"), false),
                update(&["client_name"], true, true),
            ),
            (
                "never confirmed, and must be read",
                Some(observed("shop", |_| {})),
                known(None, true),
                update(&[], true, false),
            ),
            (
                "it becomes confidential",
                Some(observed("shop", |client| {
                    client.token_endpoint_auth_method = "none".to_owned()
                })),
                known(Some(NOW), false),
                update(&["token_endpoint_auth_method"], true, false),
            ),
            (
                "from one method with a secret to another",
                Some(observed("shop", |client| {
                    client.token_endpoint_auth_method = "client_secret_post".to_owned();
                })),
                known(Some(NOW), false),
                update(&["token_endpoint_auth_method"], false, false),
            ),
        ],
    );
}

#[test]
fn a_write_counts_as_foreign_only_after_a_confirmed_one() {
    for must_read in [false, true] {
        let step = decide(
            &wanted("shop"),
            Some(&observed("shop", |client| client.mark(&marker(UID, "r-0")))),
            known(None, must_read),
        );
        assert_eq!(step, update(&["metadata"], true, false), "{must_read}");
    }
}

#[test]
fn a_public_client_stays_public_without_a_secret() {
    let public = |client: &mut Client| {
        client.token_endpoint_auth_method = "none".to_owned();
        client.mark(&marker(UID, ""));
    };
    let mut wanted = wanted("shop");
    public(&mut wanted);
    let there = observed("shop", public);
    assert_eq!(decide(&wanted, Some(&there), known(Some(NOW), false)), Step::Nothing);
}

#[test]
fn times_are_compared_as_instants() {
    let cases = [
        ("2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00.5Z", true),
        ("2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00.500Z", true),
        ("2026-01-01T00:00:00.5Z", "2026-01-01T01:00:00.5+01:00", true), // the server's own zone
        ("2026-01-01T00:00:00.5Z", "2026-01-01T01:00:00.5Z", false),
        ("2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00.500001Z", false),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.1Z", false), // a fraction is exact
        // A database that keeps whole seconds rounds or truncates.
        ("2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00Z", true),
        ("2026-01-01T00:00:00.5Z", "2026-01-01T00:00:01Z", true),
        ("2026-01-01T00:00:00.999Z", "2026-01-01T00:00:00Z", true),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", true),
        ("2026-01-01T00:00:00.5Z", "2026-01-01T00:00:02Z", false),
        ("2026-01-01T00:00:02Z", "2026-01-01T00:00:00Z", false),
        ("2026-01-01T00:00:01.5Z", "2026-01-01T00:00:00Z", false),
        // A text that is not a time equals only itself.
        ("yesterday", "yesterday", true),
        ("yesterday", "2026-01-01T00:00:00Z", false),
        ("", "2026-01-01T00:00:00Z", false),
    ];
    for (ours, listed, expected) in cases {
        assert_eq!(same_instant(ours, listed), expected, "{ours} {listed}");
    }
}

/// A value that the server stores in another form must not be sent at every sweep.
#[test]
fn what_the_server_does_not_keep_is_not_sent_again() {
    const LATER: &str = "2026-01-01T00:00:01.5Z";
    const WHOLE: &str = "2026-01-01T00:00:00Z";
    let other_origins = |client: &mut Client| client.allowed_cors_origins = vec!["https://a".to_owned()];
    let at = |time: &str| {
        let mut client = observed("shop", other_origins);
        client.updated_at = time.parse().ok();
        client
    };
    let other_revision = observed("shop", |client| {
        other_origins(client);
        client.mark(&marker(UID, "r-2"));
    });
    let fields = ["allowed_cors_origins"];
    let not_kept = Step::NotKept(fields.map(str::to_owned).to_vec());
    let table = [
        ("our own write", at(NOW), Some(NOW), true, not_kept),
        ("a new spec", at(NOW), Some(NOW), false, update(&fields, false, false)),
        ("a later write", at(LATER), Some(NOW), true, update(&fields, true, true)),
        ("no write of ours", at(NOW), None, true, update(&fields, false, false)),
        (
            "another secret",
            other_revision,
            Some(NOW),
            true,
            update(&["allowed_cors_origins", "metadata"], true, false),
        ),
        // A time without a fraction may hide the write of another.
        (
            "whole seconds",
            at(WHOLE),
            Some(NOW),
            true,
            update(&fields, false, false),
        ),
    ];
    for (what, found, last, is_settled, expected) in table {
        let known = Known {
            is_settled,
            ..known(last, false)
        };
        assert_eq!(decide(&wanted("shop"), Some(&found), known), expected, "{what}");
    }
}
