//! `kubectl oidc`: names on the command line, and the tree of `status`.

use clap::{CommandFactory, Parser};
use kube::core::DynamicObject;
use oidc_operator::plugin::arguments::Plugin;
use oidc_operator::plugin::ask::{Answer, Ask, Request};
use oidc_operator::plugin::census::{Entry, Key, State};
use oidc_operator::plugin::target::Target;
use oidc_operator::plugin::tree::Node;
use oidc_operator::plugin::{show, tree};
use serde_json::{Value, json};

#[test]
fn the_arguments_are_consistent() {
    Plugin::command().debug_assert();
    for (arguments, is_accepted) in [
        ("kubectl-oidc status", true),
        ("kubectl-oidc -n shop status -o json", true),
        ("kubectl-oidc status -A --not-ready", true),
        ("kubectl-oidc status -A -n shop", false),
        ("kubectl-oidc rotate", false),
        ("kubectl-oidc rotate web jwks/keys --wait --timeout 2m", true),
        ("kubectl-oidc rotate web --timeout soon", false),
        ("kubectl-oidc suspend oac/web", true),
    ] {
        let parsed = Plugin::try_parse_from(arguments.split(' '));
        assert_eq!(parsed.is_ok(), is_accepted, "{arguments}");
    }
}

#[test]
fn a_resource_is_named_as_for_kubectl() {
    for (text, expected) in [
        ("web", Ok(("OAuth2Client", "web"))),
        ("oac/web", Ok(("OAuth2Client", "web"))),
        ("OAuth2Client/web", Ok(("OAuth2Client", "web"))),
        ("oauth2clients.oidc-operator.dev/web", Ok(("OAuth2Client", "web"))),
        ("jwks/keys", Ok(("JsonWebKeySet", "keys"))),
        ("authserver/default", Ok(("AuthorizationServer", "default"))),
        ("oidcp/issuer", Ok(("OidcProvider", "issuer"))),
        ("deployment/web", Err("`deployment` is not a kind of the operator")),
        ("oac/", Err("`oac/` has no name")),
    ] {
        match (Target::parse(text), expected) {
            (Ok(found), Ok((kind, name))) => {
                assert_eq!(
                    (found.resource.kind.as_str(), found.name.as_str()),
                    (kind, name),
                    "{text}"
                );
                assert_eq!(found.is_namespaced, kind != "AuthorizationServer", "{text}");
            }
            (Err(found), Err(sentence)) => assert!(found.starts_with(sentence), "{found}"),
            (found, expected) => panic!("{text}: {found:?} instead of {expected:?}"),
        }
    }
}

fn key(kind: &'static str, name: &str) -> Key {
    let is_namespaced = kind != "AuthorizationServer";
    Key {
        kind,
        namespace: is_namespaced.then(|| "shop".to_owned()),
        name: name.to_owned(),
    }
}

fn entry(kind: &'static str, name: &str, uses: &[Key]) -> Entry {
    Entry {
        key: key(kind, name),
        state: State::Ready,
        reason: String::new(),
        message: String::new(),
        server: (kind != "AuthorizationServer").then(|| "default".to_owned()),
        uses: uses.to_vec(),
        used_by: Vec::new(),
    }
}

/// A client without its scope, a provider for two clients that share a key set, and a client that names the provider.
fn shop() -> Vec<Entry> {
    let keys = key("JsonWebKeySet", "keys");
    let mut broken = entry("OAuth2Client", "broken", &[key("Scope", "absent")]);
    broken.state = State::Stalled;
    broken.reason = "NotFound".to_owned();
    broken.message = "Scope absent does not exist. Create it.".to_owned();
    let mut guest = entry("OAuth2Client", "guest", &[]);
    guest.used_by = vec![key("OidcProvider", "issuer")];
    let clients = [
        key("OAuth2Client", "web"),
        key("OAuth2Client", "api"),
        key("Scope", "groups"),
    ];
    vec![
        entry("Scope", "groups", &[]),
        broken,
        entry("OAuth2Client", "web", std::slice::from_ref(&keys)),
        guest,
        entry("OAuth2Client", "api", &[keys]),
        entry("AuthorizationServer", "default", &[]),
        entry("JsonWebKeySet", "keys", &[]),
        entry("OidcProvider", "issuer", &clients),
    ]
}

/// The text of a tree without colours.
fn plain(nodes: &[Node], counted: (usize, usize)) -> String {
    anstream::adapter::strip_str(&show::text(nodes, counted)).to_string()
}

