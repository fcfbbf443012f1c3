//! What a reply means, and what it never means.

use std::time::Duration;

use oidc_operator::admin::foulkon::{Listing, is_absent, is_conflict};
use oidc_operator::admin::http::Failure;
use oidc_operator::error::Outage;
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::calls::{OPERATIONS, Outcome, call, each};
use super::{EXISTS, NOT_FOUND, always, answer, authorized, coded, connect, fields, proxied, set, shown, status};
use crate::{html, json_reply, received, unfinished};

/// A member is missing or malformed.
const STRANGE: Failure = Failure::Reply("lacks a field or has one of the wrong type");

/// Asserts that every operation fails this way with each of these replies.
async fn check_each(cases: &[(ResponseTemplate, Failure)]) {
    let (server, foulkon, http) = always(ResponseTemplate::new(204)).await;
    for (reply, expected) in cases {
        answer(&server, reply.clone()).await;
        for operation in OPERATIONS {
            let outcome = call(&foulkon, operation, "shop", &fields(), Listing::default()).await;
            let is_read = matches!(operation, "about" | "list" | "get");
            let expected = if is_read {
                expected.clone()
            } else {
                unfinished(expected)
            };
            assert_eq!(outcome, Outcome::Failed(expected), "{operation} {reply:?}");
            http.breaker().close(); // an open breaker would answer the next call
        }
    }
}

#[tokio::test]
async fn only_the_workers_own_error_means_absence() {
    let (_server, foulkon, http) = always(coded(404, NOT_FOUND, "OIDC Provider with name shop not found")).await;
    assert_eq!(foulkon.get("shop").await, Ok(None));
    assert_eq!(foulkon.delete("shop").await, Ok(false));
    let failed = foulkon.update("shop", &fields()).await.expect_err("there is none");
    assert!(is_absent(&failed) && !is_conflict(&failed));
    assert!(!http.breaker().is_open());
}

/// If this counted as absence, a typo in an ingress would make the operator recreate everything.
#[tokio::test]
async fn any_other_404_is_never_absence() {
    let other = [
        (html(404), proxied(404)),
        (ResponseTemplate::new(404), proxied(404)),
        (json_reply(404, &json!({})), proxied(404)),
        (json_reply(404, &json!([NOT_FOUND])), proxied(404)),
        (json_reply(404, &json!(NOT_FOUND)), proxied(404)),
        (json_reply(404, &json!({ "code": 404 })), proxied(404)),
        (json_reply(404, &json!({ "code": null })), proxied(404)),
        (json_reply(404, &json!({ "error": NOT_FOUND })), proxied(404)),
        (json_reply(404, &json!({ "errors": [] })), proxied(404)),
        (
            json_reply(404, &json!({ "error": { "code": NOT_FOUND } })),
            proxied(404),
        ),
        (coded(404, "", ""), status(404, "", "")),
        (coded(404, "NotFound", "x"), status(404, "NotFound", "x")),
        (
            coded(404, "UserWithExternalIDNotFound", "x"),
            status(404, "UserWithExternalIDNotFound", "x"),
        ),
        (
            coded(404, "authoidcproviderwithnamenotfound", "x"),
            status(404, "authoidcproviderwithnamenotfound", "x"),
        ),
        (coded(410, NOT_FOUND, "x"), status(410, NOT_FOUND, "x")),
        (coded(400, NOT_FOUND, "x"), status(400, NOT_FOUND, "x")),
    ];
    assert!(other.iter().all(|(_, failure)| !is_absent(failure)));
    check_each(&other).await;
}

#[tokio::test]
async fn only_the_workers_own_error_means_a_conflict() {
    let cases = [
        (coded(409, EXISTS, "x"), status(409, EXISTS, "x"), true),
        (coded(409, "Conflict", "x"), status(409, "Conflict", "x"), false),
        (html(409), proxied(409), false),
        (ResponseTemplate::new(409), proxied(409), false),
        (json_reply(409, &json!({ "error": EXISTS })), proxied(409), false),
        (coded(404, EXISTS, "x"), status(404, EXISTS, "x"), false),
        (coded(400, EXISTS, "x"), status(400, EXISTS, "x"), false),
    ];
    for (_, failure, conflicts) in &cases {
        assert_eq!(is_conflict(failure), *conflicts, "{failure:?}");
    }
    check_each(&cases.map(|(reply, failure, _)| (reply, failure))).await;
}

