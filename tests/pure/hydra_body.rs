//! Bodies of requests to Hydra, and the ownership marker in them.

use oidc_operator::admin::hydra::Client;
use oidc_operator::admin::hydra::client::owner;
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
        assert_eq!(client.owner, "oidc-operator.dev/cluster-1");
        assert_eq!(client.owner, owner("cluster-1"));
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
    let expected = Client {
        owner: String::new(),
        ..full()
    };
    assert_eq!(client, expected);
}
