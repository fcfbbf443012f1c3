//! What belongs to others: a client id, a Secret, a name whose previous owner is still being deleted.

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use kube::api::PostParams;
use libtest_mimic::Trial;
use oidc_operator::api::OAuth2Client;
use serde_json::json;

use crate::bed::{Bed, LIMIT, ServerOptions, ledger_of, uid_of};
use crate::conditions::{Tone, client_ready, client_says};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(only_one_resource_gets_a_client_id),
        side.shared(an_existing_client_is_left_alone),
        side.shared(a_foreign_secret_is_left_alone),
        side.shared(a_foreign_ledger_is_left_alone),
        side.shared(a_recreated_resource_gets_a_new_client),
    ]
}

async fn only_one_resource_gets_a_client_id(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let space = bed.space().await?;
    let chosen = format!("{}.shared", space.name());
    let spec = |name: &str| {
        let server = &server.name;
        format!(
            "{{ serverRef: {{ name: {server} }}, grantTypes: [client_credentials], clientId: {chosen}, clientName: {name} }}"
        )
    };
    space.apply_client("first", &spec("first")).await?;
    client_ready(&space, "first").await?;
    let (id, secret) = space.credentials("first").await?;
    let before = bed.registered(&chosen).await?;

    let mark = server.admin.journal().mark();
    space.apply_client("second", &spec("second")).await?;
    let message = format!(
        "The client `{chosen}` exists on the server and does not belong to this resource; nothing was changed. Create a new resource with another clientId."
    );
    client_says(&space, "second", Tone::Stalled, "NotOwned", &message).await?;
    ensure!(
        bed.registered(&chosen).await? == before,
        "the client of the first resource was changed"
    );
    let written: Vec<_> = server
        .about_clients(mark)
        .into_iter()
        .filter(|exchange| exchange.head.method == "PUT" || exchange.head.method == "DELETE")
        .collect();
    ensure!(written.is_empty(), "{written:?}");
    ensure!(
        space.secret("second").await?.is_none(),
        "the second resource got credentials"
    );
    bed.token(&id, &secret, "").await?;
    client_ready(&space, "first").await?;

    // The second resource is deleted: the client stays. It is created again, and gets the id once the first is deleted.
    space.delete_and_wait("second").await?;
    ensure!(
        bed.registered(&chosen).await? == before,
        "the client of the first resource was changed"
    );
    space.apply_client("second", &spec("second")).await?;
    client_says(&space, "second", Tone::Stalled, "NotOwned", &message).await?;
    space.delete_and_wait("first").await?;
    space.apply_client("second", &spec("third")).await?;
    client_ready(&space, "second").await?;
    let (id, secret) = space.credentials("second").await?;
    ensure!(id == chosen, "{id}");
    bed.token(&id, &secret, "").await?;
    Ok(())
}

async fn an_existing_client_is_left_alone(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let chosen = format!("{}.legacy", space.name());
    let legacy =
        json!({ "client_id": chosen, "client_secret": "legacy-secret-1", "grant_types": ["client_credentials"] });
    bed.register(legacy).await?;
    let before = bed.registered(&chosen).await?;
    let spec = format!("{{ grantTypes: [client_credentials], clientId: {chosen} }}");
    space.apply_client("app", &spec).await?;
    let message = format!(
        "The client `{chosen}` exists on the server and no resource manages it; nothing was changed. Adopt it with adoption: Allow and a grant of the server's admin (adopt.clientIds), or create a new resource with another clientId."
    );
    client_says(&space, "app", Tone::Stalled, "NotOwned", &message).await?;
    space.delete_and_wait("app").await?;
    ensure!(bed.registered(&chosen).await? == before, "it was changed");
    bed.token(&chosen, "legacy-secret-1", "").await?;
    Ok(())
}

