//! A clock that keeps counting while the machine is suspended: for other instances, our Lease expires meanwhile. And how
//! times are told.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// Longest time for one request to a server or to the Kubernetes API, reply included.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// `std::time::Instant` reads CLOCK_MONOTONIC, which stops while the machine is suspended.
#[cfg(any(target_os = "linux", target_os = "android"))]
const CLOCK: ClockId = ClockId::Boottime;
/// The best clock that every other Unix has. On macOS it counts sleep as well.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const CLOCK: ClockId = ClockId::Monotonic;

/// A time as a status tells it (RFC 3339), in whole seconds.
pub fn told(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

/// Time since the machine started, including the time that it was suspended. Never goes back.
pub fn since_boot() -> Duration {
    let time = clock_gettime(CLOCK);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}
