//! Requests: whole providers, on the right paths, with the login and no other user.

use std::sync::Arc;

use oidc_operator::admin::foulkon::{Fields, Foulkon, Listing, PAGE};
use oidc_operator::admin::http::{Failure, Http, Settings};
use oidc_operator::leader::Election;
use oidc_operator::metrics::Metrics;
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::calls::{OPERATIONS, Outcome, each, orders};
use super::{PROVIDERS, admin, always, answer, authorized, connect, fields, header, nobody, requests, set, shown};
use crate::{html, json_reply, received};

/// Requests of the [`OPERATIONS`] with a name in the path, in the order of that list.
fn paths(name: &str) -> Vec<String> {
    vec![
        "GET /about".to_owned(),
        format!("GET {PROVIDERS}"),
        format!("GET {PROVIDERS}/{name}"),
        format!("POST {PROVIDERS}"),
        format!("PUT {PROVIDERS}/{name}"),
        format!("DELETE {PROVIDERS}/{name}"),
    ]
}

async fn asked(server: &MockServer) -> Vec<String> {
    let all = requests(server).await;
    let shown = all
        .iter()
        .map(|request| format!("{} {}", request.method, request.url.path()));
    shown.collect()
}

#[tokio::test]
async fn every_operation_uses_its_path_and_only_writes_have_a_body() {
    let (server, foulkon, _) = always(json_reply(200, &shown())).await;
    each(&foulkon, "shop").await;
    assert_eq!(asked(&server).await, paths("shop"));
    for request in requests(&server).await {
        let context = format!("{} {}", request.method, request.url);
        assert_eq!(request.url.query().unwrap_or_default(), "", "{context}");
        assert_eq!(header(&request, "Accept"), Some("application/json"), "{context}");
        let writes = matches!(request.method.as_str(), "POST" | "PUT");
        let media_type = writes.then_some("application/json");
        assert_eq!(header(&request, "Content-Type"), media_type, "{context}");
        assert_eq!(request.body.is_empty(), !writes, "{context}");
    }
}

#[tokio::test]
async fn the_base_path_of_a_worker_is_kept() {
    for base in ["/foulkon", "/foulkon/"] {
        let server = MockServer::start().await;
        answer(&server, json_reply(200, &shown())).await;
        let (foulkon, _) = connect(&format!("{}{base}", server.uri()), &nobody());
        each(&foulkon, "shop").await;
        let expected = paths("shop").into_iter();
        let expected: Vec<String> = expected.map(|path| path.replacen(" /", " /foulkon/", 1)).collect();
        assert_eq!(asked(&server).await, expected, "{base}");
    }
}

/// An update replaces everything, so an omitted field would be emptied or refused.
#[tokio::test]
async fn a_write_has_all_four_fields_and_each_client_once_in_order() {
    let of = |clients: &[&str]| Fields {
        clients: set(clients),
        ..fields()
    };
    let body = |clients: &[&str]| json!({ "name": "shop", "path": "/team/", "issuerUrl": "https://id.example.com", "clients": clients });
    let cases: [(&[&str], &[&str]); 4] = [
        (&["app"], &["app"]),
        (&["web", "app", "web"], &["app", "web"]),
        (&["b", "a@b.c", "B", "a"], &["B", "a", "a@b.c", "b"]),
        (&[], &[]),
    ];
    for (clients, expected) in cases {
        let (server, foulkon, _) = always(json_reply(200, &shown())).await;
        let written = of(clients);
        assert!(foulkon.create(&written).await.is_ok());
        assert!(foulkon.update("old", &written).await.is_ok());
        let bodies: Vec<Value> = requests(&server)
            .await
            .iter()
            .map(|request| request.body_json().expect("JSON"))
            .collect();
        assert_eq!(bodies, [body(expected), body(expected)], "{clients:?}");
    }
}

/// The pairs of a listing's query.
async fn query(listing: Listing<'_>) -> Vec<(String, String)> {
    let (server, foulkon, _) = always(json_reply(200, &json!({ "total": 0 }))).await;
    assert!(foulkon.list(listing).await.is_ok());
    let requests = requests(&server).await;
    assert_eq!(requests.len(), 1);
    requests[0].url.query_pairs().into_owned().collect()
}

