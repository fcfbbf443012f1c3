//! A clock that goes on while the machine sleeps, for what others count on too: a Lease lapses for them while we sleep.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Longest time for one request to a server or to the Kubernetes API, reply included.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// `std::time::Instant` reads CLOCK_MONOTONIC, which stands still while the machine is suspended.
#[cfg(any(target_os = "linux", target_os = "android"))]
const CLOCK: ClockId = ClockId::Boottime;
/// Elsewhere the best that every Unix has; on macOS it counts sleep as well.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const CLOCK: ClockId = ClockId::Monotonic;

/// Time since the machine was started, the time that it slept included. Never goes back.
pub fn since_boot() -> Duration {
    let time = clock_gettime(CLOCK);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}
