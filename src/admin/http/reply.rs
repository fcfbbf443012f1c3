//! What a reply, or its absence, means: the same for every operation.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;
use serde_json::value::RawValue;

use super::failure::{ErrorBody, Failure, RedirectTo};
use crate::error::Outage;

/// What the body of a successful reply contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expects {
    /// JSON, or nothing.
    Json,
    /// JSON with many objects.
    Many,
    /// A JSON list that also holds objects of others. Each is decoded separately, so that one cannot break the rest
    /// ([`items`]).
    Items,
    /// Text, which is not parsed.
    Text,
}

impl Expects {
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Expects::Json | Expects::Many | Expects::Items => "application/json",
            Expects::Text => "text/plain",
        }
    }
}

/// Maximum number of values in a reply: in memory each takes many times its size on the wire. A page of real clients
/// has a tenth.
const VALUES: usize = 500_000;

/// Reads a body of at most `limit` bytes.
pub(super) async fn read(mut response: reqwest::Response, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => return Ok(body),
            Ok(Some(chunk)) if body.len() + chunk.len() > limit => {
                return Err(Failure::TooLarge(None));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Err(error) if error.is_timeout() => return Err(Failure::Outage(Outage::Silent)),
            Err(_) => return Err(Failure::Outage(Outage::Broken)),
        }
    }
}

/// Approximate number of values in a JSON text: each but the outermost follows a comma or an opening bracket outside a
/// string.
pub fn values(text: &[u8]) -> usize {
    let (mut count, mut in_string, mut escaped) = (0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' | b'[' | b'{' if !in_string => count += 1,
            _ => {}
        }
    }
    count
}

/// Decodes the items of a JSON list, at most `most`. An item that is nested too deeply or is not JSON is None; only a
/// text that is not a list fails as a whole. One item at a time is in memory as a tree.
///
/// # Errors
/// [`Failure::Reply`] if the text is not a list, or has more items.
pub fn items<T>(text: &[u8], most: usize, decode: impl Fn(Value) -> T) -> Result<Vec<Option<T>>, Failure> {
    let text = readable(text);
    let raw: Vec<&RawValue> = serde_json::from_str(&text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Failure::Reply("is not a list"),
        _ => Failure::Reply("is not JSON"),
    })?;
    if raw.len() > most {
        return Err(Failure::Reply("has more entries than requested"));
    }
    let items = raw.into_iter();
    Ok(items
        .map(|item| serde_json::from_str(item.get()).ok().map(&decode))
        .collect())
}

/// Replaces invalid UTF-8, so that one item does not break the others. The text does not become longer.
fn readable(text: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(text) {
        return Cow::Borrowed(text);
    }
    let mut readable = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        readable.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            readable.push('?');
        }
    }
    Cow::Owned(readable)
}

/// Size in bytes of a JSON text that a server written in Go encodes: it escapes `<`, `>`, `&`, U+2028 and U+2029 in six
/// bytes each. Older servers escape backspace and form feed too.
pub fn size_in_go(text: &[u8]) -> usize {
    let mut escapes = text.iter().filter(|byte| matches!(byte, b'<' | b'>' | b'&')).count() * 5;
    escapes += text
        .windows(3)
        .filter(|bytes| matches!(bytes, [0xe2, 0x80, 0xa8 | 0xa9]))
        .count()
        * 3;
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        if *byte == b'\\' && matches!(bytes.next(), Some(b'b' | b'f')) {
            escapes += 4;
        }
    }
    text.len() + escapes
}

/// Nesting depth of a JSON text.
pub fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// What a status and a body mean, the same for every operation.
pub(super) fn judge(
    status: StatusCode,
    retry_after: Option<Duration>,
    body: &[u8],
    expects: Expects,
    errors: ErrorBody,
) -> Result<Value, Failure> {
    if status.is_success() && expects == Expects::Text {
        let text = std::str::from_utf8(body).map_err(|_| Failure::Reply("is not text"))?;
        return Ok(Value::String(text.to_owned()));
    }
    if values(body) > VALUES {
        return Err(Failure::TooLarge(None));
    }
    if status.is_success() && expects == Expects::Items {
        return Ok(Value::Null);
    }
    let json: Option<Value> = serde_json::from_slice(body).ok();
    if status.is_success() {
        return match json {
            Some(json) => Ok(json),
            None if body.is_empty() => Ok(Value::Null),
            None => Err(Failure::Reply("is not JSON")),
        };
    }
    Err(refused(status.as_u16(), retry_after, json.as_ref(), errors))
}

/// What a reply with an error status means.
fn refused(code: u16, retry_after: Option<Duration>, json: Option<&Value>, errors: ErrorBody) -> Failure {
    let text = |key: &str| json.and_then(|json| json.get(key)?.as_str());
    let kept = |key: &str| text(key).map(beginning);
    let (error, description) = match errors {
        ErrorBody::OAuth => (kept("error"), kept("error_description")),
        ErrorBody::Listed => {
            let said = json.and_then(listed);
            (said.as_ref().map(|_| String::new()), said)
        }
        ErrorBody::Coded => (kept("code"), kept("message")),
    };
    match code {
        // Until Foulkon accepts the login, its errors are text.
        400 if errors == ErrorBody::Coded && error.is_none() => Failure::Refused(code),
        403 if errors == ErrorBody::Coded && error.is_some() => Failure::Denied,
        // Hydra says so of a user's login or consent request. A proxy that refuses the operator's login answers
        // differently.
        401 if error.as_deref() == Some("request_unauthorized") => Failure::Expired,
        410 if text("redirect_to").is_some() => {
            let target = text("redirect_to").map(str::to_owned);
            Failure::Handled(target.map(RedirectTo::new))
        }
        401 | 403 => Failure::Refused(code),
        // A lost race for a row, which Hydra reports as the caller's fault.
        400 if error
            .as_deref()
            .is_some_and(|e| e.starts_with("Unable to serialize access")) =>
        {
            Failure::Outage(Outage::Busy)
        }
        408 | 429 | 500..=599 => Failure::Outage(Outage::Status(code, retry_after)),
        300..=399 => Failure::Reply("is a redirect"),
        code => Failure::Status {
            code,
            error,
            description: description.unwrap_or_default(),
        },
    }
}

