//! A server whose answers are false and far too large.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::{JsonWebKeySet, OAuth2Client};
use serde_json::{Value, json};
use testbed::proxy::{Action, Answer, Fault, RequestHead};
use testbed::wait;

use super::victim::Victim;
use crate::bed::{Bed, LIMIT, Namespaced, Options, ServerOptions, Space, is_list, is_of_clients};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![side.alone(
        Options::default(),
        a_server_that_answers_with_megabytes_does_not_fill_a_status,
    )]
}

/// Largest allowed status, in bytes. A normal status has about two thousand.
const MOST: usize = 8 << 10;

async fn a_server_that_answers_with_megabytes_does_not_fill_a_status(bed: &Bed) -> Result<()> {
    let victim = Victim::settle(bed).await?;
    let options = ServerOptions {
        resync_interval: "1s".to_owned(),
        ..ServerOptions::default()
    };
    let liar = bed.own_server(options).await?;
    let evil = bed.space().await?;
    let server = json!({ "name": liar.name });
    let client = json!({ "serverRef": server, "grantTypes": ["client_credentials"] });
    let keys = json!({ "serverRef": server, "generate": { "algorithm": "ES256" } });
    evil.ready::<OAuth2Client>("settled", &client.to_string()).await?;
    evil.ready::<JsonWebKeySet>("settled", &keys.to_string()).await?;

    let lies = lies();
    for number in 0..lies.len() * 2 {
        // First only for requests about objects, so that the server itself seems healthy.
        let is_told = move |head: &RequestHead| number % 2 == 1 || is_object(head);
        let answer = Action::AnswerAfter(Answer::json(200, &lies[number / 2]));
        let fault = liar.admin.inject(Fault::new(is_told, answer));
        let name = format!("new-{number}");
        evil.make::<OAuth2Client>(&name, &client.to_string()).await?;
        evil.make::<JsonWebKeySet>(&name, &keys.to_string()).await?;
        evil.change("settled", json!({ "spec": { "clientName": name } }))
            .await?;
        wait::until("the false answers", LIMIT, async || {
            Ok((fault.struck() > 1).then_some(()))
        })
        .await?;
        victim.is_served(&name).await?;
        for name in ["settled", &name] {
            is_short::<OAuth2Client>(&evil, name).await?;
            is_short::<JsonWebKeySet>(&evil, name).await?;
        }
        let status = json!(bed.servers_api().get(&liar.name).await?.status).to_string();
        ensure!(status.len() < MOST, "the server: {status:.500}");
        let metrics = bed.operator().metrics().await?;
        ensure!(metrics.len() < 1 << 20, "{} bytes of metrics", metrics.len());
        ensure!(
            !bed.operator().log().contains(&"x".repeat(1_000)),
            "the answer is in the log"
        );
        drop(fault);
        let client = evil.remove::<OAuth2Client>(&name).await?;
        let set = evil.remove::<JsonWebKeySet>(&name).await?;
        evil.until_gone(&client).await?;
        evil.until_gone(&set).await?;
    }
    // When the answers are correct again, everything becomes ready. A change wakes resources in backoff.
    evil.change("settled", json!({ "spec": { "clientName": "at last" } }))
        .await?;
    evil.respecify::<JsonWebKeySet>("settled", json!({ "rotation": { "period": "720h" } }))
        .await?;
    evil.until_ready::<OAuth2Client>("settled").await?;
    evil.until_ready::<JsonWebKeySet>("settled").await?;
    victim.is_untouched().await
}

/// The answers to every request: one object with the members of all replies, and lists of it.
fn lies() -> Vec<Value> {
    let long = "x".repeat(1 << 20);
    let members = [
        "client_id",
        "client_secret",
        "client_name",
        "owner",
        "scope",
        "created_at",
        "updated_at",
        "version",
        "issuer",
        "kid",
        "alg",
        "kty",
        "use",
        "error",
        "error_description",
        "registration_access_token",
        "registration_client_uri",
    ];
    let one: Value = members
        .iter()
        .map(|member| ((*member).to_owned(), json!(long)))
        .collect();
    let mark = json!({ "namespace": long, "name": long, "uid": long, "cluster": long, "server": long });
    let marked = json!({ "client_id": "a", "metadata": { "oidc-operator.dev": mark } });
    vec![
        one.clone(),
        json!([one, marked]),
        json!({ "keys": [one], "metadata": marked["metadata"] }),
        json!(long),
    ]
}

/// Whether the request is about a client or a key set.
fn is_object(head: &RequestHead) -> bool {
    is_of_clients(head) && !is_list(head) || head.path().contains("/keys/")
}

async fn is_short<K: Namespaced>(space: &Space<'_>, name: &str) -> Result<()> {
    let found = space.all::<K>().get(name).await?;
    let status = json!(found.status()).to_string();
    ensure!(status.len() < MOST, "{} {name}: {status:.500}", K::KIND);
    Ok(())
}
