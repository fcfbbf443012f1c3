//! What only the server can refuse, and AuthorizationServers that do not exist yet.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::OAuth2Client;

use crate::bed::{Bed, Options, ServerOptions, Space, uid_of};
use crate::conditions::{Tone, client_ready, client_says};
use crate::run::Side;

/// Options without the default server.
fn without_server() -> Options {
    Options {
        server: None,
        ..Options::default()
    }
}

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(a_refused_change_keeps_the_last_good_registration),
        side.shared(an_unreachable_sector_identifier_is_reported),
        side.shared(an_unsupported_subject_type_is_reported),
        side.shared(a_client_refused_at_creation_is_not_registered),
        side.shared(a_server_created_later_wakes_its_clients),
        side.alone(without_server(), a_default_server_created_later_wakes_its_clients),
    ]
}

async fn a_refused_change_keeps_the_last_good_registration(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let good = "{ redirectUris: [https://web.example.com/cb], clientName: good }";
    let client = client_ready_with(&space, good).await?;
    let before = bed.registered(&uid_of(&client)).await?;
    let secret = space.secret("app").await?;

    let bad = "{ redirectUris: [https://web.example.com/cb], clientName: bad, postLogoutRedirectUris: [https://elsewhere.example.org/] }";
    space.apply_client("app", bad).await?;
    let message =
        "The server does not accept postLogoutRedirectUris; what is registered there stays as it is. Correct the spec.";
    client_says(&space, "app", Tone::Stalled, "InvalidSpec", message).await?;
    ensure!(
        bed.registered(&uid_of(&client)).await? == before,
        "the registration changed"
    );
    ensure!(space.secret("app").await? == secret, "the credentials changed");
    let event = space.wait_event("app", "InvalidSpec", |_| true).await?;
    ensure!(event.note.as_deref() == Some(message), "{:?}", event.note);

    let corrected = "{ redirectUris: [https://web.example.com/cb], clientName: corrected, postLogoutRedirectUris: [https://web.example.com/out] }";
    space.apply_client("app", corrected).await?;
    client_ready(&space, "app").await?;
    let after = bed.registered(&uid_of(&client)).await?;
    ensure!(after["client_name"] == "corrected", "{after}");
    Ok(())
}

async fn client_ready_with(space: &Space<'_>, spec: &str) -> Result<OAuth2Client> {
    space.apply_client("app", spec).await?;
    client_ready(space, "app").await
}

async fn an_unreachable_sector_identifier_is_reported(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let good = "{ redirectUris: [https://web.example.com/cb] }";
    let client = client_ready_with(&space, good).await?;
    let before = bed.registered(&uid_of(&client)).await?;
    let bad = "{ redirectUris: [https://web.example.com/cb], sectorIdentifierUri: 'https://127.0.0.1:1/sector' }";
    space.apply_client("app", bad).await?;
    let message =
        "The server does not accept sectorIdentifierUri; what is registered there stays as it is. Correct the spec.";
    client_says(&space, "app", Tone::Stalled, "InvalidSpec", message).await?;
    ensure!(
        bed.registered(&uid_of(&client)).await? == before,
        "the registration changed"
    );
    client_ready_with(&space, good).await?;
    Ok(())
}

async fn an_unsupported_subject_type_is_reported(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    space
        .apply_client(
            "app",
            "{ redirectUris: [https://web.example.com/cb], subjectType: pairwise }",
        )
        .await?;
    let message = "The server does not accept subjectType; what is registered there stays as it is. Correct the spec.";
    client_says(&space, "app", Tone::Stalled, "InvalidSpec", message).await?;
    client_ready_with(&space, "redirectUris: [https://web.example.com/cb]").await?;
    Ok(())
}

async fn a_client_refused_at_creation_is_not_registered(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let bad = "{ redirectUris: [https://web.example.com/cb], backchannelLogoutUri: 'https://elsewhere.example.org/out', postLogoutRedirectUris: [https://elsewhere.example.org/] }";
    let client = space.apply_client("app", bad).await?;
    let message =
        "The server does not accept postLogoutRedirectUris; what is registered there stays as it is. Correct the spec.";
    client_says(&space, "app", Tone::Stalled, "InvalidSpec", message).await?;
    ensure!(bed.hydra_client(&uid_of(&client)).await?.is_none(), "it is registered");
    ensure!(space.secret("app").await?.is_none(), "an incomplete Secret exists");
    // A client that was never registered can be deleted, and its ledger with it.
    space.delete_and_wait("app").await?;
    let left = space.secrets().list(&kube::api::ListParams::default()).await?;
    ensure!(left.items.is_empty(), "{} Secrets stayed", left.items.len());
    Ok(())
}

async fn a_server_created_later_wakes_its_clients(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let name = format!("{}-later", space.name());
    space
        .apply_client(
            "app",
            &format!("{{ grantTypes: [client_credentials], serverRef: {{ name: {name} }} }}"),
        )
        .await?;
    let message = format!(
        "AuthorizationServer `{name}` does not exist. Create it, or create this resource again with another serverRef."
    );
    let client = client_says(&space, "app", Tone::Reconciling, "ServerNotFound", &message).await?;
    ensure!(client.metadata.finalizers.is_none(), "it has a finalizer");
    bed.make_server(&name, ServerOptions::default()).await?;
    client_ready(&space, "app").await?;
    let (id, secret) = space.credentials("app").await?;
    bed.token(&id, &secret, "").await?;
    Ok(())
}

async fn a_default_server_created_later_wakes_its_clients(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    space.apply_client("app", "grantTypes: [client_credentials]").await?;
    let message =
        "AuthorizationServer `default` does not exist. Create it, or create this resource again with a serverRef.";
    client_says(&space, "app", Tone::Reconciling, "ServerNotFound", message).await?;
    bed.make_server("default", ServerOptions::default()).await?;
    client_ready(&space, "app").await?;
    let (id, secret) = space.credentials("app").await?;
    bed.token(&id, &secret, "").await?;
    Ok(())
}
