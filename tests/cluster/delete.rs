//! What is deleted with a resource, what stays, and what blocks the deletion.

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use libtest_mimic::Trial;
use oidc_operator::api::{ABANDON_ANNOTATION, UID_LABEL, WATCH_LABEL, condition};

use crate::bed::{Bed, ServerOptions, Space, ledger_of, uid_of};
use crate::run::Side;

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(client_and_secrets_are_deleted_with_the_resource),
        side.shared(an_orphaned_client_keeps_working),
        side.shared(an_abandoned_resource_is_deleted_while_the_server_is_down),
        side.shared(a_deletion_waits_for_the_server_and_reports_it),
        side.shared(a_resource_that_was_never_registered_can_be_deleted),
        side.shared(a_namespace_is_deleted_with_its_clients),
    ]
}

async fn client_and_secrets_are_deleted_with_the_resource(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let client = space.ready_client("app", "grantTypes: [client_credentials]").await?;
    space.delete_and_wait("app").await?;
    ensure!(
        bed.hydra_client(&uid_of(&client)).await?.is_none(),
        "the client stayed in Hydra"
    );
    ensure!(space.secret("app").await?.is_none(), "the credentials Secret stayed");
    ensure!(space.secret(&ledger_of(&client)).await?.is_none(), "the ledger stayed");
    Ok(())
}

async fn an_orphaned_client_keeps_working(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let client = space
        .ready_client("app", "{ grantTypes: [client_credentials], deletionPolicy: Orphan }")
        .await?;
    space.delete_and_wait("app").await?;
    let (id, secret) = space.credentials("app").await?;
    bed.token(&id, &secret, "").await?;
    let found = bed.registered(&id).await?;
    ensure!(
        found["metadata"].get("oidc-operator.dev").is_none(),
        "it still has the operator's marker: {}",
        found["metadata"]
    );
    ensure!(space.secret(&ledger_of(&client)).await?.is_none(), "the ledger stayed");
    let left = space.secret("app").await?.context("the credentials Secret is gone")?;
    ensure!(
        left.owner_references().is_empty(),
        "the garbage collector would delete it"
    );
    for label in [UID_LABEL, WATCH_LABEL] {
        ensure!(!left.labels().contains_key(label), "it still has the label {label}");
    }
    Ok(())
}

async fn an_abandoned_resource_is_deleted_while_the_server_is_down(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let space = bed.space().await?;
    let client = space.ready_client("app", &machine_on(&server.name)).await?;
    server.admin.down();
    space.annotate("app", ABANDON_ANNOTATION, "true").await?;
    space.delete_and_wait("app").await?;
    server.admin.up();
    ensure!(space.secret("app").await?.is_none(), "the credentials Secret stayed");
    bed.registered(&uid_of(&client))
        .await
        .context("it must not be deleted")?;
    Ok(())
}

async fn a_deletion_waits_for_the_server_and_reports_it(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let space = bed.space().await?;
    let client = space.ready_client("app", &machine_on(&server.name)).await?;
    server.admin.down();
    space.delete("app").await?;
    let waiting = space.wait_condition("app", "Ready", "False", "Deleting").await?;
    let message = ready_message(&waiting);
    let advice = format!("kubectl annotate oac app -n {} {ABANDON_ANNOTATION}=true", space.name());
    ensure!(message.contains(&server.name) && message.contains(&advice), "{message}");
    server.admin.up();
    space.wait_gone(&client).await?;
    ensure!(
        bed.hydra_client(&uid_of(&client)).await?.is_none(),
        "the client stayed in Hydra"
    );
    Ok(())
}

async fn a_resource_that_was_never_registered_can_be_deleted(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    space.apply_client("app", &machine_on("nowhere")).await?;
    let waiting = space.wait_condition("app", "Ready", "False", "ServerNotFound").await?;
    ensure!(ready_message(&waiting).contains("AuthorizationServer `nowhere` does not exist"));
    ensure!(waiting.finalizers().is_empty(), "{:?}", waiting.finalizers());
    space.delete_and_wait("app").await?;
    Ok(())
}

async fn a_namespace_is_deleted_with_its_clients(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let ids = ready_clients(&space, 5).await?;
    space.delete_namespace_and_wait().await?;
    for id in ids {
        ensure!(bed.hydra_client(&id).await?.is_none(), "client {id} stayed in Hydra");
    }
    Ok(())
}

async fn ready_clients(space: &Space<'_>, count: usize) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for number in 0..count {
        let client = space
            .ready_client(&format!("app-{number}"), "grantTypes: [client_credentials]")
            .await?;
        ids.push(uid_of(&client));
    }
    Ok(ids)
}

fn machine_on(server: &str) -> String {
    format!("{{ serverRef: {{ name: {server} }}, grantTypes: [client_credentials] }}")
}

fn ready_message(client: &oidc_operator::api::OAuth2Client) -> String {
    let conditions = client.status.iter().flat_map(|status| &status.conditions);
    let ready = conditions.into_iter().find(|found| found.type_ == condition::READY);
    ready.map(|found| found.message.clone()).unwrap_or_default()
}
