//! Bodies of requests to Hydra, and the ownership marker in them.

use oidc_operator::admin::hydra::Client;
use oidc_operator::admin::hydra::client::old_mark;
use oidc_operator::api::GROUP;
use oidc_operator::secret::Secret;
use serde_json::{Value, json};

use crate::hydra_client::{full, full_json, parse};
use crate::{marker, with};

#[test]
fn a_body_has_a_secret_only_when_one_is_given() {
    let secret = Secret::new("geheim".to_owned());
    let sent = |secret: Option<&Secret>| -> Value { serde_json::from_slice(&full().body(secret)).expect("JSON") };
    assert_eq!(sent(None), Value::Object(full_json()));
    assert_eq!(
        sent(Some(&secret)),
        with(Value::Object(full_json()), json!({ "client_secret": "geheim" }))
    );
}

#[test]
fn a_body_omits_empty_members_except_the_scope() {
    let bare = parse(json!({ "client_id": "id", "scope": " " }));
    let sent: Value = serde_json::from_slice(&bare.body(None)).expect("JSON");
    assert_eq!(sent, json!({ "client_id": "id", "scope": " " }));
}

#[test]
fn a_marker_is_read_back_unchanged() {
    for revision in ["", "r-1"] {
        let mut client = full();
        client.mark(&marker("uid-1", revision));
        assert_eq!(client.marker(), Some(marker("uid-1", revision)));
        assert_eq!(client.owner.as_deref(), Some("owner"), "the user's owner stays");
        assert_eq!(client.metadata["a"], 1, "the user's metadata stays");
        let reply: Value = serde_json::from_slice(&client.body(None)).expect("JSON");
        assert_eq!(parse(reply).marker(), Some(marker("uid-1", revision)));
    }
}

#[test]
fn a_marker_without_revision_omits_the_member() {
    let mut client = full();
    client.mark(&marker("uid-1", ""));
    assert_eq!(
        client.metadata[GROUP],
        json!({ "cluster": "cluster-1", "namespace": "team-a", "name": "shop", "uid": "uid-1" })
    );
}

#[test]
fn a_second_marker_replaces_the_first() {
    let mut client = full();
    client.mark(&marker("uid-1", "r-1"));
    client.mark(&marker("uid-2", ""));
    assert_eq!(client.marker(), Some(marker("uid-2", "")));
}

#[test]
fn an_unreadable_marker_counts_as_none() {
    for spoilt in [
        json!("text"),
        json!(7),
        json!([]),
        json!({}),
        json!({ "uid": "uid-1" }),
        json!(null),
    ] {
        let client = parse(json!({ "client_id": "id", "metadata": { GROUP: spoilt } }));
        assert_eq!(client.marker(), None, "{spoilt}");
    }
}

#[test]
fn removing_the_marker_keeps_everything_else() {
    let mut client = full();
    client.mark(&marker("uid-1", "r-1"));
    client.unmark();
    assert_eq!(client, full());
}

#[test]
fn an_owner_that_an_earlier_version_wrote_goes_with_the_next_write() {
    let old = || {
        let owner = Some(old_mark("cluster-1"));
        Client { owner, ..full() }
    };
    let mut marked = old();
    marked.mark(&marker("uid-1", "r-1"));
    let mut unmarked = old();
    unmarked.unmark();
    assert_eq!((marked.owner, unmarked.owner), (None, None));
}

/// What a PUT sends, by what the spec asks for and what the server has.
#[test]
fn an_owner_is_compared_and_written_only_if_the_spec_sets_it() {
    let old = old_mark("cluster-1");
    let owned = |owner: Option<&str>| {
        let owner = owner.map(str::to_owned);
        Client { owner, ..full() }
    };
    let table = [
        (None, "", None, false),
        (None, "user-42", Some("user-42"), false),
        (None, old.as_str(), None, false),
        (Some("user-42"), "", Some("user-42"), true),
        (Some("user-42"), "user-42", Some("user-42"), false),
        (Some("user-42"), old.as_str(), Some("user-42"), true),
        (Some(""), "user-42", Some(""), true),
        (Some(""), "", Some(""), false),
    ];
    for (wanted, found, sent, differs) in table {
        let (wanted, found) = (owned(wanted), owned(Some(found)));
        let body: Value = serde_json::from_slice(&wanted.carrying(&found).body(None)).expect("JSON");
        assert_eq!(body.get("owner").and_then(Value::as_str), sent, "{wanted:?} {found:?}");
        let expected = if differs { vec!["owner"] } else { vec![] };
        assert_eq!(wanted.differences(&found), expected, "{wanted:?} {found:?}");
    }
}
