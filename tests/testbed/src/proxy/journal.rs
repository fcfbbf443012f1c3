//! The record of all requests that a proxy received.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use hyper::body::Bytes;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, header};
use tokio::sync::watch;

use super::lock;

/// How much of a request's body is kept.
const KEPT_BODY: usize = 64 * 1024;

/// How many exchanges a failed wait shows in its error.
const SHOWN_EXCHANGES: usize = 20;

/// The head of a request, as the client sent it.
#[derive(Clone)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The path with the query.
    pub target: String,
    /// All headers, credentials included; `Debug` shows none of them but the user agent.
    pub headers: HeaderMap,
}

impl RequestHead {
    pub(super) fn of(parts: &Parts) -> Self {
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        Self {
            method: parts.method.clone(),
            target: target.to_owned(),
            headers: parts.headers.clone(),
        }
    }

    /// The path without the query.
    pub fn path(&self) -> &str {
        let end = self.target.find('?').unwrap_or(self.target.len());
        &self.target[..end]
    }

    /// The query, empty if there is none.
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// Whether the request has this method and this path, whatever its query.
    pub fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path() == path
    }

    /// The sender of the request, if it is named in readable characters.
    pub fn user_agent(&self) -> Option<&str> {
        self.headers.get(header::USER_AGENT)?.to_str().ok()
    }
}

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.target)?;
        match self.user_agent() {
            Some(agent) => write!(f, " by {agent}"),
            None => Ok(()),
        }
    }
}

/// How far the reply to a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The client is still waiting for the reply or for the rest of it.
    Open,
    /// The client was given a whole reply.
    Complete,
    /// The connection ended before that, from either side.
    Broken,
}

/// One request and its outcome.
#[derive(Clone)]
pub struct Exchange {
    /// Its place in the order of arrival at this proxy, from 1.
    pub seq: u64,
    /// When its head arrived.
    pub arrived: Instant,
    /// Its head.
    pub head: RequestHead,
    /// The first 64 KiB of its body; empty until the body has arrived.
    pub body: Bytes,
    /// The name of the [`Action`](super::Action) that struck it, or `down`.
    pub fault: Option<&'static str>,
    /// The status that the server replied with, whether or not the client was given it.
    pub upstream_status: Option<u16>,
    /// The status that the client was given.
    pub status: Option<u16>,
    /// How far the reply to the client has come.
    pub outcome: Outcome,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("seq", &self.seq)
            .field("head", &self.head)
            .field("body_bytes", &self.body.len())
            .field("fault", &self.fault)
            .field("upstream_status", &self.upstream_status)
            .field("status", &self.status)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

/// All requests of a proxy, in the order of their arrival.
///
/// The closures given to it run under its lock and must not call it.
#[derive(Default)]
pub struct Journal {
    log: Mutex<Log>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Log {
    last_seq: u64,
    exchanges: Vec<Exchange>,
}

impl Journal {
    /// All exchanges since the start or the last [`Journal::clear`].
    pub fn snapshot(&self) -> Vec<Exchange> {
        self.since(0)
    }

    /// A mark between the requests up to now and those to come, for [`Journal::since`].
    pub fn mark(&self) -> u64 {
        lock(&self.log).last_seq
    }

    /// The exchanges that arrived after the mark.
    pub fn since(&self, mark: u64) -> Vec<Exchange> {
        let log = lock(&self.log);
        let start = log.exchanges.partition_point(|exchange| exchange.seq <= mark);
        log.exchanges[start..].to_vec()
    }

    /// How many of the recorded exchanges match.
    pub fn count(&self, matching: impl Fn(&Exchange) -> bool) -> usize {
        let log = lock(&self.log);
        log.exchanges.iter().filter(|exchange| matching(exchange)).count()
    }

    /// Forgets all exchanges; the numbering goes on.
    pub fn clear(&self) {
        lock(&self.log).exchanges.clear();
    }

    /// Waits until an exchange matches, those already recorded included, and returns the first
    /// that does.
    pub async fn wait_for(&self, matching: impl Fn(&Exchange) -> bool, limit: Duration) -> Result<Exchange> {
        // Subscribed before the first look, so that no change between look and wait is lost.
        let mut changed = self.changed.subscribe();
        let found = tokio::time::timeout(limit, async {
            loop {
                if let Some(found) = self.first(&matching) {
                    return found;
                }
                // The sender lives in `self`, so there is always a next change to wait for.
                let _ = changed.changed().await;
            }
        });
        if let Ok(found) = found.await {
            return Ok(found);
        }
        let all = self.snapshot();
        let shown = &all[all.len().saturating_sub(SHOWN_EXCHANGES)..];
        bail!(
            "no matching exchange within {limit:?} among {}, the last: {shown:#?}",
            all.len()
        )
    }

    fn first(&self, matching: impl Fn(&Exchange) -> bool) -> Option<Exchange> {
        let log = lock(&self.log);
        log.exchanges.iter().find(|exchange| matching(exchange)).cloned()
    }

    /// Records an arrival.
    pub(super) fn open(self: &Arc<Self>, head: RequestHead, fault: Option<&'static str>) -> Recorder {
        let mut log = lock(&self.log);
        log.last_seq += 1;
        let seq = log.last_seq;
        log.exchanges.push(Exchange {
            seq,
            arrived: Instant::now(),
            head,
            body: Bytes::new(),
            fault,
            upstream_status: None,
            status: None,
            outcome: Outcome::Open,
        });
        drop(log);
        self.changed.send_replace(());
        Recorder {
            journal: Arc::clone(self),
            seq,
        }
    }

    /// Changes a recorded exchange, unless it was cleared meanwhile.
    fn update(&self, seq: u64, change: impl FnOnce(&mut Exchange)) {
        let mut log = lock(&self.log);
        if let Ok(index) = log.exchanges.binary_search_by_key(&seq, |exchange| exchange.seq) {
            change(&mut log.exchanges[index]);
            drop(log);
            self.changed.send_replace(());
        }
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.snapshot()).finish()
    }
}

/// Keeps the record of one exchange up to date; dropped before completion, it marks the
/// exchange as broken.
pub(super) struct Recorder {
    journal: Arc<Journal>,
    seq: u64,
}

impl Recorder {
    pub(super) fn body(&self, body: &Bytes) {
        // A copy, because a slice would keep the whole body alive.
        let kept = Bytes::copy_from_slice(&body[..body.len().min(KEPT_BODY)]);
        self.update(|exchange| exchange.body = kept);
    }

    pub(super) fn upstream_status(&self, status: u16) {
        self.update(|exchange| exchange.upstream_status = Some(status));
    }

    pub(super) fn status(&self, status: u16) {
        self.update(|exchange| exchange.status = Some(status));
    }

    pub(super) fn complete(&self) {
        self.update(|exchange| exchange.outcome = Outcome::Complete);
    }

    fn update(&self, change: impl FnOnce(&mut Exchange)) {
        self.journal.update(self.seq, change);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.update(|exchange| {
            if exchange.outcome == Outcome::Open {
                exchange.outcome = Outcome::Broken;
            }
        });
    }
}
