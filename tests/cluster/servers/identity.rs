//! How the operator recognizes the intended server: version, issuer, and wrong URLs.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::AuthorizationServer;
use oidc_operator::api::condition::{self, READY};
use serde_json::json;
use testbed::HydraMajor;
use testbed::proxy::{Action, Answer, Fault, RequestHead};

use super::{machine_on, not_ready};
use crate::bed::{Bed, LIMIT, ServerOptions, uid_of};
use crate::conditions::{Tone, client_ready, client_says, server_conditions, server_says};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(an_unsupported_version_is_reported),
        side.shared(other_supported_versions_are_accepted),
        side.shared(a_changed_issuer_stops_every_write_until_it_is_confirmed),
        side.shared(a_wrong_issuer_in_the_spec_is_reported),
        side.shared(unreadable_discovery_does_not_block_clients),
        side.shared(a_client_that_needs_discovery_waits_for_it),
        side.shared(a_wrong_admin_url_is_reported),
    ]
}

fn version(head: &RequestHead) -> bool {
    head.is("GET", "/version")
}

fn discovery(head: &RequestHead) -> bool {
    head.is("GET", "/.well-known/openid-configuration")
}

async fn an_unsupported_version_is_reported(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let space = bed.space().await?;
    let too_old = "this operator does not support. Use Ory Hydra 1.11, or 2.2 or later";
    let no_ids = "does not let the operator choose a client's id, so it cannot register clients safely. Upgrade the server to 2.2 or later";
    for (old, why, proto) in [
        ("v1.10.7", too_old, "http"),
        ("v2.1.0", no_ids, "https"),
        ("v2.0.3", no_ids, "http"),
        ("v0.9", too_old, "https"),
    ] {
        let answer = Answer::json(200, &json!({ "version": old }));
        let fault = server.admin.inject(Fault::new(version, Action::Answer(answer)));
        let message = format!("The server reports version `{old}`, which {why}.");
        let said = server_says(bed, &server.name, Tone::Stalled, "UnsupportedByServer", &message).await?;
        let status = said.status.unwrap_or_default();
        ensure!(status.version.as_deref() == Some(old), "{:?}", status.version);
        let mark = server.admin.journal().mark();
        space.apply_client("app", &machine_on(&server.name)).await?;
        let waits = client_says(
            &space,
            "app",
            Tone::Reconciling,
            "ServerNotReady",
            &not_ready(&server.name),
        )
        .await?;
        ensure!(
            server.about_clients(mark).is_empty(),
            "{:?}",
            server.about_clients(mark)
        );
        ensure!(waits.metadata.finalizers.is_none(), "it has a finalizer");
        space.delete_and_wait("app").await?;
        drop(fault);
        // The operator does not learn of an upgrade at once, but it does of a change of the spec.
        bed.change_server(&server.name, json!({ "hydra": { "forwardedProto": proto } }))
            .await?;
        bed.server_ready(&server.name).await?;
    }
    space.apply_client("app", &machine_on(&server.name)).await?;
    client_ready(&space, "app").await?;
    Ok(())
}

async fn other_supported_versions_are_accepted(bed: &Bed) -> Result<()> {
    let releases = match bed.major() {
        HydraMajor::V1 => ["master", "v1.11.0", "v1.11.9"],
        HydraMajor::V2 => ["master", "v26.2.0", "v2.2.0"],
    };
    for new in releases {
        let server = bed.own_server(ServerOptions::default()).await?;
        let answer = Answer::json(200, &json!({ "version": new }));
        let _fault = server.admin.inject(Fault::new(version, Action::Answer(answer)));
        let what = format!("version {new}");
        bed.wait_server(&what, &server.name, |server| {
            let status = server.status.as_ref();
            status.and_then(|status| status.version.as_deref()) == Some(new)
                && condition::is_true(server_conditions(server), READY)
        })
        .await?;
    }
    Ok(())
}

const OTHER: &str = "https://elsewhere.example.org";

fn other_issuer() -> Fault {
    let document = json!({ "issuer": OTHER, "subject_types_supported": ["public"] });
    Fault::new(discovery, Action::Answer(Answer::json(200, &document)))
}

async fn a_changed_issuer_stops_every_write_until_it_is_confirmed(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let space = bed.space().await?;
    space.apply_client("app", &machine_on(&server.name)).await?;
    let client = client_ready(&space, "app").await?;
    let before = bed.registered(&uid_of(&client)).await?;
    let known = known_issuer(bed, &server.name).await?;

    let fault = server.public.inject(other_issuer());
    let message = format!(
        "The server's issuer is now `{OTHER}` instead of `{known}`, so the operator writes nothing. If this is intended, set hydra.issuer to the new issuer."
    );
    server_says(bed, &server.name, Tone::Reconciling, "IssuerChanged", &message).await?;
    let mark = server.admin.journal().mark();
    space
        .change("app", json!({ "spec": { "clientName": "changed" } }))
        .await?;
    space.apply_client("new", &machine_on(&server.name)).await?;
    for name in ["app", "new"] {
        client_says(
            &space,
            name,
            Tone::Reconciling,
            "ServerNotReady",
            &not_ready(&server.name),
        )
        .await?;
    }
    space.delete("app").await?;
    space.wait_condition("app", "Ready", "False", "Deleting").await?;
    ensure!(
        server.about_clients(mark).is_empty(),
        "{:?}",
        server.about_clients(mark)
    );
    ensure!(bed.registered(&uid_of(&client)).await? == before, "it was changed");

    bed.change_server(&server.name, json!({ "hydra": { "issuer": OTHER } }))
        .await?;
    bed.server_ready(&server.name).await?;
    space.wait_gone(&client).await?;
    client_ready(&space, "new").await?;
    let issuer = known_issuer(bed, &server.name).await?;
    ensure!(issuer == OTHER, "{issuer}");
    // The former issuer now counts as another one.
    drop(fault);
    let message = format!(
        "The server's issuer is now `{known}` instead of `{OTHER}`, so the operator writes nothing. If this is intended, set hydra.issuer to the new issuer."
    );
    server_says(bed, &server.name, Tone::Reconciling, "IssuerChanged", &message).await?;
    Ok(())
}

