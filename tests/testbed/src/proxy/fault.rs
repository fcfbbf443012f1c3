//! The faults of a proxy: which requests they strike, and what then happens.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use tokio_util::sync::CancellationToken;

use super::journal::{Journal, Recorder, RequestHead};
use super::limit::Bucket;
use super::lock;

/// Decides whether a fault concerns a request. It runs under the proxy's lock and must not call
/// the proxy.
pub type Matcher = Arc<dyn Fn(&RequestHead) -> bool + Send + Sync>;

/// What [`Action::Call`] calls. It may block.
pub type Hook = Arc<dyn Fn() + Send + Sync>;

/// A fault: what happens to which of the matching requests.
#[derive(Clone)]
pub struct Fault {
    matching: Matcher,
    first: u64,
    times: Option<u64>,
    action: Action,
}

impl Fault {
    /// A fault that strikes every matching request.
    pub fn new(matching: impl Fn(&RequestHead) -> bool + Send + Sync + 'static, action: Action) -> Self {
        Self {
            matching: Arc::new(matching),
            first: 1,
            times: None,
            action,
        }
    }

    /// A rate limit: answers the matching requests beyond this number a second. A second without
    /// requests saves up as many.
    pub fn beyond(
        per_second: u32,
        matching: impl Fn(&RequestHead) -> bool + Send + Sync + 'static,
        answer: Answer,
    ) -> Self {
        let bucket = Mutex::new(Bucket::full(per_second, Instant::now()));
        let exceeds = move |head: &RequestHead| matching(head) && !lock(&bucket).takes(Instant::now());
        Self::new(exceeds, Action::Answer(answer))
    }

    /// Strikes only the `n`-th matching request, counted from 1 and from the injection.
    #[must_use]
    pub fn nth(self, n: u64) -> Self {
        self.from_nth(n).times(1)
    }

    /// Strikes from the `n`-th matching request on.
    #[must_use]
    pub fn from_nth(mut self, n: u64) -> Self {
        self.first = n.max(1);
        self
    }

    /// Strikes at most `times` matching requests in a row; later ones are only counted.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    fn strikes_nth(&self, n: u64) -> bool {
        n >= self.first && self.times.is_none_or(|times| n - self.first < times)
    }
}

/// What happens to a request that a fault strikes.
///
/// An action that waits for the server's whole reply never ends on a watch.
#[derive(Clone)]
pub enum Action {
    /// The connection is closed, the request never forwarded.
    Refuse,
    /// The server acts and replies in full, then the connection is closed without a reply.
    LoseReply,
    /// The proxy answers, the request is never forwarded.
    Answer(Answer),
    /// The server acts and replies in full, but the client is given this answer.
    AnswerAfter(Answer),
    /// The request is forwarded only after this time, or as soon as the fault is cleared.
    Delay(Duration),
    /// The request is never forwarded. The connection stays silent until the fault is cleared
    /// or the client leaves, then it is closed.
    Hang,
    /// The server acts and replies in full, then the connection is silent as with `Hang`.
    HangReply,
    /// The reply's body ends after this many bytes: the length in the head stays, and the
    /// connection is closed. A reply that is not longer passes whole.
    Truncate {
        /// How much of the body passes.
        bytes: usize,
    },
    /// The reply's body passes at this pace, until the fault is cleared.
    Trickle {
        /// The pace, at least one byte per second.
        bytes_per_second: usize,
    },
    /// A hook runs, then the connection is closed without a reply.
    Call {
        /// Whether the server has acted before the hook runs.
        when: When,
        /// What runs.
        hook: Hook,
    },
}

/// When the hook of [`Action::Call`] runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Instead of forwarding the request.
    Before,
    /// After the server has acted and replied in full.
    After,
}

impl Action {
    /// Runs the hook instead of forwarding the request, then closes the connection.
    pub fn call_before(hook: impl Fn() + Send + Sync + 'static) -> Self {
        Self::Call {
            when: When::Before,
            hook: Arc::new(hook),
        }
    }

    /// Runs the hook after the server has acted, then closes the connection without a reply.
    pub fn call_after(hook: impl Fn() + Send + Sync + 'static) -> Self {
        Self::Call {
            when: When::After,
            hook: Arc::new(hook),
        }
    }

