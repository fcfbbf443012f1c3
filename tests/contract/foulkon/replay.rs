//! Every recorded exchange is replayed: a server answers as the real worker did, the typed call for it is made, and
//! both the request and the result are checked.

use std::collections::BTreeSet;

use oidc_operator::admin::foulkon::{is_absent, is_conflict};
use oidc_operator::admin::http::{Failure, Settings};
use oidc_operator::error::Outage;
use serde_json::{Value, json};
use wiremock::MockServer;

use super::calls::{OPERATIONS, Outcome, each, play, substance};
use super::recordings::{Asked, Exchange, exchanges};
use super::{PROVIDERS, admin, answer, authorized, connect, header, nobody, proxied, requests, status};

/// Exchanges that no typed call makes: method, path below the providers or else the whole path, body, and the reason.
const EXCEPTIONS: [(&str, &str, &str, &str); 13] = [
    ("POST", "", r#""""#, "no JSON"),
    ("POST", "", r#""{""#, "no JSON"),
    ("POST", "", r#""[]""#, "no object"),
    ("POST", "", r#""null""#, "no object"),
    ("GET", "?Limit=-1", "null", "no number of names"),
    ("GET", "?Limit=x", "null", "no number of names"),
    ("GET", "?OrderBy=name", "null", "no direction"),
    ("GET", "?OrderBy=bad-asc", "null", "no column"),
    ("HEAD", "", "null", ROUTE),
    ("PATCH", "/one", "null", ROUTE),
    (
        "PUT",
        "",
        r#"{"clients":["app"],"issuerUrl":"https://id.example.com","name":"one","path":"/p1/"}"#,
        ROUTE,
    ),
    ("GET", "/", "null", ROUTE),
    ("GET", "/nothing", "null", ROUTE),
];
/// The reason for requests that only the router answers.
const ROUTE: &str = "no route of ours";

/// The expected result of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    /// The value in the answer.
    Value,
    /// Success without a value.
    Done,
    /// No such provider exists.
    None,
    /// Such a provider exists already.
    Conflict,
    /// A failure with code and message.
    Judged,
    /// The login is refused.
    Refused,
    /// The server cannot handle the request now.
    Outage,
}

/// The expected result for each recorded operation and status, and whether the body is text.
const TABLE: [(&str, u16, bool, Expected); 21] = [
    ("create", 201, false, Expected::Value),
    ("create", 400, false, Expected::Judged),
    ("create", 401, true, Expected::Refused),
    ("create", 409, false, Expected::Conflict),
    ("create", 500, false, Expected::Outage),
    ("get", 200, false, Expected::Value),
    ("get", 400, false, Expected::Judged),
    ("get", 404, false, Expected::None),
    ("update", 200, false, Expected::Value),
    ("update", 400, false, Expected::Judged),
    ("update", 409, false, Expected::Conflict),
    ("delete", 204, false, Expected::Done),
    ("delete", 401, true, Expected::Refused),
    ("delete", 404, false, Expected::None),
    ("list", 200, false, Expected::Value),
    ("list", 400, false, Expected::Judged),
    ("list", 400, true, Expected::Refused),
    ("list", 401, true, Expected::Refused),
    ("about", 200, false, Expected::Value),
    ("about", 400, true, Expected::Refused),
    ("about", 401, true, Expected::Refused),
];

/// The login of a recorded request, and the `Authorization` that it sends.
fn login(auth: &str) -> (Settings, Option<&str>) {
    match auth {
        "admin" => (admin("admin", "geheim"), Some("Basic YWRtaW46Z2VoZWlt")),
        "wrong" => (admin("admin", "wrong"), Some("Basic YWRtaW46d3Jvbmc=")),
        "none" => (nobody(), None),
        value => (authorized(value), Some(value)),
    }
}

/// Asserts that the recorded request was sent, with all fields, also those that the recording lacks.
fn check_request(asked: &Asked, request: &wiremock::Request, context: &str) {
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    assert_eq!(request.method.as_str(), asked.method, "{context}");
    assert_eq!(request.url.path(), path, "{context}");
    assert_eq!(header(request, "Authorization"), login(&asked.auth).1, "{context}");
    let pairs = request.url.query_pairs().map(|(name, value)| format!("{name}={value}"));
    let recorded = query.split('&').filter(|pair| !pair.is_empty()).map(str::to_owned);
    assert_eq!(
        pairs.collect::<BTreeSet<_>>(),
        recorded.collect::<BTreeSet<_>>(),
        "{context}"
    );
    let Value::Object(recorded) = &asked.body else {
        assert!(request.body.is_empty(), "{context}");
        return;
    };
    let sent: Value = serde_json::from_slice(&request.body).expect("JSON");
    let names: Vec<&String> = sent.as_object().into_iter().flatten().map(|(name, _)| name).collect();
    assert_eq!(names, ["clients", "issuerUrl", "name", "path"], "{context}");
    for (name, value) in recorded.iter().filter(|(name, _)| *name != "extra") {
        // The worker answers 500 if a client is listed twice.
        let value = match value == &json!(["a", "a"]) {
            true => json!(["a"]),
            false => value.clone(),
        };
        assert_eq!(sent[name], value, "{context}: {name}");
    }
}

fn check_outcome(exchange: &Exchange, operation: &str, outcome: &Outcome, context: &str) -> Expected {
    let (code, body) = (exchange.response.status, &exchange.response.body);
    let is_text = exchange.response.is_text();
    let mut table = TABLE.iter();
    let row = table.find(|row| (row.0, row.1, row.2) == (operation, code, is_text));
    assert!(row.is_some(), "{context}: no row for {operation}, {code}, {is_text}");
    let expected = row.map_or(Expected::Done, |row| row.3);
    let said = |member: &str| body[member].as_str().unwrap_or_default();
    let judged = Failure::Status {
        code,
        error: Some(said("code").to_owned()),
        description: said("message").to_owned(),
    };
    let wanted = match expected {
        Expected::Value => Outcome::Value(substance(operation, body)),
        Expected::Done => Outcome::Done,
        Expected::None => Outcome::None,
        Expected::Conflict | Expected::Judged => Outcome::Failed(judged),
        Expected::Refused => Outcome::Failed(Failure::Refused(code)),
        Expected::Outage => Outcome::Failed(Failure::Outage(Outage::Status(code, None))),
    };
    assert_eq!(*outcome, wanted, "{context}");
    if let Outcome::Failed(failure) = outcome {
        assert_eq!(is_conflict(failure), expected == Expected::Conflict, "{context}");
        assert!(!is_absent(failure), "{context}");
    }
    expected
}

/// Index of the exception for a request.
fn exception(asked: &Asked) -> Option<usize> {
    let path = asked.path.strip_prefix(PROVIDERS).unwrap_or(&asked.path);
    let body = asked.body.to_string();
    let mut all = EXCEPTIONS.iter();
    all.position(|(method, below, text, _)| (asked.method.as_str(), path, body.as_str()) == (*method, *below, *text))
}

#[tokio::test]
async fn every_recorded_exchange_is_understood() {
    let (mut rows, mut excused) = (BTreeSet::new(), BTreeSet::new());
    let server = MockServer::start().await;
    for (story, exchange) in exchanges() {
        let asked = &exchange.request;
        let context = format!("{story}: {} {} {}", asked.method, asked.path, asked.body);
        if let Some(index) = exception(asked) {
            excused.insert(index);
            continue;
        }
        answer(&server, exchange.response.reply()).await;
        let (settings, _) = login(&asked.auth);
        let (foulkon, http) = connect(&server.uri(), &settings);
        let played = play(&foulkon, asked).await;
        let (operation, outcome) = played.unwrap_or_else(|| panic!("{context}: neither a call nor an exception"));
        let sent = requests(&server).await;
        assert_eq!(sent.len(), 1, "{context}");
        check_request(asked, &sent[0], &context);
        let expected = check_outcome(&exchange, operation, &outcome, &context);
        // A refused admin login, or a missing one, concerns every request; a write may be refused for its content.
        let opens = expected == Expected::Refused && !settings.refuses_singly && asked.method == "GET";
        assert_eq!(http.breaker().is_open(), opens, "{context}");
        rows.insert((operation, exchange.response.status, exchange.response.is_text()));
    }
    let mut table = TABLE.iter();
    let unused = table.find(|row| !rows.contains(&(row.0, row.1, row.2)));
    assert_eq!(unused, None);
    assert_eq!(excused, (0..EXCEPTIONS.len()).collect());
}

/// If this counted as absence, a typo in an ingress or in the worker's URL would make the operator recreate everything.
#[tokio::test]
async fn an_answer_of_the_router_is_neither_absence_nor_success_of_any_call() {
    let expected = [
        ("HEAD", proxied(405)),
        ("PATCH", proxied(405)),
        ("PUT", proxied(405)),
        ("GET", Failure::Reply("is a redirect")),
        ("GET", proxied(404)),
    ];
    let all = exchanges().into_iter();
    let said: Vec<Exchange> = all
        .map(|(_, exchange)| exchange)
        .filter(|exchange| exception(&exchange.request).is_some_and(|index| EXCEPTIONS[index].3 == ROUTE))
        .collect();
    assert_eq!(said.len(), expected.len());
    let server = MockServer::start().await;
    for (exchange, (method, failure)) in said.iter().zip(expected) {
        assert_eq!(exchange.request.method, method);
        answer(&server, exchange.response.reply()).await;
        let (foulkon, http) = connect(&server.uri(), &login("admin").0);
        for (operation, outcome) in each(&foulkon, "one").await {
            assert_eq!(outcome, Outcome::Failed(failure.clone()), "{method}: {operation}");
        }
        assert_eq!(requests(&server).await.len(), OPERATIONS.len(), "{method}");
        assert!(!http.breaker().is_open(), "{method}");
    }
}

/// The same reply means the same for every request, but absence is no failure where something can be missing.
#[tokio::test]
async fn a_recorded_absence_is_a_failure_except_for_get_and_delete() {
    let all = exchanges().into_iter();
    let mut absences = all.filter(|(_, exchange)| exchange.response.status == 404 && !exchange.response.is_text());
    let (_, exchange) = absences.next().expect("a recorded absence");
    let server = MockServer::start().await;
    answer(&server, exchange.response.reply()).await;
    let (foulkon, _) = connect(&server.uri(), &login("admin").0);
    let failure = status(404, super::NOT_FOUND, "OIDC Provider with name one not found");
    assert!(is_absent(&failure));
    for (operation, outcome) in each(&foulkon, "one").await {
        let expected = match operation {
            "get" | "delete" => Outcome::None,
            _ => Outcome::Failed(failure.clone()),
        };
        assert_eq!(outcome, expected, "{operation}");
    }
}
