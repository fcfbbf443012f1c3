//! Listings are read page by page and always end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use oidc_operator::admin::http::{Failure, Settings};
use oidc_operator::admin::hydra::Hydra;
use oidc_operator::admin::hydra::clients::{Cursor, PAGE_SIZE};
use serde_json::{Value, json};
use wiremock::matchers::{any, path, query_param, query_param_is_missing};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::{always, http, hydra, json_reply, over, received};

fn page(from: usize, count: usize) -> Value {
    (from..from + count)
        .map(|n| json!({ "client_id": format!("c{n}") }))
        .collect()
}

fn next(token: &str) -> String {
    format!(
        r#"</admin/clients?page_size=500&page_token=first>; rel="first",</admin/clients?page_size=500&page_token={token}>; rel="next""#
    )
}

/// Ids of all pages, one list per page.
async fn all(hydra: &Hydra) -> Result<Vec<Vec<String>>, Failure> {
    let mut cursor = Cursor::default();
    let mut pages = Vec::new();
    while let Some(page) = hydra.list_clients(|_| true, &mut cursor).await? {
        pages.push(page.into_iter().map(|client| client.client_id).collect());
    }
    assert_eq!(
        hydra.list_clients(|_| true, &mut cursor).await,
        Ok(None),
        "a finished listing stays finished"
    );
    Ok(pages)
}

#[tokio::test]
async fn pages_follow_the_next_link_and_a_short_page_is_the_last() {
    let server = MockServer::start().await;
    let replies = [
        (
            None,
            json_reply(200, &page(0, PAGE_SIZE)).insert_header("Link", next("a%2Bb%3D").as_str()),
        ),
        (
            Some("a+b="),
            json_reply(200, &page(500, PAGE_SIZE)).insert_header("Link", next("c").as_str()),
        ),
        // Up to 2.3, a listing may advertise a page after the last.
        (
            Some("c"),
            json_reply(200, &page(1000, 3)).insert_header("Link", next("d").as_str()),
        ),
    ];
    for (token, reply) in replies {
        let mock = Mock::given(query_param("page_size", "500")).and(query_param_is_missing("owner"));
        let mock = match token {
            None => mock.and(query_param_is_missing("page_token")),
            Some(token) => mock.and(query_param("page_token", token)),
        };
        mock.respond_with(reply).mount(&server).await;
    }
    let pages = all(&hydra(&server.uri())).await.expect("three pages");
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [500, 500, 3]);
    assert_eq!(pages[2], ["c1000", "c1001", "c1002"]);
    assert_eq!(received(&server).await, 3);
}

