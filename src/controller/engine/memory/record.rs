//! What the process remembers about one resource.

use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::jiff::Timestamp;

use crate::controller::engine::budget::Budget;

/// What is remembered about one resource.
pub(super) struct Record<K> {
    pub(super) written: Option<Arc<K>>,
    /// Digests of the statuses that we wrote recently and that the watch has not shown yet.
    pub(super) meant: Vec<u64>,
    /// Limits how often a status of another writer is corrected at once.
    pub(super) repairs: Budget,
    pub(super) released: Option<String>,
    pub(super) marked: u64,
    pub(super) cleared: u64,
    pub(super) failures: u32,
    /// When the first of them was.
    pub(super) failing_since: Option<Instant>,
    /// Whether the resource itself caused the last failure (`Retry::Slow`).
    pub(super) own_delay: bool,
    pub(super) corrections: Vec<Instant>,
    /// Whether a correction of another writer began since the last pass that ended well.
    pub(super) correcting: bool,
    pub(super) unconfirmed: Option<Instant>,
    /// Whether a write to the server began since the last pass that ended well.
    pub(super) wrote: bool,
    /// The same, when the current pass began.
    pub(super) left_half_done: bool,
    /// Whether a write to the server has begun that no status tells of yet.
    pub(super) untold: bool,
    /// What stood in the way last (a digest).
    pub(super) said: Option<u64>,
    pub(super) updated_at: Option<String>,
    pub(super) sent: Option<u64>,
    /// When the first pass began, if this process saw it and the resource has not been Ready since.
    pub(super) newcomer: Option<Timestamp>,
    /// A time at which something is due, and since when this is known.
    pub(super) due: Option<(Timestamp, Instant)>,
    pub(super) events: Budget,
    /// The accepted request for a full pass.
    pub(super) asked: Option<Box<str>>,
    pub(super) asks: Budget,
    /// Whether an event has told that the object is gone or released.
    pub(super) ended: bool,
    /// Whether the object does not exist any more, although the cache still shows it.
    pub(super) gone: bool,
}

impl<K> Default for Record<K> {
    fn default() -> Self {
        Record {
            written: None,
            meant: Vec::new(),
            repairs: Budget::default(),
            released: None,
            marked: 0,
            cleared: 0,
            failures: 0,
            failing_since: None,
            own_delay: false,
            corrections: Vec::new(),
            correcting: false,
            unconfirmed: None,
            wrote: false,
            left_half_done: false,
            untold: false,
            said: None,
            updated_at: None,
            sent: None,
            newcomer: None,
            due: None,
            events: Budget::default(),
            asked: None,
            asks: Budget::default(),
            ended: false,
            gone: false,
        }
    }
}

impl<K> Record<K> {
    /// Whether the record holds nothing and can be dropped.
    pub(super) fn is_blank(&mut self) -> bool {
        self.written.is_none()
            && self.meant.is_empty()
            && self.repairs.is_full(Instant::now())
            && self.released.is_none()
            && self.marked == self.cleared
            && self.failures == 0
            && self.corrections.is_empty()
            && !self.correcting
            && self.unconfirmed.is_none()
            && !self.wrote
            && !self.left_half_done
            && !self.untold
            && self.said.is_none()
            && self.updated_at.is_none()
            && self.sent.is_none()
            && self.newcomer.is_none()
            && self.due.is_none()
            && self.events.is_full(Instant::now())
            && self.asked.is_none()
            && self.asks.is_full(Instant::now())
            && !self.gone
    }
}
