//! The version that a server reports, on which everything else depends.

use reqwest::Method;
use serde_json::Value;

use crate::admin::http::{Failure, Http, Request};

/// `get_version`: the version that the server reports. Also the probe of the circuit breaker, unless the version is set.
/// The path has no prefix on any version.
///
/// # Errors
/// [`Failure`].
pub async fn get_version(http: &Http) -> Result<String, Failure> {
    let reply = http
        .send(Request {
            probe: true,
            ..Request::new("get_version", Method::GET, &["version"])
        })
        .await?;
    let version = reply
        .body
        .get("version")
        .and_then(Value::as_str)
        .filter(|v| !v.is_empty() && v.len() <= 64 && v.bytes().all(|b| b.is_ascii_graphic()));
    version.map(str::to_owned).ok_or(Failure::Reply("holds no version"))
}
