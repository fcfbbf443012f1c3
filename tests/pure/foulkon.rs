//! Providers on a Foulkon server: when two are the same, which values it accepts, and what a failed request means.

use std::collections::BTreeSet;
use std::path::Path;

use oidc_operator::admin::foulkon::{Fields, Provider, is_client_id, is_loaded, is_name, is_path};
use oidc_operator::admin::http::{Failure, RedirectTo};
use oidc_operator::api::condition::Reason;
use oidc_operator::controller::foulkon::failure::failure;
use oidc_operator::error::{Class, Error, Hindrance, Outage};
use serde_json::{Value, json};

use crate::with;

/// Codes of the worker's errors.
const INVALID: &str = "InvalidParameterError";
const NOT_FOUND: &str = "AuthOidcProviderWithNameNotFound";
const EXISTS: &str = "AuthOidcProviderAlreadyExist";

fn wanted() -> Fields {
    Fields {
        name: "shop".to_owned(),
        path: "/team/".to_owned(),
        issuer_url: "https://id.example.com".to_owned(),
        clients: ["app", "web"].map(str::to_owned).into(),
    }
}

/// The wanted provider, with some members changed.
fn observed(more: Value) -> Provider {
    let provider = json!({
        "id": "1f0e", "name": "shop", "path": "/team/", "urn": "urn:iws:auth::oidc/team/shop",
        "createAt": "2026-01-01T00:00:00Z", "updateAt": "2026-01-01T00:00:00Z",
        "issuerUrl": "https://id.example.com", "clients": [{ "name": "app" }, { "name": "web" }],
    });
    serde_json::from_value(with(provider, more)).expect("a provider")
}

#[test]
fn a_provider_differs_in_each_written_field_and_not_in_order() {
    let cases: [(Value, &[&str]); 15] = [
        (json!({}), &[]),
        (json!({ "clients": [{ "name": "web" }, { "name": "app" }] }), &[]),
        (
            json!({ "clients": [{ "name": "web" }, { "name": "app" }, { "name": "web" }] }),
            &[],
        ),
        (
            json!({ "id": "2", "urn": "urn:x", "createAt": "2027-01-01T00:00:00Z", "updateAt": "" }),
            &[],
        ),
        (json!({ "clients": [{ "name": "app" }] }), &["clients"]),
        (
            json!({ "clients": [{ "name": "app" }, { "name": "web" }, { "name": "more" }] }),
            &["clients"],
        ),
        (
            json!({ "clients": [{ "name": "app" }, { "name": "web" }, {}] }),
            &["clients"],
        ),
        (
            json!({ "clients": [{ "name": "App" }, { "name": "web" }] }),
            &["clients"],
        ),
        (json!({ "clients": [] }), &["clients"]),
        (json!({ "name": "Shop" }), &["name"]),
        (json!({ "path": "/team/deeper/" }), &["path"]),
        (json!({ "issuerUrl": "https://id.example.com/" }), &["issuerUrl"]),
        (json!({ "issuerUrl": "https://ID.example.com" }), &["issuerUrl"]),
        (json!({ "name": "store", "path": "/other/" }), &["name", "path"]),
        (
            json!({ "name": "", "path": "", "issuerUrl": "", "clients": [{}] }),
            &["name", "path", "issuerUrl", "clients"],
        ),
    ];
    for (more, expected) in cases {
        let other = observed(more.clone());
        assert_eq!(wanted().differences(&other), expected, "{more}");
        let loaded = [observed(json!({ "name": "before" })), other];
        assert_eq!(is_loaded(&loaded, &wanted()), expected.is_empty(), "{more}");
    }
    let none = Fields {
        clients: BTreeSet::new(),
        ..wanted()
    };
    assert_eq!(none.differences(&observed(json!({ "clients": [] }))), [""; 0]);
    assert_eq!(none.differences(&observed(json!({ "clients": [{}] }))), ["clients"]);
}

#[test]
fn a_name_has_only_letters_digits_and_dashes() {
    let long = "a".repeat(127);
    let longer = "a".repeat(128);
    let good = ["a", "Z", "0", "-", "--", "a-B-9", "shop", &long];
    let bad = [
        "", "a_b", "_", "a.b", "a b", " a", "a/b", "a%", "a\\", "a*", "a+b", "a@b", "a:b", "ä", "\u{430}", "a\n", "\0",
        &longer,
    ];
    check(is_name, &good, &bad);
}

#[test]
fn a_path_has_words_between_slashes_and_does_not_end_in_punctuation() {
    let long = format!("/{}/", "a".repeat(509));
    let longer = format!("/{}/", "a".repeat(510));
    let good = [
        "/ab/",
        "/a/b/",
        "/a-b/c/",
        "/a+b/",
        "/a_b/",
        "/__/",
        "/-a/",
        "/+/a/",
        "/-/+/_/",
        "/a/b/c/d/e/f/",
        "/AZ09/",
        &long,
    ];
    let bad = [
        "", "/", "//", "///", "/a/", "/_/", "/-/", "a", "ab", "/ab", "ab/", "ab/cd", "//ab/", "/ab//", "/a//b/",
        "/a-/", "/ab+/", "/a b/", "/a.b/", "/a%b/", "/*/", "/ä/", "/äö/", "/ab/\n", "\n/ab/", "/ab/ ", "/a\\b/",
        &longer,
    ];
    check(is_path, &good, &bad);
}

