//! Two tenants: nothing that one writes in its namespace reads, changes, deletes or takes over the other's client.

use anyhow::{Context, Result, ensure};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams, PostParams};
use libtest_mimic::Trial;
use oidc_operator::api::{ABANDON_ANNOTATION, FINALIZER, OAuth2Client, UID_LABEL, WATCH_LABEL};
use serde_json::{Value, json};
use std::collections::BTreeMap;

use crate::bed::{Bed, Space, ledger_of, uid_of};
use crate::conditions::{Tone, client_ready, client_says};
use crate::run::Side;

mod lab;
mod listings;
mod orphans;
mod victim;

use victim::Victim;

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    let own = vec![
        side.shared(the_client_id_of_another_tenant_cannot_be_taken_over),
        side.shared(a_forged_finalizer_deletes_nothing_of_another_tenant),
        side.shared(a_forged_status_affects_no_other_tenant),
        side.shared(forged_labels_and_owners_affect_no_other_tenant),
        side.shared(a_forged_ledger_affects_no_other_tenant),
        side.shared(forged_metadata_affects_no_other_tenant),
        side.shared(names_reach_no_other_namespace),
    ];
    own.into_iter()
        .chain(listings::trials(side))
        .chain(orphans::trials(side))
        .collect()
}

async fn the_client_id_of_another_tenant_cannot_be_taken_over(bed: &Bed) -> Result<()> {
    let victim = Victim::new(bed, true).await?;
    let attacker = bed.space().await?;
    let mark = victim.server.admin.journal().mark();
    let policies = ["Delete", "Orphan"];
    for policy in policies {
        let spec = victim.on_server(json!({ "clientId": victim.id, "deletionPolicy": policy, "scopes": ["admin"] }));
        attacker.apply_client("app", &spec).await?;
        client_says(&attacker, "app", Tone::Stalled, "NotOwned", &victim.not_owned()).await?;
        ensure!(attacker.secret("app").await?.is_none(), "the attacker got credentials");
        if policy == "Orphan" {
            attacker.annotate("app", ABANDON_ANNOTATION, "true").await?;
        }
        attacker.delete_and_wait("app").await?;
    }
    // With the attacker's own secret, which must not be pushed.
    let own = "{ apiVersion: v1, kind: Secret, metadata: { name: own }, stringData: { password: chosen-by-attacker } }";
    attacker.apply::<Secret>(own).await?;
    let reference = json!({ "name": "own", "key": "password" });
    let spec = victim.on_server(json!({ "clientId": victim.id, "clientSecretRef": reference }));
    attacker.apply_client("app", &spec).await?;
    client_says(&attacker, "app", Tone::Stalled, "NotOwned", &victim.not_owned()).await?;
    ensure!(
        bed.token(&victim.id, "chosen-by-attacker", "").await.is_err(),
        "it was pushed"
    );
    // Adoption does not work either, even if a careless admin grants it.
    let careless = json!([{
        "namespaces": { "from": "All" }, "kinds": ["OAuth2Client"], "clients": { "clientIds": "Any" },
        "adopt": { "clientIds": [victim.id] },
    }]);
    bed.change_server(&victim.server.name, json!({ "access": careless }))
        .await?;
    attacker
        .change("app", json!({ "spec": { "adoption": "Allow" } }))
        .await?;
    client_says(&attacker, "app", Tone::Stalled, "NotOwned", &victim.not_owned()).await?;
    ensure!(
        bed.token(&victim.id, "chosen-by-attacker", "").await.is_err(),
        "it was pushed"
    );
    let written = victim.server.about_clients(mark);
    let written: Vec<_> = written
        .iter()
        .filter(|found| ["PUT", "DELETE"].contains(&found.head.method.as_str()))
        .collect();
    ensure!(written.is_empty(), "{written:?}");
    victim.ensure_untouched_by(&attacker).await
}

async fn a_forged_finalizer_deletes_nothing_of_another_tenant(bed: &Bed) -> Result<()> {
    let victim = Victim::new(bed, true).await?;
    let attacker = bed.space().await?;
    for policy in ["Delete", "Orphan"] {
        // With our finalizer and a status that claims the client, and deleted before it registers anything.
        let client: OAuth2Client = serde_json::from_value(json!({
            "metadata": { "name": "app", "finalizers": [FINALIZER] },
            "spec": {
                "serverRef": { "name": victim.server.name }, "grantTypes": ["client_credentials"],
                "clientId": victim.id, "deletionPolicy": policy, "suspend": true,
            },
        }))?;
        attacker.clients().create(&PostParams::default(), &client).await?;
        forge_status(
            &attacker,
            json!({ "clientId": victim.id, "secretName": "app", "updatedAt": "2020-01-01T00:00:00Z" }),
        )
        .await?;
        attacker.delete_and_wait("app").await?;
    }
    // A deletion after the finalizer was removed by hand does not delete the victim's client either.
    attacker
        .apply_client("app", &victim.on_server(json!({ "clientId": victim.id })))
        .await?;
    client_says(&attacker, "app", Tone::Stalled, "NotOwned", &victim.not_owned()).await?;
    attacker
        .change("app", json!({ "metadata": { "finalizers": null } }))
        .await?;
    attacker.delete("app").await?;
    victim.ensure_untouched_by(&attacker).await
}

