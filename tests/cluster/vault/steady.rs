//! Settled resources cost lists, one read of each object that a list does not show in full, and no writes.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::Scope;
use serde_json::json;
use testbed::wait;

use super::stage::{NOBODY, Stage};
use crate::bed::{Bed, LIMIT, OperatorOptions, Options};
use crate::run::Side;

/// Number of resources that share one login.
const MANY: usize = 1000;

pub fn trials(side: &Side) -> Vec<Trial> {
    let alone = Options {
        server: None,
        ..Options::default()
    };
    let elected = Options {
        operator: Some(OperatorOptions {
            leader_election: true,
            ..OperatorOptions::default()
        }),
        ..alone.clone()
    };
    vec![
        side.shared(a_resync_reads_only_what_lists_do_not_show_and_writes_nothing),
        side.alone(alone, a_thousand_resources_need_one_login),
        side.alone(elected, another_operator_takes_over_and_writes_nothing),
    ]
}

async fn a_resync_reads_only_what_lists_do_not_show_and_writes_nothing(bed: &Bed) -> Result<()> {
    let stage = Stage::eager(bed).await?;
    stage.everything(NOBODY).await?;
    stage.swept().await?;
    let (mark, kube) = (stage.server.admin.journal().mark(), bed.operator().requests().mark());
    stage.swept().await?;
    let all = stage.server.admin.journal().since(mark);
    let sweeps = all
        .iter()
        .filter(|exchange| exchange.head.is("GET", "/v1/identity/oidc/client"))
        .count();
    let about = stage.about(mark);
    ensure!(stage.writes(mark).is_empty(), "{about:#?}");
    for (type_, name, per_sweep) in [
        ("client", "app", 0),
        ("provider", "main", 0),
        ("key", "signing", 1),
        ("scope", "groups", 1),
        ("assignment", "staff", 1),
    ] {
        let path = format!("/v1/identity/oidc/{}", stage.path(type_, name));
        let reads = about.iter().filter(|exchange| exchange.head.path() == path).count();
        // One more sweep may have started before or after.
        ensure!(
            reads <= (sweeps + 1) * per_sweep,
            "{reads} reads of {path} in {sweeps} sweeps"
        );
    }
    let writes = bed
        .operator()
        .writes_about(kube, stage.space.name(), &stage.server.name);
    ensure!(writes.is_empty(), "{writes:#?}");
    Ok(())
}

async fn a_thousand_resources_need_one_login(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let spec = stage.spec(json!({}));
    for nth in 0..MANY {
        stage.space.make::<Scope>(&format!("scope-{nth}"), &spec).await?;
    }
    for nth in 0..MANY {
        stage.space.until_ready::<Scope>(&format!("scope-{nth}")).await?;
    }
    let requests = stage.server.admin.journal().since(0);
    let logins = requests
        .iter()
        .filter(|exchange| exchange.head.path().starts_with("/v1/auth/"))
        .count();
    ensure!(logins == 1, "{logins} requests for logins");
    let about = stage.about(0).len();
    ensure!(about == 3 * MANY, "{about} requests for {MANY} scopes"); // a read, a write, a read of the result
    Ok(())
}

async fn another_operator_takes_over_and_writes_nothing(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    stage.everything(NOBODY).await?;
    let before = stage.space.credentials("app").await?;
    let first = bed.operator();
    let second = bed
        .start_operator(OperatorOptions {
            leader_election: true,
            ..OperatorOptions::default()
        })
        .await?;
    let mark = stage.server.admin.journal().mark();
    first.kill();
    wait::until("the other operator to log in", LIMIT, async || {
        let since = stage.server.admin.journal().since(mark);
        Ok(since
            .iter()
            .any(|exchange| exchange.head.path().ends_with("/login"))
            .then_some(()))
    })
    .await?;
    stage.space.make::<Scope>("later", &stage.spec(json!({}))).await?;
    stage.space.until_ready::<Scope>("later").await?;
    let writes = stage.writes(mark);
    ensure!(writes.len() == 1, "{writes:#?}");
    ensure!(stage.space.credentials("app").await? == before, "other credentials");
    ensure!(second.is_alive());
    Ok(())
}
