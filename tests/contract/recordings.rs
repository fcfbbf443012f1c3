//! Recorded answers of real servers are read, no secret in them is kept, and our members survive the round trip.

use std::collections::BTreeSet;
use std::path::Path;

use oidc_operator::admin::hydra::Client;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Story {
    story: String,
    exchanges: Vec<Exchange>,
}

/// A request and a real server's answer.
#[derive(Deserialize)]
pub struct Exchange {
    pub request: Asked,
    pub response: Answered,
}

/// A request. `{A}` in its path is the prefix of the version.
#[derive(Deserialize)]
pub struct Asked {
    pub method: String,
    pub path: String,
    #[serde(default)]
    pub body: Value,
}

/// An answer.
#[derive(Deserialize)]
pub struct Answered {
    pub status: u16,
    #[serde(default)]
    pub body: Value,
}

/// The recorded versions.
pub const VERSIONS: [&str; 3] = ["1.11.10", "2.3.0", "26.2.0"];

fn recorded(version: &str) -> Vec<Story> {
    let more = if version == "26.2.0" { &["-device"][..] } else { &[] };
    let files = [""].iter().chain(more);
    let stories = |part: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/recordings/hydra-{version}{part}.json"));
        let text = std::fs::read_to_string(&path).expect("a file in tests/recordings");
        serde_json::from_str::<Vec<Story>>(&text).expect("a recording")
    };
    files.flat_map(|part| stories(part)).collect()
}

impl Exchange {
    /// The part of the path after `/clients`, without query, if the request is about clients.
    fn about_clients(&self) -> Option<&str> {
        let path = self.request.path.trim_start_matches("{A}").trim_start_matches("/admin");
        path.split('?').next()?.strip_prefix("/clients")
    }

    fn succeeded(&self) -> bool {
        (200..300).contains(&self.response.status)
    }

    /// Clients in the reply: one, or those of a list.
    fn clients(&self) -> Vec<&Value> {
        if self.about_clients().is_none() || !self.succeeded() {
            return Vec::new();
        }
        match &self.response.body {
            Value::Array(list) => list.iter().collect(),
            Value::Object(_) => vec![&self.response.body],
            _ => Vec::new(),
        }
    }

    /// The client that was sent, and the client in the reply.
    fn echo(&self) -> Option<(Client, Client)> {
        if !matches!(self.request.method.as_str(), "POST" | "PUT") {
            return None;
        }
        let client = |value: &Value| Client::parse(value.clone());
        let echo = client(self.clients().first()?)?;
        let mut sent = client(&self.request.body)?;
        // The path decides on the id; without one, the server chooses it.
        sent.client_id.clone_from(&echo.client_id);
        Some((sent, echo))
    }
}

/// All exchanges with a version, each with the title of its story.
pub fn exchanges(version: &str) -> Vec<(String, Exchange)> {
    let stories = recorded(version).into_iter();
    stories
        .flat_map(|story| {
            story
                .exchanges
                .into_iter()
                .map(move |exchange| (story.story.clone(), exchange))
        })
        .collect()
}

#[test]
fn every_recorded_client_can_be_read() {
    for (version, least) in VERSIONS.into_iter().zip([20, 20, 20]) {
        let mut count = 0;
        for (story, exchange) in exchanges(version) {
            for body in exchange.clients() {
                let client = Client::parse(body.clone());
                let client = client.unwrap_or_else(|| panic!("{version}, {story}: {body}"));
                assert_eq!(client.client_id, body["client_id"], "{version}, {story}");
                assert_eq!(
                    client.updated_at.as_deref(),
                    body["updated_at"].as_str(),
                    "{version}, {story}"
                );
                count += 1;
            }
        }
        assert!(count >= least, "{version}: {count} clients");
    }
}

#[test]
fn no_secret_of_a_recorded_client_is_kept() {
    let secret = ["client_secret", "registration_access_token", "registration_client_uri"];
    for version in VERSIONS {
        let mut seen = 0;
        for (story, exchange) in exchanges(version) {
            for body in exchange.clients() {
                let client = Client::parse(body.clone()).expect("a client");
                let kept = format!("{client:?}");
                let sent = String::from_utf8(client.body(None)).expect("UTF-8");
                for name in secret {
                    assert!(!sent.contains(&format!("\"{name}\":")), "{version}, {story}: {name}");
                    if let Some(value) = body[name].as_str() {
                        assert!(
                            !kept.contains(value) && !sent.contains(value),
                            "{version}, {story}: {name}"
                        );
                        seen += 1;
                    }
                }
            }
        }
        assert!(seen > 0, "{version}: no secrets in the recording");
    }
}

