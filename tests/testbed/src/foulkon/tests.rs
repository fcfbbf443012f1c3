//! Properties that hold for any calls.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard};

use super::*;

/// Held by the test that uses the real worker: all tests share one.
static REAL: Mutex<()> = Mutex::const_new(());
/// Random stories, and calls in each.
const SEEDS: u64 = 6;
const STEPS: u64 = 60;

/// A worker without providers. Only one test at a time may use a real one.
pub(super) async fn fresh() -> Result<(Foulkon, Option<MutexGuard<'static, ()>>)> {
    let alone = match Foulkon::is_real() {
        true => Some(REAL.lock().await),
        false => None,
    };
    let foulkon = Foulkon::start().await?;
    foulkon.remove_all().await?;
    Ok((foulkon, alone))
}

fn body(name: &str, path: &str) -> Value {
    json!({ "name": name, "path": path, "issuerUrl": "https://id.example.com", "clients": ["app"] })
}

/// A row of the expected table.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    id: String,
    name: String,
    path: String,
}

/// The expected table.
#[derive(Default)]
struct Model {
    rows: Vec<Row>,
}

impl Model {
    fn find(&self, pattern: &str) -> Option<Row> {
        let like = |row: &&Row| {
            let mut pairs = pattern.chars().zip(row.name.chars());
            pattern.len() == row.name.len() && pairs.all(|(wanted, found)| wanted == '_' || wanted == found)
        };
        self.rows.iter().filter(like).min_by_key(|row| &row.id).cloned()
    }

    fn post(&self, name: &str) -> u16 {
        if self.find(name).is_some() { 409 } else { 201 }
    }

    fn put(&mut self, old: &str, name: &str, path: &str) -> u16 {
        let Some(target) = self.find(old) else {
            return 404;
        };
        if self.find(name).is_some_and(|other| other.id != target.id) {
            return 409;
        }
        let is_same = |row: &Row| row.id != target.id && (row.name.as_str(), row.path.as_str()) == (name, path);
        if self.rows.iter().any(is_same) {
            return 500;
        }
        for row in self.rows.iter_mut().filter(|row| row.id == target.id) {
            (row.name, row.path) = (name.to_owned(), path.to_owned());
        }
        200
    }

    fn delete(&mut self, name: &str) -> u16 {
        let Some(target) = self.find(name) else {
            return 404;
        };
        self.rows.retain(|row| row.id != target.id);
        204
    }
}

#[tokio::test]
async fn an_underscore_in_a_name_matches_any_character() -> Result<()> {
    for seed in 0..SEEDS {
        let mut random = StdRng::seed_from_u64(seed);
        let (foulkon, _alone) = fresh().await?;
        let mut model = Model::default();
        for step in 0..STEPS {
            let place = format!("seed {seed}, step {step}");
            let (name, other) = (any_name(&mut random), any_name(&mut random));
            let path = ["/", "/ab/"][random.random_range(0..2)];
            let one = format!("/{name}");
            match random.random_range(0..6) {
                0 | 1 => {
                    let expected = model.post(&name);
                    let (status, made) = foulkon.call("POST", "", Some(body(&name, path))).await?;
                    assert_eq!(status, expected, "{place}: POST {name}");
                    if status == 201 {
                        model.rows.push(row(&made));
                    }
                }
                2 => {
                    let expected = model.put(&name, &other, path);
                    let (status, _) = foulkon.call("PUT", &one, Some(body(&other, path))).await?;
                    assert_eq!(status, expected, "{place}: PUT {name} as {other}");
                }
                3 => {
                    let expected = model.delete(&name);
                    let (status, _) = foulkon.call("DELETE", &one, None).await?;
                    assert_eq!(status, expected, "{place}: DELETE {name}");
                }
                _ => {
                    let expected = model.find(&name);
                    let (status, found) = foulkon.call("GET", &one, None).await?;
                    let found = (status == 200).then(|| row(&found));
                    assert_eq!(found, expected, "{place}: GET {name}");
                }
            }
        }
        let total = foulkon.must("GET", "", None).await?["total"].clone();
        assert_eq!(total, json!(model.rows.len()), "seed {seed}");
    }
    Ok(())
}

