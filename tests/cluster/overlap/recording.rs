//! The stand-in, held to what a real build answered.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use oidc_operator::admin::hydra::revocation::SentIn;
use serde::Deserialize;
use serde_json::{Value, json};
use testbed::http::exchange;

use testbed::rotating::Rotating;
use testbed::{Hydra, HydraMajor, HydraOptions};

use super::accepts;
use crate::bed::Bed;

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
    #[serde(default)]
    body: Value,
}

#[derive(Deserialize)]
struct Answered {
    status: u16,
    headers: HashMap<String, String>,
    #[serde(default)]
    body: Value,
}

/// A Hydra of its own: others would keep its database busy.
async fn started() -> Result<(Hydra, Rotating)> {
    let hydra = Hydra::start(HydraOptions::of(HydraMajor::V2)).await?;
    let rotating = Rotating::before(&hydra.admin_url(), &hydra.public_url()).await?;
    Ok((hydra, rotating))
}

/// Each recorded request gets the recorded status, type and members, apart from members that the Hydra behind it lacks and
/// from times and secrets, which are always new.
pub(super) async fn the_stand_in_answers_as_recorded(_: &Bed) -> Result<()> {
    let (_hydra, rotating) = started().await?;
    let text = include_str!("../../recordings/hydra-main-rotate.json");
    for story in serde_json::from_str::<Vec<Story>>(text)? {
        for (number, exchange) in story.exchanges.iter().enumerate() {
            let checked = is_as_recorded(&rotating, exchange).await;
            let Asked { method, path, .. } = &exchange.request;
            checked.with_context(|| format!("{}, exchange {number}: {method} {path}", story.story))?;
        }
    }
    Ok(())
}

async fn is_as_recorded(rotating: &Rotating, exchange: &Exchange) -> Result<()> {
    let Exchange { request, response } = exchange;
    let url = format!("{}{}", rotating.admin_url, request.path.replace("{A}", "/admin"));
    let mut sent = testbed::http::client().request(request.method.parse()?, url);
    if !request.body.is_null() {
        sent = sent
            .header("content-type", "application/json")
            .body(request.body.to_string());
    }
    let answer = sent.send().await?;
    let status = answer.status();
    let type_ = answer
        .headers()
        .get("content-type")
        .map(|type_| type_.to_str().unwrap_or_default().to_owned());
    let type_ = type_.unwrap_or_default();
    let expected = response.headers.get("Content-Type").map_or("", String::as_str);
    ensure!(type_.split(';').next() == expected.split(';').next(), "{type_}");
    let body = answer.text().await?;
    ensure!(status == response.status, "{status} {body}");
    let Value::Object(expected) = &response.body else {
        return Ok(());
    };
    let found: Value = serde_json::from_str(&body)?;
    ensure!(
        found["client_secret"].is_string() == expected.contains_key("client_secret"),
        "a secret: {found}"
    );
    if response.status >= 400 {
        for member in ["error", "error_description"] {
            ensure!(found[member] == expected[member], "{member} is {}", found[member]);
        }
        return Ok(());
    }
    const KEPT: [&str; 5] = [
        "client_id",
        "grant_types",
        "scope",
        "token_endpoint_auth_method",
        "redirect_uris",
    ];
    for member in KEPT {
        let is_empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        let same = found[member] == expected[member] || is_empty(&found[member]) && is_empty(&expected[member]);
        ensure!(same, "{member} is {} instead of {}", found[member], expected[member]);
    }
    let is_kept = found["metadata"] == expected["metadata"];
    ensure!(
        is_kept,
        "metadata is {} instead of {}",
        found["metadata"],
        expected["metadata"]
    );
    Ok(())
}

/// After n rotations the current secret and the five before it are valid.
pub(super) async fn the_stand_in_keeps_five_former_secrets(_: &Bed) -> Result<()> {
    let (_hydra, rotating) = started().await?;
    let http = testbed::http::client();
    let clients = format!("{}/admin/clients", rotating.admin_url);
    for (method, sent_in) in [
        ("client_secret_basic", SentIn::Header),
        ("client_secret_post", SentIn::Body),
    ] {
        let client = json!({
            "grant_types": ["client_credentials"], "token_endpoint_auth_method": method, "client_secret": "secret-number-0",
        });
        let (_, created) = exchange(http.post(&clients), Some(client), "create").await?;
        let id = created["client_id"].as_str().context("no id")?.to_owned();
        let client = format!("{clients}/{id}");
        let mut secrets = vec!["secret-number-0".to_owned()];
        for _ in 0..7 {
            let (_, rotated) = exchange(http.post(format!("{client}/secrets/rotate")), None, "rotate").await?;
            secrets.push(
                rotated["client_secret"]
                    .as_str()
                    .with_context(|| format!("no secret: {rotated}"))?
                    .to_owned(),
            );
        }
        let check = async |valid: &[usize]| {
            for (number, secret) in secrets.iter().enumerate() {
                let is_valid = accepts(&rotating, &id, secret, sent_in).await?;
                ensure!(
                    is_valid == valid.contains(&number),
                    "{method}: secret {number} valid: {is_valid}"
                );
            }
            anyhow::Ok(())
        };
        check(&[2, 3, 4, 5, 6, 7]).await?;
        let (_, mut found) = exchange(http.get(&client), None, "read").await?;
        found["client_name"] = json!("another");
        let put = |body: &Value| {
            http.put(&client)
                .header("content-type", "application/json")
                .body(body.to_string())
        };
        put(&found).send().await?.error_for_status()?;
        check(&[2, 3, 4, 5, 6, 7]).await?;
        http.delete(format!("{client}/secrets/rotate"))
            .send()
            .await?
            .error_for_status()?;
        check(&[7]).await?;
        http.post(format!("{client}/secrets/rotate"))
            .send()
            .await?
            .error_for_status()?;
        check(&[7]).await?;
        found["client_secret"] = json!(secrets[3]);
        put(&found).send().await?.error_for_status()?;
        check(&[3]).await?;
        http.delete(&client).send().await?.error_for_status()?;
    }
    Ok(())
}
