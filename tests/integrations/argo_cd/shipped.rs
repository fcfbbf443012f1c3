//! The test data beside the scripts, in the form that Argo CD's own tests read.

use anyhow::{Context, Result, ensure};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use oidc_operator::api::{Assignment, AuthorizationServer, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::KINDS;
use super::engine::{Engine, folder, yaml};

/// The time that stands for now in test data.
const NOW: &str = "0001-01-01T00:00:00Z";
/// Annotations whose value is the time of an action.
const STAMPS: [&str; 2] = ["oidc-operator.dev/reconcile-at", "oidc-operator.dev/rotate-at"];

pub(super) async fn the_scripts_answer_as_their_test_data_say() -> Result<()> {
    let engine = Engine::new().await?;
    for kind in KINDS {
        health(&engine, kind).await.with_context(|| kind.to_owned())?;
        actions(&engine, kind).await.with_context(|| kind.to_owned())?;
        discovery(&engine, kind).await.with_context(|| kind.to_owned())?;
    }
    Ok(())
}

async fn health(engine: &Engine, kind: &str) -> Result<()> {
    let folder = folder(kind);
    let tests = yaml(&folder.join("health_test.yaml"))?;
    let tests = list(&tests, "tests")?;
    ensure!(tests.len() >= 7, "only {} tests", tests.len());
    for test in tests {
        let input = folder.join(text(test, "inputPath")?);
        let object = yaml(&input)?;
        check_type(kind, &object).with_context(|| input.display().to_string())?;
        let said = engine.run(&folder.join("health.lua"), &object).await?;
        ensure!(said == test["healthStatus"], "{}: {said}", input.display());
    }
    Ok(())
}

async fn actions(engine: &Engine, kind: &str) -> Result<()> {
    let folder = folder(kind).join("actions");
    let tests = yaml(&folder.join("action_test.yaml"))?;
    for test in list(&tests, "actionTests")? {
        let script = folder.join(text(test, "action")?).join("action.lua");
        let before = yaml(&folder.join(text(test, "inputPath")?))?;
        let mut after = engine.run(&script, &before).await?;
        check_type(kind, &after)?;
        forget_times(&mut after)?;
        let expected = yaml(&folder.join(text(test, "expectedOutputPath")?))?;
        ensure!(after == expected, "{}: {after:#}", script.display());
    }
    Ok(())
}

async fn discovery(engine: &Engine, kind: &str) -> Result<()> {
    let folder = folder(kind).join("actions");
    let tests = yaml(&folder.join("action_test.yaml"))?;
    for test in list(&tests, "discoveryTests")? {
        let input = folder.join(text(test, "inputPath")?);
        let found = engine.run(&folder.join("discovery.lua"), &yaml(&input)?).await?;
        let mut expected = Map::new();
        for action in list(test, "result")? {
            let name = text(action, "name")?;
            ensure!(folder.join(name).join("action.lua").is_file(), "{name} has no script");
            expected.insert(name.to_owned(), serde_json::json!({ "disabled": action["disabled"] }));
        }
        ensure!(found == Value::Object(expected), "{}: {found}", input.display());
    }
    Ok(())
}

/// Replaces the time of an action, which must be now, as RFC 3339 writes it.
fn forget_times(object: &mut Value) -> Result<()> {
    let annotations = object.pointer_mut("/metadata/annotations");
    for (name, value) in annotations
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten()
        .filter(|(name, _)| STAMPS.contains(&name.as_str()))
    {
        let at: Timestamp = value
            .as_str()
            .context("no text")?
            .parse()
            .with_context(|| name.clone())?;
        let age = Timestamp::now().duration_since(at);
        ensure!(age.abs() < SignedDuration::from_mins(1), "{name} is {at}");
        *value = NOW.into();
    }
    Ok(())
}

/// The operator can read the object, so that the test data are what it stores.
fn check_type(kind: &str, object: &Value) -> Result<()> {
    match kind {
        "AuthorizationServer" => read::<AuthorizationServer>(object),
        "OAuth2Client" => read::<OAuth2Client>(object),
        "JsonWebKeySet" => read::<JsonWebKeySet>(object),
        "OidcProvider" => read::<OidcProvider>(object),
        "Scope" => read::<Scope>(object),
        _ => read::<Assignment>(object),
    }
}

/// Reads an object and compares what would be written with it, so that a member with a wrong name is found.
fn read<K: DeserializeOwned + serde::Serialize>(object: &Value) -> Result<()> {
    let known: K = serde_json::from_value(object.clone())?;
    let known = serde_json::to_value(known)?;
    for part in ["spec", "status"] {
        for (name, _) in object[part].as_object().into_iter().flatten() {
            ensure!(known[part].get(name).is_some(), "{part}.{name} is unknown");
        }
    }
    Ok(())
}

fn list<'a>(value: &'a Value, name: &str) -> Result<&'a Vec<Value>> {
    value[name].as_array().with_context(|| format!("no list {name}"))
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str> {
    value[name].as_str().with_context(|| format!("no {name}"))
}