#[test]
fn a_client_id_has_only_letters_digits_and_some_punctuation() {
    let long = "a".repeat(127);
    let longer = "a".repeat(128);
    let good = [
        "a",
        "0",
        "_",
        "app_1",
        "a=b+c-d.e",
        "a@b.c",
        "=",
        "+",
        ".",
        "..",
        "@",
        "-",
        "6ff2a57a-7a4d-4a5e-9d0b-0d3b1c2a1f00",
        &long,
    ];
    let bad = [
        "",
        " ",
        "a b",
        "a/b",
        "https://x",
        "a:b",
        "a,b",
        "a%20b",
        "a*",
        "a&b",
        "ä",
        "a\n",
        "\0",
        &longer,
    ];
    check(is_client_id, &good, &bad);
}

fn check(is_valid: fn(&str) -> bool, good: &[&str], bad: &[&str]) {
    for text in good {
        assert!(is_valid(text), "{text:?}");
    }
    for text in bad {
        assert!(!is_valid(text), "{text:?}");
    }
}

/// Recorded creation requests of the admin to a real worker: body, status, and the worker's message.
fn creations() -> Vec<(Value, u64, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/foulkon.json");
    let text = std::fs::read_to_string(path).expect("a recording");
    let stories: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let mut found = Vec::new();
    for one in stories.iter().flat_map(|story| story["exchanges"].as_array()).flatten() {
        let (asked, answered) = (&one["request"], &one["response"]);
        if asked["method"] == "POST" && asked["auth"] == "admin" && asked["body"].is_object() {
            let status = answered["status"].as_u64().expect("a status");
            let said = answered["body"]["message"].as_str().unwrap_or_default();
            found.push((asked["body"].clone(), status, said.to_owned()));
        }
    }
    found
}

/// A parameter: the worker's name for it, the member of the body with its values, and our check of a value.
type Parameter = (&'static str, &'static str, fn(&str) -> bool);

/// Values of a member that is a string or a list of strings.
fn values(body: &Value, member: &str) -> Vec<String> {
    let values = match &body[member] {
        Value::Array(list) => list.clone(),
        one => vec![one.clone()],
    };
    let texts = values.iter().map(|value| value.as_str().unwrap_or_default());
    texts.map(str::to_owned).collect()
}

#[test]
fn our_checks_agree_with_a_real_worker_and_never_accept_more() {
    let parameters: [Parameter; 3] = [
        ("name", "name", is_name),
        ("path", "path", is_path),
        ("client name", "clients", is_client_id),
    ];
    // We are stricter than the worker with the root path and with a client without a name. Names with an underscore
    // were not created.
    let stricter = [("path", "/"), ("client name", "")];
    let creations = creations();
    let (mut taken, mut refused, mut less) = (0, 0, BTreeSet::new());
    for (parameter, member, is_valid) in parameters {
        let complaint = format!("Invalid parameter: {parameter} ");
        for (body, status, said) in &creations {
            let values = values(body, member);
            if *status == 201 {
                let (good, bad): (Vec<_>, Vec<_>) = values.into_iter().partition(|value| is_valid(value));
                taken += good.len();
                less.extend(bad.into_iter().map(|value| (parameter, value)));
            } else if let Some(value) = said.strip_prefix(&complaint) {
                assert_eq!(*status, 400, "{said}");
                assert!(values.iter().any(|sent| sent == value), "{said}: {body}");
                assert!(!is_valid(value), "{said}");
                refused += 1;
            }
        }
    }
    assert_eq!(
        less,
        stricter.map(|(parameter, value)| (parameter, value.to_owned())).into()
    );
    assert_eq!((taken, refused), (65, 18));
    // The worker accepts an underscore in a name, but it then matches another provider and reports a conflict.
    let of_underscore = creations.iter().find(|(body, ..)| body["name"] == "z_z");
    assert_eq!(of_underscore.map(|(_, status, _)| *status), Some(409));
    assert!(!is_name("z_z"));
}

/// The error for a failure of `update_oidc_provider`.
fn meaning(failed: Failure) -> Error {
    failure("update_oidc_provider", failed)
}

fn status(code: u16, error: &str, description: &str) -> Failure {
    Failure::Status {
        code,
        error: Some(error.to_owned()),
        description: description.to_owned(),
    }
}

fn proxied(code: u16) -> Failure {
    Failure::Status {
        code,
        error: None,
        description: String::new(),
    }
}

