//! A text that is dear to make and asked for by anybody: made now and then, however often it is asked for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use tokio::sync::Mutex;

/// How old the text may be, unless it is said.
pub const AGE: Duration = Duration::from_secs(1);

/// The last text, and when it was made.
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
    /// A text that may be so old.
    pub fn new(most: Duration) -> Self {
        let latest = Arc::default();
        Page { most, latest }
    }

    /// The text, no older than it may be. Those who ask while it is made wait for it and share it. None if `make` panics.
    pub async fn text(&self, make: impl FnOnce() -> String + Send + 'static) -> Option<Bytes> {
        let mut latest = self.latest.clone().lock_owned().await;
        if let Some((made, text)) = &*latest
            && made.elapsed() < self.most
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
