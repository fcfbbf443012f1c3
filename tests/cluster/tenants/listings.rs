//! Clients that would fill a page of the server's listing: the operator rejects them as specs, and a sweep copes with
//! foreign ones.

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::lab::LabVictim;
use crate::bed::{Bed, is_list};
use crate::conditions::{Tone, client_says};
use crate::run::Side;

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(oversized_clients_are_rejected),
        side.shared(ninety_large_foreign_clients_do_not_stop_a_sweep),
        side.shared(unreadable_foreign_clients_do_not_stop_a_sweep),
    ]
}

/// What an earlier version of the operator wrote into the `owner` of a client.
async fn old_mark(victim: &LabVictim<'_>) -> Result<Value> {
    let registered = victim.lab.registered(&victim.id).await?;
    let cluster = registered["metadata"]["oidc-operator.dev"]["cluster"].as_str();
    Ok(json!(format!("oidc-operator.dev/{}", cluster.context("a cluster")?)))
}

const TOO_LARGE: &str = "spec: the client is larger than 64 KiB in the server's replies, where each of `<`, `>` and `&` takes six bytes, or has more than 5000 values or 64 levels; shorten its lists or its metadata.";

/// Metadata in which each character takes six bytes in the server's replies.
fn brackets(count: usize) -> Value {
    json!({ "a": "<".repeat(count) })
}

/// Message for a spec that is too large to be read as a whole.
const UNREAD: &str = "metadata: the spec is larger than 128 KiB; shorten it.";

async fn oversized_clients_are_rejected(bed: &Bed) -> Result<()> {
    let victim = LabVictim::new(bed, json!({})).await?;
    let attacker = bed.space().await?;
    let (attacker, server) = (&attacker, victim.lab.server_ref());
    let spec = |count| {
        let spec = json!({ "serverRef": server, "grantTypes": ["client_credentials"], "metadata": brackets(count) });
        spec.to_string()
    };
    let kinds = &[(spec(20_000), TOO_LARGE), (spec(65_000), UNREAD)];
    let mark = victim.server().admin.journal().mark();
    let made = futures::stream::iter((0..90).map(|number| async move {
        let name = format!("large-{number}");
        let (spec, message) = &kinds[number % 2];
        attacker.apply_client(&name, spec).await?;
        client_says(attacker, &name, Tone::Stalled, "InvalidSpec", message).await?;
        // It was never registered, so it needs no finalizer.
        let finalizers = attacker.client(&name).await?.metadata.finalizers;
        ensure!(finalizers.is_none_or(|held| held.is_empty()), "{name} has a finalizer");
        anyhow::Ok(())
    }));
    made.buffer_unordered(8).try_collect::<Vec<()>>().await?;
    let written = victim.server().about_clients(mark);
    let written: Vec<_> = written.iter().filter(|found| found.head.method != "GET").collect();
    ensure!(written.is_empty(), "{written:?}");
    victim.swept(2).await?;
    bed.server_ready(&victim.server().name).await?;
    victim.ensure_untouched().await?;
    victim.ensure_swept().await
}

async fn ninety_large_foreign_clients_do_not_stop_a_sweep(bed: &Bed) -> Result<()> {
    let victim = LabVictim::new(bed, json!({})).await?;
    let owner = old_mark(&victim).await?;
    let mark = victim.server().admin.journal().mark();
    let (lab, owner) = (&victim.lab, &owner);
    let made = futures::stream::iter((0..90).map(|number| async move {
        let client = json!({ "client_id": format!("large-{number}"), "owner": owner, "metadata": brackets(65_000) });
        lab.register(client).await.map(drop)
    }));
    made.buffer_unordered(2).try_collect::<Vec<()>>().await?;
    bed.wait_server("ninety orphans", &victim.server().name, |server| {
        server.status.as_ref().and_then(|status| status.orphans) == Some(90)
    })
    .await?;
    bed.server_ready(&victim.server().name).await?;
    let asked = victim.server().admin.journal().since(mark);
    let parts = asked
        .iter()
        .filter(|found| is_list(&found.head) && found.head.query().contains("=250"));
    ensure!(parts.count() > 0, "no page was too large, so the test shows nothing");
    victim.ensure_untouched().await?;
    victim.ensure_swept().await
}

async fn unreadable_foreign_clients_do_not_stop_a_sweep(bed: &Bed) -> Result<()> {
    let victim = LabVictim::new(bed, json!({})).await?;
    let owner = old_mark(&victim).await?;
    let mut deep = json!(0);
    for _ in 0..120 {
        deep = json!([deep]);
    }
    // Ids that sort before and after the victim's.
    for (id, metadata) in [
        ("00-deep", json!({ "a": deep })),
        ("zz-deep", json!({ "a": deep })),
        ("00-giant", json!({ "a": vec![0; 500_001] })),
        ("zz-giant", json!({ "a": vec![0; 500_001] })),
    ] {
        // Deeper than a tree within a client may be.
        let metadata = match id.ends_with("deep") {
            true => json!({ "a": { "a": { "a": { "a": { "a": { "a": { "a": metadata } } } } } } }),
            false => metadata,
        };
        let client = json!({ "client_id": id, "owner": owner, "metadata": metadata });
        victim.lab.register(client).await?;
    }
    victim.swept(2).await?;
    bed.server_ready(&victim.server().name).await?;
    victim.ensure_untouched().await?;
    victim.ensure_swept().await?;
    let orphans = bed.servers_api().get(&victim.server().name).await?.status;
    let orphans = orphans.and_then(|status| status.orphans);
    ensure!(
        orphans == Some(0),
        "unreadable clients are counted as orphans: {orphans:?}"
    );
    Ok(())
}
