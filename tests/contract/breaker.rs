//! The circuit breaker: what opens it, and what passes while it is open.

use std::time::Duration;

use oidc_operator::admin::http::Failure;
use oidc_operator::admin::hydra::get_version;
use oidc_operator::error::{Hindrance, Outage};
use serde_json::json;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::{always, client, error_reply, html, hydra, json_reply, received};

const KNOWN: Failure = Failure::Outage(Outage::Known);

#[tokio::test]
async fn a_failure_of_the_server_opens_it_and_a_failure_of_one_request_does_not() {
    let opens = [401, 403, 502, 503, 504].map(|code| (html(code), true));
    let busy = "Unable to serialize access due to a concurrent update in another session";
    let stays = [
        (html(429).insert_header("Retry-After", "60"), false),
        (error_reply(500, "error"), false),
        (html(501), false),
        (error_reply(400, busy), false),
        (error_reply(400, "invalid_client_metadata"), false),
        (error_reply(404, "Not Found"), false),
        (html(404), false),
        (html(405), false),
        (error_reply(409, "taken"), false),
        (html(307), false),
        (html(200), false),
        (json_reply(200, &json!({ "client_id": "shop" })), false),
    ];
    for (reply, expected) in opens.into_iter().chain(stays) {
        let (_server, hydra) = always(reply.clone()).await;
        assert!(!hydra.http().breaker().is_open());
        let _ = hydra.get_client("shop").await;
        assert_eq!(hydra.http().breaker().is_open(), expected, "{reply:?}");
    }
}

/// Whoever can name an id, as in a Secret, must not cut all others off.
#[tokio::test]
async fn an_id_that_no_url_can_hold_does_not_open_it() {
    let refused = Failure::Reply("cannot be requested: the id cannot be part of a URL");
    let long = "x".repeat(70_000);
    for id in ["", ".", "..", "a\nb", &long] {
        let (server, hydra) = always(html(404)).await;
        let failed = [
            hydra.get_client(id).await.err(),
            hydra.update_client(&client(id), None).await.err(),
            hydra.delete_client(id).await.err(),
        ];
        assert_eq!(failed, [(); 3].map(|()| Some(refused.clone())));
        assert!(!hydra.http().breaker().is_open(), "{} characters", id.len());
        assert_eq!(received(&server).await, 0, "nothing was sent");
    }
}

/// A write may fail because of its own content; then the prober checks whether the server is healthy.
#[tokio::test]
async fn a_failed_write_opens_it_only_with_503() {
    let unfinished = Failure::Outage(Outage::Unfinished);
    let status = |code| Failure::Outage(Outage::Status(code, None));
    let table = [
        (401, Failure::Refused(401), false),
        (403, Failure::Refused(403), false),
        (502, unfinished.clone(), false),
        (504, unfinished, false),
        (500, status(500), false),
        (503, status(503), true),
    ];
    for (code, expected, opens) in table {
        let (_server, hydra) = always(html(code)).await;
        assert_eq!(hydra.create_client(&client("shop"), None).await, Err(expected.clone()));
        assert_eq!(hydra.http().breaker().is_open(), opens, "POST {code}");
        hydra.http().breaker().close();
        assert_eq!(hydra.update_client(&client("shop"), None).await, Err(expected.clone()));
        assert_eq!(hydra.http().breaker().is_open(), opens, "PUT {code}");
        hydra.http().breaker().close();
        assert_eq!(hydra.delete_client("shop").await, Err(expected));
        assert_eq!(hydra.http().breaker().is_open(), opens, "DELETE {code}");
    }
}

#[tokio::test]
async fn an_open_breaker_sends_only_probes() {
    let (server, hydra) = always(html(503)).await;
    let first = hydra.get_client("shop").await;
    assert_eq!(first, Err(Failure::Outage(Outage::Status(503, None))));
    assert_eq!(received(&server).await, 1);
    assert_eq!(hydra.get_client("shop").await, Err(KNOWN));
    assert_eq!(hydra.create_client(&client("shop"), None).await, Err(KNOWN));
    assert_eq!(hydra.update_client(&client("shop"), None).await, Err(KNOWN));
    assert_eq!(hydra.delete_client("shop").await, Err(KNOWN));
    let page = hydra.list_clients(|_| true, &mut Default::default()).await;
    assert_eq!(page, Err(KNOWN));
    assert_eq!(received(&server).await, 1, "nothing was sent");
    assert_eq!(
        get_version(hydra.http()).await,
        Err(Failure::Outage(Outage::Status(503, None)))
    );
    assert_eq!(
        hydra.probe_clients().await,
        Err(Failure::Outage(Outage::Status(503, None)))
    );
    assert_eq!(received(&server).await, 3, "probes pass");
}

#[tokio::test]
async fn a_closed_breaker_lets_everything_pass_again() {
    let (server, hydra) = always(html(503)).await;
    let _ = hydra.get_client("shop").await;
    server.reset().await;
    Mock::given(path("/version"))
        .respond_with(json_reply(200, &json!({ "version": "v2.3.0" })))
        .mount(&server)
        .await;
    Mock::given(path("/admin/clients/shop"))
        .respond_with(json_reply(200, &json!({ "client_id": "shop", "scope": "openid" })))
        .mount(&server)
        .await;
    assert_eq!(get_version(hydra.http()).await, Ok("v2.3.0".to_owned()));
    // The probe's success alone does not close it: the prober decides.
    assert_eq!(hydra.get_client("shop").await, Err(KNOWN));
    hydra.http().breaker().close();
    assert_eq!(hydra.get_client("shop").await, Ok(Some(client("shop"))));
}

