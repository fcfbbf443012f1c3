//! Applications that log in all the while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use std::time::Duration;

use testbed::oauth;
use tokio::task::JoinHandle;

/// Distance of two logins: Hydra's hashes would otherwise take all that the machine has.
const PACE: Duration = Duration::from_millis(40);

/// Id and secret of an application.
pub type Login = (String, String);

/// A probe that never stops until it is asked to.
pub struct Probe {
    ends: Arc<AtomicBool>,
    task: JoinHandle<(usize, Vec<String>)>,
}

impl Probe {
    /// Logs in with all of them, one after the other, again and again.
    pub fn start(public_url: String, logins: Vec<Login>) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&ends);
        let task = tokio::spawn(async move {
            let (mut count, mut failed) = (0, Vec::new());
            let mut pace = tokio::time::interval(PACE);
            'all: loop {
                for (id, secret) in &logins {
                    if asked.load(Ordering::Relaxed) {
                        break 'all;
                    }
                    pace.tick().await;
                    count += 1;
                    if let Err(error) = oauth::client_credentials(&public_url, id, secret, "").await {
                        failed.push(format!("{error:#}"));
                    }
                }
            }
            (count, failed)
        });
        Self { ends, task }
    }

    /// Ends it. Returns the number of logins, and why some of them failed.
    pub async fn end(self) -> (usize, Vec<String>) {
        self.ends.store(true, Ordering::Relaxed);
        self.task.await.unwrap_or_else(|error| (0, vec![error.to_string()]))
    }
}