#[test]
fn the_tree_shows_who_uses_what_and_what_is_wrong() {
    let forest = tree::forest(shop());
    let counted = show::count(&forest);
    let expected = "\
AuthorizationServer default  Ready
├─ OidcProvider shop/issuer  Ready
│  ├─ OAuth2Client shop/api  Ready
│  │  └─ JsonWebKeySet shop/keys  Ready
│  ├─ OAuth2Client shop/guest  Ready
│  ├─ OAuth2Client shop/web  Ready
│  │  └─ JsonWebKeySet shop/keys  Ready
│  └─ Scope shop/groups  Ready
└─ OAuth2Client shop/broken  Stalled
      NotFound: Scope absent does not exist. Create it.
8 resources, 1 of them not ready.
";
    assert_eq!(plain(&forest, counted), expected);
}

/// Whoever may write a status must not control the terminal of whoever reads it.
#[test]
fn a_message_cannot_control_the_terminal() {
    let mut odd = entry("OAuth2Client", "odd", &[]);
    (odd.state, odd.reason) = (State::Stalled, "\u{1b}]0;title\u{7}".to_owned());
    odd.message = "one\nOAuth2Client shop/forged  Ready\u{1b}[2J\u{202e}".to_owned();
    let forest = tree::forest(vec![odd]);
    let counted = show::count(&forest);
    let expected = "\
AuthorizationServer default  Unknown
│  It does not exist, or you may not read it.
└─ OAuth2Client shop/odd  Stalled
      \u{fffd}]0;title\u{fffd}: one\u{fffd}OAuth2Client shop/forged  Ready\u{fffd}[2J\u{fffd}
1 resource, 1 of them not ready.
";
    assert_eq!(plain(&forest, counted), expected);
}

#[test]
fn what_is_well_can_be_left_out() {
    let forest = tree::forest(shop());
    let counted = show::count(&forest);
    let expected = "\
AuthorizationServer default  Ready
└─ OAuth2Client shop/broken  Stalled
      NotFound: Scope absent does not exist. Create it.
8 resources, 1 of them not ready.
";
    assert_eq!(plain(&tree::unwell(forest), counted), expected);
}

/// A tenant need not read AuthorizationServers. If the server does not exist, its resources say so.
#[test]
fn a_server_that_cannot_be_read_still_holds_its_resources() {
    let forest = tree::forest(vec![entry("OAuth2Client", "web", &[])]);
    let report = show::report(&forest, show::count(&forest));
    let expected = json!({
        "total": 1,
        "notReady": 0,
        "servers": [{
            "kind": "AuthorizationServer", "name": "default", "state": "Unknown",
            "message": "It does not exist, or you may not read it.",
            "children": [{ "kind": "OAuth2Client", "namespace": "shop", "name": "web", "state": "Ready" }],
        }],
    });
    assert_eq!(json!(report), expected);
}

fn object(kind: &str, spec: Value, status: Value) -> DynamicObject {
    let text = json!({
        "apiVersion": "oidc-operator.dev/v1alpha1", "kind": kind, "metadata": { "name": "app" }, "spec": spec, "status": status,
    });
    serde_json::from_value(text).expect("an object")
}

fn with(ready: bool, handled: &str, other: Value) -> Value {
    let mut status = other;
    let status_of_ready = if ready { "True" } else { "False" };
    status["conditions"] = json!([{ "type": "Ready", "status": status_of_ready, "message": "Ready's message." }]);
    status["lastHandledReconcileAt"] = json!(handled);
    status
}

#[test]
fn nothing_is_asked_that_the_operator_would_not_do() {
    let allowed = json!({ "rotation": { "withoutOverlap": "Allow" } });
    for (ask, kind, spec, refusal) in [
        (Ask::Rotate, "OAuth2Client", allowed.clone(), None),
        (
            Ask::Rotate,
            "OAuth2Client",
            json!({ "rotation": { "overlap": "24h" } }),
            None,
        ),
        (Ask::Rotate, "OAuth2Client", json!({}), Some("withoutOverlap: Allow")),
        (
            Ask::Rotate,
            "OAuth2Client",
            json!({ "clientSecretRef": { "name": "own" } }),
            Some("spec.clientSecretRef names"),
        ),
        (
            Ask::Rotate,
            "OAuth2Client",
            json!({ "suspend": true }),
            Some("Resume it first"),
        ),
        (
            Ask::Rotate,
            "OAuth2Client",
            json!({ "managementPolicy": "ObserveOnly" }),
            Some("only observes"),
        ),
        (Ask::Rotate, "JsonWebKeySet", json!({ "generate": {} }), None),
        (
            Ask::Rotate,
            "JsonWebKeySet",
            json!({ "import": {} }),
            Some("spec.import names"),
        ),
        (Ask::Rotate, "Scope", json!({}), Some("Only OAuth2Clients")),
        (Ask::Reconcile, "Scope", json!({}), None),
        (
            Ask::Reconcile,
            "OAuth2Client",
            json!({ "managementPolicy": "ObserveOnly" }),
            None,
        ),
        (
            Ask::Reconcile,
            "Scope",
            json!({ "suspend": true }),
            Some("Resume it first"),
        ),
    ] {
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        let request = Request::of(ask, &object(kind, spec.clone(), json!({})), now);
        match (request, refusal) {
            (Ok(_), None) => {}
            (Err(why), Some(part)) => assert!(why.contains(part), "{why}"),
            (found, expected) => panic!("{kind} {spec}: {found:?} instead of {expected:?}"),
        }
    }
}

