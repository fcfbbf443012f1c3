//! Every recorded exchange is replayed: a server answers as the real one did, the typed call for it is made, and both
//! the request and the result are checked.

mod calls;

use std::collections::BTreeSet;

use oidc_operator::admin::http::{Failure, Settings};
use oidc_operator::error::Outage;
use serde_json::{Map, Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::over;
use crate::recordings::{Asked, Exchange, VERSIONS, exchanges};
use calls::{Outcome, Played, from_bytes, play, split};

/// Exchanges that no typed call makes: method, path, body or a member of it, and the reason.
const EXCEPTIONS: [(&str, &str, &str, &str); 16] = [
    (
        "GET",
        "{A}/oauth2/auth/requests/device?device_challenge=nope",
        "null",
        "no version has it",
    ),
    (
        "PUT",
        "{A}/oauth2/auth/requests/device/accept",
        r#""user_code":"AAAA""#,
        "we never leave the challenge out",
    ),
    ("POST", "{A}/clients/d2/secrets/rotate", "null", "no release has it"),
    ("DELETE", "{A}/clients/d2/secrets/rotate", "null", "no release has it"),
    ("POST", "{A}/clients/d1/secrets/rotate", "null", "no release has it"),
    ("POST", "{A}/clients/nobody/secrets/rotate", "null", "no release has it"),
    ("POST", "{A}/clients", "\"{\"", "no JSON"),
    ("POST", "{A}/clients", "\"\"", "no JSON"),
    ("POST", "{A}/clients", "\"[]\"", "no object"),
    ("POST", "{A}/clients", r#""skip_consent":"yes""#, "a text for a bool"),
    (
        "POST",
        "{A}/clients",
        r#""client_id":"""#,
        "we never let the server choose",
    ),
    (
        "PUT",
        "{A}/clients/r1",
        r#""client_id":"other""#,
        "two ids for one client",
    ),
    (
        "GET",
        "{A}/clients?client_name=Named",
        "null",
        "we list without a filter",
    ),
    ("GET", "{A}/clients?page_size=100000", "null", "we list pages of 500"),
    ("GET", "{A}/clients?page_size=-1", "null", "we list pages of 500"),
    (
        "GET",
        "/clients",
        "null",
        "we never ask without both prefix and page size",
    ),
];

/// The expected result of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    /// The value in the answer.
    Value,
    /// Success without a value.
    Done,
    /// Nothing has that id, or the id is taken.
    None,
    /// A failure that blames the request.
    Refused,
    /// A failure that blames the server.
    Outage,
}

/// The expected result for each recorded operation and status.
const TABLE: [(&str, u16, Expected); 37] = [
    ("list_o_auth2_clients", 200, Expected::Value),
    ("probe", 200, Expected::Done),
    ("probe", 404, Expected::Refused),
    ("create_o_auth2_client", 201, Expected::Value),
    ("create_o_auth2_client", 400, Expected::Refused),
    ("create_o_auth2_client", 409, Expected::None),
    ("create_o_auth2_client", 500, Expected::Outage),
    ("get_o_auth2_client", 200, Expected::Value),
    ("get_o_auth2_client", 404, Expected::None),
    ("update_o_auth2_client", 200, Expected::Value),
    ("update_o_auth2_client", 404, Expected::None),
    ("patch_o_auth2_client", 404, Expected::None),
    ("delete_o_auth2_client", 204, Expected::Done),
    ("delete_o_auth2_client", 404, Expected::Done),
    ("create_json_web_key_set", 201, Expected::Value),
    ("create_json_web_key_set", 400, Expected::Refused),
    ("create_json_web_key_set", 409, Expected::None),
    ("get_json_web_key_set", 200, Expected::Value),
    ("get_json_web_key_set", 404, Expected::None),
    ("update_json_web_key_set", 200, Expected::Value),
    ("delete_json_web_key_set", 204, Expected::Done),
    ("get_json_web_key", 200, Expected::Value),
    ("get_json_web_key", 404, Expected::None),
    ("update_json_web_key", 200, Expected::Value),
    ("delete_json_web_key", 204, Expected::Done),
    ("introspect_o_auth2_token", 400, Expected::Refused),
    ("delete_o_auth2_token", 204, Expected::Done),
    ("list_subject_consent_sessions", 200, Expected::Value),
    ("revoke_consent_sessions", 204, Expected::Done),
    ("revoke_authentication_session", 204, Expected::Done),
    ("get_login_request", 404, Expected::None),
    ("accept_consent_request", 404, Expected::None),
    ("accept_user_code_request", 404, Expected::None),
    ("list_trusted_issuers", 200, Expected::Value),
    ("get_version", 200, Expected::Value),
    ("is_alive", 200, Expected::Done),
    ("is_ready", 200, Expected::Done),
];

fn recorded_reply(exchange: &Exchange) -> ResponseTemplate {
    let reply = ResponseTemplate::new(exchange.response.status);
    match &exchange.response.body {
        Value::String(text) if text.is_empty() => reply,
        Value::String(text) => reply.set_body_raw(text.clone(), "text/html"),
        body => reply.set_body_json(body),
    }
}

/// Members of a client that the server fills in or that are secret.
const NOT_OURS: [&str; 6] = [
    "client_secret",
    "client_secret_expires_at",
    "registration_access_token",
    "registration_client_uri",
    "created_at",
    "updated_at",
];

/// The members of an object that count: without empty ones and those that are not ours.
fn essence(value: &Value) -> Value {
    let is_empty = |value: &Value| {
        *value == json!("") || *value == json!([]) || *value == json!({}) || *value == json!(false) || value.is_null()
    };
    match value {
        Value::Array(list) => list.iter().map(essence).collect(),
        Value::Object(members) => {
            let kept = members
                .iter()
                .filter(|(name, value)| !is_empty(value) && !NOT_OURS.contains(&name.as_str()));
            Value::Object(
                kept.map(|(name, value)| (name.clone(), value.clone()))
                    .collect::<Map<_, _>>(),
            )
        }
        other => other.clone(),
    }
}

/// Asserts that the recorded request was sent, except for paging, for members that we always send, and for the owner: we
/// list the clients of every owner.
fn check_request(asked: &Asked, prefix: &str, request: &wiremock::Request, context: &str) {
    assert_eq!(request.method.as_str(), asked.method, "{context}");
    let path = asked.path.replace("{A}", prefix);
    let path = path.split('?').next().unwrap_or_default().replace(' ', "%20");
    assert_eq!(request.url.path(), path, "{context}");
    let not_ours = ["limit", "offset", "page_size", "page_token", "owner"];
    let of_interest = |query: Vec<(String, String)>| -> BTreeSet<(String, String)> {
        let kept = query.into_iter().filter(|(name, _)| !not_ours.contains(&name.as_str()));
        kept.collect()
    };
    let sent = request.url.query_pairs().into_owned().collect();
    assert_eq!(of_interest(sent), of_interest(split(&asked.path).1), "{context}");
    match &asked.body {
        Value::Null => assert!(request.body.is_empty(), "{context}"),
        Value::String(text) => assert_eq!(request.body, text.as_bytes(), "{context}"),
        body => {
            let mut sent = from_bytes(request.body.clone());
            assert_eq!(sent["client_secret"], body["client_secret"], "{context}");
            if let (Some(members), None) = (sent.as_object_mut(), body.get("client_id")) {
                members.remove("client_id"); // we send the id here too
            }
            assert_eq!(essence(&sent), essence(body), "{context}");
        }
    }
}

fn check_outcome(exchange: &Exchange, Played(operation, outcome): &Played, context: &str) {
    let status = exchange.response.status;
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
        Outcome::Failed(Failure::Outage(Outage::Status(code, _))) if *code == status => Ok(Expected::Outage),
        Outcome::Failed(failure) => Err(failure),
    };
    assert_eq!(found, Ok(expected), "{context}: {operation}");
    if let Outcome::Value(value) = outcome {
        assert_eq!(
            essence(value),
            essence(&exchange.response.body),
            "{context}: {operation}"
        );
    }
}

