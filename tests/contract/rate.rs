//! 429: the server limits the rate of requests. They are slowed down, and the circuit breaker stays closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use oidc_operator::admin::http::{Failure, Http, Settings};
use oidc_operator::admin::hydra::clients::{Cursor, PAGE_SIZE};
use oidc_operator::admin::hydra::get_version;
use oidc_operator::clock::since_boot;
use oidc_operator::error::Outage;
use oidc_operator::leader::Fence;
use oidc_operator::metrics::Metrics;
use serde_json::json;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::{always, client, error_reply, html, hydra, json_reply, over, received};

/// The failure of a request whose turn does not come soon.
fn limited(seconds: u64) -> Failure {
    Failure::Outage(Outage::Limited(Duration::from_secs(seconds)))
}

/// Answers the first requests with 429, then always with another reply.
struct Refusing<F> {
    times: usize,
    refusal: F,
    then: ResponseTemplate,
    asked: AtomicUsize,
}

impl<F: Fn() -> ResponseTemplate + Send + Sync> Respond for Refusing<F> {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        match self.asked.fetch_add(1, Ordering::SeqCst) < self.times {
            true => (self.refusal)(),
            false => self.then.clone(),
        }
    }
}

async fn refusing(
    times: usize,
    refusal: impl Fn() -> ResponseTemplate + Send + Sync + 'static,
    then: ResponseTemplate,
) -> MockServer {
    let server = MockServer::start().await;
    let asked = AtomicUsize::new(0);
    let answers = Refusing {
        times,
        refusal,
        then,
        asked,
    };
    Mock::given(any()).respond_with(answers).mount(&server).await;
    server
}

fn shop() -> ResponseTemplate {
    json_reply(200, &json!({ "client_id": "shop", "scope": "openid" }))
}

#[tokio::test]
async fn a_refused_request_is_sent_again_after_the_pause_that_the_server_asks_for() {
    let with = |name: &'static str, value: &'static str| html(429).insert_header(name, value);
    let date = || {
        let at = SystemTime::now() + Duration::from_secs(2); // a date has no fractions
        html(429).insert_header("Retry-After", httpdate::fmt_http_date(at))
    };
    type Refusal = Box<dyn Fn() -> ResponseTemplate + Send + Sync>;
    let table: [(Refusal, u64); 6] = [
        (Box::new(move || with("Retry-After", "1")), 1_000),
        (Box::new(date), 1_000),
        (Box::new(move || with("x-ratelimit-reset", "1")), 1_000),
        (Box::new(move || with("RateLimit-Reset", "1")), 1_000),
        (Box::new(|| html(429)), 250),
        (Box::new(|| error_reply(429, "slow down")), 250),
    ];
    let cases = table
        .into_iter()
        .enumerate()
        .map(|(number, (refusal, pause))| async move {
            let server = refusing(1, refusal, shop()).await;
            let hydra = hydra(&server.uri());
            let begun = Instant::now();
            match number % 2 {
                0 => assert_eq!(hydra.get_client("shop").await, Ok(Some(client("shop"))), "{number}"),
                _ => assert_eq!(
                    hydra.create_client(&client("shop"), None).await,
                    Ok(Some(client("shop"))),
                    "{number}"
                ),
            }
            let took = begun.elapsed();
            assert!(took >= Duration::from_millis(pause), "{number}: {took:?}");
            assert_eq!(received(&server).await, 2, "{number}");
            assert!(!hydra.http().breaker().is_open(), "{number}");
        });
    futures::future::join_all(cases).await;
}

#[tokio::test]
async fn a_limit_shows_as_long_as_it_is_in_force() {
    let server = refusing(1, || html(429), shop()).await;
    let hydra = hydra(&server.uri());
    assert_eq!(hydra.http().limit(), None);
    assert_eq!(hydra.get_client("shop").await, Ok(Some(client("shop"))));
    let limit = hydra.http().limit().expect("a limit");
    assert!((8.0..32.0).contains(&limit), "{limit}");
    while hydra.http().limit().is_some() {
        assert!(received(&server).await < 500, "it stays: {:?}", hydra.http().limit());
        assert_eq!(hydra.get_client("shop").await, Ok(Some(client("shop"))));
    }
}

#[tokio::test]
async fn a_long_pause_is_kept_and_certainly_nothing_was_written() {
    let (server, hydra) = always(html(429).insert_header("Retry-After", "60")).await;
    let shop = client("shop");
    let begun = Instant::now();
    assert_eq!(hydra.create_client(&shop, None).await, Err(limited(60)));
    assert_eq!(hydra.update_client(&shop, None).await, Err(limited(60)));
    assert_eq!(hydra.delete_client("shop").await, Err(limited(60)));
    assert_eq!(hydra.get_client("shop").await, Err(limited(60)));
    assert_eq!(get_version(hydra.http()).await, Err(limited(60)), "probes too");
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(received(&server).await, 1, "the others were not sent");
    assert!(!hydra.http().breaker().is_open());
    let refused = Failure::Outage(Outage::Status(429, None));
    assert!(limited(60).is_certain() && refused.is_certain());
}