/// Errors are text until the login is accepted, and JSON afterwards.
#[tokio::test]
async fn statuses_have_one_meaning_for_every_operation() {
    let outage = |code| Failure::Outage(Outage::Status(code, None));
    let text = |code, text: &str| ResponseTemplate::new(code).set_body_raw(text, "text/plain; charset=utf-8");
    // Reply, its meaning, and whether it opens the circuit breaker with the admin's login and with a user's login.
    let cases = [
        (
            text(401, "Authentication failed\n"),
            Failure::Refused(401),
            [true, false],
        ),
        (
            text(401, "Error Setup error. At leat one client id must be provided.\n"),
            Failure::Refused(401),
            [true, false],
        ),
        (
            text(400, "Error Jwt token validation failed.\n"),
            Failure::Refused(400),
            [true, false],
        ),
        (ResponseTemplate::new(400), Failure::Refused(400), [true, false]),
        (
            json_reply(400, &json!({ "message": "x" })),
            Failure::Refused(400),
            [true, false],
        ),
        (html(403), Failure::Refused(403), [true, false]),
        (
            coded(403, "UnauthorizedResourcesError", "x"),
            Failure::Denied,
            [false, false],
        ),
        (
            coded(400, "InvalidParameterError", "Invalid parameter: path x"),
            status(400, "InvalidParameterError", "Invalid parameter: path x"),
            [false, false],
        ),
        (text(405, "Method Not Allowed\n"), proxied(405), [false, false]),
        (text(413, "x"), proxied(413), [false, false]),
        (coded(500, "UnknownApiError", "pq: x"), outage(500), [false, false]),
        (html(502), outage(502), [true, true]),
        (html(503), outage(503), [true, true]),
        (
            html(429).insert_header("Retry-After", "60"),
            Failure::Outage(Outage::Limited(Duration::from_secs(60))),
            [false, false],
        ),
    ];
    let (server, of_admin, http_of_admin) = always(ResponseTemplate::new(204)).await;
    let (of_user, http_of_user) = connect(&server.uri(), &authorized("Bearer geheim"));
    let logins = [(of_admin, http_of_admin), (of_user, http_of_user)];
    for (reply, expected, opens) in &cases {
        answer(&server, reply.clone()).await;
        for ((foulkon, http), opens) in logins.iter().zip(opens) {
            assert_eq!(foulkon.get("shop").await, Err(expected.clone()), "{expected:?}");
            assert_eq!(http.breaker().is_open(), *opens, "{expected:?}");
            http.breaker().close();
        }
    }
    check_each(&cases.map(|(reply, failure, _)| (reply, failure))).await;
}

#[tokio::test]
async fn an_open_breaker_lets_only_about_and_list_pass() {
    let page = json!({ "total": 0, "version": "v0.5.0", "authenticator": { "type": "oidc" } });
    let (server, foulkon, http) = always(json_reply(200, &page)).await;
    http.breaker().open(None);
    for (operation, outcome) in each(&foulkon, "shop").await {
        let passes = matches!(operation, "about" | "list");
        let is_stopped = outcome == Outcome::Failed(Failure::Outage(Outage::Known));
        assert_eq!(is_stopped, !passes, "{operation}: {outcome:?}");
    }
    assert_eq!(foulkon.names("/team/").await, Ok(set(&[])));
    assert_eq!(received(&server).await, 3);
}

