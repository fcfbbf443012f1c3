//! Servers that break off, fall silent or never end: below HTTP, where a mock server cannot be used.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use oidc_operator::admin::http::Failure;
use oidc_operator::clock::DEADLINE;
use oidc_operator::error::Outage;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::hydra;

/// What follows the first bytes.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Close,
    Silence,
    /// Spaces, which JSON allows, for as long as the client reads.
    Endless,
}

/// Answers every connection with the same bytes. Returns the URL and a count of the body bytes that clients took.
async fn serve(head: &'static str, then: Then) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let taken = Arc::new(AtomicUsize::new(0));
    let count = taken.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let count = count.clone();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(head.as_bytes()).await;
                let chunk = [b' '; 64 * 1024];
                while then == Then::Endless && stream.write_all(&chunk).await.is_ok() {
                    count.fetch_add(chunk.len(), Ordering::Relaxed);
                }
                if then == Then::Silence {
                    tokio::time::sleep(DEADLINE * 3).await;
                }
            });
        }
    });
    (url, taken)
}

const LARGER: Failure = Failure::TooLarge(None);

#[tokio::test]
async fn an_endless_reply_is_cut_off() {
    // Bytes that a reader has taken, and bytes that the kernel may buffer for it.
    let slack = 16 << 20;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";
    let (url, taken) = serve(head, Then::Endless).await;
    let one = hydra(&url);
    assert_eq!(one.get_client("shop").await, Err(LARGER));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let stopped = taken.load(Ordering::Relaxed);
    assert!(stopped < (1 << 20) + slack, "{stopped} bytes for one object");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(taken.load(Ordering::Relaxed), stopped, "nothing more is read");
    assert!(
        !one.http().breaker().is_open(),
        "one reply says nothing about the server"
    );
    // A page of a listing may be larger, but not endless.
    let (url, taken) = serve(head, Then::Endless).await;
    let page = hydra(&url).list_clients(|_| true, &mut Default::default()).await;
    assert_eq!(page, Err(LARGER));
    let stopped = taken.load(Ordering::Relaxed);
    // A page, and its parts down to one entry.
    assert!(
        stopped > 6 * (30 << 20) && stopped < 6 * ((32 << 20) + slack),
        "{stopped} bytes for a page"
    );
}

#[tokio::test]
async fn a_reply_that_announces_an_absurd_length_is_not_waited_for() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n";
    let (url, _) = serve(head, Then::Endless).await;
    assert_eq!(hydra(&url).get_client("shop").await, Err(LARGER));
}

#[tokio::test]
async fn an_endless_refusal_is_cut_off_too() {
    let (url, _) = serve("HTTP/1.1 400 Bad Request\r\n\r\n", Then::Endless).await;
    assert_eq!(hydra(&url).get_client("shop").await, Err(LARGER));
}

#[tokio::test]
async fn a_connection_that_breaks_is_an_outage_wherever_it_breaks() {
    for head in [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"client_id\":\"shop\"",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"cli\r\n",
    ] {
        let (url, _) = serve(head, Then::Close).await;
        let hydra = hydra(&url);
        let found = hydra.get_client("shop").await;
        assert_eq!(found, Err(Failure::Outage(Outage::Broken)), "{head:?}");
        assert!(hydra.http().breaker().is_open(), "{head:?}");
    }
}

/// Takes as long as the deadline of one request: both run at the same time.
#[tokio::test]
async fn silence_before_or_within_a_reply_ends_at_the_deadline() {
    let begun = Instant::now();
    let (nothing, _) = serve("", Then::Silence).await;
    let (half, _) = serve("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", Then::Silence).await;
    let (nothing, half) = (hydra(&nothing), hydra(&half));
    let (one, other) = tokio::join!(nothing.get_client("shop"), half.get_client("shop"));
    assert_eq!(one, Err(Failure::Outage(Outage::Silent)));
    assert_eq!(other, Err(Failure::Outage(Outage::Silent)));
    assert!(nothing.http().breaker().is_open() && half.http().breaker().is_open());
    let took = begun.elapsed();
    assert!(took >= DEADLINE && took < DEADLINE + Duration::from_secs(5), "{took:?}");
}
