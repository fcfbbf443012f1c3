//! Recorded answers of real servers are read without loss and are the same for both flavours.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use oidc_operator::admin::vault::{Assignment, Client, Key, Object, Provider, Scope};
use serde::Deserialize;
use serde_json::{Value, json};

use super::objects::{Tested, parse, plain, with};
use crate::recordings::Exchange;

/// The recorded servers.
pub const SERVERS: [&str; 2] = [OPENBAO, VAULT];
pub const OPENBAO: &str = "openbao-2.7.2";
pub const VAULT: &str = "vault-1.19.5";

/// Placeholders in a recording for values that it shows elsewhere or not at all.
const STAND_INS: [(&str, &str); 4] = [
    ("{c1.client_id}", "<client_id:1>"),
    ("{e1.id}", "<uuid:2>"),
    ("{g1.id}", "<uuid:3>"),
    ("<server>", "vault.example.com:8200"),
];

/// Members of a client that OpenBao has and Vault lacks.
const GRANTS: [&str; 2] = ["authorization_code", "client_credentials"];

#[derive(Deserialize)]
struct Story {
    story: String,
    exchanges: Vec<Exchange>,
}

/// All exchanges with a server, each with the title of its story.
pub fn exchanges(server: &str) -> Vec<(String, Exchange)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/recordings/{server}.json"));
    let mut text = std::fs::read_to_string(&path).expect("a file in tests/recordings");
    for (stand_in, value) in STAND_INS {
        text = text.replace(stand_in, value);
    }
    let stories: Vec<Story> = serde_json::from_str(&text).expect("a recording");
    let exchanges = stories.into_iter().flat_map(|story| {
        let title = story.story;
        story.exchanges.into_iter().map(move |one| (title.clone(), one))
    });
    exchanges.collect()
}

/// Segments of a path below `identity/oidc`, without query.
pub fn below(path: &str) -> Option<Vec<&str>> {
    let path = path.split('?').next()?.strip_prefix("identity/oidc/")?;
    Some(path.split('/').collect())
}

/// The objects in a reply to a read or to a list with fields, each with its type and name.
fn bodies(exchange: &Exchange) -> Vec<(&str, &str, &Value)> {
    let (asked, body) = (&exchange.request, &exchange.response.body);
    let path = below(&asked.path).unwrap_or_default();
    if exchange.response.status != 200 {
        return Vec::new();
    }
    match (asked.method.as_str(), path.as_slice()) {
        ("GET", [type_, name]) => vec![(type_, name, &body["data"])],
        ("GET" | "LIST", [type_]) => {
            let listed = body["data"]["key_info"].as_object().into_iter().flatten();
            listed.map(|(name, fields)| (*type_, name.as_str(), fields)).collect()
        }
        _ => Vec::new(),
    }
}

/// A body as the wire type of a type reads it. None if it cannot be read.
fn read(type_: &str, body: &Value) -> Option<Value> {
    fn shown<O: Tested>(body: &Value) -> Option<Value> {
        parse::<O>(body).map(|object| object.shown())
    }
    match type_ {
        "assignment" => shown::<Assignment>(body),
        "client" => shown::<Client>(body),
        "key" => shown::<Key>(body),
        "provider" => shown::<Provider>(body),
        "scope" => shown::<Scope>(body),
        _ => None,
    }
}

/// Names of the fields in which a written object differs from the one that was read.
fn differences(type_: &str, written: &Value, found: &Value) -> Vec<&'static str> {
    fn compared<O: Object>(written: &Value, found: &Value) -> Vec<&'static str> {
        let [written, found] = [written, found].map(|body| parse::<O>(body).expect("an object"));
        written.differences(&found)
    }
    let compare = match type_ {
        "assignment" => compared::<Assignment>,
        "client" => compared::<Client>,
        "key" => compared::<Key>,
        "provider" => compared::<Provider>,
        _ => compared::<Scope>,
    };
    compare(written, found)
}

fn defaults(type_: &str) -> Value {
    match type_ {
        "assignment" => Assignment::defaults(),
        "client" => Client::defaults(),
        "key" => Key::defaults(),
        "provider" => Provider::defaults(),
        _ => Scope::defaults(),
    }
}

#[test]
fn every_recorded_object_is_read_without_loss() {
    let counts = [
        ("assignment", 4),
        ("client", 11),
        ("key", 4),
        ("provider", 10),
        ("scope", 5),
    ];
    for server in SERVERS {
        let mut seen = BTreeMap::new();
        for (story, exchange) in exchanges(server) {
            for (type_, name, body) in bodies(&exchange) {
                assert_eq!(
                    read(type_, body),
                    Some(plain(body)),
                    "{server}, {story}: {type_} {name}"
                );
                *seen.entry(type_.to_owned()).or_insert(0) += 1;
            }
        }
        let expected = counts.map(|(type_, count)| (type_.to_owned(), count));
        assert_eq!(seen, BTreeMap::from(expected), "{server}");
    }
}

/// A reply without the members that one flavour lacks.
fn without_grants(mut object: Value) -> Value {
    for name in GRANTS {
        object.as_object_mut().and_then(|members| members.remove(name));
    }
    object
}

