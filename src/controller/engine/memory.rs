//! What the process remembers about each resource between passes. Safety after a restart does not depend on it: all of
//! it can be found out again.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::Resource;

use self::record::Record;
use crate::controller::engine::version::is_newer;
use crate::error::{Error, Retry};

mod limits;
mod record;

/// Period in which corrections of other writers are counted.
const CORRECTION_WINDOW: Duration = Duration::from_secs(3600);

/// Maximum number of our own statuses that are remembered until the watch shows them.
const MEANT: usize = 4;

/// Memory of all resources of a kind, by UID.
pub struct Memory<K> {
    records: Mutex<HashMap<String, Record<K>>>,
    /// When this process, or its work on a server, began.
    started: Mutex<Instant>,
}

impl<K> Default for Memory<K> {
    fn default() -> Self {
        Memory {
            records: Mutex::default(),
            started: Mutex::new(Instant::now()),
        }
    }
}

impl<K: Resource<DynamicType = ()>> Memory<K> {
    /// Returns the newer of the cached object and the one that our own last write returned: the cache may lag behind.
    pub fn newest(&self, cached: Arc<K>) -> Arc<K> {
        let Some(uid) = cached.meta().uid.clone() else {
            return cached;
        };
        let mut records = self.lock();
        let Some(record) = records.get_mut(&uid) else {
            return cached;
        };
        match record
            .written
            .take_if(|written| !is_newer(version(&**written), version(&*cached)))
        {
            Some(_) => cached, // the watch has caught up
            None => record.written.clone().unwrap_or(cached),
        }
    }

    /// Drops our own copy of an object that the watch shows, unless the copy is newer.
    pub fn seen(&self, shown: &K) {
        let mut records = self.lock();
        let Some(uid) = &shown.meta().uid else { return };
        if let Some(record) = records.get_mut(uid) {
            record
                .written
                .take_if(|written| !is_newer(version(&**written), version(shown)));
            record.gone = false;
            if record.is_blank() {
                records.remove(uid);
            }
        }
    }

    /// Remembers the object that our own write returned.
    pub fn wrote(&self, object: Arc<K>) {
        if let Some(uid) = object.meta().uid.clone() {
            self.lock().entry(uid).or_default().written = Some(object);
        }
    }

    /// Remembers the digest of a status that is about to be written: the watch may be faster than the reply.
    pub fn means(&self, uid: &str, status: u64) {
        let mut records = self.lock();
        let meant = &mut records.entry(uid.to_owned()).or_default().meant;
        if meant.len() == MEANT {
            meant.remove(0);
        }
        meant.push(status);
    }

    /// Whether we have written the status that the watch shows. A match forgets this status and all earlier ones.
    pub fn meant(&self, uid: &str, status: u64) -> bool {
        let mut records = self.lock();
        let Some(record) = records.get_mut(uid) else {
            return false;
        };
        let place = record.meant.iter().position(|meant| *meant == status);
        if let Some(place) = place {
            record.meant.drain(..=place);
            record.meant.shrink_to_fit();
        }
        place.is_some()
    }

    /// Remembers the version that the removal of our finalizer returned. If it was the last finalizer, the object is
    /// gone, and this is the version that it had before.
    pub fn released(&self, object: &K) {
        if let Some(uid) = object.meta().uid.clone() {
            self.lock().entry(uid).or_default().released = version(object).map(str::to_owned);
        }
    }

    /// Whether our finalizer was removed from this version of the object or a later one, so that nothing is left to do.
    pub fn is_released(&self, shown: &K) -> bool {
        let records = self.lock();
        let record = shown.meta().uid.as_ref().and_then(|uid| records.get(uid));
        let released = record.and_then(|record| record.released.as_deref());
        released.is_some_and(|released| !is_newer(version(shown), Some(released)))
    }

    /// Remembers that the object does not exist any more: the cache will tell so soon, and no pass is due until then.
    pub fn vanished(&self, uid: &str) {
        self.lock().entry(uid.to_owned()).or_default().gone = true;
    }

    /// Whether the object does not exist any more, although the cache still shows it.
    pub fn is_gone(&self, uid: &str) -> bool {
        self.lock().get(uid).is_some_and(|record| record.gone)
    }