/// Members that the server fills in if they are not sent. We always send them.
const FILLED_IN: [&str; 3] = ["scope", "subject_type", "token_endpoint_auth_method"];

#[test]
fn a_sent_client_does_not_differ_from_its_echo() {
    for version in VERSIONS {
        let mut count = 0;
        for (story, exchange) in exchanges(version) {
            let Some((sent, echo)) = exchange.echo() else { continue };
            let asked = &exchange.request.body;
            let mut differences = sent.differences(&echo);
            differences.retain(|name| !FILLED_IN.contains(&name.as_str()) || asked.get(name).is_some());
            // Version 1 does not keep members that it does not know.
            let lost: &[&str] = match version {
                "1.11.10" if asked["skip_consent"] == true => {
                    &["access_token_strategy", "skip_consent", "skip_logout_consent"]
                }
                _ => &[],
            };
            assert_eq!(differences, lost, "{version}, {story}: {asked}");
            count += 1;
        }
        assert!(count >= 8, "{version}: {count} echoes");
    }
}

#[test]
fn a_sent_client_does_not_differ_from_the_next_read() {
    for version in VERSIONS {
        let mut count = 0;
        let all = exchanges(version);
        for pair in all.windows(2) {
            let [(story, write), (_, read)] = pair else { continue };
            let Some((sent, echo)) = write.echo() else { continue };
            if read.request.method != "GET" || read.about_clients() != Some(&format!("/{}", sent.client_id)) {
                continue;
            }
            let stored = Client::parse(read.response.body.clone()).expect("a client");
            assert_eq!(echo.differences(&stored), Vec::<String>::new(), "{version}, {story}");
            let mut differences = sent.differences(&stored);
            differences.retain(|name| !FILLED_IN.contains(&name.as_str()));
            if version != "1.11.10" {
                assert_eq!(differences, Vec::<String>::new(), "{version}, {story}");
            }
            count += 1;
        }
        assert!(count >= 3, "{version}: {count} reads after a write");
    }
}

/// A PUT of a client that was read, unknown members included, changes nothing.
#[test]
fn a_client_that_was_read_can_be_sent_back() {
    for version in VERSIONS {
        for (story, exchange) in exchanges(version) {
            for body in exchange.clients() {
                let client = Client::parse(body.clone()).expect("a client");
                let sent: Value = serde_json::from_slice(&client.body(None)).expect("JSON");
                assert_eq!(
                    Client::parse(sent).map(|again| again.differences(&client)),
                    Some(vec![]),
                    "{version}, {story}"
                );
            }
        }
    }
}

/// Names of the members of all recorded clients.
fn members(version: &str) -> BTreeSet<String> {
    let all = exchanges(version);
    let clients = all.iter().flat_map(|(_, exchange)| exchange.clients());
    clients
        .filter_map(Value::as_object)
        .flat_map(|client| client.keys().cloned())
        .collect()
}

#[test]
fn a_newer_server_adds_only_known_members() {
    let newer: Vec<String> = members("26.2.0").difference(&members("2.3.0")).cloned().collect();
    let device = ["access", "id", "refresh"].map(|token| format!("device_authorization_grant_{token}_token_lifespan"));
    assert_eq!(newer, device);
    assert!(members("2.3.0").is_subset(&members("26.2.0")));
}

#[test]
fn every_recorded_refusal_of_a_client_is_hydras_own() {
    for version in VERSIONS {
        for (story, exchange) in exchanges(version) {
            let refused = (400..500).contains(&exchange.response.status);
            let path = &exchange.request.path;
            // A route that no release has.
            let is_unknown = path.contains("/secrets/rotate");
            if !path.starts_with("{A}/clients") || is_unknown || !refused {
                continue;
            }
            // This distinguishes a 404 or 409 of Hydra from that of a proxy.
            let error = &exchange.response.body["error"];
            assert!(error.is_string(), "{version}, {story}: {}", exchange.response.body);
        }
    }
}