#[test]
fn both_flavours_answer_every_call_alike() {
    let [bao, vault] = SERVERS.map(exchanges);
    assert_eq!((bao.len(), vault.len()), (129, 129));
    for ((story, ours), (its_story, theirs)) in bao.iter().zip(&vault) {
        let asked = &ours.request;
        let context = format!("{story}: {} {} {}", asked.method, asked.path, asked.body);
        let call = |of: &Exchange| {
            let asked = &of.request;
            (asked.method.clone(), asked.path.clone(), asked.body.clone())
        };
        assert_eq!((story, call(ours)), (its_story, call(theirs)));
        assert_eq!(ours.response.status, theirs.response.status, "{context}");
        let seen = |of: &Exchange| -> Vec<(String, Option<Value>)> {
            let all = bodies(of).into_iter();
            all.map(|(type_, name, body)| (name.to_owned(), read(type_, body).map(without_grants)))
                .collect()
        };
        assert_eq!(seen(ours), seen(theirs), "{context}");
        let is_json = !asked.body.is_string(); // the servers report invalid JSON in different words
        let texts = |of: &Exchange| Some(of.response.body["errors"].clone()).filter(|_| is_json);
        assert_eq!(texts(ours), texts(theirs), "{context}");
    }
}

#[test]
fn openbao_has_two_more_members_and_they_are_known() {
    let members = |server| {
        let mut found = BTreeSet::new();
        for (_, exchange) in exchanges(server) {
            for (type_, _, body) in bodies(&exchange) {
                let names = body.as_object().into_iter().flatten();
                found.extend(names.map(|(name, _)| format!("{type_} {name}")));
            }
        }
        found
    };
    let (bao, vault) = (members(OPENBAO), members(VAULT));
    let more: Vec<String> = bao.difference(&vault).cloned().collect();
    assert_eq!(more, GRANTS.map(|name| format!("client {name}")));
    assert!(vault.is_subset(&bao));
    for (server, expected) in [(OPENBAO, (Some(true), Some(false))), (VAULT, (None, None))] {
        for (story, exchange) in exchanges(server) {
            for (_, name, body) in bodies(&exchange).into_iter().filter(|(type_, ..)| *type_ == "client") {
                let client: Client = parse(body).expect("a client");
                let grants = (client.authorization_code, client.client_credentials);
                assert_eq!(grants, expected, "{server}, {story}: {name}");
            }
        }
    }
}

#[test]
fn only_a_read_of_a_confidential_client_shows_its_secret_and_no_body_sends_it() {
    for server in SERVERS {
        let (mut shown, mut hidden) = (0, 0);
        for (story, exchange) in exchanges(server) {
            let is_read = exchange.request.method == "GET" && !exchange.request.path.contains('?');
            for (_, name, body) in bodies(&exchange).into_iter().filter(|(type_, ..)| *type_ == "client") {
                let client: Client = parse(body).expect("a client");
                let expected = is_read && client.client_type == "confidential";
                assert_eq!(client.client_secret.is_some(), expected, "{server}, {story}: {name}");
                let id = client.client_id.as_deref().unwrap_or_default();
                assert!(id.starts_with("<client_id:"), "{server}, {story}: {name}");
                let sent = serde_json::to_value(&client).expect("JSON");
                assert!(sent.get("client_id").is_none() && sent.get("client_secret").is_none());
                *(if expected { &mut shown } else { &mut hidden }) += 1;
            }
        }
        assert_eq!((shown, hidden), (4, 7), "{server}");
    }
}

#[test]
fn a_written_object_does_not_differ_from_the_next_read() {
    for server in SERVERS {
        let mut stored: BTreeMap<String, Value> = BTreeMap::new();
        let mut compared = 0;
        for (story, exchange) in exchanges(server) {
            let (asked, answered) = (&exchange.request, &exchange.response);
            let Some([type_, name]) = below(&asked.path).and_then(|path| <[&str; 2]>::try_from(path).ok()) else {
                continue;
            };
            let context = format!("{server}, {story}: {type_} {name}");
            match (asked.method.as_str(), answered.status) {
                ("POST", 200 | 204) => {
                    let before = stored.remove(&asked.path).unwrap_or_else(|| defaults(type_));
                    stored.insert(asked.path.clone(), with(before, &plain(&asked.body)));
                }
                ("DELETE", 204) => drop(stored.remove(&asked.path)),
                ("GET", 200) if name != "default" => {
                    let written = stored.get(&asked.path).expect("an earlier write");
                    // The server decodes a template in base64; ours is a JSON object, which never looks like base64.
                    let expected: &[&str] = match written["template"] == json!("eyJhIjogMX0=") {
                        true => &["template"],
                        false => &[],
                    };
                    let found = &answered.body["data"];
                    assert_eq!(differences(type_, written, found), expected, "{context}");
                    compared += 1;
                }
                _ => {}
            }
        }
        assert_eq!(compared, 23, "{server}");
    }
}

/// An object that lacks a field would be written without it, and the server would keep the old value.
#[test]
fn an_object_with_a_missing_or_malformed_field_cannot_be_read() {
    for type_ in ["assignment", "client", "key", "provider", "scope"] {
        let whole = defaults(type_);
        assert!(read(type_, &whole).is_some(), "{type_}");
        let names: Vec<String> = whole
            .as_object()
            .into_iter()
            .flat_map(|members| members.keys().cloned())
            .collect();
        assert!(names.len() >= 2, "{type_}");
        for name in names {
            let mut without = whole.clone();
            without.as_object_mut().and_then(|members| members.remove(&name));
            assert_eq!(read(type_, &without), None, "{type_} without {name}");
            for wrong in [
                json!(null),
                json!(true),
                json!(-1),
                json!(1.5),
                json!([1]),
                json!([null]),
                json!({}),
            ] {
                let changed = with(whole.clone(), &json!({ name.as_str(): wrong }));
                assert_eq!(read(type_, &changed), None, "{type_} {name} {wrong}");
            }
        }
    }
}