    /// Forgets a resource that is gone.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// Forgets all resources except these.
    pub fn retain(&self, present: &HashSet<String>) {
        self.lock().retain(|uid, _| present.contains(uid));
    }

    /// Marks a resource: its next pass must read the object on the server.
    pub fn mark(&self, uid: &str) {
        self.lock().entry(uid.to_owned()).or_default().marked += 1;
    }

    /// Returns the mark, unless it is cleared.
    pub fn marked(&self, uid: &str) -> Option<u64> {
        self.lock()
            .get(uid)
            .filter(|record| record.marked > record.cleared)
            .map(|record| record.marked)
    }

    /// Clears the mark that a pass started with. A mark that was set during the pass stays.
    pub fn clear_mark(&self, uid: &str, started_with: u64) {
        if let Some(record) = self.lock().get_mut(uid) {
            record.cleared = record.cleared.max(started_with);
        }
    }

    /// Counts a failure. Returns the number of consecutive failures before it.
    pub fn failed(&self, uid: &str, error: &Error) -> u32 {
        let mut records = self.lock();
        let record = records.entry(uid.to_owned()).or_default();
        record.own_delay = error.treatment().retry == Retry::Slow;
        record.failures = record.failures.saturating_add(1);
        record.failing_since.get_or_insert_with(Instant::now);
        record.failures - 1
    }