/// Waits until a server knows its issuer, since Hydra on SQLite may fail a first request under load.
async fn known_issuer(bed: &Bed, name: &str) -> Result<String> {
    let issuer = |server: &AuthorizationServer| {
        let endpoints = server.status.as_ref().and_then(|status| status.endpoints.as_ref());
        endpoints.map(|endpoints| endpoints.issuer.clone()).unwrap_or_default()
    };
    bed.server_ready(name).await?;
    let what = format!("AuthorizationServer {name} to know its issuer");
    let server = bed
        .wait_server(&what, name, |server| !issuer(server).is_empty())
        .await?;
    Ok(issuer(&server))
}

async fn a_wrong_issuer_in_the_spec_is_reported(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let known = known_issuer(bed, &server.name).await?;
    bed.change_server(&server.name, json!({ "hydra": { "issuer": OTHER } }))
        .await?;
    let message = format!(
        "The server's issuer is now `{known}` instead of `{OTHER}`, so the operator writes nothing. If this is intended, set hydra.issuer to the new issuer."
    );
    server_says(bed, &server.name, Tone::Reconciling, "IssuerChanged", &message).await?;
    bed.change_server(&server.name, json!({ "hydra": { "issuer": known } }))
        .await?;
    bed.server_ready(&server.name).await?;
    Ok(())
}

async fn unreadable_discovery_does_not_block_clients(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let known = known_issuer(bed, &server.name).await?;
    server.public.down();
    let mark = server.public.journal().mark();
    let space = bed.space().await?;
    space.apply_client("app", &machine_on(&server.name)).await?;
    client_ready(&space, "app").await?;
    let journal = server.public.journal();
    journal
        .wait_for(|found| found.seq > mark && discovery(&found.head), LIMIT)
        .await?;
    ensure!(
        known_issuer(bed, &server.name).await? == known,
        "the issuer was forgotten"
    );
    Ok(())
}

async fn a_client_that_needs_discovery_waits_for_it(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let name = format!("{}-quiet", space.name());
    let server = bed
        .make_server(
            &name,
            ServerOptions {
                spec: json!({ "hydra": { "publicUrl": null } }),
                ..ServerOptions::default()
            },
        )
        .await?;
    bed.server_ready(&name).await?;
    let spec = json!({
        "serverRef": { "name": name }, "grantTypes": ["client_credentials"],
        "credentials": { "data": { "issuer": "$(issuer)" } },
    });
    space.apply_client("app", &spec.to_string()).await?;
    let message = format!(
        "credentials.data needs $(issuer), which AuthorizationServer `{name}` does not provide. Set hydra.publicUrl there."
    );
    client_says(&space, "app", Tone::Reconciling, "ServerNotReady", &message).await?;
    server.public.down();
    bed.change_server(&name, json!({ "hydra": { "publicUrl": server.public.url() } }))
        .await?;
    let message = format!(
        "credentials.data needs $(issuer), but the operator could not read the discovery document of AuthorizationServer `{name}` yet. Run `kubectl describe authserver {name}` to see why."
    );
    client_says(&space, "app", Tone::Reconciling, "ServerNotReady", &message).await?;
    server.public.up();
    client_ready(&space, "app").await?;
    ensure!(!space.secret_data("app").await?["issuer"].is_empty(), "no issuer");
    Ok(())
}

async fn a_wrong_admin_url_is_reported(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let space = bed.space().await?;
    let missing = "The admin API is not found where it should be. Check hydra.adminUrl of the AuthorizationServer; if only /version is not found, set hydra.version.";
    let html = || {
        Answer::status(404)
            .header("content-type", "text/html")
            .body("<html>nothing here</html>")
    };
    let page = server.admin.inject(Fault::new(|_| true, Action::Answer(html())));
    server_says(bed, &server.name, Tone::Reconciling, "ServerNotRecognized", missing).await?;
    drop(page);
    bed.server_ready(&server.name).await?;
    let redirect = Answer::status(302).header("location", &server.public.url());
    let redirect = server.admin.inject(Fault::new(|_| true, Action::Answer(redirect)));
    let message = "The admin API redirects to another URL. Check hydra.adminUrl of the AuthorizationServer.";
    let mark = server.public.journal().mark();
    server_says(bed, &server.name, Tone::Reconciling, "ServerNotRecognized", message).await?;
    let followed = server.public.journal().since(mark);
    ensure!(
        followed.iter().all(|found| discovery(&found.head)),
        "the redirect was followed: {followed:?}"
    );
    drop(redirect);
    bed.server_ready(&server.name).await?;

    // The public API instead of the admin API, and a path that does not exist.
    let admin = server.admin.url();
    for url in [server.public.url(), format!("{admin}/hydra")] {
        bed.change_server(&server.name, json!({ "hydra": { "adminUrl": url } }))
            .await?;
        server_says(bed, &server.name, Tone::Reconciling, "ServerNotRecognized", missing).await?;
        space.apply_client("app", &machine_on(&server.name)).await?;
        client_says(
            &space,
            "app",
            Tone::Reconciling,
            "ServerNotReady",
            &not_ready(&server.name),
        )
        .await?;
        bed.change_server(&server.name, json!({ "hydra": { "adminUrl": admin } }))
            .await?;
        client_ready(&space, "app").await?;
        space.delete_and_wait("app").await?;
    }
    Ok(())
}
