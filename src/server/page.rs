//! A text that is expensive to render and that anybody may request: rendered now and then, however often it is
//! requested.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use tokio::sync::Mutex;

/// Default maximum age of the text.
pub const AGE: Duration = Duration::from_secs(1);

/// The latest text, and when it was rendered.
pub struct Page {
    most: Duration,
    latest: Arc<Mutex<Option<(Instant, Bytes)>>>,
}

impl Default for Page {
    fn default() -> Self {
        Page::new(AGE)
    }
}

impl Page {
    /// An empty page; `most` is the maximum age of its text.
    pub fn new(most: Duration) -> Self {
        let latest = Arc::default();
        Page { most, latest }
    }

    /// The text, no older than the maximum age. Concurrent callers wait for one rendering and share it. None if `make`
    /// panics.
    pub async fn text(&self, make: impl FnOnce() -> String + Send + 'static) -> Option<Bytes> {
        let mut latest = self.latest.clone().lock_owned().await;
        if let Some((made, text)) = &*latest
            && made.elapsed() < self.most
        {
            return Some(text.clone());
        }
        // A separate task holds the lock: the caller may be cut off meanwhile, and the next caller must not start over.
        let made = tokio::spawn(async move {
            let text = Bytes::from(tokio::task::spawn_blocking(make).await.ok()?);
            *latest = Some((Instant::now(), text.clone()));
            Some(text)
        });
        made.await.ok()?
    }
}
