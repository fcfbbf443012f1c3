//! A tenant that removes the finalizer of a resource leaves its client behind. The operator counts such orphans, and
//! deletes them if the server's admin wants that.

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use testbed::wait;

use super::lab::LabVictim;
use crate::bed::{Bed, LIMIT, Space, uid_of};
use crate::conditions::client_ready;
use crate::run::Side;

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(an_orphan_is_counted_and_kept_by_default),
        side.shared(an_orphan_is_deleted_if_the_admin_wants_it),
        side.shared(only_an_orphan_of_this_cluster_is_deleted),
        side.shared(deletion_of_orphans_is_only_accepted_for_hydra),
    ]
}

/// Leaves a client of the attacker on the server without its resource. The server does not delete orphans yet.
async fn left_behind(victim: &LabVictim<'_>, attacker: &Space<'_>) -> Result<Value> {
    let machine = json!({ "serverRef": victim.lab.server_ref(), "grantTypes": ["client_credentials"] }).to_string();
    // The operator restores a missing finalizer as soon as it sees that, so this may take several attempts.
    for number in 0..20 {
        let name = format!("app-{number}");
        attacker.apply_client(&name, &machine).await?;
        let client = client_ready(attacker, &name).await?;
        attacker.wait_confirmed(&name).await?;
        let row = victim.lab.registered(&uid_of(&client)).await?;
        attacker
            .change(&name, json!({ "metadata": { "finalizers": null } }))
            .await?;
        attacker.delete(&name).await?;
        attacker.wait_gone(&client).await?;
        // A pass that still runs deletes the client that it was creating. A client that exists after some sweeps stays.
        victim.swept(5).await?;
        if victim.lab.registered(&uid_of(&client)).await.is_ok() {
            return Ok(row);
        }
    }
    bail!("the operator was faster twenty times");
}

async fn is_there(victim: &LabVictim<'_>, client: &Value) -> bool {
    let id = client["client_id"].as_str().unwrap_or_default();
    victim.lab.registered(id).await.is_ok()
}

async fn until_counted(bed: &Bed, victim: &LabVictim<'_>, orphans: i64) -> Result<()> {
    let what = format!("{orphans} orphans");
    bed.wait_server(&what, &victim.server().name, |server| {
        server.status.as_ref().and_then(|status| status.orphans) == Some(orphans)
    })
    .await
    .map(drop)
}

async fn an_orphan_is_counted_and_kept_by_default(bed: &Bed) -> Result<()> {
    let victim = LabVictim::new(bed, json!({})).await?;
    let attacker = bed.space().await?;
    let left = left_behind(&victim, &attacker).await?;
    until_counted(bed, &victim, 1).await?;
    victim.swept(3).await?;
    ensure!(is_there(&victim, &left).await, "it was deleted");
    victim.ensure_untouched().await
}

async fn an_orphan_is_deleted_if_the_admin_wants_it(bed: &Bed) -> Result<()> {
    let victim = LabVictim::new(bed, json!({})).await?;
    let attacker = bed.space().await?;
    let left = left_behind(&victim, &attacker).await?;
    bed.change_server(&victim.server().name, json!({ "orphans": "Delete" }))
        .await?;
    wait::until("the client to be deleted", LIMIT, async || {
        Ok((!is_there(&victim, &left).await).then_some(()))
    })
    .await?;
    until_counted(bed, &victim, 0).await?;
    let id = left["client_id"].as_str().context("no id")?;
    // The operator reads the client right before it deletes it, to be sure whose it is.
    let asked = victim.server().about_clients(0);
    let about = |method: &str| {
        let found = asked
            .iter()
            .filter(|found| found.head.method == method && found.head.path().ends_with(id));
        found.map(|found| found.seq).max()
    };
    ensure!(about("GET") < about("DELETE") && about("GET").is_some(), "{asked:#?}");
    let labels = format!("server=\"{}\"", victim.server().name);
    let deleted = bed
        .operator()
        .metric("oidc_operator_orphan_deletions_total", &labels)
        .await?;
    ensure!(deleted >= 1.0, "{deleted}");
    let event = wait::until("an event on the AuthorizationServer", LIMIT, async || {
        let events: Api<Event> = Api::all(bed.client());
        let events = events.list(&ListParams::default()).await?.items;
        let is_it = |event: &Event| {
            let about = event.regarding.as_ref().and_then(|about| about.name.as_deref());
            let note = event.note.as_deref().unwrap_or_default();
            about == Some(&victim.server().name)
                && event.reason.as_deref() == Some("OrphanDeleted")
                && note.contains(id)
        };
        Ok(events.into_iter().find(is_it))
    })
    .await?;
    let expected = format!("because OAuth2Client `{}/", attacker.name());
    ensure!(
        event.note.as_deref().is_some_and(|note| note.contains(&expected)),
        "{event:?}"
    );
    victim.ensure_untouched().await
}