/// The operator ignores a request from before the last rotation, so a clock that is behind must not lose one.
#[test]
fn a_rotation_is_asked_for_after_the_last_one() {
    for (now, rotated_at, expected) in [
        ("2026-01-01T00:00:00Z", Value::Null, "2026-01-01T00:00:00Z"),
        (
            "2026-01-01T00:00:00Z",
            json!("2025-01-01T00:00:00Z"),
            "2026-01-01T00:00:00Z",
        ),
        (
            "2026-01-01T00:00:00Z",
            json!("2026-01-01T00:03:00Z"),
            "2026-01-01T00:03:01Z",
        ),
    ] {
        let found = object(
            "JsonWebKeySet",
            json!({ "generate": {} }),
            json!({ "rotatedAt": rotated_at }),
        );
        let request = Request::of(Ask::Rotate, &found, now.parse().expect("a time")).expect("a request");
        let change = request.change();
        let annotations = &change["metadata"]["annotations"];
        assert_eq!(annotations["oidc-operator.dev/rotate-at"], expected);
        assert_eq!(annotations["oidc-operator.dev/reconcile-at"], now);
    }
}

#[test]
fn the_status_answers_a_request() {
    const NOW: &str = "2026-01-02T00:00:00Z";
    const EARLIER: &str = "2026-01-01T00:00:00Z";
    let done = |how: &str| Answer::Done(how.to_owned());
    let open = |why: &str| Answer::Open(why.to_owned());
    let unseen =
        "The operator has not looked yet. Check that it runs, and that the server is ready: `kubectl oidc status`.";
    let next = json!({ "rotatedAt": EARLIER, "nextRotationAt": "2026-01-03T00:00:00Z" });
    let published = json!({ "rotatedAt": EARLIER, "nextRotationAt": "2026-01-03T00:00:00Z", "keys": [{ "kid": "a" }, { "kid": "b" }] });
    for (ask, kind, status, expected) in [
        (Ask::Reconcile, "Scope", with(true, NOW, json!({})), done("done")),
        // Flux asked as well.
        (
            Ask::Reconcile,
            "Scope",
            with(true, "2026-01-02T00:00:00Z 17", json!({})),
            done("done"),
        ),
        // Somebody else asked later.
        (
            Ask::Reconcile,
            "Scope",
            with(true, "2026-01-02T00:00:07Z", json!({})),
            done("done"),
        ),
        (Ask::Reconcile, "Scope", with(true, EARLIER, json!({})), open(unseen)),
        // What was wrong before is no answer.
        (Ask::Reconcile, "Scope", with(false, EARLIER, json!({})), open(unseen)),
        (
            Ask::Reconcile,
            "Scope",
            with(false, NOW, json!({})),
            Answer::Refused("Ready's message.".to_owned()),
        ),
        (
            Ask::Rotate,
            "OAuth2Client",
            with(true, NOW, json!({ "rotatedAt": NOW })),
            done("done"),
        ),
        (
            Ask::Rotate,
            "OAuth2Client",
            with(true, NOW, next),
            open("The request stands; the rotation is due at 2026-01-03T00:00:00Z. Ready's message."),
        ),
        (
            Ask::Rotate,
            "JsonWebKeySet",
            with(true, NOW, published),
            done("the next key is published and signs from 2026-01-03T00:00:00Z"),
        ),
        (
            Ask::Rotate,
            "OAuth2Client",
            with(false, NOW, json!({ "rotatedAt": EARLIER })),
            Answer::Refused("Ready's message.".to_owned()),
        ),
    ] {
        let spec = json!({ "generate": {}, "rotation": { "withoutOverlap": "Allow" } });
        let before = json!({ "rotatedAt": EARLIER, "keys": [{ "kid": "a" }] });
        let request = Request::of(ask, &object(kind, spec.clone(), before), NOW.parse().expect("a time"));
        let answer = request.expect("a request").answer(&object(kind, spec, status.clone()));
        assert_eq!(answer, expected, "{ask:?} {kind} {status}");
    }
}
