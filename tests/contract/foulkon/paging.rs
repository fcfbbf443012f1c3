//! Names are listed in pages.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use oidc_operator::admin::foulkon::{Foulkon, PAGE};
use oidc_operator::admin::http::Failure;
use serde_json::json;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::{coded, connect, nobody, status};
use crate::json_reply;

/// A worker with this many names, which reports this total.
#[derive(Clone)]
struct Pages {
    names: usize,
    total: usize,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Respond for Pages {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let query = request.url.query().unwrap_or_default().to_owned();
        let mut pairs = request.url.query_pairs();
        let offset = pairs.find(|(name, _)| name == "Offset").map(|(_, value)| value.parse());
        let offset: usize = offset.transpose().expect("a number").unwrap_or_default();
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(query);
        let end = self.names.min(offset + PAGE as usize);
        let names: Vec<String> = (offset..end).map(name).collect();
        let page = match names.is_empty() {
            true => json!({ "limit": PAGE, "offset": offset, "total": self.total }),
            false => json!({ "providers": names, "limit": PAGE, "offset": offset, "total": self.total }),
        };
        json_reply(200, &page)
    }
}

fn name(index: usize) -> String {
    format!("n{index:05}")
}

/// Serves this many names. Returns the names that were found and the queries that were sent.
async fn found(names: usize, total: usize) -> (BTreeSet<String>, Vec<String>) {
    let server = MockServer::start().await;
    let asked = Arc::default();
    let pages = Pages {
        names,
        total,
        asked: Arc::clone(&asked),
    };
    Mock::given(any()).respond_with(pages).mount(&server).await;
    let (foulkon, _) = connect(&server.uri(), &nobody());
    let found = foulkon.names("/team/").await.expect("names");
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
    (found, asked)
}

#[tokio::test]
async fn every_page_is_requested_and_none_beyond_the_last() {
    for (names, pages) in [(0, 1), (1, 1), (999, 1), (1000, 1), (1001, 2), (2000, 2), (2001, 3)] {
        let (found, asked) = found(names, names).await;
        assert_eq!(found, (0..names).map(name).collect(), "{names}");
        let query = |page: usize| {
            let offset = match page {
                0 => String::new(),
                _ => format!("&Offset={}", page * 1000),
            };
            format!("PathPrefix=%2Fteam%2F{offset}&Limit=1000&OrderBy=name-asc")
        };
        assert_eq!(asked, (0..pages).map(query).collect::<Vec<_>>(), "{names}");
    }
}

/// Another writer may change the providers between two pages.
#[tokio::test]
async fn an_empty_page_is_the_last_whatever_the_total_is() {
    for (names, total, pages) in [
        (0, 5, 1),
        (0, 5000, 1),
        (1000, 5000, 2),
        (500, 1001, 2),
        (1500, 9999, 3),
    ] {
        let (found, asked) = found(names, total).await;
        assert_eq!((found.len(), asked.len()), (names, pages), "{names} of {total}");
    }
}

#[tokio::test]
async fn a_name_on_two_pages_is_returned_once() {
    let server = MockServer::start().await;
    let page = |names: &[&str]| json_reply(200, &json!({ "providers": names, "total": 2000 }));
    Mock::given(any())
        .respond_with(page(&["a", "b"]))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    Mock::given(any()).respond_with(page(&["b", "c"])).mount(&server).await;
    let (foulkon, _) = connect(&server.uri(), &nobody());
    assert_eq!(foulkon.names("/team/").await, Ok(super::set(&["a", "b", "c"])));
    assert_eq!(crate::received(&server).await, 2);
}

#[tokio::test]
async fn a_listing_that_repeats_the_same_page_fails() {
    let server = MockServer::start().await;
    let page = json_reply(200, &json!({ "providers": ["a"], "total": u32::MAX }));
    super::answer(&server, page).await;
    let (foulkon, _) = connect(&server.uri(), &nobody());
    assert_eq!(foulkon.names("/team/").await, Err(Failure::Reply("does not end")));
    assert_eq!(crate::received(&server).await, 2);
}

/// A part of the names would be mistaken for all.
#[tokio::test]
async fn a_failed_second_page_fails_the_listing() {
    let server = MockServer::start().await;
    let names: Vec<String> = (0..1000).map(name).collect();
    let first = json_reply(200, &json!({ "providers": names, "total": 1001 }));
    Mock::given(any())
        .respond_with(first)
        .up_to_n_times(1)
        .mount(&server)
        .await;
    let second = coded(404, super::NOT_FOUND, "x");
    Mock::given(any()).respond_with(second).mount(&server).await;
    let (foulkon, _): (Foulkon, _) = connect(&server.uri(), &nobody());
    let expected: Failure = status(404, super::NOT_FOUND, "x");
    assert_eq!(foulkon.names("/team/").await, Err(expected));
}