async fn a_foreign_secret_is_left_alone(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let manifest =
        "{ apiVersion: v1, kind: Secret, metadata: { name: app }, stringData: { CLIENT_ID: mine, other: value } }";
    let mine: k8s_openapi::api::core::v1::Secret = space.apply(manifest).await?;
    space.apply_client("app", "grantTypes: [client_credentials]").await?;
    let message = "Secret `app` exists and belongs to another owner, so the operator does not change it. Delete it or choose another secretName.";
    client_says(&space, "app", Tone::Stalled, "SecretConflict", message).await?;
    let found = space.secret("app").await?.context("it is gone")?;
    ensure!(found == mine, "it was changed");
    space.delete_secret("app").await?;
    space
        .change("app", json!({ "spec": { "clientName": "again" } }))
        .await?;
    client_ready(&space, "app").await?;
    let (id, secret) = space.credentials("app").await?;
    bed.token(&id, &secret, "").await?;
    Ok(())
}

/// The name of a ledger is known as soon as the UID is. A user who creates it before the operator gains nothing.
async fn a_foreign_ledger_is_left_alone(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let server = format!("{}-later", space.name());
    let spec = format!("{{ serverRef: {{ name: {server} }}, grantTypes: [client_credentials] }}");
    let client = space.apply_client("app", &spec).await?;
    let ledger = ledger_of(&client);
    let manifest = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": ledger },
        "stringData": { "client_id": uid_of(&client), "client_secret": "known-to-its-maker" },
    });
    let mine: k8s_openapi::api::core::v1::Secret = space.apply(&manifest.to_string()).await?;
    bed.make_server(&server, ServerOptions::default()).await?;
    let message = format!(
        "Secret `{ledger}` exists and belongs to another owner, so the operator does not change it. Delete it or choose another secretName."
    );
    client_says(&space, "app", Tone::Stalled, "SecretConflict", &message).await?;
    ensure!(bed.hydra_client(&uid_of(&client)).await?.is_none(), "it is registered");
    ensure!(space.secret(&ledger).await? == Some(mine), "it was changed");
    space.delete_secret(&ledger).await?;
    // The operator does not watch foreign Secrets, but it processes a change of the resource at once.
    space
        .change("app", json!({ "spec": { "clientName": "again" } }))
        .await?;
    client_ready(&space, "app").await?;
    let (id, secret) = space.credentials("app").await?;
    ensure!(secret != "known-to-its-maker", "the planted secret is used");
    bed.token(&id, &secret, "").await?;
    Ok(())
}

async fn a_recreated_resource_gets_a_new_client(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let mut last = space.ready_client("app", "grantTypes: [client_credentials]").await?;
    for _ in 0..3 {
        let (old_id, old_secret) = space.credentials("app").await?;
        space.delete("app").await?;
        let again: OAuth2Client = serde_json::from_value(json!({
            "apiVersion": "oidc-operator.dev/v1alpha1", "kind": "OAuth2Client",
            "metadata": { "name": "app" }, "spec": { "grantTypes": ["client_credentials"] },
        }))?;
        let created = testbed::wait::until("the name to be free", LIMIT, async || {
            match space.clients().create(&PostParams::default(), &again).await {
                Ok(created) => Ok(Some(created)),
                Err(kube::Error::Api(status)) if status.is_already_exists() || status.is_conflict() => Ok(None),
                Err(error) => Err(error.into()),
            }
        })
        .await?;
        ensure!(created.uid() != last.uid(), "it is the old resource");
        client_ready(&space, "app").await?;
        let (id, secret) = space.credentials("app").await?;
        ensure!(id == uid_of(&created) && id != old_id && secret != old_secret, "{id}");
        bed.token(&id, &secret, "").await?;
        ensure!(bed.hydra_client(&old_id).await?.is_none(), "the old client stayed");
        ensure!(
            space.secret(&ledger_of(&last)).await?.is_none(),
            "the old ledger stayed"
        );
        last = created;
    }
    Ok(())
}