fn exception(asked: &Asked) -> Option<&'static str> {
    let body = asked.body.to_string();
    let alike = |part: &str| match &asked.body {
        Value::Object(_) => part.contains(':') && body.contains(part),
        _ => body == part,
    };
    let mut all = EXCEPTIONS.iter();
    let found = all.find(|(method, path, part, _)| asked.method == *method && asked.path == *path && alike(part));
    found.map(|(.., why)| *why)
}

#[tokio::test]
async fn every_recorded_exchange_is_understood() {
    let mut rows = BTreeSet::new();
    let mut excused = BTreeSet::new();
    for version in VERSIONS {
        let server = MockServer::start().await;
        let admin = |version| over(crate::http(&server.uri(), &Settings::default()), version);
        let (hydra, newer) = (admin(version), admin("v2.3.0"));
        let prefix = if version.starts_with("1.") { "" } else { "/admin" };
        for (story, exchange) in exchanges(version) {
            let asked = &exchange.request;
            let context = format!("{version}, {story}: {} {} {}", asked.method, asked.path, asked.body);
            if let Some(why) = exception(asked) {
                excused.insert(why);
                continue;
            }
            server.reset().await;
            Mock::given(any())
                .respond_with(recorded_reply(&exchange))
                .mount(&server)
                .await;
            // Detection requests the path of version 2 from a server of any version.
            let hydra = if asked.path.starts_with("/admin") {
                &newer
            } else {
                &hydra
            };
            let played = play(hydra, asked).await;
            let played = played.unwrap_or_else(|| panic!("{context}: neither a call nor an exception"));
            let requests = server.received_requests().await.unwrap_or_default();
            assert_eq!(requests.len(), 1, "{context}");
            check_request(asked, prefix, &requests[0], &context);
            check_outcome(&exchange, &played, &context);
            rows.insert((played.0, exchange.response.status));
            hydra.http().breaker().close(); // an open breaker would answer the next call
        }
    }
    let unused: Vec<_> = TABLE
        .iter()
        .filter(|(name, code, _)| !rows.contains(&(*name, *code)))
        .collect();
    assert!(unused.is_empty(), "{unused:?}");
    let reasons: BTreeSet<&str> = EXCEPTIONS.iter().map(|(.., why)| *why).collect();
    assert_eq!(excused, reasons);
}
