//! The ledger: when it is used, when it counts as lost, and the effects of a change.

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use kube::api::Patch;
use libtest_mimic::Trial;
use oidc_operator::api::REVISION_ANNOTATION;
use serde_json::json;
use sha2::{Digest, Sha256};
use testbed::proxy::{Action, Answer, Exchange, Fault, FaultHandle, Outcome};
use testbed::wait;

use super::{body_of, brisk, machine_on, quiet, secret_at, sweep_now};
use crate::bed::{Bed, LIMIT, ServerOptions, Space, ledger_of, uid_of};
use crate::run::Side;

pub(super) fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(a_ledger_counts_as_lost_only_after_a_404),
        side.shared(a_credentials_secret_counts_as_lost_only_after_a_404),
        side.shared(an_edited_ledger_gets_a_new_revision_before_it_is_sent),
        side.shared(the_derived_client_id_overrides_the_ledger),
        side.shared(the_secret_is_sent_again_after_a_foreign_revision),
        side.shared(the_secret_is_sent_only_when_needed),
        side.shared(an_edited_time_causes_no_loop),
    ]
}

async fn a_ledger_counts_as_lost_only_after_a_404(bed: &Bed) -> Result<()> {
    let server = bed.own_server(brisk()).await?;
    let space = bed.space().await?;
    let client = space.ready_client("app", &machine_on(&server)).await?;
    let (id, secret) = space.credentials("app").await?;
    let ledger = space.secret_data(&ledger_of(&client)).await?;
    let before = bed.operator().writes_in(space.name()).len();
    let failing = fail_reads(bed, secret_at(&space, &ledger_of(&client)));
    bed.tamper(&id, |found| found["scope"] = json!("read admin")).await?;
    until_struck(&failing, 2).await?;
    let writes = bed.operator().writes_in(space.name()).split_off(before);
    ensure!(
        writes.iter().all(|request| request.resource == "oauth2clients/status"),
        "{writes:#?}"
    );
    space
        .wait_condition("app", "Ready", "False", "ClusterUnavailable")
        .await?;
    drop(failing);
    bed.until_registered("its scope back", &id, |found| found["scope"] == "read")
        .await?;
    space.wait_ready("app").await?;
    ensure!(
        space.secret_data(&ledger_of(&client)).await? == ledger,
        "the ledger was written"
    );
    bed.token(&id, &secret, "read").await?;
    Ok(())
}

async fn a_credentials_secret_counts_as_lost_only_after_a_404(bed: &Bed) -> Result<()> {
    let server = bed.own_server(quiet()).await?;
    let space = bed.space().await?;
    let client = space.ready_client("app", &machine_on(&server)).await?;
    let credentials = space.credentials("app").await?;
    let failing = fail_reads(bed, secret_at(&space, "app"));
    space.delete_secret(&ledger_of(&client)).await?;
    until_struck(&failing, 2).await?;
    ensure!(
        space.secret(&ledger_of(&client)).await?.is_none(),
        "a ledger was created without reading the credentials Secret"
    );
    drop(failing);
    space.wait_secret("its ledger", &ledger_of(&client), |_| true).await?;
    space.wait_ready("app").await?;
    ensure!(
        space.credentials("app").await? == credentials,
        "the credentials have changed"
    );
    let ledger = space.secret_data(&ledger_of(&client)).await?;
    ensure!(ledger["client_secret"] == credentials.1, "the ledger was not rebuilt");
    Ok(())
}

/// Makes the operator's reads of an object fail with an error other than 404.
fn fail_reads(bed: &Bed, path: String) -> FaultHandle {
    let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 500 });
    bed.operator().kube().inject(Fault::new(
        move |head| head.is("GET", &path),
        Action::Answer(Answer::json(500, &status)),
    ))
}

async fn until_struck(fault: &FaultHandle, times: u64) -> Result<()> {
    wait::until("failed requests", LIMIT, async || {
        Ok((fault.struck() >= times).then_some(()))
    })
    .await
}

async fn an_edited_ledger_gets_a_new_revision_before_it_is_sent(bed: &Bed) -> Result<()> {
    let server = bed.own_server(quiet()).await?;
    let space = bed.space().await?;
    let client = space.ready_client("app", &machine_on(&server)).await?;
    let (id, name) = (uid_of(&client), ledger_of(&client));
    let before = space.secret_data(&name).await?["revision"].clone();
    ensure!(
        revision_of(&space).await? == before,
        "the Secret names another revision"
    );
    let (admin, kube) = (server.admin.journal().mark(), bed.operator().requests().mark());
    bed.canary("a-value-of-the-editors-choice");
    space
        .edit_secret(&name, json!({ "client_secret": "a-value-of-the-editors-choice" }))
        .await?;
    let path = bed.client_path(&id);
    let put = |exchange: &Exchange| {
        exchange.seq > admin && exchange.head.is("PUT", &path) && exchange.outcome == Outcome::Complete
    };
    let put = server.admin.journal().wait_for(put, LIMIT).await?;
    space
        .wait_secret("the edited value", "app", |secret| {
            let value = secret.data.as_ref().and_then(|data| data.get("CLIENT_SECRET"));
            value.is_some_and(|value| value.0 == b"a-value-of-the-editors-choice")
        })
        .await?;

    let ledger = secret_at(&space, &name);
    let requests = bed.operator().requests().since(kube);
    let written = requests.iter().find(|exchange| exchange.head.is("PUT", &ledger));
    let written = written.context("the ledger was not written")?;
    ensure!(written.arrived < put.arrived, "{put:?} came before {written:?}");
    let after = space.secret_data(&name).await?["revision"].clone();
    ensure!(after != before, "the revision has not changed");
    let put = body_of(&put)?;
    ensure!(
        put["metadata"]["oidc-operator.dev"]["revision"] == after.as_str(),
        "{}",
        put["metadata"]
    );
    ensure!(revision_of(&space).await? == after, "the Secret names another revision");
    bed.token(&id, "a-value-of-the-editors-choice", "read").await?;
    Ok(())
}