fn any_name(random: &mut StdRng) -> String {
    let length = random.random_range(1..=3);
    let letters = ['a', 'b', '_', '-'];
    (0..length)
        .map(|_| letters[random.random_range(0..letters.len())])
        .collect()
}

fn row(provider: &Value) -> Row {
    let text = |member: &str| provider[member].as_str().unwrap_or_default().to_owned();
    Row {
        id: text("id"),
        name: text("name"),
        path: text("path"),
    }
}

#[tokio::test]
async fn of_many_concurrent_creations_with_one_urn_one_succeeds() -> Result<()> {
    let (foulkon, _alone) = fresh().await?;
    for round in 0..5 {
        let name = format!("round-{round}");
        let calls = (0..8).map(|_| foulkon.call("POST", "", Some(body(&name, "/ab/"))));
        let answers = join_all(calls).await.into_iter().collect::<Result<Vec<_>>>()?;
        let made = answers.iter().filter(|(status, _)| *status == 201).count();
        assert_eq!(made, 1, "{answers:?}");
        assert!(
            answers.iter().all(|(status, _)| [201, 409, 500].contains(status)),
            "{answers:?}"
        );
        let providers = foulkon.providers().await?;
        let same = providers.iter().filter(|provider| provider["name"] == *name).count();
        assert_eq!(same, 1);
    }
    Ok(())
}

