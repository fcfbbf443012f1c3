//! Waiting for a condition, always with a deadline.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::{Instant, sleep, timeout_at};

/// Time between two checks of a condition.
const INTERVAL: Duration = Duration::from_millis(25);

/// Calls `probe` until it returns a value, and gives up after `limit`.
///
/// `what` completes the sentence "waiting for …". A probe answers `Ok(None)` for "not yet"; an error of the probe ends
/// the wait at once. A probe that hangs is cut off at the deadline.
///
/// # Errors
/// The probe's own error, or one that names `what` and `limit` when the time is up.
pub async fn until<T>(what: &str, limit: Duration, mut probe: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        match timeout_at(deadline, probe()).await {
            Ok(Ok(Some(value))) => return Ok(value),
            Ok(Ok(None)) if Instant::now() < deadline => sleep(INTERVAL).await,
            Ok(Err(error)) => return Err(error).with_context(|| format!("waiting for {what}")),
            Ok(Ok(None)) | Err(_) => bail!("gave up after {limit:?} waiting for {what}"),
        }
    }
}
