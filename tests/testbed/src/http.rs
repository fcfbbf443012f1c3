//! The HTTP client of the testbed's own probes.

use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::RequestBuilder;
use serde_json::Value;

/// Longest wait for one answer: a server on an overloaded machine is slow and not broken.
const TIMEOUT: Duration = Duration::from_secs(30);

/// One for all: each would read all certificates of the machine. It keeps no connections, which would belong to the
/// runtime that made them.
static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
    crate::init();
    reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TIMEOUT)
        .build()
        .expect("the TLS provider is installed, and nothing else can fail")
});

/// A client for servers on loopback: it ignores the proxies that the environment names, follows no redirects and gives
/// each request half a minute.
#[must_use]
pub fn client() -> reqwest::Client {
    CLIENT.clone()
}

/// Whether a GET of `url` is answered with a success status.
pub async fn answers_ok(url: &str) -> bool {
    client()
        .get(url)
        .send()
        .await
        .is_ok_and(|answer| answer.status().is_success())
}

/// Sends a request, with a body of JSON if there is one, and returns the status and the body of the answer. `what`: the
/// request, for messages.
///
/// # Errors
/// When there is no answer.
pub async fn exchange(request: RequestBuilder, body: Option<Value>, what: &str) -> Result<(u16, Value)> {
    let request = match body {
        Some(body) => request
            .header("content-type", "application/json")
            .body(body.to_string()),
        None => request,
    };
    let answer = request.send().await.with_context(|| what.to_owned())?;
    let status = answer.status().as_u16();
    let body = answer.text().await.with_context(|| what.to_owned())?;
    Ok((status, parse(&body)))
}

/// The content of a body: null when it is empty, a string when it is not JSON.
pub(crate) fn parse(body: &str) -> Value {
    match body.trim() {
        "" => Value::Null,
        body => serde_json::from_str(body).unwrap_or_else(|_| body.into()),
    }
}