#[tokio::test]
async fn an_invalid_reply_is_neither_a_provider_nor_absence() {
    let no_json = Failure::Reply("is not JSON");
    let cases = [
        (html(200), no_json.clone()),
        (html(201), no_json),
        (ResponseTemplate::new(200), STRANGE),
        (ResponseTemplate::new(204), STRANGE),
        (json_reply(200, &json!({})), STRANGE),
        (json_reply(200, &json!([])), STRANGE),
        (json_reply(200, &json!("shop")), STRANGE),
        (json_reply(200, &json!([shown()])), STRANGE),
        (json_reply(200, &json!({ "status": "ok" })), STRANGE),
    ];
    let (server, foulkon, _) = always(ResponseTemplate::new(204)).await;
    for (reply, expected) in cases {
        answer(&server, reply.clone()).await;
        let failed = Err(expected.clone());
        assert_eq!(foulkon.get("shop").await.map(drop), failed, "{reply:?}");
        assert_eq!(foulkon.create(&fields()).await.map(drop), failed, "{reply:?}");
        assert_eq!(foulkon.update("shop", &fields()).await.map(drop), failed, "{reply:?}");
        assert_eq!(foulkon.list(Default::default()).await.map(drop), failed, "{reply:?}");
        assert_eq!(foulkon.names("/team/").await.map(drop), failed, "{reply:?}");
        assert!(foulkon.about().await.is_err(), "{reply:?}");
    }
}

/// The provider with a member changed, or without it.
fn changed(name: &str, value: Option<Value>) -> Value {
    let mut provider = shown();
    match value {
        Some(value) => provider[name] = value,
        None => drop(provider.as_object_mut().and_then(|members| members.remove(name))),
    }
    provider
}

#[tokio::test]
async fn a_provider_with_a_missing_or_malformed_field_is_a_failure() {
    let server = MockServer::start().await;
    let (foulkon, _) = connect(&server.uri(), &super::nobody());
    let names = ["id", "name", "path", "urn", "issuerUrl", "createAt", "updateAt"];
    let wrong = [json!(null), json!(1), json!(true), json!(["x"]), json!({})];
    let mut cases: Vec<Value> = Vec::new();
    for name in names {
        cases.push(changed(name, None));
        cases.extend(wrong.iter().map(|value| changed(name, Some(value.clone()))));
    }
    let clients = [
        json!(null),
        json!("app"),
        json!(["app"]),
        json!({}),
        json!([{ "name": null }]),
    ];
    cases.extend(clients.map(|value| changed("clients", Some(value))));
    assert_eq!(cases.len(), 47);
    for body in cases {
        answer(&server, json_reply(200, &body)).await;
        assert_eq!(foulkon.get("shop").await, Err(STRANGE), "{body}");
        assert_eq!(foulkon.create(&fields()).await, Err(STRANGE), "{body}");
        assert_eq!(foulkon.update("shop", &fields()).await, Err(STRANGE), "{body}");
    }
}

#[tokio::test]
async fn clients_may_be_absent_or_nameless_and_have_no_order() {
    let cases: [(Value, &[&str]); 6] = [
        (changed("clients", None), &[]),
        (changed("clients", Some(json!([]))), &[]),
        (changed("clients", Some(json!([{}]))), &[""]),
        (changed("clients", Some(json!([{ "name": "" }]))), &[""]),
        (
            changed("clients", Some(json!([{ "name": "b" }, { "name": "a" }]))),
            &["a", "b"],
        ),
        (
            changed(
                "clients",
                Some(json!([{ "name": "a", "id": "x" }, { "name": "a" }, {}])),
            ),
            &["", "a"],
        ),
    ];
    for (body, expected) in cases {
        let (_server, foulkon, _) = always(json_reply(200, &body)).await;
        let found = foulkon.get("shop").await.expect("a provider").expect("it exists");
        assert_eq!(found.client_ids(), set(expected), "{body}");
    }
}

