//! What each action does to a request, its reply and its record.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use testbed::proxy::{Action, Answer, Fault, Outcome, RequestHead};

use crate::bed::{Bed, LIMIT};
use crate::every;

/// Longer than any test; a request that waits for it must be released in another way.
const FOREVER: Duration = Duration::from_secs(3600);

fn counter() -> (Arc<AtomicUsize>, impl Fn() + Send + Sync + 'static) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    (calls, move || {
        counted.fetch_add(1, Ordering::SeqCst);
    })
}

#[tokio::test]
async fn refuses_before_the_server_acts() {
    let bed = Bed::http().await;
    let fault = bed.proxy.inject(Fault::new(every, Action::Refuse));
    bed.get("/a").await.unwrap_err();
    assert_eq!(bed.server.hits("/a"), 0);
    assert_eq!(fault.struck(), 1);
    assert_eq!(bed.recorded("refuse").await.status, None);
    drop(fault);
    bed.get("/a").await.unwrap();
}

#[tokio::test]
async fn loses_the_reply_after_the_server_acted() {
    let bed = Bed::http().await;
    let _fault = bed.proxy.inject(Fault::new(every, Action::LoseReply));
    bed.get("/a").await.unwrap_err();
    assert_eq!(bed.server.hits("/a"), 1);
    let lost = bed.ended(1).await;
    assert_eq!((lost.upstream_status, lost.status), (Some(200), None));
    assert_eq!(lost.outcome, Outcome::Broken);
}

#[tokio::test]
async fn answers_instead_of_the_server_or_after_it() {
    let bed = Bed::http().await;
    let answer = Answer::json(503, &json!({"error": "busy"})).header("retry-after", "7");
    let mine = |path: &'static str| move |head: &RequestHead| head.path() == path;
    let _instead = bed.proxy.inject(Fault::new(mine("/a"), Action::Answer(answer.clone())));
    let _after = bed.proxy.inject(Fault::new(mine("/b"), Action::AnswerAfter(answer)));
    for (path, acted) in [("/a", 0), ("/b", 1)] {
        let reply = bed.client.get(bed.url(path)).send().await.unwrap();
        assert_eq!(reply.status(), 503);
        assert_eq!(reply.headers()["retry-after"], "7");
        assert_eq!(reply.text().await.unwrap(), r#"{"error":"busy"}"#);
        assert_eq!(bed.server.hits(path), acted);
    }
    let after = bed.recorded("answer-after").await;
    assert_eq!((after.upstream_status, after.status), (Some(200), Some(503)));
    assert_eq!(after.outcome, Outcome::Complete);
}

#[tokio::test]
async fn delays_for_a_time_or_until_cleared() {
    let bed = Bed::http().await;
    let delay = Duration::from_millis(80);
    let fault = bed.proxy.inject(Fault::new(every, Action::Delay(delay)));
    let start = Instant::now();
    bed.get("/a").await.unwrap();
    assert!(start.elapsed() >= delay);
    drop(fault);

    bed.proxy.journal().clear();
    let fault = bed.proxy.inject(Fault::new(every, Action::Delay(FOREVER)));
    let waiting = bed.spawn_get("/b");
    bed.recorded("delay").await;
    assert_eq!(bed.server.hits("/b"), 0);
    drop(fault);
    waiting.await.unwrap().unwrap();
    assert_eq!(bed.server.hits("/b"), 1);
}

#[tokio::test]
async fn hangs_until_cleared() {
    let bed = Bed::http().await;
    let _fault = bed.proxy.inject(Fault::new(every, Action::Hang));
    let hung = bed.spawn_get("/a");
    bed.recorded("hang").await;
    bed.proxy.clear();
    hung.await.unwrap().unwrap_err();
    assert_eq!(bed.server.hits("/a"), 0);
    bed.get("/a").await.unwrap();
}

#[tokio::test]
async fn hangs_until_the_client_leaves() {
    let bed = Bed::https().await;
    let _fault = bed.proxy.inject(Fault::new(every, Action::Hang));
    let hung = bed.spawn_get("/a");
    let seq = bed.recorded("hang").await.seq;
    hung.abort();
    assert_eq!(bed.ended(seq).await.outcome, Outcome::Broken);
}

#[tokio::test]
async fn hangs_after_the_server_acted() {
    let bed = Bed::http().await;
    let fault = bed.proxy.inject(Fault::new(every, Action::HangReply));
    let hung = bed.spawn_get("/a");
    let acted = bed
        .proxy
        .journal()
        .wait_for(|exchange| exchange.upstream_status == Some(200), LIMIT);
    assert_eq!(acted.await.unwrap().outcome, Outcome::Open);
    assert_eq!(bed.server.hits("/a"), 1);
    drop(fault);
    hung.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn truncates_a_reply() {
    for bed in [Bed::http().await, Bed::https().await] {
        let fault = bed.proxy.inject(Fault::new(every, Action::Truncate { bytes: 10 }));
        let mut reply = bed.client.get(bed.url("/bytes/100")).send().await.unwrap();
        assert_eq!(reply.content_length(), Some(100));
        let mut received = 0;
        let error = loop {
            match reply.chunk().await {
                Ok(chunk) => received += chunk.expect("no regular end").len(),
                Err(error) => break error,
            }
        };
        assert_eq!(received, 10, "{error:?}");
        assert_eq!(bed.ended(1).await.outcome, Outcome::Broken);

        assert_eq!(bed.get("/bytes/10").await.unwrap().len(), 10);
        drop(fault);
        assert_eq!(bed.get("/bytes/100").await.unwrap().len(), 100);
    }
}

#[tokio::test]
async fn truncates_to_the_head_alone() {
    let bed = Bed::http().await;
    let _fault = bed.proxy.inject(Fault::new(every, Action::Truncate { bytes: 0 }));
    let reply = bed.client.get(bed.url("/bytes/100")).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    reply.bytes().await.unwrap_err();
}

#[tokio::test]
async fn trickles_a_reply_until_cleared() {
    let bed = Bed::http().await;
    let slow = |bytes_per_second| Fault::new(every, Action::Trickle { bytes_per_second });
    let fault = bed.proxy.inject(slow(1000));
    let start = Instant::now();
    assert_eq!(bed.get("/bytes/200").await.unwrap().len(), 200);
    assert!(start.elapsed() >= Duration::from_millis(200));
    drop(fault);

    let fault = bed.proxy.inject(slow(1));
    let mut reply = bed.client.get(bed.url("/bytes/1000")).send().await.unwrap();
    assert_eq!(reply.chunk().await.unwrap().unwrap().len(), 1);
    drop(fault);
    let rest = tokio::time::timeout(LIMIT, reply.bytes()).await;
    assert_eq!(rest.expect("released").unwrap().len(), 999);
    assert_eq!(bed.ended(2).await.outcome, Outcome::Complete);
}

#[tokio::test]
async fn calls_a_hook_before_or_after_the_server_acts() {
    let bed = Bed::http().await;
    let (calls, hook) = counter();
    let before = bed.proxy.inject(Fault::new(every, Action::call_before(hook)));
    bed.get("/a").await.unwrap_err();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(bed.server.hits("/a"), 0);
    drop(before);

    let (calls, hook) = counter();
    let _after = bed.proxy.inject(Fault::new(every, Action::call_after(hook)));
    bed.get("/a").await.unwrap_err();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(bed.server.hits("/a"), 1);
}
