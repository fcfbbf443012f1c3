//! A server that is deleted while resources use it.

use anyhow::{Result, ensure};
use kube::ResourceExt;
use kube::api::DeleteParams;
use libtest_mimic::Trial;
use oidc_operator::api::FINALIZER;
use serde_json::json;

use super::machine_on;
use crate::bed::{Bed, LIMIT, ServerOptions, uid_of};
use crate::conditions::{Tone, client_ready, client_says, server_says};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(deletion_of_a_server_waits_for_its_last_user),
        side.shared(clients_to_be_orphaned_do_not_block_deletion),
        side.shared(an_unused_server_is_deleted_at_once),
    ]
}

async fn wait_server_gone(bed: &Bed, name: &str) -> Result<()> {
    let what = format!("AuthorizationServer {name} to be gone");
    let api = bed.servers_api();
    testbed::wait::until(&what, LIMIT, async || {
        Ok(api.get_opt(name).await?.is_none().then_some(()))
    })
    .await
}

async fn deletion_of_a_server_waits_for_its_last_user(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let (space, second) = (bed.space().await?, bed.space().await?);
    let mut clients = Vec::new();
    for space in [&space, &second] {
        space.apply_client("app", &machine_on(&server.name)).await?;
        clients.push(client_ready(space, "app").await?);
    }
    bed.servers_api().delete(&server.name, &DeleteParams::default()).await?;
    let message = |user: &str| {
        format!(
            "Resources with deletionPolicy Delete still use this server, for example {user}/app. Delete them, or set their deletionPolicy to Orphan."
        )
    };
    let waiting = bed
        .wait_server("one user to be named", &server.name, |server| {
            let said = crate::conditions::server_conditions(server);
            let said = said
                .iter()
                .find(|found| found.type_ == "Ready")
                .map(|found| found.message.as_str());
            said == Some(&message(space.name())) || said == Some(&message(second.name()))
        })
        .await?;
    ensure!(waiting.finalizers() == [FINALIZER], "{:?}", waiting.finalizers());
    // The server admits no new resource, and its users still work.
    let third = bed.space().await?;
    third.apply_client("app", &machine_on(&server.name)).await?;
    let said = format!(
        "AuthorizationServer `{}` is being deleted. Create this resource again with another serverRef.",
        server.name
    );
    let late = client_says(&third, "app", Tone::Reconciling, "ServerNotReady", &said).await?;
    ensure!(
        bed.hydra_client(&uid_of(&late)).await?.is_none(),
        "a client was created on it"
    );
    third.delete_and_wait("app").await?;

    space.delete_and_wait("app").await?;
    ensure!(
        bed.hydra_client(&uid_of(&clients[0])).await?.is_none(),
        "its client still exists"
    );
    server_says(bed, &server.name, Tone::Reconciling, "InUse", &message(second.name())).await?;
    second.delete_and_wait("app").await?;
    ensure!(
        bed.hydra_client(&uid_of(&clients[1])).await?.is_none(),
        "its client still exists"
    );
    wait_server_gone(bed, &server.name).await
}

async fn clients_to_be_orphaned_do_not_block_deletion(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let space = bed.space().await?;
    space.apply_client("app", &machine_on(&server.name)).await?;
    let client = client_ready(&space, "app").await?;
    space
        .change("app", json!({ "spec": { "deletionPolicy": "Orphan" } }))
        .await?;
    client_ready(&space, "app").await?;
    bed.servers_api().delete(&server.name, &DeleteParams::default()).await?;
    wait_server_gone(bed, &server.name).await?;
    let message = format!(
        "AuthorizationServer `{}` does not exist. Create it, or create this resource again with another serverRef.",
        server.name
    );
    client_says(&space, "app", Tone::Reconciling, "ServerNotFound", &message).await?;
    space.delete_and_wait("app").await?;
    let (id, secret) = space.credentials("app").await?;
    ensure!(id == uid_of(&client), "{id}");
    bed.token(&id, &secret, "").await?;
    Ok(())
}

async fn an_unused_server_is_deleted_at_once(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let space = bed.space().await?;
    space.apply_client("app", &machine_on(&server.name)).await?;
    client_ready(&space, "app").await?;
    space.delete_and_wait("app").await?;
    server.admin.down(); // an unreachable server does not block the deletion
    bed.servers_api().delete(&server.name, &DeleteParams::default()).await?;
    wait_server_gone(bed, &server.name).await
}
