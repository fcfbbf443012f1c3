//! Every recorded exchange is replayed: a server answers as the real one did, the typed call for it is made, and both
//! the request and the result are checked.

use std::collections::BTreeSet;

use oidc_operator::admin::http::Failure;
use serde_json::{Map, Value};
use wiremock::{MockServer, ResponseTemplate};

use super::calls::{Outcome, Played, play};
use super::objects::plain;
use super::recordings::{SERVERS, exchanges};
use super::{GIVEN, answer, given, vault};
use crate::json_reply;
use crate::recordings::{Asked, Exchange};

/// Exchanges that no typed call makes: method, path, body, and the reason.
const EXCEPTIONS: [(&str, &str, &str, &str); 9] = [
    ("GET", "identity/oidc/nothing/x", "null", "no type of ours"),
    ("POST", "identity/oidc/scope/", "{}", "no name"),
    ("POST", "identity/oidc/client/x", r#""{""#, "no JSON"),
    ("POST", "identity/oidc/client/x", r#""[]""#, "no object"),
    (
        "POST",
        "identity/oidc/key/k3",
        r#"{"rotation_period":"abc"}"#,
        "we send durations in seconds",
    ),
    (
        "POST",
        "identity/oidc/key/k2/rotate",
        r#"{"verification_ttl":0}"#,
        "the key's own verification TTL applies",
    ),
    (
        "POST",
        "identity/entity",
        r#"{"name":"e1"}"#,
        "we do not manage entities",
    ),
    ("POST", "identity/group", r#"{"name":"g1"}"#, "we do not manage groups"),
    (
        "LIST",
        "identity/oidc/provider?allowed_client_id=<client_id:1>",
        "null",
        "we list all",
    ),
];

/// The expected result of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    /// The value in the answer.
    Value,
    /// Success without a value.
    Done,
    /// No such object exists.
    None,
    /// A failure with the server's text.
    Refused,
}

/// The expected result for each recorded operation and status.
const TABLE: [(&str, u16, Expected); 50] = [
    ("health", 200, Expected::Value),
    ("lookup_self", 200, Expected::None), // it never expires
    ("read_scope", 200, Expected::Value),
    ("read_scope", 404, Expected::None),
    ("write_scope", 204, Expected::Done),
    ("write_scope", 400, Expected::Refused),
    ("write_scope", 404, Expected::Refused),
    ("delete_scope", 204, Expected::Done),
    ("delete_scope", 400, Expected::Refused),
    ("list_scopes", 200, Expected::Value),
    ("list_scopes", 404, Expected::None),
    ("read_key", 200, Expected::Value),
    ("read_key", 404, Expected::None),
    ("write_key", 204, Expected::Done),
    ("write_key", 400, Expected::Refused),
    ("rotate_key", 204, Expected::Done),
    ("rotate_key", 400, Expected::Refused),
    ("delete_key", 204, Expected::Done),
    ("delete_key", 400, Expected::Refused),
    ("list_keys", 200, Expected::Value),
    ("read_assignment", 200, Expected::Value),
    ("read_assignment", 404, Expected::None),
    ("write_assignment", 204, Expected::Done),
    ("write_assignment", 400, Expected::Refused),
    ("delete_assignment", 204, Expected::Done),
    ("delete_assignment", 400, Expected::Refused),
    ("list_assignments", 200, Expected::Value),
    ("read_client", 200, Expected::Value),
    ("read_client", 404, Expected::None),
    ("write_client", 204, Expected::Done),
    ("write_client", 400, Expected::Refused),
    ("write_client", 404, Expected::Refused),
    ("delete_client", 204, Expected::Done),
    ("list_clients", 200, Expected::Value),
    ("list_clients", 404, Expected::None),
    ("read_provider", 200, Expected::Value),
    ("write_provider", 200, Expected::Done), // with a warning
    ("write_provider", 204, Expected::Done),
    ("write_provider", 400, Expected::Refused),
    ("delete_provider", 204, Expected::Done),
    ("delete_provider", 400, Expected::Refused),
    ("list_providers", 200, Expected::Value),
    ("discovery", 200, Expected::Value),
    ("discovery", 404, Expected::Refused),
    ("jwks", 200, Expected::Value),
    ("read_entity", 200, Expected::Value),
    ("read_entity", 404, Expected::None),
    ("read_group", 200, Expected::Value),
    ("read_group", 404, Expected::None),
    ("lookup_entity", 204, Expected::None),
];

/// Public operations, which send no token.
const PUBLIC: [&str; 3] = ["health", "discovery", "jwks"];

fn recorded_reply(exchange: &Exchange) -> ResponseTemplate {
    match &exchange.response.body {
        Value::String(text) if text.is_empty() => ResponseTemplate::new(exchange.response.status),
        body => json_reply(exchange.response.status, body),
    }
}

/// Asserts that the recorded request was sent, with all fields of the object, also those that the recording lacks.
fn check_request(asked: &Asked, operation: &str, request: &wiremock::Request, context: &str) {
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let lists = asked.method == "LIST" || query == "list=true";
    let method = if asked.method == "LIST" { "GET" } else { &asked.method };
    assert_eq!(request.method.as_str(), method, "{context}");
    assert_eq!(request.url.path(), format!("/v1/{path}"), "{context}");
    match (lists, operation) {
        (true, _) => assert_eq!(request.url.query(), Some("list=true"), "{context}"),
        (_, "health") => assert!(request.url.query().is_some(), "{context}"),
        _ => assert_eq!(request.url.query(), None, "{context}"),
    }
    let token = request.headers.get("X-Vault-Token").map(|token| token.as_bytes());
    let expected = (!PUBLIC.contains(&operation)).then_some(GIVEN.as_bytes());
    assert_eq!(token, expected, "{context}");
    let Value::Object(recorded) = plain(&asked.body) else {
        assert!(request.body.is_empty(), "{context}");
        return;
    };
    let sent: Map<String, Value> = serde_json::from_slice(&request.body).expect("a JSON object");
    for (name, value) in recorded.iter().filter(|(name, _)| *name != "unknown") {
        assert_eq!(sent.get(name), Some(value), "{context}: {name}");
    }
    assert!(!sent.contains_key("unknown"), "{context}");
}

/// The part of a reply's body that the typed call returns.
fn substance(operation: &str, body: &Value, shown: &Value) -> Value {
    let data = &body["data"];
    match operation {
        "health" => body["version"].clone(),
        "jwks" => body.clone(),
        "read_entity" | "read_group" => data["id"].clone(),
        "discovery" => {
            let names = shown.as_object().into_iter().flatten();
            Value::Object(names.map(|(name, _)| (name.clone(), body[name].clone())).collect())
        }
        _ => plain(data),
    }
}

fn check_outcome(exchange: &Exchange, Played(operation, outcome): &Played, context: &str) {
    let (status, body) = (exchange.response.status, &exchange.response.body);
    let row = TABLE
        .iter()
        .find(|(name, code, _)| name == operation && *code == status);
    assert!(row.is_some(), "{context}: no row for {operation}, {status}");
    let expected = row.map_or(Expected::Done, |row| row.2);
    let found = match outcome {
        Outcome::Value(_) => Ok(Expected::Value),
        Outcome::Done => Ok(Expected::Done),
        Outcome::None => Ok(Expected::None),
        Outcome::Failed(Failure::Status { code, .. }) if *code == status => Ok(Expected::Refused),
        Outcome::Failed(failure) => Err(failure),
    };
    assert_eq!(found, Ok(expected), "{context}: {operation}");
    match outcome {
        Outcome::Value(value) => assert_eq!(plain(value), plain(&substance(operation, body, value)), "{context}"),
        Outcome::Failed(Failure::Status { description, .. }) => {
            let said = body["errors"].as_array().expect("errors").iter();
            let said: Vec<&str> = said.filter_map(Value::as_str).collect();
            assert_eq!(*description, said.join("; "), "{context}");
            // All replies state a reason, except for a missing discovery document.
            assert_eq!(description.is_empty(), *operation == "discovery", "{context}");
        }
        _ => {}
    }
}

fn exception(asked: &Asked) -> Option<&'static str> {
    let body = asked.body.to_string();
    let found = EXCEPTIONS.iter().find(|(method, path, text, _)| {
        (asked.method.as_str(), asked.path.as_str(), body.as_str()) == (*method, *path, *text)
    });
    found.map(|(.., why)| *why)
}

#[tokio::test]
async fn every_recorded_exchange_is_understood() {
    for recorded in SERVERS {
        let (mut rows, mut excused) = (BTreeSet::new(), BTreeSet::new());
        let server = MockServer::start().await;
        // The second exchange of the recording is the login for all later ones.
        let vault = vault(&server, given());
        for (story, exchange) in exchanges(recorded) {
            let asked = &exchange.request;
            let context = format!("{recorded}, {story}: {} {} {}", asked.method, asked.path, asked.body);
            if let Some(why) = exception(asked) {
                excused.insert(why);
                continue;
            }
            answer(&server, recorded_reply(&exchange)).await;
            let played = play(&vault, asked).await;
            let played = played.unwrap_or_else(|| panic!("{context}: neither a call nor an exception"));
            let requests = server.received_requests().await.unwrap_or_default();
            assert_eq!(requests.len(), 1, "{context}");
            check_request(asked, played.0, &requests[0], &context);
            check_outcome(&exchange, &played, &context);
            assert!(!vault.http().breaker().is_open(), "{context}: the server is healthy");
            rows.insert((played.0, exchange.response.status));
        }
        let unused: Vec<_> = TABLE
            .iter()
            .filter(|(name, code, _)| !rows.contains(&(*name, *code)))
            .collect();
        assert!(unused.is_empty(), "{recorded}: {unused:?}");
        let reasons: BTreeSet<&str> = EXCEPTIONS.iter().map(|(.., why)| *why).collect();
        assert_eq!(excused, reasons, "{recorded}");
    }
}
