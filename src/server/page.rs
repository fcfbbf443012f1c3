//! A text that is dear to make and asked for by anybody: made at most once a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use tokio::sync::Mutex;

/// How old the text may be.
pub const AGE: Duration = Duration::from_secs(1);

/// The last text, and when it was made.
#[derive(Default)]
pub struct Page {
    latest: Arc<Mutex<Option<(Instant, Bytes)>>>,
}

impl Page {
    /// The text, no older than [`AGE`]. Those who ask while it is made wait for it and share it. None if `make` panics.
    pub async fn text(&self, make: impl FnOnce() -> String + Send + 'static) -> Option<Bytes> {
        let mut latest = self.latest.clone().lock_owned().await;
        if let Some((made, text)) = &*latest
            && made.elapsed() < AGE
        {
            return Some(text.clone());
        }
        // A task of its own, which takes the lock along: whoever asked may be cut off meanwhile, and the next one must not begin anew.
        let made = tokio::spawn(async move {
            let text = Bytes::from(tokio::task::spawn_blocking(make).await.ok()?);
            *latest = Some((Instant::now(), text.clone()));
            Some(text)
        });
        made.await.ok()?
    }
}
