//! The stand-in answers as the recorded real worker did.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::tests::fresh;
use super::*;
use crate::http;

/// Recordings of a worker that had loaded nothing, and of one that had loaded a provider.
const RECORDINGS: [(&str, usize); 2] = [
    (include_str!("../../../recordings/foulkon.json"), 98),
    (include_str!("../../../recordings/foulkon-loaded.json"), 9),
];

#[derive(Deserialize)]
struct Story {
    story: String,
    exchanges: Vec<Exchange>,
}

#[derive(Deserialize)]
struct Exchange {
    request: Asked,
    response: Answered,
}

#[derive(Deserialize)]
struct Asked {
    method: String,
    path: String,
    auth: String,
    /// Sent verbatim if it is a string, else as JSON.
    body: Option<Value>,
}

#[derive(Deserialize)]
struct Answered {
    status: u16,
    content_type: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// As recorded, because the order of members counts.
    body: Box<RawValue>,
}

fn recorded(text: &str, count: usize) -> Vec<Story> {
    let stories: Vec<Story> = serde_json::from_str(text).expect("a recording");
    let found: usize = stories.iter().map(|story| story.exchanges.len()).sum();
    assert_eq!(found, count, "exchanges in the recording");
    stories
}

#[tokio::test]
async fn every_recorded_story_is_replayed() -> Result<()> {
    let (text, count) = RECORDINGS[0];
    for story in recorded(text, count) {
        let (foulkon, _alone) = fresh().await?;
        // A real worker may have loaded something when it was started.
        let about = foulkon.must("GET", "/about", None).await?;
        if story.story.contains("no provider loaded") && !about["authenticator"]["oidcProviders"].is_null() {
            assert!(Foulkon::is_real());
            continue;
        }
        replay(&foulkon, &story).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_recorded_stories_with_a_loaded_provider_are_replayed() -> Result<()> {
    if Foulkon::is_real() {
        return Ok(()); // it cannot be restarted from here
    }
    let (text, count) = RECORDINGS[1];
    for story in recorded(text, count) {
        let (mut foulkon, _alone) = fresh().await?;
        let loaded =
            json!({ "name": "loaded", "path": "/ld/", "issuerUrl": "https://id.example.com", "clients": ["app"] });
        foulkon.must("POST", "", Some(loaded)).await?;
        foulkon.restart().await?;
        replay(&foulkon, &story).await?;
    }
    Ok(())
}

async fn replay(foulkon: &Foulkon, story: &Story) -> Result<()> {
    let client = http::client();
    let mut bound = BTreeMap::new();
    for (number, Exchange { request, response }) in story.exchanges.iter().enumerate() {
        let place = format!("{}, {number}: {} {}", story.story, request.method, request.path);
        let method = Method::from_bytes(request.method.as_bytes())?;
        let mut asked = client.request(method, format!("{}{}", foulkon.address(), request.path));
        if let Some(authorization) = authorization(foulkon, &request.auth) {
            asked = asked.header("authorization", authorization);
        }
        match &request.body {
            None => {}
            Some(Value::String(text)) => asked = asked.body(text.clone()),
            Some(json) => asked = asked.body(json.to_string()),
        }
        let answer = asked.send().await.with_context(|| place.clone())?;
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        assert_eq!(answer.status().as_u16(), response.status, "{place}");
        assert_eq!(header("content-type"), response.content_type.as_deref(), "{place}");
        for (name, value) in &response.headers {
            assert_eq!(header(name), Some(value.as_str()), "{place}: {name}");
        }
        assert!(header("x-request-id").is_some_and(is_uuid), "{place}: no id");
        let found = answer.text().await?;
        let expected = match serde_json::from_str::<String>(response.body.get()) {
            Ok(text) => text,
            Err(_) => compact(&response.body)?,
        };
        if let Err(why) = fits(&expected, &found, &mut bound) {
            assert_eq!(found, expected, "{place}: {why}");
        }
    }
    Ok(())
}

/// JSON without white space, its members in the same order.
fn compact(json: &RawValue) -> Result<String> {
    let mut text = Vec::new();
    let mut reader = serde_json::Deserializer::from_str(json.get());
    serde_transcode::transcode(&mut reader, &mut serde_json::Serializer::new(&mut text))?;
    Ok(String::from_utf8(text)?)
}

fn authorization(foulkon: &Foulkon, auth: &str) -> Option<String> {
    let basic = |password: &str| {
        let pair = format!("{}:{password}", foulkon.admin().0);
        Some(format!("Basic {}", STANDARD.encode(pair)))
    };
    match auth {
        "none" => None,
        "admin" => basic(foulkon.admin().1),
        "wrong" => basic("wrong"),
        raw => Some(raw.to_owned()),
    }
}

/// Whether a body equals the recorded one byte by byte, except for its placeholders. A placeholder with a number stands
/// for the same value everywhere, and different numbers for different values.
fn fits(expected: &str, found: &str, bound: &mut BTreeMap<String, String>) -> Result<(), String> {
    let (mut expected, mut found) = (expected, found);
    while let Some((literal, rest)) = expected.split_once('<').filter(|(_, rest)| is_placeholder(rest)) {
        found = found.strip_prefix(literal).ok_or("another text")?;
        let (placeholder, after) = rest.split_once('>').ok_or("no end of a placeholder")?;
        let value;
        (value, found) = found.split_at(found.find('"').unwrap_or(found.len()));
        match placeholder {
            "time" if value.parse::<Timestamp>().is_ok_and(|time| time.to_string() == value) => {}
            "time" => return Err(format!("{value} is no time")),
            _ if !is_uuid(value) => return Err(format!("{value} is no id")),
            _ => {
                let known = bound.entry(placeholder.to_owned()).or_insert_with(|| value.to_owned());
                if known != value {
                    return Err(format!("{placeholder} was {known} and is {value}"));
                }
                if bound.iter().any(|(other, id)| other != placeholder && id == value) {
                    return Err(format!("{placeholder} is {value}, as another"));
                }
            }
        }
        expected = after;
    }
    if expected == found {
        Ok(())
    } else {
        Err("another end".to_owned())
    }
}

fn is_placeholder(rest: &str) -> bool {
    rest.starts_with("id:") || rest.starts_with("time>")
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    let hex = parts.concat();
    lengths == [8, 4, 4, 4, 12]
        && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && parts[2].starts_with('4')
        && parts[3].starts_with(['8', '9', 'a', 'b'])
}

#[test]
fn a_body_that_differs_is_detected() {
    let id = "0b0b0b0b-0000-4000-8000-000000000000";
    let fit = |expected: &str, found: &str| fits(expected, found, &mut BTreeMap::new()).is_ok();
    assert!(fit(
        r#"{"a":"<id:1>","b":"<id:1>"}"#,
        &format!(r#"{{"a":"{id}","b":"{id}"}}"#)
    ));
    assert!(!fit(
        r#"{"a":"<id:1>","b":"<id:2>"}"#,
        &format!(r#"{{"a":"{id}","b":"{id}"}}"#)
    ));
    assert!(!fit(r#"{"a":"<id:1>"}"#, r#"{"a":"1"}"#));
    assert!(fit(r#"{"a":"<time>"}"#, r#"{"a":"2026-01-02T03:04:05.00067Z"}"#));
    assert!(fit(r#"{"a":"<time>"}"#, r#"{"a":"2026-01-02T03:04:05Z"}"#));
    assert!(!fit(r#"{"a":"<time>"}"#, r#"{"a":"2026-01-02T03:04:05.000670Z"}"#));
    assert!(!fit(r#"{"a":"<time>"}"#, r#"{"a":"2026-01-02T03:04:05Z"} "#));
    assert!(!fit("<a>", "<b>"));
}
