//! What a provider on a Foulkon tells of itself: events for what was done, the answer to a requested pass, and what
//! differs while it is only observed.

use anyhow::{Result, ensure};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Patch, PatchParams};
use libtest_mimic::Trial;
use oidc_operator::api::{OidcProvider, RECONCILE_AT_ANNOTATION};
use serde_json::json;

use super::stage::{Stage, clients, trusting};
use crate::bed::{Bed, conditions};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(a_provider_answers_a_request_and_tells_of_changes),
        side.shared(an_observed_provider_is_compared_and_not_written),
    ]
}

async fn a_provider_answers_a_request_and_tells_of_changes(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let told = async |reason: &str, note: &str| -> Result<()> {
        let says = |event: &Event| event.note.as_deref() == Some(note);
        stage.space.wait_event("main", reason, says).await.map(drop)
    };
    stage.ready("main", trusting(&["web"])).await?;
    told("Registered", "Registered the provider on the server.").await?;
    stage.ready("main", trusting(&["web", "app"])).await?;
    told("Updated", "Updated clients of the provider on the server.").await?;

    // The server is not compared meanwhile, so only the request makes the operator look.
    let name = stage.name("main");
    stage.meddle(&name, json!({ "clients": ["evil"] })).await?;
    let patch = json!({ "metadata": { "annotations": { RECONCILE_AT_ANNOTATION: "now" } } });
    let api = stage.space.all::<OidcProvider>();
    api.patch("main", &PatchParams::default(), &Patch::Merge(patch)).await?;
    let answered = |found: &OidcProvider| {
        let status = found.status.clone().unwrap_or_default();
        status.last_handled_reconcile_at.as_deref() == Some("now")
    };
    stage.space.until("an answer", "main", answered).await?;
    let entry = stage.entry(&name).await?;
    ensure!(clients(&entry) == json!(["app", "web"]), "{entry}");
    let provider = stage.space.remove::<OidcProvider>("main").await?;
    told("Deleted", "Deleted the provider on the server.").await?;
    stage.space.until_gone(&provider).await
}

async fn an_observed_provider_is_compared_and_not_written(bed: &Bed) -> Result<()> {
    const DIFFERS: &str = "The provider on the server differs from this spec in clients, and the operator only observes it. Change one of the two, or set managementPolicy: Full.";
    let stage = Stage::eager(bed).await?;
    let (space, name) = (&stage.space, stage.name("main"));
    let is = |reason: &'static str| {
        move |found: &OidcProvider| {
            let conditions = conditions(found);
            let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
            ready.is_some_and(|ready| ready.reason == reason && ready.observed_generation == found.metadata.generation)
        }
    };
    let mut spec = trusting(&["web"]);
    spec["managementPolicy"] = json!("ObserveOnly");
    stage.make::<OidcProvider>("main", spec).await?;
    space.until("nothing there", "main", is("ObjectNotFound")).await?;
    ensure!(stage.writes(0).is_empty(), "{:#?}", stage.writes(0));
    space
        .respecify::<OidcProvider>("main", json!({ "managementPolicy": "Full" }))
        .await?;
    space.until_ready::<OidcProvider>("main").await?;
    space
        .respecify::<OidcProvider>("main", json!({ "managementPolicy": "ObserveOnly" }))
        .await?;
    space.until("the same", "main", is("Available")).await?;
    let mark = stage.server.admin.journal().mark();
    stage.meddle(&name, json!({ "clients": ["web", "evil"] })).await?;
    let provider = space.until("the difference", "main", is("DriftDetected")).await?;
    let detected = conditions(&provider)
        .into_iter()
        .find(|found| found.type_ == "DriftDetected");
    ensure!(
        detected.is_some_and(|detected| detected.message == DIFFERS),
        "{:?}",
        provider.status
    );
    space.remove::<OidcProvider>("main").await?;
    space.until_gone(&provider).await?;
    ensure!(stage.writes(mark).is_empty(), "{:#?}", stage.writes(mark));
    ensure!(stage.found(&name).await?.is_some(), "the provider is gone");
    Ok(())
}
