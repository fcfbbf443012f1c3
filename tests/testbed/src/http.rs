//! The HTTP client of the testbed's own probes.

use std::time::Duration;

/// Longest wait for one answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A client for servers on loopback: it ignores the proxies that the environment names, follows no redirects and gives
/// each request 10 seconds.
#[must_use]
pub fn client() -> reqwest::Client {
    crate::init();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TIMEOUT)
        .build()
        .expect("the TLS provider is installed, and nothing else can fail")
}

/// Whether a GET of `url` is answered with a status of success.
pub(crate) async fn answers_ok(url: &str) -> bool {
    client()
        .get(url)
        .send()
        .await
        .is_ok_and(|answer| answer.status().is_success())
}