#[tokio::test]
async fn a_listing_sends_only_the_parameters_that_are_set() {
    let cases: [(Listing<'_>, &[(&str, &str)]); 8] = [
        (Listing::default(), &[]),
        (
            Listing {
                path_prefix: Some("/team/"),
                ..Listing::default()
            },
            &[("PathPrefix", "/team/")],
        ),
        (
            Listing {
                path_prefix: Some("/a+b/c-d/"),
                ..Listing::default()
            },
            &[("PathPrefix", "/a+b/c-d/")],
        ),
        (
            Listing {
                path_prefix: Some("/a&Limit=1#b /"),
                ..Listing::default()
            },
            &[("PathPrefix", "/a&Limit=1#b /")],
        ),
        (
            Listing {
                offset: 20,
                ..Listing::default()
            },
            &[("Offset", "20")],
        ),
        (
            Listing {
                limit: Some(0),
                ..Listing::default()
            },
            &[("Limit", "0")],
        ),
        (
            Listing {
                limit: Some(PAGE),
                ..Listing::default()
            },
            &[("Limit", "1000")],
        ),
        (
            Listing {
                path_prefix: Some("/team/"),
                offset: u32::MAX,
                limit: Some(1),
                order_by: orders().first().map(|(_, order)| *order),
            },
            &[
                ("PathPrefix", "/team/"),
                ("Offset", "4294967295"),
                ("Limit", "1"),
                ("OrderBy", "name-asc"),
            ],
        ),
    ];
    for (listing, expected) in cases {
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(query(listing).await, expected, "{listing:?}");
    }
}

#[tokio::test]
async fn a_listing_can_be_ordered_by_every_column_in_both_directions() {
    let mut sent = Vec::new();
    for (expected, order) in orders() {
        let listing = Listing {
            order_by: Some(order),
            ..Listing::default()
        };
        let found = query(listing).await;
        assert_eq!(found, [("OrderBy".to_owned(), expected.clone())]);
        sent.push(expected);
    }
    let expected = [
        "name-asc",
        "name-desc",
        "path-asc",
        "path-desc",
        "create_at-asc",
        "create_at-desc",
        "update_at-asc",
        "update_at-desc",
        "urn-asc",
        "urn-desc",
    ];
    assert_eq!(sent, expected);
}

/// With the header `X-Foulkon-User-Id`, the worker would take any token for that user.
#[tokio::test]
async fn every_request_carries_the_login_and_no_other_user() {
    let cases: [(Settings, Option<&str>); 3] = [
        // admin:geheim:password
        (
            admin("admin", "geheim:password"),
            Some("Basic YWRtaW46Z2VoZWltOnBhc3N3b3Jk"),
        ),
        (authorized("Bearer geheim.id.token"), Some("Bearer geheim.id.token")),
        (nobody(), None),
    ];
    for (settings, expected) in cases {
        let server = MockServer::start().await;
        answer(&server, json_reply(200, &shown())).await;
        let (foulkon, _) = connect(&server.uri(), &settings);
        each(&foulkon, "shop").await;
        let sent = requests(&server).await;
        assert_eq!(sent.len(), OPERATIONS.len());
        for request in &sent {
            let context = format!("{} {}", request.method, request.url);
            assert_eq!(header(request, "Authorization"), expected, "{context}");
            assert_eq!(header(request, "X-Foulkon-User-Id"), None, "{context}");
            assert!(!request.url.as_str().contains("geheim"), "{context}");
        }
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_no_login_is_sent_there() {
    let elsewhere = MockServer::start().await;
    Mock::given(any())
        .respond_with(json_reply(200, &shown()))
        .mount(&elsewhere)
        .await;
    let location = format!("{}{PROVIDERS}/shop", elsewhere.uri());
    for code in [301, 302, 303, 307, 308] {
        let redirect = html(code).insert_header("Location", location.as_str());
        for settings in [admin("admin", "geheim"), authorized("Bearer geheim")] {
            let server = MockServer::start().await;
            answer(&server, redirect.clone()).await;
            let (foulkon, http) = connect(&server.uri(), &settings);
            for (operation, outcome) in each(&foulkon, "shop").await {
                let expected = Outcome::Failed(Failure::Reply("is a redirect"));
                assert_eq!(outcome, expected, "{code} {operation}");
            }
            assert_eq!(received(&server).await, OPERATIONS.len(), "{code}");
            assert!(!http.breaker().is_open(), "{code}");
        }
    }
    assert_eq!(received(&elsewhere).await, 0);
}

#[tokio::test]
async fn a_name_is_one_path_segment_whatever_it_contains() {
    let names = [
        ("shop", "shop"),
        ("a-B_9", "a-B_9"),
        ("about", "about"),
        ("a b", "a%20b"),
        ("a/b", "a%2Fb"),
        ("../../about", "..%2F..%2Fabout"),
        ("a?Limit=1", "a%3FLimit=1"),
        ("a#b", "a%23b"),
        ("100%", "100%25"),
        ("%2e%2e", "%252e%252e"),
        ("größe", "gr%C3%B6%C3%9Fe"),
    ];
    for (name, segment) in names {
        let (server, foulkon, _) = always(json_reply(200, &shown())).await;
        each(&foulkon, name).await;
        assert_eq!(asked(&server).await, paths(segment), "{name}");
        for request in requests(&server).await {
            assert_eq!(request.url.query().unwrap_or_default(), "", "{name}");
        }
    }
}

#[tokio::test]
async fn a_name_that_no_path_can_hold_is_not_sent() {
    for name in ["", ".", "..", "a\nb", "a\rb", "a\tb"] {
        let (server, foulkon, _) = always(ResponseTemplate::new(204)).await;
        let refused = Failure::Reply("cannot be requested: the id cannot be part of a URL");
        assert_eq!(foulkon.get(name).await, Err(refused.clone()), "{name:?}");
        assert_eq!(foulkon.update(name, &fields()).await, Err(refused.clone()), "{name:?}");
        assert_eq!(foulkon.delete(name).await, Err(refused), "{name:?}");
        assert_eq!(received(&server).await, 0, "{name:?}");
    }
}

/// A candidate that is not the leader may read everything.
#[tokio::test]
async fn a_closed_fence_lets_reads_pass_but_no_write() {
    let (server, ..) = always(json_reply(200, &shown())).await;
    let config = kube::Config::new("http://127.0.0.1:1".parse().expect("a URL"));
    let candidate = Election::new(kube::Client::try_from(config).expect("a client"), "ns", "lease", "me");
    let metrics = Arc::new(Metrics::default());
    let http = Http::new("default", &server.uri(), &nobody(), candidate.fence(), metrics);
    let foulkon = Foulkon::new(Arc::new(http.expect("an endpoint")));
    for (operation, outcome) in each(&foulkon, "shop").await {
        let is_fenced = outcome == Outcome::Failed(Failure::NotLeader);
        let writes = matches!(operation, "create" | "update" | "delete");
        assert_eq!(is_fenced, writes, "{operation}: {outcome:?}");
    }
    let reads = paths("shop").into_iter().filter(|path| path.starts_with("GET"));
    assert_eq!(asked(&server).await, reads.collect::<Vec<_>>());
}
