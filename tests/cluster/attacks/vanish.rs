//! A resource is removed without cleanup during its first pass. The client that this pass creates is deleted too.

use anyhow::Result;
use kube::api::{DeleteParams, Patch, PatchParams};
use libtest_mimic::Trial;
use serde_json::json;
use testbed::proxy::{Action, Fault, RequestHead};
use testbed::wait;

use super::victim::Victim;
use crate::bed::{Bed, LIMIT, Options, is_create, uid_of};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![side.alone(
        Options::default(),
        a_resource_removed_during_its_first_pass_leaves_nothing_behind,
    )]
}

async fn a_resource_removed_during_its_first_pass_leaves_nothing_behind(bed: &Bed) -> Result<()> {
    let victim = Victim::settle(bed).await?;
    let evil = bed.space().await?;
    let is_status = |head: &RequestHead| head.method == "PATCH" && head.path().ends_with("/oauth2clients/app/status");
    let late = bed
        .operator()
        .kube()
        .inject(Fault::new(is_status, Action::Delay(LIMIT)));
    let mark = bed.servers()[0].admin.journal().mark();
    let client = evil.apply_client("app", "{ grantTypes: [client_credentials] }").await?;
    wait::until("the first status to be written", LIMIT, async || {
        Ok((late.struck() > 0).then_some(()))
    })
    .await?;
    let created = bed.servers()[0].admin.journal().since(mark);
    anyhow::ensure!(
        created.iter().any(|exchange| is_create(&exchange.head)),
        "it was not registered"
    );
    // Any user who may edit the resource can do this. The Kubernetes API does the same if it read the resource before
    // the finalizer was added.
    let free = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    evil.clients().patch("app", &PatchParams::default(), &free).await?;
    evil.clients().delete("app", &DeleteParams::default()).await?;
    drop(late);
    wait::until("the client to be gone from the server", LIMIT, async || {
        Ok(bed.hydra_client(&uid_of(&client)).await?.is_none().then_some(()))
    })
    .await?;
    victim.is_served("after").await?;
    victim.is_untouched().await
}