async fn forge_status(space: &Space<'_>, status: Value) -> Result<()> {
    let patch = Patch::Merge(json!({ "status": status }));
    space
        .clients()
        .patch_status("app", &PatchParams::default(), &patch)
        .await?;
    Ok(())
}

async fn a_forged_status_affects_no_other_tenant(bed: &Bed) -> Result<()> {
    let victim = Victim::new(bed, false).await?;
    let attacker = bed.space().await?;
    attacker.apply_client("app", &victim.on_server(json!({}))).await?;
    let own = client_ready(&attacker, "app").await?;
    let theirs = victim.before.status.clone();
    let claimed = json!({
        "clientId": victim.id,
        "secretName": victim.client.name_any(),
        "inputs": theirs["inputs"],
        "updatedAt": theirs["updatedAt"],
        "effective": { "deletionPolicy": "Orphan" },
    });
    forge_status(&attacker, claimed).await?;
    attacker
        .change("app", json!({ "spec": { "clientName": "another pass" } }))
        .await?;
    client_ready(&attacker, "app").await?;
    let (id, _) = attacker.credentials("app").await?;
    ensure!(id == uid_of(&own), "its credentials name client {id}");
    victim.ensure_untouched_by(&attacker).await?;
    forge_status(
        &attacker,
        json!({ "clientId": victim.id, "updatedAt": null, "inputs": "1:::::" }),
    )
    .await?;
    attacker.delete_and_wait("app").await?;
    ensure!(
        bed.hydra_client(&uid_of(&own)).await?.is_none(),
        "its own client still exists"
    );
    victim.ensure_untouched_by(&attacker).await
}

async fn forged_labels_and_owners_affect_no_other_tenant(bed: &Bed) -> Result<()> {
    let victim = Victim::new(bed, false).await?;
    let attacker = bed.space().await?;
    let owner = |uid: &str| {
        json!({ "apiVersion": "oidc-operator.dev/v1alpha1", "kind": "OAuth2Client", "name": "app",
            "uid": uid, "controller": true, "blockOwnerDeletion": true })
    };
    let theirs = uid_of(&victim.client);
    let names = [ledger_of(&victim.client), "app".to_owned(), "decoy".to_owned()];
    for name in &names {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": name,
                "labels": { UID_LABEL: theirs, WATCH_LABEL: "true" },
                "ownerReferences": [owner(&theirs)],
            },
            "stringData": { "client_id": victim.id, "client_secret": "chosen-by-attacker", "CLIENT_SECRET": "chosen-by-attacker" },
        });
        attacker.apply::<Secret>(&secret.to_string()).await?;
    }
    victim.ensure_untouched_by(&attacker).await?;
    ensure!(
        bed.token(&victim.id, "chosen-by-attacker", "").await.is_err(),
        "it was pushed"
    );
    // A namesake of the victim's resource. The decoy blocks its Secret; it is ready once the decoy is deleted.
    attacker.apply_client("app", &victim.on_server(json!({}))).await?;
    let mine = client_ready_without(&attacker, "app").await?;
    ensure!(mine.uid() != victim.client.uid(), "it is the victim's");
    victim.ensure_untouched_by(&attacker).await?;
    // The victim's client can still be deleted, which deletes nothing of the attacker.
    victim.space.delete_and_wait("app").await?;
    ensure!(
        bed.hydra_client(&victim.id).await?.is_none(),
        "the victim's client still exists"
    );
    let (id, secret) = attacker.credentials("app").await?;
    bed.token(&id, &secret, "").await?;
    Ok(())
}

/// Waits until the client is ready. The garbage collector or this function deletes the decoy before.
async fn client_ready_without(space: &Space<'_>, decoy: &str) -> Result<OAuth2Client> {
    let client = space.client("app").await?;
    if let Some(secret) = space.secret(decoy).await?
        && secret.labels().get(UID_LABEL) != client.uid().as_ref()
    {
        let now = kube::api::DeleteParams::default();
        match space.secrets().delete(decoy, &now).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            result => drop(result?),
        }
        space
            .change("app", json!({ "spec": { "clientName": "again" } }))
            .await?;
    }
    client_ready(space, "app").await
}