#[tokio::test]
async fn pages_list_every_provider_once() -> Result<()> {
    let (foulkon, _alone) = fresh().await?;
    let names: BTreeSet<String> = (0..33).map(|number| format!("n{number:02}")).collect();
    for name in &names {
        let path = if name.ends_with('3') { "/threes/" } else { "/others/" };
        foulkon.must("POST", "", Some(body(name, path))).await?;
    }
    let mut random = StdRng::seed_from_u64(1);
    for _ in 0..20 {
        let limit = random.random_range(1..40);
        let column = ["name", "path", "create_at", "update_at", "urn"][random.random_range(0..5)];
        let direction = ["asc", "desc"][random.random_range(0..2)];
        let threes = random.random_bool(0.3);
        let prefix = if threes { "&PathPrefix=/threes/" } else { "" };
        let wanted: Vec<&String> = names.iter().filter(|name| !threes || name.ends_with('3')).collect();
        let mut found = Vec::new();
        while found.len() < wanted.len() {
            let offset = found.len();
            let query = format!("?Limit={limit}&Offset={offset}&OrderBy={column}-{direction}{prefix}");
            let page = foulkon.must("GET", &query, None).await?;
            assert_eq!(page["total"], json!(wanted.len()), "{query}");
            let names = page["providers"]
                .as_array()
                .with_context(|| format!("{query}: {page}"))?;
            assert!(
                names.len() == limit || offset + names.len() == wanted.len(),
                "{query}: {page}"
            );
            found.extend(names.iter().filter_map(Value::as_str).map(ToOwned::to_owned));
        }
        let query = format!("?Offset={}", names.len());
        assert!(foulkon.must("GET", &query, None).await?["providers"].is_null());
        if column != "path" {
            // Created in the order of their names, never changed. By URN, those of one path come first.
            let sorted = found.is_sorted() || found.iter().rev().is_sorted();
            assert!(
                sorted || (column == "urn" && !threes),
                "{column} {direction}: {found:?}"
            );
        }
        found.sort();
        assert!(found.iter().eq(wanted), "{limit} {column} {direction}: {found:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_put_keeps_id_and_time_of_creation() -> Result<()> {
    let mut random = StdRng::seed_from_u64(2);
    let (foulkon, _alone) = fresh().await?;
    let mut kept = BTreeMap::new();
    for name in ["a", "b", "c"] {
        let made = foulkon.must("POST", "", Some(body(name, "/ab/"))).await?;
        kept.insert(row(&made).id, made);
    }
    for step in 0..40 {
        let names: Vec<String> = kept.values().map(|provider| row(provider).name).collect();
        let name = &names[random.random_range(0..names.len())];
        let other = ["a", "b", "c", "d", "e"][random.random_range(0..5)];
        let (status, changed) = foulkon
            .call("PUT", &format!("/{name}"), Some(body(other, "/cd/")))
            .await?;
        if status == 409 {
            continue;
        }
        assert_eq!(status, 200, "{step}: {changed}");
        let before = kept.get(&row(&changed).id).context("the id has changed")?;
        assert_eq!(row(before).name, *name);
        assert_eq!(changed["createAt"], before["createAt"]);
        assert_ne!(changed["updateAt"], before["updateAt"]);
        assert_eq!(foulkon.must("GET", &format!("/{other}"), None).await?, changed);
        kept.insert(row(&changed).id, changed);
    }
    Ok(())
}

#[tokio::test]
async fn a_changed_provider_is_listed_last() -> Result<()> {
    let (foulkon, _alone) = fresh().await?;
    for name in ["a", "b", "c"] {
        foulkon.must("POST", "", Some(body(name, "/ab/"))).await?;
    }
    foulkon.must("PUT", "/a", Some(body("a", "/ab/"))).await?;
    if !Foulkon::is_real() {
        assert_eq!(
            foulkon.must("GET", "", None).await?["providers"],
            json!(["b", "c", "a"])
        );
    }
    Ok(())
}

#[tokio::test]
async fn nothing_is_loaded_until_a_restart() -> Result<()> {
    if Foulkon::is_real() {
        return Ok(()); // it cannot be restarted from here
    }
    let (mut foulkon, _alone) = fresh().await?;
    let loaded = async |foulkon: &Foulkon| {
        let about = foulkon.must("GET", "/about", None).await?;
        let loaded = about["authenticator"]["oidcProviders"].as_array().into_iter().flatten();
        anyhow::Ok(loaded.map(|provider| row(provider).name).collect::<Vec<_>>())
    };
    foulkon.must("POST", "", Some(body("a", "/ab/"))).await?;
    assert!(loaded(&foulkon).await?.is_empty());
    assert_eq!(foulkon.call_as(None, "GET", "", None).await?.0, 401);
    foulkon.restart().await?;
    assert_eq!(loaded(&foulkon).await?, ["a"]);
    assert_eq!(foulkon.call_as(None, "GET", "", None).await?.0, 400);
    foulkon.must("PUT", "/a", Some(body("b", "/ab/"))).await?;
    foulkon.must("POST", "", Some(body("c", "/ab/"))).await?;
    assert_eq!(loaded(&foulkon).await?, ["a"]);

    foulkon.stop().await?;
    foulkon.stop().await?;
    assert!(foulkon.call("GET", "", None).await.is_err());
    assert_eq!(foulkon.providers().await?.len(), 2);
    foulkon.start_again().await?;
    foulkon.start_again().await?;
    assert_eq!(loaded(&foulkon).await?, ["b", "c"]);
    Ok(())
}

#[tokio::test]
async fn a_stand_in_needs_an_administrator_name_and_a_free_port() {
    let listen = (Ipv4Addr::LOCALHOST, 0).into();
    for admin in ["admin", ":password", ""] {
        assert!(Foulkon::at(listen, admin).await.is_err(), "{admin}");
    }
    let foulkon = Foulkon::at(listen, "me:a:b").await.expect("a free port");
    assert_eq!(foulkon.admin(), ("me", "a:b"));
    assert_eq!(foulkon.call("GET", "", None).await.expect("an answer").0, 200);
    let taken = foulkon
        .address()
        .trim_start_matches("http://")
        .parse()
        .expect("an address");
    assert!(Foulkon::at(taken, "me:a").await.is_err());
}
