//! The worker uses what it has read at its start; the operator reports when a restart is required.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::condition::{self, RESTART_REQUIRED};
use oidc_operator::api::{AuthorizationServer, OidcProvider};
use serde_json::json;
use testbed::Foulkon;

use super::stage::{Stage, clients, trusting};
use crate::bed::{Bed, conditions};
use crate::conditions::server_conditions;
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![side.shared(a_required_restart_is_reported_until_it_is_done)]
}

async fn a_required_restart_is_reported_until_it_is_done(bed: &Bed) -> Result<()> {
    if Foulkon::is_real() {
        return Ok(()); // a real worker cannot be restarted
    }
    let mut stage = Stage::eager(bed).await?;
    asks(&stage, None).await?;
    let made = stage.ready("main", trusting(&["web"])).await?;
    let found = conditions(&made);
    let asked = condition::find(&found, RESTART_REQUIRED).context("the condition is missing")?;
    ensure!(
        asked.message == "The worker has not loaded the current provider. Restart the worker.",
        "{asked:?}"
    );
    asks(&stage, Some(true)).await?;
    stage.foulkon.restart().await?;
    asks(&stage, Some(false)).await?;

    // A change requires a restart again; undoing it removes the requirement.
    let name = stage.name("main");
    for (ids, expected) in [(["other"], true), (["web"], false)] {
        stage.space.respecify::<OidcProvider>("main", trusting(&ids)).await?;
        stage
            .until("its clients", &name, |entry| clients(entry) == json!(ids))
            .await?;
        asks(&stage, Some(expected)).await?;
    }

    // The worker still trusts a deleted provider.
    let gone = stage.space.remove::<OidcProvider>("main").await?;
    stage.space.until_gone(&gone).await?;
    asks(&stage, None).await?;
    server_asks(&stage, true).await?;
    stage.foulkon.restart().await?;
    server_asks(&stage, false).await
}

/// Waits until provider and server report whether a restart is required. `None` waits for nothing.
async fn asks(stage: &Stage<'_>, provider: Option<bool>) -> Result<()> {
    let Some(expected) = provider else { return Ok(()) };
    let what = format!("{RESTART_REQUIRED}={expected}");
    stage
        .space
        .until(&what, "main", |found: &OidcProvider| {
            condition::is_true(&conditions(found), RESTART_REQUIRED) == expected
                && condition::is_true(&conditions(found), "Ready")
        })
        .await?;
    server_asks(stage, expected).await
}

async fn server_asks(stage: &Stage<'_>, expected: bool) -> Result<()> {
    let what = format!("{RESTART_REQUIRED}={expected}");
    let asks = |server: &AuthorizationServer| condition::is_true(server_conditions(server), RESTART_REQUIRED);
    stage
        .bed
        .wait_server(&what, &stage.server.name, |server| asks(server) == expected)
        .await
        .map(drop)
}
