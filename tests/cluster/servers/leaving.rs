//! A server that is deleted while resources use it.

use anyhow::{Result, ensure};
use kube::ResourceExt;
use kube::api::DeleteParams;
use libtest_mimic::Trial;
use oidc_operator::api::{AuthorizationServer, FINALIZER, GROUP};
use serde_json::json;

use super::machine_on;
use crate::bed::{Bed, LIMIT, ServerOptions, uid_of};
use crate::conditions::{Tone, client_ready, client_says, server_says};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(deletion_of_a_server_waits_for_its_last_user),
        side.shared(no_mark_is_left_behind_by_a_server),
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
            "Resources still have something on this server, for example {user}/app. Delete them first; with deletionPolicy: Orphan it stays there without the operator's mark."
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

/// Also a client that is to stay carries our mark, and so does an adopted one. It must come off while the server can
/// still be used.
async fn no_mark_is_left_behind_by_a_server(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let legacy = format!("legacy-{}", space.name());
    bed.register(json!({
        "client_id": legacy, "grant_types": ["client_credentials"], "token_endpoint_auth_method": "none",
    }))
    .await?;
    let access = json!([{
        "namespaces": { "from": "All" }, "kinds": ["OAuth2Client"], "adopt": { "clientIds": [legacy] },
    }]);
    let server = bed
        .own_server(ServerOptions {
            spec: json!({ "access": access }),
            ..ServerOptions::default()
        })
        .await?;
    space.apply_client("made", &machine_on(&server.name)).await?;
    let made = client_ready(&space, "made").await?;
    let orphan = json!({ "spec": { "deletionPolicy": "Orphan" } });
    space.change("made", orphan).await?;
    client_ready(&space, "made").await?;
    let adopting = json!({
        "serverRef": { "name": server.name }, "clientId": legacy, "adoption": "Allow", "clientType": "Public",
        "redirectUris": ["https://app.example.com/callback"],
    });
    space.apply_client("adopted", &adopting.to_string()).await?;
    client_ready(&space, "adopted").await?;
    bed.servers_api().delete(&server.name, &DeleteParams::default()).await?;
    let ids = [("made", uid_of(&made)), ("adopted", legacy)];
    for (name, id) in &ids {
        let said = |server: &AuthorizationServer| {
            let conditions = crate::conditions::server_conditions(server);
            conditions.iter().any(|found| found.reason == "InUse")
        };
        let waiting = bed.wait_server("the server to wait", &server.name, said).await?;
        ensure!(waiting.finalizers() == [FINALIZER], "{:?}", waiting.finalizers());
        let before = bed.registered(id).await?;
        ensure!(before["metadata"][GROUP].is_object(), "{before}");
        space.delete_and_wait(name).await?;
        let after = bed.registered(id).await?;
        ensure!(after["metadata"][GROUP].is_null(), "{name} keeps its mark: {after}");
    }
    wait_server_gone(bed, &server.name).await?;
    let (id, secret) = space.credentials("made").await?;
    bed.token(&id, &secret, "").await.map(drop)
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