async fn a_forged_ledger_affects_no_other_tenant(bed: &Bed) -> Result<()> {
    let victim = Victim::new(bed, true).await?;
    let attacker = bed.space().await?;
    attacker.apply_client("app", &victim.on_server(json!({}))).await?;
    let own = client_ready(&attacker, "app").await?;
    let ledger = ledger_of(&own);
    attacker
        .edit_secret(
            &ledger,
            json!({ "client_id": victim.id, "client_secret": "chosen-by-attacker" }),
        )
        .await?;
    attacker
        .wait_secret("the forged id to be gone", &ledger, |secret| {
            value(secret, "client_id") == uid_of(&own).as_bytes()
        })
        .await?;
    client_ready(&attacker, "app").await?;
    ensure!(
        bed.token(&victim.id, "chosen-by-attacker", "").await.is_err(),
        "it was pushed"
    );
    victim.ensure_untouched_by(&attacker).await?;

    // The same for a resource that claims the victim's id: it is not registered, so its ledger is not pushed.
    attacker.delete_and_wait("app").await?;
    attacker
        .apply_client("app", &victim.on_server(json!({ "clientId": victim.id })))
        .await?;
    let claim = client_says(&attacker, "app", Tone::Stalled, "NotOwned", &victim.not_owned()).await?;
    let theirs = victim
        .space
        .secret(&ledger_of(&victim.client))
        .await?
        .context("the victim's ledger")?;
    let ledger = ledger_of(&claim);
    let revision = String::from_utf8_lossy(value(&theirs, "revision")).into_owned();
    let forged = json!({ "client_secret": "chosen-by-attacker", "revision": revision });
    attacker.edit_secret(&ledger, forged).await?;
    attacker
        .change("app", json!({ "spec": { "clientName": "again" } }))
        .await?;
    client_says(&attacker, "app", Tone::Stalled, "NotOwned", &victim.not_owned()).await?;
    ensure!(
        bed.token(&victim.id, "chosen-by-attacker", "").await.is_err(),
        "it was pushed"
    );
    victim.ensure_untouched_by(&attacker).await
}

fn value<'a>(secret: &'a Secret, key: &str) -> &'a [u8] {
    let found: Option<&BTreeMap<String, ByteString>> = secret.data.as_ref();
    found.and_then(|data| data.get(key)).map_or(&[], |value| &value.0)
}

async fn forged_metadata_affects_no_other_tenant(bed: &Bed) -> Result<()> {
    let victim = Victim::new(bed, true).await?;
    let attacker = bed.space().await?;
    let mark = &victim.before.row["metadata"]["oidc-operator.dev"];
    ensure!(mark["uid"] == uid_of(&victim.client).as_str(), "{mark}");
    let spec = victim.on_server(json!({ "metadata": { "oidc-operator.dev": mark } }));
    let refusal = attacker.client_refusal("app", &spec).await?;
    ensure!(
        refusal.contains("the key oidc-operator.dev is reserved for the operator"),
        "{refusal}"
    );
    // All other keys are allowed and mean nothing to the operator.
    let metadata = json!({ "owner": victim.before.row["owner"], "Oidc-Operator.dev": mark, "nested": { "oidc-operator.dev": mark } });
    attacker
        .apply_client("app", &victim.on_server(json!({ "metadata": metadata })))
        .await?;
    let own = client_ready(&attacker, "app").await?;
    let row = bed.registered(&uid_of(&own)).await?;
    ensure!(
        row["metadata"]["oidc-operator.dev"]["uid"] == uid_of(&own).as_str(),
        "{row}"
    );
    attacker.delete_and_wait("app").await?;
    victim.ensure_untouched_by(&attacker).await
}

async fn names_reach_no_other_namespace(bed: &Bed) -> Result<()> {
    let victim = Victim::new(bed, false).await?;
    let attacker = bed.space().await?;
    let theirs = victim.space.name();
    let mark = bed.operator().requests().mark();
    for name in [
        format!("../../{theirs}/secrets/app"),
        format!("../../../namespaces/{theirs}/secrets/app"),
        format!("..%2F..%2F{theirs}%2Fsecrets%2Fapp"),
        format!("{theirs}/app"),
        "?limit=500".to_owned(),
        "app#".to_owned(),
    ] {
        let spec = victim.on_server(json!({ "clientSecretRef": { "name": name, "key": "CLIENT_SECRET" } }));
        let refusal = attacker.client_refusal("app", &spec).await?;
        ensure!(refusal.contains("spec.clientSecretRef.name"), "{refusal}");
        let spec = victim.on_server(json!({ "credentials": { "secretName": name } }));
        let refusal = attacker.client_refusal("app", &spec).await?;
        ensure!(refusal.contains("spec.credentials.secretName"), "{refusal}");
    }
    // The operator looks for the name of the victim's Secret in the attacker's own namespace.
    let spec =
        victim.on_server(json!({ "clientSecretRef": { "name": ledger_of(&victim.client), "key": "client_secret" } }));
    attacker.apply_client("other", &spec).await?;
    let message = format!("Secret `{}` does not exist. Create it.", ledger_of(&victim.client));
    client_says(&attacker, "other", Tone::Reconciling, "SecretNotFound", &message).await?;
    let strange: Vec<_> = bed.operator().requests().since(mark);
    let strange: Vec<_> = strange
        .iter()
        .filter(|found| found.head.target.contains("..") || found.head.target.contains("%2F.."))
        .collect();
    ensure!(strange.is_empty(), "{strange:?}");
    victim.ensure_untouched_by(&attacker).await
}
