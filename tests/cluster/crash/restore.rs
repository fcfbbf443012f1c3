//! Restore: interrupted at every request, a resource that comes back from a backup keeps its client with id and secret.

use anyhow::{Result, ensure};
use kube::api::ListParams;
use oidc_operator::api::{GROUP, OAuth2Client, UID_LABEL};
use testbed::process::Signal;

use super::blow::Strike;
use super::lab::{Run, clear, interrupted};
use super::walk;
use crate::backup::Backup;
use crate::bed::{Bed, client_id_of, ledger_of, uid_of};

const SPEC: &str = "{ grantTypes: [client_credentials], scopes: [read] }";

pub(super) async fn a_restore_survives_interruptions_at_every_request(bed: &Bed) -> Result<()> {
    let run = async |strike| run(bed, strike).await;
    // Status, ledger, credentials Secret, earlier ledger, mark, status.
    walk("Restore", 6, run).await
}

async fn run(bed: &Bed, strike: Option<Strike>) -> Result<Run> {
    let space = bed.space().await?;
    let before = space.ready_client("app", SPEC).await?;
    let (id, secret) = space.credentials("app").await?;
    space.canary(&secret);
    let backup = Backup::of(&space, &before).await?;
    bed.operator().signal(Signal::STOP)?;
    let erased = backup.erase::<OAuth2Client>(&space).await;
    bed.operator().signal(Signal::CONT)?;
    erased?;

    let act = async || backup.restore::<OAuth2Client>(&space, false).await;
    let converged = async |_: &OAuth2Client| space.wait_ready("app").await.map(drop);
    let (acted, run) = interrupted(bed, &space, strike, act, converged).await?;

    let now = space.client("app").await?;
    ensure!(client_id_of(&now)? == id, "another id: {:?}", now.status);
    ensure!(
        space.credentials("app").await? == (id.clone(), secret.clone()),
        "another secret"
    );
    bed.token(&id, &secret, "read").await?;
    let mark = bed.registered(&id).await?["metadata"][GROUP].clone();
    ensure!(mark["uid"] == uid_of(&acted).as_str(), "the mark is {mark}");
    let strangers = bed.hydra_clients().await?;
    ensure!(strangers.len() == 1, "duplicates: {strangers:#?}");
    let all = space
        .secrets()
        .list(&ListParams::default().labels(UID_LABEL))
        .await?
        .items;
    let mut names: Vec<_> = all.iter().filter_map(|secret| secret.metadata.name.clone()).collect();
    names.sort_unstable();
    ensure!(names == ["app".to_owned(), ledger_of(&acted)], "Secrets {names:?}");
    space.delete_and_wait("app").await?;
    ensure!(bed.hydra_client(&id).await?.is_none(), "the client is left");
    clear(bed);
    Ok(run)
}
