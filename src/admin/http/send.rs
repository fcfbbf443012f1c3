//! Sends a request when its turn comes, and learns from the result when the next ones may be sent.

use std::time::{Duration, Instant};

use tracing::Instrument as _;

use super::pace::Turn;
use super::{Expects, Failure, Http, Order, Reply, Request};
use crate::error::Outage;
use crate::spans;

/// How long a request waits for its turn. A pass has several requests and a time limit of its own.
const PATIENCE: Duration = Duration::from_secs(20);
/// As [`PATIENCE`], for a page of a listing, which would start over: longer than any pause.
const PATIENCE_OF_PAGE: Duration = Duration::from_secs(90);
/// After this time a request no longer occupies a turn.
const LONG: Duration = Duration::from_secs(1);

impl Http {
    /// Sends a request and reads the whole reply.
    ///
    /// # Errors
    /// [`Failure`]. An outage or a refused login opens the circuit breaker, unless one write may be the cause: it may
    /// wait for something that its resource names, or be refused for its content. The prober then finds out whether the
    /// server is well. A 429 opens it only if the server accepts nothing for long; until then it slows down all
    /// requests, and this one fails with [`Outage::Limited`] if its turn does not come soon.
    pub async fn send(&self, request: Request<'_>) -> Result<Reply, Failure> {
        if !request.path.iter().all(|segment| is_addressable(segment)) {
            return Err(Failure::Reply("cannot be requested: the id cannot be part of a URL"));
        }
        let (order, patience) = request.turn();
        let until = Instant::now() + patience;
        loop {
            self.may_start(&request)?;
            let turn = self.pace.turn(order, until).await;
            let turn = turn.map_err(|wait| Failure::Outage(Outage::Limited(wait)))?;
            // Meanwhile, other requests may have opened the breaker, and the Lease may have expired.
            self.may_start(&request)?;
            let sent = Instant::now();
            let result = self.attempt(&request, turn).await;
            self.learn(&request, &result, sent);
            // A refused request is sent again here, because the wait holds up only the same server. In a later pass, a
            // login, a page of a sweep and all that the pass has read would be sent again too, and the limit would go
            // unused meanwhile.
            let Err(Failure::Outage(Outage::Status(429, asked))) = result else {
                return result;
            };
            let is_outage = self.pace.refused(sent, asked);
            if is_outage {
                self.breaker.open(asked);
            }
            if is_outage || request.probe && self.breaker.is_open() {
                return result;
            }
        }
    }

    /// Whether a request may be sent now.
    fn may_start(&self, request: &Request<'_>) -> Result<(), Failure> {
        if self.breaker.is_open() && !request.probe {
            return Err(Failure::Outage(Outage::Known));
        }
        match request.reads || self.fence.allows_write() {
            true => Ok(()),
            false => Err(Failure::NotLeader),
        }
    }

    /// Sends a request once.
    async fn attempt(&self, request: &Request<'_>, turn: Turn<'_>) -> Result<Reply, Failure> {
        let (begun, span) = (Instant::now(), spans::request(&self.server, request.operation));
        let mut exchange = std::pin::pin!(self.exchange(request).instrument(span.clone()));
        let (code, result) = match tokio::time::timeout(LONG, &mut exchange).await {
            Ok(done) => done,
            Err(_) => {
                drop(turn); // it waits for something other than its turn at the database
                exchange.await
            }
        };
        let time = begun.elapsed();
        spans::answered(&span, code);
        self.metrics.admin_request(&self.server, request.operation, code, time);
        if request.is_of_one() {
            return result.map_err(of_one);
        }
        result
    }

    /// Adjusts pace and breaker to the result of a request.
    fn learn(&self, request: &Request<'_>, result: &Result<Reply, Failure>, sent: Instant) {
        match result {
            Err(Failure::Outage(Outage::Known | Outage::Unfinished | Outage::Status(429, _))) => {}
            Err(Failure::Outage(Outage::Status(502..=504, asked))) => {
                self.breaker.open(*asked);
                // A server that names a time is overloaded (RFC 9110, section 15.6.4). It needs the time without
                // requests from anybody, unlike one that answers 429, and would be overloaded again by all at once.
                if asked.is_some() {
                    self.pace.overloaded(sent);
                }
            }
            Err(Failure::Outage(Outage::Busy | Outage::Status(..))) => self.pace.slower(),
            Err(Failure::Refused(_)) if self.refuses_singly || request.is_of_one() => {}
            Err(Failure::Outage(_) | Failure::Refused(_)) => self.breaker.open(None),
            _ => self.pace.went_well(),
        }
    }
}

impl Request<'_> {
    /// Whether it is a write, whose own content may make it fail.
    fn is_of_one(&self) -> bool {
        !self.reads && !self.probe
    }

    /// Its order among others, and how long it waits.
    fn turn(&self) -> (Order, Duration) {
        let order = if self.probe { Order::Ahead } else { self.order };
        match self.expects {
            Expects::Items => (order, PATIENCE_OF_PAGE),
            Expects::Json | Expects::Many | Expects::Text => (order, PATIENCE),
        }
    }
}

/// Maps the failure of a write that its own content may have caused.
fn of_one(failure: Failure) -> Failure {
    match failure {
        Failure::Outage(Outage::Silent | Outage::Status(502 | 504, _)) => Failure::Outage(Outage::Unfinished),
        other => other,
    }
}

/// Whether a URL keeps a segment unchanged: `.` and `..` mean folders, and line breaks and tabs are dropped.
fn is_addressable(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..") && !segment.contains(['\t', '\r', '\n'])
}