    /// Time since the first of the consecutive failures.
    pub fn failing_for(&self, uid: &str) -> Duration {
        let since = self.lock().get(uid).and_then(|record| record.failing_since);
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Whether the last pass failed.
    pub fn is_failing(&self, uid: &str) -> bool {
        self.lock().get(uid).is_some_and(|record| record.failures > 0)
    }

    /// Restarts the count of failures, because the server works again. False if the resource is not failing, or caused
    /// its failure itself.
    pub fn start_anew(&self, uid: &str) -> bool {
        let mut records = self.lock();
        let failing = records
            .get_mut(uid)
            .filter(|record| record.failures > 0 && !record.own_delay);
        failing.map(|record| record.failures = 1).is_some()
    }

    /// Ends a series of failures. What was written is in the status.
    pub fn succeeded(&self, uid: &str) {
        let mut records = self.lock();
        let Some(record) = records.get_mut(uid) else { return };
        (record.failures, record.failing_since) = (0, None);
        (record.wrote, record.left_half_done, record.said) = (false, false, None);
        record.correcting = false;
        if record.is_blank() {
            records.remove(uid);
        }
    }

    /// Remembers what stands in the way: what a policy says, or what the server has instead of what it was sent (a
    /// digest). Returns whether the same did before, since the last pass that ended well.
    pub fn repeats(&self, uid: &str, said: u64) -> bool {
        let mut records = self.lock();
        let before = records.entry(uid.to_owned()).or_default().said.replace(said);
        before == Some(said)
    }

    /// Records that a pass begins. Returns whether it must read the object on the server: an earlier pass wrote there and
    /// did not end well, so the object may not be what the status tells.
    pub fn begins(&self, uid: &str) -> bool {
        let mut records = self.lock();
        let Some(record) = records.get_mut(uid) else {
            return false;
        };
        record.left_half_done = record.wrote;
        record.left_half_done
    }

    /// Whether the object on the server may be what an earlier pass of ours made of it, whatever the status tells.
    pub fn is_half_done(&self, uid: &str) -> bool {
        self.lock().get(uid).is_some_and(|record| record.left_half_done)
    }

    /// Remembers that the first pass over a resource began at this time and did not make it Ready.
    pub fn came(&self, uid: &str, at: Timestamp) {
        let mut records = self.lock();
        records.entry(uid.to_owned()).or_default().newcomer.get_or_insert(at);
    }

    /// Returns when the first pass over a resource began, if it has not been Ready since. The answer is given once.
    pub fn arrived(&self, uid: &str) -> Option<Timestamp> {
        self.lock().get_mut(uid)?.newcomer.take()
    }

    /// Returns for how long it has been known that something is due at this time.
    pub fn due_for(&self, uid: &str, due_at: Timestamp) -> Duration {
        let mut records = self.lock();
        let due = &mut records.entry(uid.to_owned()).or_default().due;
        let (_, since) = due.take_if(|(at, _)| *at == due_at).unwrap_or((due_at, Instant::now()));
        *due = Some((due_at, since));
        since.elapsed()
    }

    /// Records that the resource waits for no turn.
    pub fn not_due(&self, uid: &str) {
        if let Some(record) = self.lock().get_mut(uid) {
            record.due = None;
        }
    }

    /// Records that a correction of another writer begins. If its write fails, the next one corrects the same.
    pub fn corrects(&self, uid: &str) {
        self.lock().entry(uid.to_owned()).or_default().correcting = true;
    }

    /// Whether a correction of another writer has begun and not ended well.
    pub fn is_correcting(&self, uid: &str) -> bool {
        self.lock().get(uid).is_some_and(|record| record.correcting)
    }

    /// Counts a correction of another writer.
    pub fn corrected(&self, uid: &str) {
        let mut records = self.lock();
        let record = records.entry(uid.to_owned()).or_default();
        record.corrections.push(Instant::now());
        record.correcting = false;
    }

    /// Forgets the corrections, because the resource itself has changed.
    pub fn forgive(&self, uid: &str) {
        if let Some(record) = self.lock().get_mut(uid) {
            record.corrections.clear();
        }
    }

    /// Number of corrections of other writers within the last hour.
    pub fn corrections(&self, uid: &str) -> usize {
        let mut records = self.lock();
        let Some(record) = records.get_mut(uid) else { return 0 };
        record.corrections.retain(|at| at.elapsed() < CORRECTION_WINDOW);
        record.corrections.len()
    }

    /// Remembers that a write to the server begins. Its outcome is unknown until [`Memory::confirmed`].
    pub fn writing(&self, uid: &str) {
        let mut records = self.lock();
        let record = records.entry(uid.to_owned()).or_default();
        (record.unconfirmed, record.wrote, record.untold) = (Some(Instant::now()), true, true);
    }

    /// Records how a write ended. One without a certain result may have been sent only now: it waits for its turn first.
    pub fn ended(&self, uid: &str, is_certain: bool) {
        match is_certain {
            true => self.confirmed(uid),
            false => self.writing(uid),
        }
    }

    /// Records that the outcome of our last write is known.
    pub fn confirmed(&self, uid: &str) {
        if let Some(record) = self.lock().get_mut(uid) {
            record.unconfirmed = None;
        }
    }

    /// Remembers `updated_at` from the reply to our last write, because writing it to the status may fail.
    pub fn wrote_at(&self, uid: &str, updated_at: Option<String>, sent: Option<u64>) {
        let mut records = self.lock();
        let record = records.entry(uid.to_owned()).or_default();
        (record.updated_at, record.sent) = (updated_at, sent);
    }

    /// Whether our last confirmed write in this process sent this (a digest).
    pub fn has_sent(&self, uid: &str, what: u64) -> bool {
        self.lock().get(uid).is_some_and(|record| record.sent == Some(what))
    }

    /// Returns `updated_at` from the reply to our last write in this process.
    pub fn written_at(&self, uid: &str) -> Option<String> {
        self.lock().get(uid)?.updated_at.clone()
    }

    /// Whether the operator has begun a write to the server since this was asked last.
    pub fn take_write(&self, uid: &str) -> bool {
        let mut records = self.lock();
        let record = records.get_mut(uid);
        record.is_some_and(|record| std::mem::take(&mut record.untold))
    }

    /// Whether the outcome of our last write is unknown.
    pub fn is_unconfirmed(&self, uid: &str) -> bool {
        self.lock().get(uid).is_some_and(|record| record.unconfirmed.is_some())
    }

    /// Time since the latest start of a write that may still be in progress, by this process or an earlier one.
    pub fn quiet_for(&self, uid: &str) -> Duration {
        let unconfirmed = self.lock().get(uid).and_then(|record| record.unconfirmed);
        unconfirmed.map_or_else(|| self.started().elapsed(), |at| at.elapsed())
    }

    /// Another process may have written until now: it has handed a server over to this one.
    pub fn begin_again(&self) {
        *self.started.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn started(&self) -> Instant {
        *self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Record<K>>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn version<K: Resource>(object: &K) -> Option<&str> {
    object.meta().resource_version.as_deref()
}
