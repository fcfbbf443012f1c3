//! The fault proxy against a small server.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "proxy/actions.rs"]
mod actions;
#[path = "proxy/bed.rs"]
mod bed;
#[path = "proxy/server.rs"]
mod server;

use std::time::Duration;

use anyhow::Result;
use futures::future::join_all;
use serde_json::{Value, json};
use testbed::proxy::{Action, Answer, Fault, Outcome, RequestHead, Upstream};
use tokio::net::TcpListener;

use bed::{Bed, LIMIT};
use server::Server;

fn every(_: &RequestHead) -> bool {
    true
}

async fn passes_and_records(bed: Bed) {
    let reply = bed
        .client
        .post(bed.url("/things?limit=3"))
        .bearer_auth("hush")
        .body("secret body")
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status(), 200);
    let echo: Value = serde_json::from_str(&reply.text().await.unwrap()).unwrap();
    let expected = json!({
        "method": "POST",
        "target": "/things?limit=3",
        "authorization": "Bearer hush",
        "body": "secret body",
    });
    assert_eq!(echo, expected);
    bed.get("/missing").await.unwrap();

    let exchanges = bed.proxy.journal().snapshot();
    let [post, get] = exchanges.as_slice() else {
        unreachable!("{exchanges:?}");
    };
    assert_eq!((post.seq, get.seq), (1, 2));
    assert!(post.head.is("POST", "/things"));
    assert_eq!(post.head.query(), "limit=3");
    assert_eq!(post.head.user_agent(), Some("tester/1"));
    assert_eq!(post.body, "secret body");
    assert_eq!(post.outcome, Outcome::Complete);
    assert_eq!((get.upstream_status, get.status), (Some(404), Some(404)));
    let shown = format!("{exchanges:?} {:?}", bed.proxy.journal());
    assert!(shown.contains("/things") && shown.contains("tester/1"));
    assert!(!shown.contains("hush") && !shown.contains("secret"), "{shown}");
}

async fn streams_a_watch(bed: Bed) {
    let feed = bed.server.watch();
    let mut reply = bed.client.get(bed.url("/watch")).send().await.unwrap();
    for event in ["first", "second"] {
        feed.send(event.into()).await.unwrap();
        let chunk = tokio::time::timeout(LIMIT, reply.chunk()).await;
        assert_eq!(chunk.expect("unbuffered").unwrap().unwrap(), event);
    }
    let exchange = &bed.proxy.journal().snapshot()[0];
    assert_eq!(exchange.outcome, Outcome::Open);

    // The client leaves, and the server notices even though the watch is quiet.
    drop(reply);
    let left = tokio::time::timeout(LIMIT, feed.closed());
    left.await.expect("the server's side closed");
    assert_eq!(bed.ended(1).await.outcome, Outcome::Broken);

    let feed = bed.server.watch();
    let watch = bed.spawn_get("/watch");
    feed.send("last".into()).await.unwrap();
    drop(feed);
    assert_eq!(watch.await.unwrap().unwrap(), "last");
    assert_eq!(bed.ended(2).await.outcome, Outcome::Complete);
}

#[tokio::test]
async fn passes_and_records_on_plain_http() {
    passes_and_records(Bed::http().await).await;
}

#[tokio::test]
async fn passes_and_records_on_tls() {
    passes_and_records(Bed::https().await).await;
}

#[tokio::test]
async fn streams_a_watch_on_plain_http() {
    streams_a_watch(Bed::http().await).await;
}

#[tokio::test]
async fn streams_a_watch_on_tls() {
    streams_a_watch(Bed::https().await).await;
}

#[tokio::test]
async fn passes_replies_without_a_body() {
    let bed = Bed::http().await;
    let head = bed.client.head(bed.url("/bytes/7")).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], "7");
    assert_eq!(bed.get("/bytes/0").await.unwrap(), "");
    let journal = bed.proxy.journal();
    assert_eq!(journal.count(|exchange| exchange.outcome == Outcome::Complete), 2);
}

#[tokio::test]
async fn strikes_the_nth_matching_request() {
    let bed = Bed::http().await;
    let post_a = |head: &RequestHead| head.is("GET", "/a");
    let third = bed.proxy.inject(Fault::new(post_a, Action::Refuse).nth(3));
    let later = bed
        .proxy
        .inject(Fault::new(post_a, Action::LoseReply).from_nth(5).times(2));
    let mut lost = Vec::new();
    for n in 1..=8 {
        bed.get("/b").await.unwrap();
        if bed.get("/a?page=1").await.is_err() {
            lost.push(n);
        }
    }
    assert_eq!(lost, [3, 5, 6]);
    assert_eq!((third.matched(), third.struck()), (8, 1));
    assert_eq!((later.matched(), later.struck()), (8, 2));
}

