//! Listings with clients of other writers: a client that is too large, too deep or malformed does not hide the rest.

use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oidc_operator::admin::http::{Failure, Settings};
use oidc_operator::admin::hydra::Hydra;
use oidc_operator::admin::hydra::clients::Cursor;
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::{always, http, over};

/// How a server counts its pages.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Paging {
    /// 1.x: `limit`, and `offset` rounded down to a multiple of it.
    Offset,
    /// Up to 2.3: the token holds an offset, which is rounded down to a multiple of the page's size.
    OffsetToken,
    /// From 25.4 on: the token holds the last id.
    KeysetToken,
}

const ALL: [(Paging, &str); 3] = [
    (Paging::Offset, "v1.11.10"),
    (Paging::OffsetToken, "v2.3.0"),
    (Paging::KeysetToken, "v26.2.0"),
];

/// A server with clients, each a JSON text.
#[derive(Clone)]
struct Shelf {
    paging: Paging,
    clients: Arc<Vec<String>>,
    /// Sizes of the pages that were requested.
    asked: Arc<Mutex<Vec<usize>>>,
}

impl Respond for Shelf {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let query = |wanted: &str| {
            let mut pairs = request.url.query_pairs();
            pairs.find_map(|(name, value)| (name == wanted).then(|| value.into_owned()))
        };
        let number = |wanted: &str| query(wanted).and_then(|text| text.parse::<usize>().ok());
        let size = number("limit").or(number("page_size")).expect("a size");
        let token = query("page_token").map(|token| URL_SAFE_NO_PAD.decode(token).expect("a token of ours"));
        let token = token.and_then(|token| String::from_utf8(token).ok()?.parse::<usize>().ok());
        let start = match self.paging {
            Paging::Offset => number("offset").expect("an offset") / size * size,
            Paging::OffsetToken => token.unwrap_or_default() / size * size,
            Paging::KeysetToken => token.unwrap_or_default(),
        };
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(size);
        let end = self.clients.len().min(start + size);
        let page = format!("[{}]", self.clients[start.min(end)..end].join(","));
        let mut link = r#"</clients?page_token=x>; rel="first""#.to_owned();
        if end < self.clients.len() && self.paging != Paging::Offset {
            let token = URL_SAFE_NO_PAD.encode(end.to_string());
            link.push_str(&format!(r#",</clients?page_token={token}>; rel="next""#));
        }
        let reply = ResponseTemplate::new(200).set_body_raw(page, "application/json");
        reply.insert_header("Link", link.as_str())
    }
}

fn small(n: usize) -> String {
    json!({ "client_id": format!("c{n:04}") }).to_string()
}

/// A client with this many values.
fn of_values(n: usize, values: usize) -> String {
    json!({ "client_id": format!("c{n:04}"), "metadata": { "a": vec![0; values] } }).to_string()
}

/// A client that is too large for any page.
fn giant(n: usize) -> String {
    of_values(n, 500_001)
}

/// Ids of all pages, the page sizes that were requested, and the number of clients that were passed over.
async fn listed(
    paging: Paging,
    version: &str,
    clients: Vec<String>,
) -> (Result<Vec<String>, Failure>, Vec<usize>, usize) {
    let server = MockServer::builder().disable_request_recording().start().await;
    let asked = Arc::default();
    let shelf = Shelf {
        paging,
        clients: Arc::new(clients),
        asked: Arc::clone(&asked),
    };
    Mock::given(any()).respond_with(shelf).mount(&server).await;
    let hydra = over(http(&server.uri(), &Settings::default()), version);
    let mut cursor = Cursor::default();
    let ids = ids(&hydra, &mut cursor).await;
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
    (ids, asked, cursor.passed_over())
}

async fn ids(hydra: &Hydra, cursor: &mut Cursor) -> Result<Vec<String>, Failure> {
    let mut ids = Vec::new();
    while let Some(page) = hydra.list_clients(|_| true, cursor).await? {
        ids.extend(page.into_iter().map(|client| client.client_id));
    }
    Ok(ids)
}

fn expected(clients: usize, without: &[usize]) -> Vec<String> {
    let kept = (0..clients).filter(|n| !without.contains(n));
    kept.map(|n| format!("c{n:04}")).collect()
}

#[tokio::test]
async fn a_page_that_is_too_large_is_read_in_halves() {
    for (paging, version) in ALL {
        let clients = (0..1200).map(|n| if n < 500 { of_values(n, 1500) } else { small(n) });
        let (ids, asked, passed_over) = listed(paging, version, clients.collect()).await;
        assert_eq!(ids, Ok(expected(1200, &[])), "{paging:?}");
        assert_eq!(asked, [500, 250, 250, 500, 500], "{paging:?}");
        assert_eq!(passed_over, 0);
    }
}

#[tokio::test]
async fn a_client_that_is_too_large_by_itself_is_passed_over_wherever_it_is() {
    for (paging, version) in ALL {
        for giants in [
            vec![0],
            vec![7],
            vec![249, 250],
            vec![499],
            vec![500],
            vec![600],
            vec![0, 312, 599, 600],
        ] {
            let clients = (0..601).map(|n| if giants.contains(&n) { giant(n) } else { small(n) });
            let (ids, asked, passed_over) = listed(paging, version, clients.collect()).await;
            assert_eq!(ids, Ok(expected(601, &giants)), "{paging:?} {giants:?}");
            assert_eq!(passed_over, giants.len(), "{paging:?} {giants:?}");
            assert!(asked.len() < 30 * giants.len(), "{paging:?} {giants:?}: {asked:?}");
        }
    }
}

#[tokio::test]
async fn a_listing_of_oversized_clients_only_fails_after_a_bounded_number_of_requests() {
    for (paging, version) in ALL {
        let text = giant(0);
        let (ids, asked, _) = listed(paging, version, vec![text; 90]).await;
        assert_eq!(ids, Err(Failure::TooLarge(None)), "{paging:?}");
        assert!(asked.len() < 150, "{}", asked.len());
    }
}

/// Only other writers can nest so deep: the operator refuses more than 64 levels.
#[tokio::test]
async fn a_client_that_is_nested_too_deep_does_not_hide_the_others() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    for (paging, version) in ALL {
        for levels in [125, 126, 127, 128, 5_000] {
            let mut clients: Vec<String> = (0..20).map(small).collect();
            clients[7] = format!(r#"{{"client_id":"c0007","metadata":{{"a":{}}}}}"#, deep(levels));
            let (ids, asked, _) = listed(paging, version, clients).await;
            let without: &[usize] = if levels > 125 { &[7] } else { &[] };
            assert_eq!(ids, Ok(expected(20, without)), "{paging:?} {levels}");
            assert_eq!(asked.len(), 1);
        }
    }
}

#[tokio::test]
async fn a_malformed_client_does_not_hide_the_others() {
    let odd = [
        r#"{"client_id":"c0001","metadata":"\ud800"}"#.to_owned(),
        r#"{"client_id":"c0001","metadata":{"a":1e999}}"#.to_owned(),
        r#"{"client_id":"c0001","updated_at":"2026\n01"}"#.to_owned(),
        format!(r#"{{"client_id":"c0001","updated_at":"{}"}}"#, "x".repeat(1 << 20)),
        format!(r#"{{"client_id":"{}"}}"#, "x".repeat(1 << 20)),
        r#"{"client_id":"c0001","client_id":[]}"#.to_owned(),
    ];
    for odd in odd {
        let clients = vec![small(0), odd.clone(), small(2)];
        let (ids, ..) = listed(Paging::OffsetToken, "v2.3.0", clients).await;
        assert_eq!(ids, Ok(expected(3, &[1])), "{}", &odd[..odd.len().min(80)]);
    }
}

#[tokio::test]
async fn more_clients_than_requested_are_refused() {
    let page: Value = (0..501).map(|n| json!({ "client_id": format!("c{n}") })).collect();
    let (_server, hydra) = always(ResponseTemplate::new(200).set_body_json(page)).await;
    let found = ids(&hydra, &mut Cursor::default()).await;
    assert_eq!(found, Err(Failure::Reply("has more entries than requested")));
}

/// Without a link, nothing shows that the reply is a page, so no client is passed over.
#[tokio::test]
async fn an_oversized_reply_that_is_no_page_fails_the_listing() {
    let (_server, hydra) = always(ResponseTemplate::new(200).set_body_string(format!("[{}]", giant(0)))).await;
    assert_eq!(ids(&hydra, &mut Cursor::default()).await, Err(Failure::TooLarge(None)));
}
