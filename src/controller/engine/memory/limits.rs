//! How often something is done for one resource: events, repairs of its status, full passes that users request.

use std::time::{Duration, Instant};

use kube::Resource;

use super::Memory;

impl<K: Resource<DynamicType = ()>> Memory<K> {
    /// Whether one more event of a resource may be published.
    pub fn may_publish(&self, uid: &str) -> bool {
        let mut records = self.lock();
        records.entry(uid.to_owned()).or_default().events.take(Instant::now())
    }

    /// Whether an event has to tell that the object of a resource is gone or released. It does so once, however often the
    /// rest of the cleanup is retried.
    pub fn ends(&self, uid: &str) -> bool {
        let mut records = self.lock();
        let record = records.entry(uid.to_owned()).or_default();
        !std::mem::replace(&mut record.ended, true)
    }

    /// The resource has an object again.
    pub fn lives(&self, uid: &str) {
        if let Some(record) = self.lock().get_mut(uid) {
            record.ended = false;
        }
    }

    /// Whether a status of another writer is corrected at once. This is limited, because two writers that disagree
    /// would otherwise write forever.
    pub fn may_repair(&self, uid: &str) -> bool {
        let mut records = self.lock();
        records.entry(uid.to_owned()).or_default().repairs.take(Instant::now())
    }

    /// Accepts a request for a full pass: it marks the resource. A request that was accepted before is accepted again, so
    /// that retries count as one request. Returns the time until the request can be accepted, if there were too many.
    pub fn ask(&self, uid: &str, request: &str) -> Option<Duration> {
        let mut records = self.lock();
        let record = records.entry(uid.to_owned()).or_default();
        if record.asked.as_deref() == Some(request) {
            return None;
        }
        let now = Instant::now();
        if !record.asks.take(now) {
            return Some(record.asks.wait(now));
        }
        record.asked = Some(request.into());
        record.marked += 1;
        None
    }

    /// Forgets the accepted request, because it was handled.
    pub fn answered(&self, uid: &str) {
        if let Some(record) = self.lock().get_mut(uid) {
            record.asked = None;
        }
    }
}