async fn only_an_orphan_of_this_cluster_is_deleted(bed: &Bed) -> Result<()> {
    let victim = LabVictim::new(bed, json!({ "orphans": "Delete" })).await?;
    let marked = victim.lab.registered(&victim.id).await?;
    let forged = |uid: &str, more: Value| {
        let mut client = json!({ "client_id": uid, "metadata": marked["metadata"] });
        let mark = &mut client["metadata"]["oidc-operator.dev"];
        mark["uid"] = json!(uid);
        for (name, value) in more.as_object().into_iter().flatten() {
            mark[name] = value.clone();
        }
        client
    };
    let mark = &marked["metadata"]["oidc-operator.dev"];
    let theirs = [
        forged("0f0e0d0c-0b0a-4908-8706-050403020101", json!({ "cluster": "another" })),
        forged("0f0e0d0c-0b0a-4908-8706-050403020102", json!({ "adopted": true })),
        // Marked by an earlier version, and then by another tool.
        json!({ "client_id": "unmarked", "owner": format!("oidc-operator.dev/{}", mark["cluster"].as_str().unwrap_or_default()) }),
        // Marked for a resource that exists.
        {
            let mut copy = forged("0f0e0d0c-0b0a-4908-8706-050403020103", json!({}));
            copy["metadata"]["oidc-operator.dev"]["uid"] = json!(victim.id);
            copy
        },
    ];
    for client in &theirs {
        victim.lab.register(client.clone()).await?;
    }
    let ours = forged("0f0e0d0c-0b0a-4908-8706-050403020104", json!({}));
    victim.lab.register(ours.clone()).await?;
    wait::until("the orphan of this cluster to be deleted", LIMIT, async || {
        Ok((!is_there(&victim, &ours).await).then_some(()))
    })
    .await?;
    victim.swept(3).await?;
    for client in &theirs {
        ensure!(is_there(&victim, client).await, "{client} was deleted");
    }
    // The client that another cluster has marked is not counted.
    until_counted(bed, &victim, 2).await?;
    victim.ensure_untouched().await
}

async fn deletion_of_orphans_is_only_accepted_for_hydra(bed: &Bed) -> Result<()> {
    for (flavour, spec) in [
        (
            "vault",
            json!({ "address": "http://vault:8200", "auth": { "token": { "secretRef": { "name": "v", "key": "t" } } } }),
        ),
        (
            "foulkon",
            json!({ "workerUrl": "http://foulkon:8000", "auth": { "basic": { "secretRef": { "name": "f" } } } }),
        ),
    ] {
        let refused = bed
            .create_server(
                &format!("deletes-{flavour}"),
                json!({ flavour: spec, "orphans": "Delete" }),
            )
            .await;
        let said = format!("{:?}", refused.err().context("it was accepted")?);
        ensure!(said.contains("orphans: Delete needs hydra"), "{said}");
    }
    Ok(())
}