/// The revision that the credentials Secret names.
async fn revision_of(space: &Space<'_>) -> Result<String> {
    let secret = space.secret("app").await?.context("no Secret")?;
    let revision = secret.annotations().get(REVISION_ANNOTATION).cloned();
    revision.context("it has no revision")
}

async fn the_derived_client_id_overrides_the_ledger(bed: &Bed) -> Result<()> {
    let server = bed.own_server(quiet()).await?;
    let space = bed.space().await?;
    let victim = format!("victim-of-{}", space.name());
    bed.register(json!({ "client_id": victim, "client_name": "somebody else's", "client_secret": "of-the-victim" }))
        .await?;
    let untouched = bed.registered(&victim).await?;
    let client = space.ready_client("app", &machine_on(&server)).await?;
    let name = ledger_of(&client);
    let ledger = space.secret_data(&name).await?;
    let mut hash = Sha256::new();
    for part in [&victim, &ledger["client_secret"], &ledger["revision"]] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let checksum: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    space
        .edit_secret(&name, json!({ "client_id": victim, "checksum": checksum }))
        .await?;
    space
        .wait_secret("its own id again", &name, |secret| {
            let id = secret.data.as_ref().and_then(|data| data.get("client_id"));
            id.is_some_and(|id| id.0 == uid_of(&client).as_bytes())
        })
        .await?;
    space.wait_ready("app").await?;
    let (id, secret) = space.credentials("app").await?;
    ensure!(id == uid_of(&client), "{id}");
    ensure!(
        space.secret_data(&name).await?["revision"] != ledger["revision"],
        "the revision has not changed"
    );
    ensure!(
        bed.registered(&victim).await? == untouched,
        "the other client was touched"
    );
    let asked = server
        .admin
        .journal()
        .count(|exchange| exchange.head.path().contains(&victim));
    ensure!(asked == 0, "the other client was requested");
    wait::until("the credentials to work", LIMIT, async || {
        Ok(bed.token(&id, &secret, "read").await.ok())
    })
    .await?;
    Ok(())
}

async fn the_secret_is_sent_again_after_a_foreign_revision(bed: &Bed) -> Result<()> {
    let server = bed.own_server(brisk()).await?;
    let space = bed.space().await?;
    space.ready_client("app", &machine_on(&server)).await?;
    let (id, secret) = space.credentials("app").await?;
    bed.tamper(&id, |found| {
        found["metadata"]["oidc-operator.dev"]["revision"] = json!("another");
        found["client_secret"] = json!("the-value-of-another-revision");
    })
    .await?;
    bed.until_registered("its revision back", &id, |found| {
        found["metadata"]["oidc-operator.dev"]["revision"] != "another"
    })
    .await?;
    bed.token(&id, &secret, "read").await?;
    Ok(())
}

async fn the_secret_is_sent_only_when_needed(bed: &Bed) -> Result<()> {
    let server = bed
        .own_server(ServerOptions {
            spec: json!({ "hydra": { "publicUrl": null } }),
            ..quiet()
        })
        .await?;
    let space = bed.space().await?;
    let id = uid_of(&space.ready_client("app", &machine_on(&server)).await?);
    let mark = server.admin.journal().mark();
    space
        .change(
            "app",
            json!({ "spec": { "clientName": "changed", "scopes": ["read", "write"] } }),
        )
        .await?;
    space.wait_ready("app").await?;
    sweep_now(bed, &server).await?;
    let asked = server.about_clients(mark);
    ensure!(
        asked.len() == 2
            && asked[0].head.is("GET", &bed.client_path(&id))
            && asked[1].head.is("PUT", &bed.client_path(&id)),
        "{asked:#?}"
    );
    ensure!(
        body_of(&asked[1])?.get("client_secret").is_none(),
        "the secret was sent for a change of name"
    );
    Ok(())
}

/// The time in the ledger is not part of its checksum. One that cannot be right counts as none.
async fn an_edited_time_causes_no_loop(bed: &Bed) -> Result<()> {
    let server = bed.own_server(quiet()).await?;
    let space = bed.space().await?;
    // It waits for a window, so that nothing is replaced before the time is edited.
    let seldom = json!([{ "schedule": "0 0 29 2 *", "duration": "10m" }]);
    let waiting = json!({
        "serverRef": { "name": server.name }, "grantTypes": ["client_credentials"],
        "rotation": { "period": "1s", "withoutOverlap": "Allow", "windows": seldom },
    });
    let client = space.ready_client("app", &waiting.to_string()).await?;
    let (_, first) = space.credentials("app").await?;
    let future = json!({ "stringData": { "since": "2999-01-01T00:00:00Z" } });
    space
        .secrets()
        .patch(&ledger_of(&client), &Default::default(), &Patch::Merge(future))
        .await?;
    // The period counts all the same.
    space
        .change("app", json!({ "spec": { "rotation": { "windows": null } } }))
        .await?;
    wait::until("another secret", LIMIT, async || {
        Ok((space.credentials("app").await?.1 != first).then_some(()))
    })
    .await?;
    space
        .change("app", json!({ "spec": { "rotation": { "period": "1000h" } } }))
        .await?;
    space.wait_ready("app").await.map(drop)
}
