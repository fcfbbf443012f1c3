//! `kubectl oidc explain` on a Vault: what differs, and the exit code for scripts.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::Scope;
use oidc_operator::plugin::NOT_READY;
use serde_json::{Value, json};

use super::stage::Stage;
use crate::bed::Bed;
use crate::plugin::{HOME, Plugin};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![side.shared(a_scope_is_explained)]
}

async fn a_scope_is_explained(bed: &Bed) -> Result<()> {
    let (plugin, stage) = (Plugin::new()?, Stage::quiet(bed).await?);
    let explain = |more: &[&'static str]| [&["explain", "scope/orders"], more, &HOME].concat();
    stage.ready::<Scope>("orders", json!({ "description": "ours" })).await?;
    let text = plugin.succeeds(&stage.space, &explain(&[])).await?;
    ensure!(
        text.contains("The scope on the server is as this spec describes it.") && !text.contains("only observes"),
        "{text}"
    );

    bed.write_object(&stage.path("scope", "orders"), json!({ "description": "theirs" }))
        .await?;
    let said = plugin.run(&stage.space, &explain(&["-o", "json"])).await?;
    ensure!(said.code == Some(NOT_READY.into()), "{:?}: {}", said.code, said.err);
    let told: Value = serde_json::from_str(&said.out)?;
    ensure!(
        told["outcome"] == "Different"
            && told["comparison"] == "The scope on the server differs from this spec in description.",
        "{told:#}"
    );

    bed.delete_object(&stage.path("scope", "orders")).await?;
    let said = plugin.run(&stage.space, &explain(&[])).await?;
    ensure!(
        said.code == Some(NOT_READY.into()) && said.out.contains("does not exist on the server."),
        "{:?}: {}",
        said.code,
        said.out
    );
    Ok(())
}