    /// The name under which the journal records the action.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::LoseReply => "lose-reply",
            Self::Answer(_) => "answer",
            Self::AnswerAfter(_) => "answer-after",
            Self::Delay(_) => "delay",
            Self::Hang => "hang",
            Self::HangReply => "hang-reply",
            Self::Truncate { .. } => "truncate",
            Self::Trickle { .. } => "trickle",
            Self::Call { when, .. } => match when {
                When::Before => "call-before",
                When::After => "call-after",
            },
        }
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A reply that the proxy makes up.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers, by name and value.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// An answer without headers and body.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// An answer with a JSON body.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::status(status)
            .header("content-type", "application/json")
            .body(body.to_string())
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}

/// An injected fault with its counters.
struct Armed {
    fault: Fault,
    /// Changed only under the gate's lock.
    matched: AtomicU64,
    /// Changed only under the gate's lock.
    struck: AtomicU64,
    /// Releases what the fault holds back.
    release: CancellationToken,
}

/// A fault in force. Dropping the handle removes the fault and releases what it holds back.
#[must_use = "dropping the handle removes the fault"]
pub struct FaultHandle {
    gate: Arc<Gate>,
    armed: Arc<Armed>,
}

impl FaultHandle {
    /// How many requests have matched so far, struck or not.
    pub fn matched(&self) -> u64 {
        self.armed.matched.load(Ordering::SeqCst)
    }

    /// How many requests were struck so far.
    pub fn struck(&self) -> u64 {
        self.armed.struck.load(Ordering::SeqCst)
    }

    /// Ends the fault: it strikes no more requests.
    pub fn end(&self) {
        lock(&self.gate.state)
            .faults
            .retain(|armed| !Arc::ptr_eq(armed, &self.armed));
        self.armed.release.cancel();
    }
}

impl Drop for FaultHandle {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for FaultHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultHandle")
            .field("action", &self.armed.fault.action)
            .field("matched", &self.matched())
            .field("struck", &self.struck())
            .finish()
    }
}

/// Where requests arrive: under one lock they are numbered, matched and counted, so that "the
/// n-th" means the same to the faults and to the journal.
#[derive(Default)]
pub(super) struct Gate {
    state: Mutex<GateState>,
}

#[derive(Default)]
struct GateState {
    down: bool,
    faults: Vec<Arc<Armed>>,
}

/// A fault that strikes a request.
pub(super) struct Strike {
    pub(super) action: Action,
    /// Cancelled when the fault is cleared.
    pub(super) release: CancellationToken,
}

impl Gate {
    pub(super) fn inject(gate: &Arc<Self>, fault: Fault) -> FaultHandle {
        let armed = Arc::new(Armed {
            fault,
            matched: AtomicU64::new(0),
            struck: AtomicU64::new(0),
            release: CancellationToken::new(),
        });
        lock(&gate.state).faults.push(Arc::clone(&armed));
        FaultHandle {
            gate: Arc::clone(gate),
            armed,
        }
    }

    pub(super) fn clear(&self) {
        for armed in lock(&self.state).faults.drain(..) {
            armed.release.cancel();
        }
    }

    pub(super) fn set_down(&self, down: bool) {
        lock(&self.state).down = down;
    }

    /// Records an arrival and picks the fault that strikes it: every fault counts the request,
    /// and of those whose turn it is, the one injected first strikes.
    pub(super) fn admit(&self, head: RequestHead, journal: &Arc<Journal>) -> (Recorder, Option<Strike>) {
        let state = lock(&self.state);
        if state.down {
            let refused = Strike {
                action: Action::Refuse,
                release: CancellationToken::new(),
            };
            return (journal.open(head, Some("down")), Some(refused));
        }
        let mut strike = None;
        for armed in &state.faults {
            if !(armed.fault.matching)(&head) {
                continue;
            }
            let n = armed.matched.fetch_add(1, Ordering::SeqCst) + 1;
            if strike.is_none() && armed.fault.strikes_nth(n) {
                armed.struck.fetch_add(1, Ordering::SeqCst);
                strike = Some(Strike {
                    action: armed.fault.action.clone(),
                    release: armed.release.clone(),
                });
            }
        }
        let name = strike.as_ref().map(|strike| strike.action.name());
        (journal.open(head, name), strike)
    }
}
