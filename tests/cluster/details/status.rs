//! What a user sees: a status that is written only on changes, events only on transitions, and the output of kubectl.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use libtest_mimic::Trial;
use oidc_operator::api::condition::READY;
use serde_json::json;
use std::process::Stdio;
use testbed::{HydraMajor, wait};

use super::{brisk, machine_on, until_swept};
use crate::bed::{Bed, LIMIT, Space, ledger_of, uid_of};
use crate::run::Side;

pub(super) fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(an_unchanged_status_is_not_written_again),
        side.shared(events_are_sent_only_on_transitions),
        side.shared(a_suspended_resource_is_left_alone_until_it_is_resumed),
        side.shared(kubectl_explains_every_field),
        side.shared(kubectl_shows_all_kinds_at_once),
    ]
}

async fn an_unchanged_status_is_not_written_again(bed: &Bed) -> Result<()> {
    let server = bed.own_server(brisk()).await?;
    let space = bed.space().await?;
    let spec = format!(
        "{{ serverRef: {{ name: {} }}, grantTypes: [client_credentials], clientId: taken-in-{} }}",
        server.name,
        space.name()
    );
    bed.register(json!({ "client_id": format!("taken-in-{}", space.name()) }))
        .await?;
    space.apply_client("taken", &spec).await?;
    space.ready_client("app", &machine_on(&server)).await?;
    space.wait_condition("taken", "Ready", "False", "NotOwned").await?;
    let mark = server.admin.journal().mark();
    until_swept(&server, mark, 1).await?; // now the server's status has the counts of the sweep
    let versions = async || -> Result<_> {
        let server = bed.servers_api().get(&server.name).await?;
        let clients = [space.client("taken").await?, space.client("app").await?];
        Ok((
            server.resource_version(),
            clients.map(|client| client.resource_version()),
        ))
    };
    let before = versions().await?;
    let (mark, tries) = (server.admin.journal().mark(), server.about_clients(0).len());
    until_swept(&server, mark, 3).await?;
    // The operator retries it, every few seconds at first.
    wait::until("another try", LIMIT, async || {
        Ok((server.about_clients(0).len() > tries).then_some(()))
    })
    .await?;
    let mark = server.admin.journal().mark();
    until_swept(&server, mark, 1).await?;
    ensure!(
        versions().await? == before,
        "{:?} instead of {before:?}",
        versions().await?
    );
    Ok(())
}

async fn events_are_sent_only_on_transitions(bed: &Bed) -> Result<()> {
    let server = bed.own_server(brisk()).await?;
    let space = bed.space().await?;
    let spec = json!({ "serverRef": { "name": server.name }, "redirectUris": ["https://app.example.com/cb"] });
    space.ready_client("app", &spec.to_string()).await?;
    // Hydra refuses a redirect to another host after logout.
    let elsewhere = json!({ "spec": { "postLogoutRedirectUris": ["https://other.example.com/"] } });
    space.change("app", elsewhere).await?;
    space.wait_condition("app", "Stalled", "True", "InvalidSpec").await?;
    space.wait_event("app", "InvalidSpec", |_| true).await?;
    let tries = server.about_clients(0).len();
    // The same error in another pass causes no event.
    space.change("app", json!({ "spec": { "clientName": "a" } })).await?;
    space.wait_condition("app", "Stalled", "True", "InvalidSpec").await?;
    ensure!(server.about_clients(0).len() > tries, "it was not tried again");
    space
        .change("app", json!({ "spec": { "postLogoutRedirectUris": null } }))
        .await?;
    space.wait_ready("app").await?;
    space.wait_event("app", "Available", |_| true).await?;
    // Nor do the sweeps after a change.
    space.change("app", json!({ "spec": { "clientName": "b" } })).await?;
    space.wait_ready("app").await?;
    let mark = server.admin.journal().mark();
    until_swept(&server, mark, 1).await?;
    let mut seen = events(bed, &space).await?;
    seen.sort();
    let expected = [
        ("Registered", "Normal"),
        ("InvalidSpec", "Warning"),
        ("Updated", "Normal"),
        ("Available", "Normal"),
        ("Updated", "Normal"),
    ]
    .map(|(reason, type_)| (reason.to_owned(), type_.to_owned(), 1));
    let mut expected = expected.to_vec();
    expected.sort();
    ensure!(seen == expected, "{seen:?}");
    Ok(())
}

/// Reason, type and count of all events in a namespace.
async fn events(bed: &Bed, space: &Space<'_>) -> Result<Vec<(String, String, i32)>> {
    let events: Api<Event> = Api::namespaced(bed.client(), space.name());
    let listed = events.list(&ListParams::default()).await?;
    Ok(listed
        .into_iter()
        .map(|event| {
            let count = event.series.map_or(1, |series| series.count);
            (event.reason.unwrap_or_default(), event.type_.unwrap_or_default(), count)
        })
        .collect())
}