#[tokio::test]
async fn a_write_is_not_sent_again_after_the_lease_has_expired() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let fence = Fence::closed();
    fence.extend(since_boot());
    let lapses = fence.clone();
    let refusal = move || {
        lapses.extend(Duration::ZERO);
        html(429)
    };
    let server = refusing(1, refusal, shop()).await;
    let (settings, metrics) = (Settings::default(), Arc::new(Metrics::default()));
    let http = Http::new("default", &server.uri(), &settings, fence, metrics).expect("an endpoint");
    let hydra = over(http, "v2.3.0");
    let created = hydra.create_client(&client("shop"), None).await;
    assert_eq!(created, Err(Failure::NotLeader));
    assert_eq!(received(&server).await, 1);
    assert_eq!(hydra.get_client("shop").await, Ok(Some(client("shop"))));
}

#[tokio::test]
async fn a_request_that_waits_for_its_turn_sees_the_breaker_open() {
    let server = refusing(1, || html(429).insert_header("Retry-After", "1"), shop()).await;
    let hydra = hydra(&server.uri());
    let opens = async {
        while received(&server).await == 0 {
            tokio::task::yield_now().await;
        }
        hydra.http().breaker().open(None);
    };
    let (found, ()) = tokio::join!(hydra.get_client("shop"), opens);
    assert_eq!(found, Err(Failure::Outage(Outage::Known)));
    assert_eq!(received(&server).await, 1);
}

/// A server that is down for all answers the probes that pass an open breaker at once.
#[tokio::test]
async fn a_probe_of_an_open_breaker_is_not_repeated() {
    let (server, hydra) = always(html(429)).await;
    hydra.http().breaker().open(None);
    let refused = Err(Failure::Outage(Outage::Status(429, None)));
    assert_eq!(get_version(hydra.http()).await, refused);
    assert_eq!(hydra.probe_clients().await.err(), refused.err());
    assert_eq!(received(&server).await, 2);
}

#[tokio::test]
async fn a_probe_does_not_wait_for_those_that_are_slowed_down() {
    let version = json_reply(
        200,
        &json!({ "version": "v2.3.0", "client_id": "shop", "scope": "openid" }),
    );
    let server = refusing(1, || html(429), version).await;
    let hydra = hydra(&server.uri());
    assert!(hydra.get_client("shop").await.is_ok());
    let begun = Instant::now();
    let reads = futures::future::join_all((0..20).map(|_| hydra.get_client("shop")));
    let probe = async {
        let found = get_version(hydra.http()).await;
        (found, begun.elapsed())
    };
    let (all, (found, probed)) = tokio::join!(reads, probe);
    let took = begun.elapsed();
    assert!(all.iter().all(Result::is_ok) && found.is_ok());
    assert!(took > Duration::from_millis(500), "{took:?}: they were not slowed down");
    assert!(probed < took / 2, "the probe waited for {probed:?} of {took:?}");
}

#[tokio::test]
async fn a_page_of_a_listing_is_asked_for_again() {
    let server = MockServer::start().await;
    let asked = AtomicUsize::new(0);
    let pages = move |request: &Request| {
        let is_second = request.url.query().is_some_and(|query| query.contains("page_token=b"));
        let entries = |count: usize| json_reply(200, &json!(vec![json!({ "client_id": "shop" }); count]));
        match (is_second, asked.fetch_add(1, Ordering::SeqCst)) {
            (false, _) => entries(PAGE_SIZE).insert_header("Link", r#"</admin/clients?page_token=b>; rel="next""#),
            (true, 1) => html(429).insert_header("x-ratelimit-reset", "1"),
            (true, _) => entries(1),
        }
    };
    Mock::given(any()).respond_with(pages).mount(&server).await;
    let hydra = hydra(&server.uri());
    let mut cursor = Cursor::default();
    let mut found = 0;
    while let Some(page) = hydra.list_clients(|_| true, &mut cursor).await.expect("a page") {
        found += page.len();
    }
    assert_eq!(found, PAGE_SIZE + 1);
    assert_eq!(received(&server).await, 3, "the first page was not read again");
}

/// What answers with 503 and a time is overloaded: it is left alone, and gets less afterwards.
#[tokio::test]
async fn an_overloaded_server_is_not_asked_by_all_at_once_when_it_is_back() {
    let server = refusing(1, || html(503).insert_header("Retry-After", "1"), shop()).await;
    let hydra = hydra(&server.uri());
    let down = Failure::Outage(Outage::Status(503, Some(Duration::from_secs(1))));
    assert_eq!(hydra.get_client("shop").await, Err(down));
    assert!(hydra.http().breaker().is_open());
    hydra.http().breaker().close();
    let begun = Instant::now();
    let reads = futures::future::join_all((0..20).map(|_| hydra.get_client("shop"))).await;
    assert!(reads.iter().all(Result::is_ok));
    assert!(begun.elapsed() > Duration::from_millis(500), "{:?}", begun.elapsed());
}