/// However many resources wait, those behind the first failures send no requests.
#[tokio::test]
async fn many_waiting_resources_send_only_a_few_requests() {
    let (server, hydra) = always(html(503).set_delay(Duration::from_millis(100))).await;
    let results = futures::future::join_all((0..200).map(|_| hydra.get_client("shop"))).await;
    assert!(results.iter().all(Result::is_err));
    let sent = received(&server).await;
    assert!(sent <= 16, "{sent} requests at the same time");
    // Drop of the server blocks this thread on a lock of tokio. Without a new share of the runtime it would never end.
    tokio::task::yield_now().await;
}

#[tokio::test]
async fn a_pause_requested_by_the_server_is_reported_and_bounded() {
    let cases = [
        (vec![("Retry-After", "7")], Some(7)),
        (vec![("Retry-After", "0")], Some(0)),
        (vec![("x-ratelimit-reset", "9")], Some(9)),
        (vec![("X-RateLimit-Reset", "9")], Some(9)),
        (vec![("RateLimit-Reset", "9")], Some(9)),
        (vec![("Retry-After", "7"), ("x-ratelimit-reset", "9")], Some(7)),
        (vec![("ratelimit-reset", "8"), ("x-ratelimit-reset", "9")], Some(9)),
        (vec![("Retry-After", "99999999")], Some(300)),
        (vec![("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT")], Some(0)),
        (vec![("Retry-After", "Wed, 21 Oct 2105 07:28:00 GMT")], Some(300)),
        (
            vec![("Retry-After", "Wed, 21 Oct"), ("x-ratelimit-reset", "9")],
            Some(9),
        ),
        (vec![("Retry-After", "-1")], None),
        (vec![("Retry-After", "1.5")], None),
        (vec![("Retry-After", "soon")], None),
        (vec![], None),
    ];
    for (headers, seconds) in cases {
        let reply = headers
            .iter()
            .fold(html(503), |reply, (name, value)| reply.insert_header(*name, *value));
        let (_server, hydra) = always(reply).await;
        let expected = Outage::Status(503, seconds.map(Duration::from_secs));
        assert_eq!(
            hydra.get_client("shop").await,
            Err(Failure::Outage(expected)),
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn the_prober_waits_as_long_as_the_server_asks() {
    let (_server, hydra) = always(html(503).insert_header("Retry-After", "20")).await;
    assert_eq!(hydra.http().breaker().pause(), Duration::ZERO);
    let _ = hydra.get_client("shop").await;
    let pause = hydra.http().breaker().pause();
    assert!(
        pause > Duration::from_secs(15) && pause <= Duration::from_secs(20),
        "{pause:?}"
    );
    hydra.http().breaker().close();
    assert_eq!(hydra.http().breaker().pause(), Duration::ZERO);
}

#[tokio::test]
async fn a_missing_connection_opens_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let refused = hydra(&format!("http://{address}"));
    let unreachable = |url: &str, why| Err(Failure::Outage(Outage::Unreachable(url.to_owned(), why)));
    assert_eq!(
        refused.get_client("shop").await,
        unreachable(&format!("http://{address}"), Hindrance::Refused)
    );
    assert!(refused.http().breaker().is_open());
    let nowhere = hydra("http://user:password@nowhere.invalid/path");
    assert_eq!(
        nowhere.get_client("shop").await,
        unreachable("http://nowhere.invalid", Hindrance::Name)
    );
    assert!(nowhere.http().breaker().is_open());
}

/// The host drops the packets, as a firewall does: nobody accepts, and the queue is full.
#[tokio::test]
async fn a_connection_that_is_never_accepted_times_out() {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let listener = socket.listen(1).expect("a listener");
    let address = listener.local_addr().expect("an address");
    let mut waiting = Vec::new();
    let patience = Duration::from_millis(200);
    while let Ok(connected) = tokio::time::timeout(patience, tokio::net::TcpStream::connect(address)).await {
        waiting.push(connected.expect("a connection"));
    }
    let url = format!("http://{address}");
    let found = hydra(&url).get_client("shop").await;
    assert_eq!(
        found,
        Err(Failure::Outage(Outage::Unreachable(url, Hindrance::Silence)))
    );
}

/// A write that the server answers with 503 opens the breaker as a read does.
#[tokio::test]
async fn writes_open_it_too() {
    for verb in ["POST", "PUT", "DELETE"] {
        let server = MockServer::start().await;
        Mock::given(method(verb))
            .respond_with(ResponseTemplate::new(503))
            .mount(&server)
            .await;
        let hydra = hydra(&server.uri());
        let _ = match verb {
            "POST" => hydra.create_client(&client("shop"), None).await.err(),
            "PUT" => hydra.update_client(&client("shop"), None).await.err(),
            _ => hydra.delete_client("shop").await.err(),
        };
        assert!(hydra.http().breaker().is_open(), "{verb}");
    }
}
