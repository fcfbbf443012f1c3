//! Circuit breaker of one server: after a failure nobody asks but the prober, however many resources wait.

use std::sync::atomic::{AtomicBool, Ordering};

/// Open or closed. Opened by the first failure that speaks of the server rather than of one request; closed by the prober's success.
#[derive(Default)]
pub struct Breaker {
    open: AtomicBool,
}

impl Breaker {
    /// Whether requests other than the prober's are held back.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Opens it.
    pub fn open(&self) {
        self.open.store(true, Ordering::Release);
    }

    /// Closes it.
    pub fn close(&self) {
        self.open.store(false, Ordering::Release);
    }
}