#[tokio::test]
async fn a_page_without_a_total_or_with_malformed_names_is_a_failure() {
    let server = MockServer::start().await;
    let (foulkon, _) = connect(&server.uri(), &super::nobody());
    let strange = [
        json!({ "providers": ["shop"] }),
        json!({ "providers": ["shop"], "total": null }),
        json!({ "providers": ["shop"], "total": "1" }),
        json!({ "providers": ["shop"], "total": -1 }),
        json!({ "providers": ["shop"], "total": 1.5 }),
        json!({ "providers": null, "total": 1 }),
        json!({ "providers": "shop", "total": 1 }),
        json!({ "providers": [{ "name": "shop" }], "total": 1 }),
        json!({ "providers": { "shop": {} }, "total": 1 }),
    ];
    for body in strange {
        answer(&server, json_reply(200, &body)).await;
        assert_eq!(foulkon.list(Default::default()).await, Err(STRANGE), "{body}");
        assert_eq!(foulkon.names("/team/").await, Err(STRANGE), "{body}");
    }
    answer(
        &server,
        json_reply(200, &json!({ "limit": 20, "offset": 0, "total": 0 })),
    )
    .await;
    assert_eq!(foulkon.list(Default::default()).await, Ok(Default::default()));
}

#[tokio::test]
async fn a_deletion_succeeds_with_any_of_its_success_statuses() {
    // A real worker answers 204, but its documentation says 202.
    for reply in [200, 202, 204].map(ResponseTemplate::new) {
        let (_server, foulkon, _) = always(reply.clone()).await;
        assert_eq!(foulkon.delete("shop").await, Ok(true), "{reply:?}");
    }
    let (_server, foulkon, _) = always(html(200)).await;
    assert_eq!(foulkon.delete("shop").await, Err(Failure::Reply("is not JSON")));
}

/// A provider of more than this many bytes.
fn large(bytes: usize) -> Value {
    changed("more", Some(json!("x".repeat(bytes))))
}

#[tokio::test]
async fn objects_and_pages_have_different_size_limits() {
    let larger = Failure::TooLarge(None);
    let (_server, foulkon, _) = always(json_reply(200, &large(1 << 19))).await;
    assert!(foulkon.get("shop").await.is_ok());
    let (_server, foulkon, http) = always(json_reply(200, &large(1 << 20))).await;
    for (operation, outcome) in each(&foulkon, "shop").await {
        if operation != "about" {
            assert_eq!(outcome, Outcome::Failed(larger.clone()), "{operation}");
        }
    }
    assert!(!http.breaker().is_open(), "one reply says nothing about the server");
    // Real names have at most 127 characters, so a page has at most 130 KB.
    let page = |bytes: usize| json!({ "providers": ["x"], "total": 1, "more": "x".repeat(bytes) });
    let (_server, foulkon, _) = always(json_reply(200, &page(2 << 20))).await;
    assert_eq!(foulkon.names("/team/").await.map(|names| names.len()), Ok(1));
    let (_server, foulkon, _) = always(json_reply(200, &page(33 << 20))).await;
    assert_eq!(foulkon.names("/team/").await, Err(larger));
}

#[tokio::test]
async fn an_oversized_404_is_a_failure_and_never_absence() {
    let (server, foulkon, http) = always(coded(404, NOT_FOUND, &"x".repeat(1 << 20))).await;
    let larger = Failure::TooLarge(None);
    assert_eq!(foulkon.get("shop").await, Err(larger.clone()));
    assert_eq!(foulkon.delete("shop").await, Err(larger));
    assert!(!http.breaker().is_open());
    assert!(received(&server).await < OPERATIONS.len());
}

/// Only a gateway limits the rate: the worker itself does not.
#[tokio::test]
async fn a_request_beyond_a_rate_limit_is_sent_again() {
    for refusal in [
        html(429),
        json_reply(429, &json!({ "message": "API rate limit exceeded" })),
    ] {
        let (server, foulkon, http) = always(coded(404, NOT_FOUND, "OIDC Provider with name shop not found")).await;
        Mock::given(any())
            .respond_with(refusal)
            .up_to_n_times(1)
            .with_priority(1)
            .mount(&server)
            .await;
        assert_eq!(foulkon.get("shop").await, Ok(None));
        assert_eq!(received(&server).await, 2);
        assert!(!http.breaker().is_open());
    }
}