/// The texts of a list of errors, joined.
fn listed(json: &Value) -> Option<String> {
    let texts: Vec<&str> = json
        .get("errors")?
        .as_array()?
        .iter()
        .filter_map(Value::as_str)
        .collect();
    Some(beginning(&texts.join("; ")))
}

/// The part of an error's text that is searched.
fn beginning(text: &str) -> String {
    const CHARACTERS: usize = 1024;
    text.chars().take(CHARACTERS).collect()
}

/// How long the server asks clients to wait: `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3), or what
/// rate limiters send instead: the time until their period ends, or its end as a Unix time. At most five minutes.
pub(super) fn retry_after(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    const LONGEST: Duration = Duration::from_secs(300);
    /// Numbers from here on are Unix times: as a duration this would be 30 years.
    const UNIX_TIMES: u64 = 1_000_000_000;
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let from_now = |at: SystemTime| at.duration_since(now).unwrap_or_default();
    let date = |value: &str| httpdate::parse_http_date(value).ok().map(from_now);
    let seconds = |value: &str| value.parse().ok().map(Duration::from_secs);
    let reset = |name: &str| {
        let time = text(name).and_then(seconds)?;
        match time.as_secs() {
            UNIX_TIMES.. => SystemTime::UNIX_EPOCH.checked_add(time).map(from_now),
            _ => Some(time),
        }
    };
    let asked = text(RETRY_AFTER.as_str()).and_then(|value| seconds(value).or_else(|| date(value)));
    // Some gateways send these headers with every reply.
    let is_limited = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let asked = asked.or_else(|| is_limited.then(|| reset("x-ratelimit-reset"))?);
    let asked = asked.or_else(|| is_limited.then(|| reset("ratelimit-reset"))?);
    asked.map(|asked| asked.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_and_body_have_one_meaning() {
        let busy = br#"{"error":"Unable to serialize access due to a concurrent update in another session","error_description":""}"#;
        let cases: [(u16, &[u8], Result<Value, Failure>); 10] = [
            (200, b"{}", Ok(serde_json::json!({}))),
            (204, b"", Ok(Value::Null)),
            (200, b"<html>", Err(Failure::Reply("is not JSON"))),
            (400, busy, Err(Failure::Outage(Outage::Busy))),
            (401, b"", Err(Failure::Refused(401))),
            (401, br#"{"error":"request_unauthorized"}"#, Err(Failure::Expired)),
            (
                410,
                br#"{"redirect_to":"https://id/x"}"#,
                Err(Failure::Handled(Some(RedirectTo::new("https://id/x".to_owned())))),
            ),
            (307, b"", Err(Failure::Reply("is a redirect"))),
            (503, b"oops", Err(Failure::Outage(Outage::Status(503, None)))),
            (
                404,
                b"404 page not found",
                Err(Failure::Status {
                    code: 404,
                    error: None,
                    description: String::new(),
                }),
            ),
        ];
        for (code, body, expected) in cases {
            let status = StatusCode::from_u16(code).expect("a status");
            assert_eq!(
                judge(status, None, body, Expects::Json, ErrorBody::OAuth),
                expected,
                "{code} {}",
                String::from_utf8_lossy(body)
            );
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = "[".repeat(100_000);
        assert_eq!(
            judge(StatusCode::OK, None, deep.as_bytes(), Expects::Json, ErrorBody::OAuth),
            Err(Failure::Reply("is not JSON"))
        );
    }

    #[test]
    fn a_date_in_retry_after_counts_from_now() {
        let now = httpdate::parse_http_date("Wed, 21 Oct 2026 07:28:00 GMT").expect("a date");
        let table = [
            ("Wed, 21 Oct 2026 07:28:30 GMT", Some(30)),
            ("Wednesday, 21-Oct-26 07:28:30 GMT", Some(30)),
            ("Wed Oct 21 07:28:30 2026", Some(30)),
            ("Wed, 21 Oct 2026 07:27:59 GMT", Some(0)),
            ("Wed, 21 Oct 2026 09:00:00 GMT", Some(300)),
            ("tomorrow", None),
        ];
        for (value, expected) in table {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().expect("a header"))]);
            assert_eq!(
                retry_after(StatusCode::TOO_MANY_REQUESTS, &headers, now),
                expected.map(Duration::from_secs),
                "{value}"
            );
        }
    }

    #[test]
    fn rate_limiters_send_a_duration_or_a_time() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        let table = [
            ("0", Some(0)),
            ("7", Some(7)),
            ("999999999", Some(300)),
            ("1790000007", Some(7)),
            ("1789999999", Some(0)),
            ("1800000000", Some(300)),
            ("18446744073709551615", None),
            ("99999999999999999999", None),
            ("-1", None),
            ("", None),
        ];
        for name in ["x-ratelimit-reset", "ratelimit-reset"] {
            for (value, expected) in table {
                let name = reqwest::header::HeaderName::from_static(name);
                let headers = HeaderMap::from_iter([(name, value.parse().expect("a header"))]);
                assert_eq!(
                    retry_after(StatusCode::TOO_MANY_REQUESTS, &headers, now),
                    expected.map(Duration::from_secs),
                    "{value}"
                );
            }
        }
    }
}