#[test]
fn each_failure_has_a_class_and_a_reason_and_says_what_to_do() {
    let at = |outage| Failure::Outage(outage);
    let unavailable = (Class::Transient, Reason::ServerUnavailable);
    let refused = (Class::ServerRefused, Reason::ServerRefused);
    let strange = (Class::Transient, Reason::ServerNotRecognized);
    let bug = (Class::Bug, Reason::InternalError);
    // The failure, class and reason, whether the server itself is in trouble, and a part of the message.
    let cases = [
        (
            at(Outage::Unreachable("http://h:1".to_owned(), Hindrance::Refused)),
            unavailable,
            true,
            "`http://h:1` refuses the connection",
        ),
        (at(Outage::Status(500, None)), unavailable, true, "it answered 500"),
        (at(Outage::Known), unavailable, true, "it has just failed"),
        (
            status(404, NOT_FOUND, "x"),
            unavailable,
            false,
            "is changing the same object",
        ),
        (
            Failure::Refused(401),
            refused,
            true,
            "answered 401: it refuses the operator's login. Check foulkon.auth",
        ),
        (Failure::Refused(403), refused, true, "answered 403"),
        (
            Failure::Denied,
            (Class::ServerRefused, Reason::PermissionDenied),
            false,
            "do not allow update_oidc_provider. Let it manage OIDC providers",
        ),
        (
            Failure::NotLeader,
            (Class::Transient, Reason::ClusterUnavailable),
            false,
            "no longer the leader",
        ),
        (
            proxied(404),
            strange,
            false,
            "Foulkon's admin API is not found where it should be. Check foulkon.workerUrl",
        ),
        (proxied(409), strange, false, "is not found where it should be"),
        (
            Failure::Reply("is a redirect"),
            strange,
            false,
            "redirects to another URL. Check foulkon.workerUrl",
        ),
        (Failure::Reply("is not JSON"), bug, false, "is not JSON"),
        (status(409, EXISTS, "x"), bug, false, "an unexpected status"),
        (status(409, "Other", "x"), bug, false, "an unexpected status"),
        (status(404, "Other", "x"), bug, false, "an unexpected status"),
        (status(404, "", ""), bug, false, "an unexpected status"),
        (status(400, INVALID, "EOF"), bug, false, "an unexpected status"),
        (
            status(418, INVALID, "Invalid parameter: name x"),
            bug,
            false,
            "an unexpected status",
        ),
        (Failure::NoLogin("x"), bug, false, "update_oidc_provider"),
        (Failure::Expired, bug, false, "update_oidc_provider"),
        (Failure::NotInThisVersion, bug, false, "update_oidc_provider"),
        (
            Failure::Handled(Some(RedirectTo::new("https://geheim".to_owned()))),
            bug,
            false,
            "update_oidc_provider",
        ),
    ];
    for (failed, expected, is_outage, part) in cases {
        let error = meaning(failed.clone());
        assert_eq!(error.class(), expected, "{failed:?}");
        assert_eq!(error.is_outage(), is_outage, "{failed:?}");
        let message = error.to_string();
        assert!(message.contains(part), "{failed:?}: {message}");
    }
}

#[test]
fn the_error_for_a_refused_value_names_its_field() {
    let cases = [
        ("Invalid parameter: name a b", Some("foulkon.name")),
        ("Invalid parameter: new name a b", Some("foulkon.name")),
        ("Invalid parameter: name ", Some("foulkon.name")),
        ("Invalid parameter: name path", Some("foulkon.name")),
        ("Invalid parameter: path /a/", Some("foulkon.path")),
        ("Invalid parameter: new path ", Some("foulkon.path")),
        ("Invalid parameter: issuerUrl not a url", Some("issuer")),
        ("Invalid parameter: client name https://x", Some("allowedClients")),
        ("Invalid parameter: limit 1001, max limit allowed: 1000", None),
        ("Invalid parameter: OrderBy column bad", None),
        ("invalid parameter: name", None),
        ("name", None),
        ("Invalid parameter: ", None),
        ("json: cannot unmarshal array", None),
        ("", None),
    ];
    for (said, expected) in cases {
        let error = meaning(status(400, INVALID, said));
        let field = match &error {
            Error::InvalidField { field, .. } => Some(*field),
            _ => None,
        };
        assert_eq!(field, expected, "{said}");
        let class = match expected {
            Some(_) => (Class::Invalid, Reason::InvalidSpec),
            None => (Class::Bug, Reason::InternalError),
        };
        assert_eq!(error.class(), class, "{said}");
        let begins = expected.is_none_or(|field| error.to_string().starts_with(&format!("{field}: ")));
        assert!(begins, "{said}: {error}");
    }
}

/// A server's text is only used to classify an error and is never shown: it may hold what users wrote.
#[test]
fn no_message_shows_the_text_of_the_server() {
    let texts = [
        "Invalid parameter: name geheim",
        "Invalid parameter: new path geheim",
        "Invalid parameter: issuerUrl geheim",
        "Invalid parameter: client name geheim",
        "Invalid parameter: geheim",
        "OIDC Provider with name geheim not found",
        "pq: geheim",
        "geheim",
    ];
    for text in texts {
        for error in [INVALID, NOT_FOUND, EXISTS, "geheim"] {
            for code in [400, 404, 409, 418] {
                let message = meaning(status(code, error, text)).to_string();
                assert!(!message.contains("geheim"), "{code} {error} {text}: {message}");
            }
        }
    }
}
