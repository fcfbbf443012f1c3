//! Recorded answers of a real worker are read without loss.

use std::collections::BTreeMap;
use std::path::Path;

use oidc_operator::admin::foulkon::{Page, Provider};
use serde::Deserialize;
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::calls::{provider, substance};
use crate::json_reply;

/// The recorded workers, each with its number of exchanges.
const WORKERS: [(&str, usize); 2] = [("foulkon", 98), ("foulkon-loaded", 9)];
/// Members of a page that are not needed, because they repeat the request.
const OF_THE_QUESTION: [&str; 2] = ["limit", "offset"];

#[derive(Deserialize)]
struct Story {
    story: String,
    exchanges: Vec<Exchange>,
}

/// A request and the worker's answer.
#[derive(Deserialize)]
pub struct Exchange {
    pub request: Asked,
    pub response: Answered,
}

/// A request.
#[derive(Deserialize)]
pub struct Asked {
    pub method: String,
    pub path: String,
    /// `admin`, `wrong` (the admin with another password), `none`, or the value of `Authorization`.
    pub auth: String,
    /// A string if it was sent verbatim.
    #[serde(default)]
    pub body: Value,
}

/// An answer.
#[derive(Deserialize)]
pub struct Answered {
    pub status: u16,
    pub content_type: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// A string if it is not JSON.
    pub body: Value,
}

impl Answered {
    /// Whether it is an error in plain text or HTML, from the router or for a failed login.
    pub fn is_text(&self) -> bool {
        self.content_type
            .as_ref()
            .is_some_and(|type_| type_.starts_with("text/"))
    }

    /// The same answer, as the reply of a mock server.
    pub fn reply(&self) -> ResponseTemplate {
        let reply = match (&self.body, &self.content_type) {
            (Value::String(text), Some(type_)) => ResponseTemplate::new(self.status).set_body_raw(text.as_str(), type_),
            (Value::String(_), None) => ResponseTemplate::new(self.status),
            (body, _) => json_reply(self.status, body),
        };
        let headers = self.headers.iter();
        headers.fold(reply, |reply, (name, value)| {
            reply.insert_header(name.as_str(), value.as_str())
        })
    }
}

/// All exchanges, each with the title of its story.
pub fn exchanges() -> Vec<(String, Exchange)> {
    let mut exchanges = Vec::new();
    for (worker, count) in WORKERS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/recordings/{worker}.json"));
        let text = std::fs::read_to_string(&path).expect("a file in tests/recordings");
        let stories: Vec<Story> = serde_json::from_str(&text).expect("a recording");
        let before = exchanges.len();
        for Story { story, exchanges: told } in stories {
            exchanges.extend(told.into_iter().map(|one| (story.clone(), one)));
        }
        assert_eq!(exchanges.len() - before, count, "{worker}");
    }
    exchanges
}

/// Every provider that the worker returned, alone or among the loaded ones.
fn providers() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (story, exchange) in exchanges() {
        let body = exchange.response.body;
        let loaded = body["authenticator"]["oidcProviders"].as_array().into_iter().flatten();
        found.extend(loaded.map(|one| (story.clone(), one.clone())));
        if body["urn"].is_string() {
            found.push((story, body));
        }
    }
    found
}

#[test]
fn every_recorded_provider_is_read_without_loss() {
    let found = providers();
    for (story, body) in &found {
        let read: Provider = serde_json::from_value(body.clone()).expect("a provider");
        assert_eq!(provider(read), substance("get", body), "{story}");
        let known = ["createAt", "id", "issuerUrl", "name", "path", "updateAt", "urn"];
        let members = body.as_object().into_iter().flatten().map(|(name, _)| name);
        let members: Vec<&String> = members.filter(|name| *name != "clients").collect();
        assert_eq!(members, known, "{story}");
    }
    let count = |wanted: fn(&Value) -> bool| found.iter().filter(|(_, body)| wanted(&body["clients"])).count();
    let without = count(Value::is_null);
    let nameless = count(|clients| *clients == json!([{}]));
    assert_eq!((found.len(), without, nameless), (36, 5, 2));
}

#[test]
fn every_recorded_page_is_read_and_has_only_known_members() {
    let mut sizes = Vec::new();
    for (story, exchange) in exchanges() {
        let body = &exchange.response.body;
        if body["total"].is_null() {
            continue;
        }
        let page: Page = serde_json::from_value(body.clone()).expect("a page");
        let shown = json!({ "providers": page.providers, "total": page.total });
        assert_eq!(shown, substance("list", body), "{story}");
        let members = body.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
        let unknown: Vec<&str> = members
            .filter(|name| !OF_THE_QUESTION.contains(name) && shown.get(name).is_none())
            .collect();
        assert!(unknown.is_empty(), "{story}: {unknown:?}");
        sizes.push((page.providers.len(), page.total));
    }
    assert_eq!(sizes, [(0, 0), (1, 1), (2, 3), (1, 3), (3, 3), (3, 3), (1, 1)]);
}

#[test]
fn the_urn_of_a_provider_is_made_of_its_path_and_name() {
    for (story, body) in providers() {
        let read: Provider = serde_json::from_value(body).expect("a provider");
        assert_eq!(
            *read.urn,
            format!("urn:iws:auth::oidc{}{}", read.path, read.name),
            "{story}"
        );
    }
}

#[test]
fn an_error_is_json_with_code_and_message_or_text_before_the_login_or_from_the_router() {
    let mut seen: BTreeMap<(u16, String), usize> = BTreeMap::new();
    for (story, exchange) in exchanges() {
        let answered = &exchange.response;
        if answered.status < 300 {
            continue;
        }
        let kind = match answered.body.as_object() {
            None => "text".to_owned(),
            Some(members) => {
                assert_eq!(members.keys().collect::<Vec<_>>(), ["code", "message"], "{story}");
                answered.body["code"].as_str().expect("text").to_owned()
            }
        };
        assert_eq!(answered.is_text(), kind == "text", "{story}");
        *seen.entry((answered.status, kind)).or_default() += 1;
    }
    let expected = [
        (301, "text", 1),
        (400, "InvalidParameterError", 32),
        (400, "text", 6),
        (401, "text", 7),
        (404, "AuthOidcProviderWithNameNotFound", 5),
        (404, "text", 1),
        (405, "text", 3),
        (409, "AuthOidcProviderAlreadyExist", 4),
        (500, "UnknownApiError", 1),
    ];
    let expected = expected.map(|(status, kind, count)| ((status, kind.to_owned()), count));
    assert_eq!(seen, BTreeMap::from(expected));
}