async fn a_suspended_resource_is_left_alone_until_it_is_resumed(bed: &Bed) -> Result<()> {
    let server = bed.own_server(brisk()).await?;
    let space = bed.space().await?;
    let client = space.ready_client("app", &machine_on(&server)).await?;
    let (id, secret) = space.credentials("app").await?;
    space.change("app", json!({ "spec": { "suspend": true } })).await?;
    let suspended = space.wait_condition("app", "Suspended", "True", "Suspended").await?;
    let conditions = suspended.status.map(|status| status.conditions).unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition.type_ == READY);
    ensure!(ready.is_some_and(|ready| ready.status == "True"), "{conditions:?}");

    let (admin, before) = (
        server.admin.journal().mark(),
        bed.operator().writes_in(space.name()).len(),
    );
    bed.tamper(&id, |found| found["scope"] = json!("read admin")).await?;
    space.delete_secret("app").await?;
    space
        .change("app", json!({ "spec": { "clientName": "changed" } }))
        .await?;
    space.wait_condition("app", "Suspended", "True", "Suspended").await?;
    until_swept(&server, admin, 3).await?;
    let asked = server.about_clients(admin);
    ensure!(asked.is_empty(), "{asked:#?}");
    let writes = bed.operator().writes_in(space.name()).split_off(before);
    ensure!(
        writes.iter().all(|request| request.resource == "oauth2clients/status"),
        "{writes:#?}"
    );

    space.change("app", json!({ "spec": { "suspend": null } })).await?;
    let resumed = space.wait_ready("app").await?;
    let conditions = resumed.status.map(|status| status.conditions).unwrap_or_default();
    ensure!(
        conditions.iter().all(|condition| condition.type_ != "Suspended"),
        "{conditions:?}"
    );
    let found = bed.registered(&id).await?;
    ensure!(found["scope"] == "read" && found["client_name"] == "changed", "{found}");
    ensure!(
        space.credentials("app").await? == (id.clone(), secret.clone()),
        "the credentials differ"
    );
    ensure!(space.secret(&ledger_of(&client)).await?.is_some(), "no ledger");
    bed.token(&id, &secret, "read").await?;
    Ok(())
}

async fn kubectl_explains_every_field(bed: &Bed) -> Result<()> {
    for (path, expected) in [
        ("oauth2clients.spec", "Where the server may redirect users after login"),
        ("oauth2clients.spec.credentials", "Keys of the client id and secret"),
        (
            "oac.spec.hydra.tokenLifespans",
            "Access token from the authorization code grant",
        ),
        ("oac.spec.jwks.keys", "Y coordinate, base64url"),
        ("authserver.spec.hydra", "Base URL of the admin API, without `/admin`"),
        (
            "authserver.spec.access.clients",
            "Hosts to which the client's URIs may lead a browser",
        ),
    ] {
        let text = kubectl(bed, &["explain", path]).await?;
        let words: Vec<&str> = text.split_whitespace().collect();
        ensure!(words.join(" ").contains(expected), "kubectl explain {path}:\n{text}");
        ensure!(
            !text.contains("<no description>"),
            "a field without description:\n{text}"
        );
    }
    Ok(())
}

async fn kubectl_shows_all_kinds_at_once(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let client = space.ready_client("app", "grantTypes: [client_credentials]").await?;
    let text = kubectl(bed, &["get", "oidc", "--all-namespaces"]).await?;
    let row = |start: &[&str]| {
        let rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let mut rows = rows.filter(|row| row.starts_with(start));
        rows.next().with_context(|| format!("no row {start:?} in\n{text}"))
    };
    // Whether a cluster-scoped kind has the NAMESPACE column depends on the other kinds in the list.
    let server_header = ["NAME", "READY", "REASON", "VERSION", "LOGIN", "RESOURCES", "AGE"];
    row(&server_header).or_else(|_| row(&[&["NAMESPACE"], &server_header[..]].concat()))?;
    row(&["NAMESPACE", "NAME", "READY", "REASON", "SERVER", "SECRET", "AGE"])?;
    row(&[
        space.name(),
        "oauth2client.oidc-operator.dev/app",
        "True",
        "Available",
        "default",
        "app",
    ])?;
    let server = row(&["authorizationserver.oidc-operator.dev/default", "True", "Available"])?;
    let version = match bed.major() {
        HydraMajor::V1 => "v1.11.10",
        HydraMajor::V2 => "v2.3.0",
    };
    ensure!(server.get(3) == Some(&version), "{server:?}");
    ensure!(server.get(4) == Some(&"None"), "{server:?}");
    let wide = kubectl(
        bed,
        &["get", "oac", "app", "--namespace", space.name(), "--output", "wide"],
    )
    .await?;
    let header: Vec<&str> = wide.lines().next().unwrap_or_default().split_whitespace().collect();
    let columns = "NAME READY REASON SERVER SECRET AGE CLIENT ID LAST SYNC NEXT ROTATION MESSAGE";
    ensure!(header.join(" ") == columns, "{wide}");
    for shown in [
        &*uid_of(&client),
        "The client is registered and its credentials are in Secret `app`.",
    ] {
        ensure!(wide.contains(shown), "{wide}");
    }
    ensure!(!wide.contains("<invalid>"), "{wide}");
    Ok(())
}

async fn kubectl(bed: &Bed, arguments: &[&str]) -> Result<String> {
    let mut command = bed.plane().kubectl();
    let output = command.args(arguments).stdin(Stdio::null()).output().await?;
    ensure!(
        output.status.success(),
        "kubectl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}