#[tokio::test]
async fn the_fault_injected_first_strikes() {
    let bed = Bed::http().await;
    let first = bed.proxy.inject(Fault::new(every, Action::Refuse).times(1));
    let answer = Action::Answer(Answer::status(418));
    let second = bed.proxy.inject(Fault::new(every, answer));
    bed.get("/a").await.unwrap_err();
    bed.get("/a").await.unwrap();
    assert_eq!((first.struck(), second.struck(), second.matched()), (1, 1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_concurrent_requests_exactly() {
    let bed = Bed::http().await;
    let fault = bed.proxy.inject(Fault::new(every, Action::Refuse).nth(50));
    let replies = join_all((0..100).map(|_| bed.get("/a"))).await;
    assert_eq!(replies.iter().filter(|reply| reply.is_err()).count(), 1);
    assert_eq!((fault.matched(), fault.struck()), (100, 1));
    let exchanges = bed.proxy.journal().snapshot();
    let numbers: Vec<u64> = exchanges.iter().map(|exchange| exchange.seq).collect();
    assert_eq!(numbers, Vec::from_iter(1..=100));
    assert_eq!(exchanges[49].fault, Some("refuse"));
}

#[tokio::test]
async fn the_journal_marks_and_waits_for_exchanges() {
    let bed = Bed::http().await;
    let journal = bed.proxy.journal();
    bed.get("/a").await.unwrap();
    let mark = journal.mark();
    let later = bed.spawn_get("/b");
    let found = journal.wait_for(|exchange| exchange.head.path() == "/b", LIMIT);
    assert_eq!(found.await.unwrap().seq, 2);
    later.await.unwrap().unwrap();
    assert_eq!(journal.since(mark).len(), 1);
    journal.clear();
    assert!(journal.snapshot().is_empty());
    let vain = journal.wait_for(|_| true, Duration::from_millis(1)).await;
    assert!(vain.unwrap_err().to_string().contains("among 0"));
}

#[tokio::test]
async fn goes_down_and_up() {
    let bed = Bed::http().await;
    let counting = bed.proxy.inject(Fault::new(every, Action::Refuse).from_nth(100));
    let feed = bed.server.watch();
    let mut watch = bed.client.get(bed.url("/watch")).send().await.unwrap();
    feed.send("event".into()).await.unwrap();
    watch.chunk().await.unwrap();

    bed.proxy.down();
    watch.chunk().await.unwrap_err();
    bed.get("/a").await.unwrap_err();
    assert_eq!(bed.recorded("down").await.head.path(), "/a");
    assert_eq!((bed.server.hits("/a"), counting.matched()), (0, 1));

    bed.proxy.up();
    bed.get("/a").await.unwrap();

    // The watch takes the client's idle connection, so that none is left to be cut unnoticed.
    let feed = bed.server.watch();
    let mut watch = bed.client.get(bed.url("/watch")).send().await.unwrap();
    bed.proxy.sever();
    watch.chunk().await.unwrap_err();
    feed.closed().await;
    bed.get("/a").await.unwrap();
}

#[tokio::test]
async fn adds_no_failures() {
    for bed in [Bed::http().await, Bed::https().await] {
        for _ in 0..300 {
            bed.get("/a").await.unwrap();
        }
        assert_eq!(bed.server.hits("/a"), 300);
    }
}

#[tokio::test]
async fn follows_the_server_to_another_port() -> Result<()> {
    let bed = Bed::http().await;
    // A port without a listener.
    let gone = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    bed.proxy.set_upstream(Upstream::http(format!("http://{gone}")))?;
    let error = bed.get("/a").await.unwrap_err();
    assert_eq!(error.status(), None);
    let other = Server::http().await;
    bed.proxy.set_upstream(other.upstream())?;
    bed.get("/a").await?;
    assert_eq!((bed.server.hits("/a"), other.hits("/a")), (0, 1));
    assert!(bed.proxy.set_upstream(Upstream::http("https://localhost")).is_err());
    assert!(bed.proxy.set_upstream(Upstream::http("http://localhost/base")).is_err());
    Ok(())
}

#[tokio::test]
async fn stops_when_dropped() {
    let Bed { proxy, client, server } = Bed::http().await;
    let feed = server.watch();
    let url = proxy.url();
    let mut watch = client.get(format!("{url}/watch")).send().await.unwrap();
    drop(proxy);
    watch.chunk().await.unwrap_err();
    feed.closed().await;
    client.get(&url).send().await.unwrap_err();
}