#[tokio::test]
async fn a_full_page_without_a_next_link_is_the_last() {
    let first = r#"</admin/clients?page_token=x>; rel="first",</admin/clients?page_token=y>; rel="last""#;
    for link in [
        None,
        Some(first),
        Some(""),
        Some("nonsense"),
        Some(r#"</admin/clients>; rel="next""#),
    ] {
        let reply = json_reply(200, &page(0, PAGE_SIZE));
        let reply = link
            .iter()
            .fold(reply, |reply, link| reply.insert_header("Link", *link));
        let (server, hydra) = always(reply).await;
        let pages = all(&hydra).await.expect("a page");
        assert_eq!(pages.len(), 1, "{link:?}");
        assert_eq!(received(&server).await, 1, "{link:?}");
    }
}

#[tokio::test]
async fn an_empty_database_that_advertises_a_next_page_is_empty() {
    let (server, hydra) = always(json_reply(200, &json!([])).insert_header("Link", next("again").as_str())).await;
    assert_eq!(all(&hydra).await, Ok(vec![vec![]]));
    assert_eq!(received(&server).await, 1);
}

#[tokio::test]
async fn a_listing_that_loops_is_cut_off() {
    let served = Arc::new(AtomicUsize::new(0));
    let server = MockServer::start().await;
    let count = served.clone();
    let body = serde_json::to_vec(&page(0, PAGE_SIZE)).expect("JSON");
    Mock::given(any())
        .respond_with(move |_: &wiremock::Request| {
            let n = count.fetch_add(1, Ordering::Relaxed) % 3;
            let reply = ResponseTemplate::new(200).set_body_raw(body.clone(), "application/json");
            reply.insert_header("Link", next(&n.to_string()).as_str())
        })
        .mount(&server)
        .await;
    let found = all(&hydra(&server.uri())).await;
    assert_eq!(found.err(), Some(Failure::Reply("does not end")));
    assert_eq!(served.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_listing_by_offset_that_repeats_a_page_is_cut_off() {
    let (server, _) = always(json_reply(200, &page(0, PAGE_SIZE))).await;
    let found = all(&over(http(&server.uri(), &Settings::default()), "v1.11.10")).await;
    assert_eq!(found.err(), Some(Failure::Reply("does not end")));
    assert_eq!(received(&server).await, 2);
}

#[tokio::test]
async fn the_host_of_a_next_link_is_ignored() {
    let elsewhere = MockServer::start().await;
    let server = MockServer::start().await;
    let link = format!(r#"<{}/admin/clients?page_token=2>; rel="next""#, elsewhere.uri());
    Mock::given(query_param_is_missing("page_token"))
        .respond_with(json_reply(200, &page(0, PAGE_SIZE)).insert_header("Link", link.as_str()))
        .mount(&server)
        .await;
    Mock::given(query_param("page_token", "2"))
        .respond_with(json_reply(200, &page(500, 1)))
        .mount(&server)
        .await;
    let pages = all(&hydra(&server.uri())).await.expect("two pages");
    assert_eq!(pages.len(), 2);
    assert_eq!(received(&elsewhere).await, 0);
}

#[tokio::test]
async fn a_page_that_is_no_list_of_clients_fails_the_listing() {
    let no_list = Failure::Reply("is not a list");
    let no_clients = Failure::Reply("is not a list of clients");
    let cases = [
        (json!({}), no_list.clone()),
        (json!({ "clients": [] }), no_list.clone()),
        (json!("x"), no_list.clone()),
        (json!(null), no_list),
        (json!([1]), no_clients.clone()),
        (json!([null]), no_clients.clone()),
        (json!([{ "client_id": "a" }, 1]), no_clients),
    ];
    for (body, expected) in cases {
        let (_server, hydra) = always(json_reply(200, &body)).await;
        assert_eq!(all(&hydra).await, Err(expected), "{body}");
    }
}

/// On a server with many clients of others, only those with a mark or a known id are parsed.
#[tokio::test]
async fn clients_of_others_are_skipped() {
    let mark = json!({ "cluster": "c", "namespace": "n", "name": "n", "uid": "u" });
    let listed = json!([
        { "client_id": "marked", "metadata": { "oidc-operator.dev": mark } },
        { "client_id": "marked oddly", "metadata": { "oidc-operator.dev": "x" } },
        { "client_id": "marked by an earlier version", "owner": "oidc-operator.dev/c" },
        { "client_id": "known" },
        { "client_id": "another" },
        { "client_id": "with an owner", "owner": "user-42", "metadata": { "a": { "oidc-operator.dev": mark } } },
        { "client_id": "unreadable", "grant_types": "x" },
        { "client_id": 7, "metadata": null, "owner": null },
    ]);
    let (_server, hydra) = always(json_reply(200, &listed)).await;
    let page = hydra.list_clients(|id| id == "known", &mut Cursor::default()).await;
    let found: Vec<String> = page
        .expect("a page")
        .into_iter()
        .flatten()
        .map(|client| client.client_id)
        .collect();
    let expected = ["marked", "marked oddly", "marked by an earlier version", "known"];
    assert_eq!(found, expected);
}

/// The resource of that client misses it and reads it; all others are compared.
#[tokio::test]
async fn an_unreadable_client_does_not_hide_the_others() {
    let listed = json!([{}, { "client_id": "a" }, { "client_id": "b", "grant_types": "x" }]);
    let (_server, hydra) = always(json_reply(200, &listed)).await;
    assert_eq!(all(&hydra).await, Ok(vec![vec!["a".to_owned()]]));
}

/// The pages read until then must not pass for the whole listing.
#[tokio::test]
async fn a_failed_second_page_fails_the_listing() {
    let server = MockServer::start().await;
    Mock::given(query_param_is_missing("page_token"))
        .respond_with(json_reply(200, &page(0, PAGE_SIZE)).insert_header("Link", next("2").as_str()))
        .mount(&server)
        .await;
    Mock::given(query_param("page_token", "2"))
        .respond_with(ResponseTemplate::new(500))
        .mount(&server)
        .await;
    assert!(all(&hydra(&server.uri())).await.is_err());
}

fn hydra1(base: &str) -> Hydra {
    over(http(base, &Settings::default()), "v1.11.10")
}

/// Version 1 pages by offset, and its links are ignored.
#[tokio::test]
async fn version_1_is_read_by_offset_until_a_short_page() {
    let server = MockServer::start().await;
    for (offset, count) in [(0, PAGE_SIZE), (500, PAGE_SIZE), (1000, 3)] {
        let link = r#"</clients?limit=500&offset=7>; rel="next""#;
        Mock::given(query_param("limit", "500"))
            .and(query_param("offset", offset.to_string()))
            .and(query_param_is_missing("page_size"))
            .and(path("/clients"))
            .respond_with(json_reply(200, &page(offset, count)).insert_header("Link", link))
            .mount(&server)
            .await;
    }
    let pages = all(&hydra1(&server.uri())).await.expect("three pages");
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [500, 500, 3]);
    assert_eq!(pages[2], ["c1000", "c1001", "c1002"]);
    assert_eq!(received(&server).await, 3);
}

/// If the last page is full, only the empty page after it marks the end.
#[tokio::test]
async fn version_1_ends_with_an_empty_page_after_full_ones() {
    let server = MockServer::start().await;
    for (offset, count) in [(0, PAGE_SIZE), (500, 0)] {
        Mock::given(query_param("offset", offset.to_string()))
            .respond_with(json_reply(200, &page(offset, count)))
            .mount(&server)
            .await;
    }
    let pages = all(&hydra1(&server.uri())).await.expect("two pages");
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [500, 0]);
}

#[tokio::test]
async fn an_empty_listing_of_version_1_takes_one_request() {
    let (server, _) = always(json_reply(200, &json!([]))).await;
    assert_eq!(all(&hydra1(&server.uri())).await, Ok(vec![vec![]]));
    assert_eq!(received(&server).await, 1);
}

#[tokio::test]
async fn consents_and_trusted_issuers_are_listed_like_clients() {
    let consent = json!({ "grant_scope": null, "session": null, "consent_request": { "challenge": "c" } });
    let issuer = json!({
        "id": "1", "issuer": "i", "scope": null, "public_key": { "set": "i", "kid": "k" },
        "created_at": "2026-01-01T00:00:00Z", "expires_at": "2040-01-01T00:00:00Z",
    });
    for (entry, is_issuer) in [(consent, false), (issuer, true)] {
        for (version, second) in [("v1.11.10", ("offset", "500")), ("v2.3.0", ("page_token", "2"))] {
            let server = MockServer::start().await;
            let full: Value = vec![entry.clone(); PAGE_SIZE].into();
            let mut last = entry.clone();
            last["id"] = json!("the last");
            Mock::given(query_param(second.0, second.1))
                .respond_with(json_reply(200, &json!([last])))
                .mount(&server)
                .await;
            Mock::given(any())
                .respond_with(json_reply(200, &full).insert_header("Link", next("2").as_str()))
                .with_priority(9)
                .mount(&server)
                .await;
            let hydra = over(http(&server.uri(), &Settings::default()), version);
            let mut cursor = Cursor::default();
            let mut sizes = Vec::new();
            loop {
                let size = match is_issuer {
                    true => hydra
                        .list_trusted_issuers(Some("i"), &mut cursor)
                        .await
                        .map(|page| page.map(|p| p.len())),
                    false => hydra
                        .list_consent_sessions("alice", &mut cursor)
                        .await
                        .map(|page| page.map(|p| p.len())),
                };
                match size.expect("a page") {
                    Some(size) => sizes.push(size),
                    None => break,
                }
            }
            assert_eq!(sizes, [500, 1], "{version}: {entry}");
        }
    }
}

#[tokio::test]
async fn a_failed_second_page_of_version_1_fails_the_listing() {
    let server = MockServer::start().await;
    Mock::given(query_param("offset", "0"))
        .respond_with(json_reply(200, &page(0, PAGE_SIZE)))
        .mount(&server)
        .await;
    Mock::given(query_param("offset", "500"))
        .respond_with(ResponseTemplate::new(500))
        .mount(&server)
        .await;
    assert!(all(&hydra1(&server.uri())).await.is_err());
}
