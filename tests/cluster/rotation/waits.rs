//! Rotations that are due and wait: for a window, or for the distance from another rotation.

use anyhow::{Result, ensure};
use oidc_operator::api::oauth2_client::RotationWait;
use oidc_operator::api::{OAuth2Client, condition};
use serde_json::{Value, json};
use testbed::wait;

use super::{another, rotate_at};
use crate::bed::{Bed, LIMIT, ServerOptions, Space};

fn machine(server: &str, mut rotation: Value) -> String {
    rotation["withoutOverlap"] = json!("Allow");
    json!({ "serverRef": { "name": server }, "grantTypes": ["client_credentials"], "rotation": rotation }).to_string()
}

/// Waits until a client says what its rotation waits for. It stays ready.
async fn waits(space: &Space<'_>, name: &str, wait: RotationWait, part: &str) -> Result<()> {
    let says = |client: &OAuth2Client| {
        let status = client.status.clone().unwrap_or_default();
        let ready = condition::find(&status.conditions, condition::READY);
        let is_said = ready.is_some_and(|ready| ready.status == "True" && ready.message.contains(part));
        status.rotation_waits_for == Some(wait) && is_said
    };
    let what = format!("a rotation to wait for {wait:?}");
    space.wait_client(&what, name, says).await.map(drop)
}

/// The text of the metrics, and the cache that it is made from, may be a moment old.
async fn is_counted(bed: &Bed, wait: RotationWait) -> Result<()> {
    let labels = format!("kind=\"OAuth2Client\",reason=\"{}\"", wait.as_str());
    wait::until("the rotation to be counted", LIMIT, async || {
        let count = bed
            .operator()
            .metric("oidc_operator_waiting_rotations", &labels)
            .await?;
        Ok((count >= 1.0).then_some(()))
    })
    .await
}

pub(super) async fn a_rotation_waits_for_a_window(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let seldom = json!([{ "schedule": "0 0 29 2 *", "timeZone": "Europe/Berlin", "duration": "10m" }]);
    let spec = machine("default", json!({ "period": "1s", "windows": seldom }));
    space.ready_client("app", &spec).await?;
    let first = space.credentials("app").await?.1;
    let part = "; the rotation that is due waits for a window of rotation.windows, which opens at 20";
    waits(&space, "app", RotationWait::Window, part).await?;
    let next = space
        .client("app")
        .await?
        .status
        .and_then(|status| status.next_rotation_at);
    let is_leap_day = next.as_ref().is_some_and(|next| next.contains("-02-28T23:00:00"));
    ensure!(is_leap_day, "next rotation at {next:?}"); // midnight in Berlin
    is_counted(bed, RotationWait::Window).await?;
    ensure!(
        space.credentials("app").await?.1 == first,
        "it was replaced outside of the window"
    );

    // A person who asks for it does not wait.
    rotate_at(&space, &jiff::Timestamp::now().to_string()).await?;
    let second = another(&space, &first).await?;
    for (rotation, problem) in [
        (
            json!({ "windows": [{ "schedule": "at night", "duration": "1h" }] }),
            "a schedule is not a cron expression",
        ),
        (
            json!({ "windows": [{ "schedule": "0 2 * * *", "timeZone": "Berlin", "duration": "1h" }] }),
            "a timeZone is not in the IANA time zone database",
        ),
        (
            json!({ "windows": [{ "schedule": "0 0 31 2 *", "duration": "1h" }] }),
            "no window ever opens; correct the schedules",
        ),
        (
            json!({ "windows": null, "overlap": "1s" }),
            "it must be shorter than rotation.period",
        ),
    ] {
        space.change("app", json!({ "spec": { "rotation": rotation } })).await?;
        let refused = |client: &OAuth2Client| {
            let status = client.status.clone().unwrap_or_default();
            let ready = condition::find(&status.conditions, condition::READY);
            ready.is_some_and(|ready| ready.reason == "InvalidSpec" && ready.message.contains(problem))
        };
        space.wait_client(problem, "app", refused).await?;
    }
    ensure!(
        space.credentials("app").await?.1 == second,
        "it was replaced outside of the window"
    );

    // The window is open.
    let always = json!([{ "schedule": "* * * * *", "duration": "10m" }]);
    space
        .change(
            "app",
            json!({ "spec": { "rotation": { "windows": always, "overlap": null } } }),
        )
        .await?;
    another(&space, &second).await?;
    space
        .change(
            "app",
            json!({ "spec": { "rotation": { "period": null, "windows": null } } }),
        )
        .await?;
    let rests = |client: &OAuth2Client| {
        let status = client.status.clone().unwrap_or_default();
        status.observed_generation == client.metadata.generation && status.rotation_waits_for.is_none()
    };
    space.wait_client("no rotation to wait", "app", rests).await?;
    Ok(())
}

pub(super) async fn rotations_on_a_server_keep_a_distance(bed: &Bed) -> Result<()> {
    let server = bed
        .own_server(ServerOptions {
            spec: json!({ "minRotationSpacing": "1h" }),
            ..ServerOptions::default()
        })
        .await?;
    let space = bed.space().await?;
    let never = machine(&server.name, json!({ "period": "1000h" }));
    for name in ["one", "two"] {
        space.ready_client(name, &never).await?;
    }
    let secrets = async || anyhow::Ok((space.credentials("one").await?.1, space.credentials("two").await?.1));
    let before = secrets().await?;
    for name in ["one", "two"] {
        space
            .change(name, json!({ "spec": { "rotation": { "period": "2s" } } }))
            .await?;
    }
    let changed = |now: &(String, String)| usize::from(now.0 != before.0) + usize::from(now.1 != before.1);
    wait::until("the first rotation", LIMIT, async || {
        Ok((changed(&secrets().await?) > 0).then_some(()))
    })
    .await?;
    let now = secrets().await?;
    let late = if now.0 == before.0 { "one" } else { "two" };
    let part = format!(
        "; the rotation that is due waits until minRotationSpacing of AuthorizationServer `{}` has passed since that of another client",
        server.name
    );
    waits(&space, late, RotationWait::Spacing, &part).await?;
    is_counted(bed, RotationWait::Spacing).await?;
    ensure!(changed(&secrets().await?) == 1, "both were replaced");
    client_is_not_late(&space, late).await?;

    bed.change_server(&server.name, json!({ "minRotationSpacing": null }))
        .await?;
    wait::until("the second rotation", LIMIT, async || {
        Ok((changed(&secrets().await?) == 2).then_some(()))
    })
    .await?;
    for name in ["one", "two"] {
        space
            .change(name, json!({ "spec": { "rotation": { "period": "1000h" } } }))
            .await?;
    }
    Ok(())
}

/// Its rotation is planned, and nothing is wrong with it.
async fn client_is_not_late(space: &Space<'_>, name: &str) -> Result<()> {
    let status = space.client(name).await?.status.unwrap_or_default();
    ensure!(status.next_rotation_at.is_some(), "no rotation is planned");
    let ready = condition::find(&status.conditions, condition::READY);
    ensure!(
        ready.is_some_and(|ready| ready.status == "True"),
        "{:?}",
        status.conditions
    );
    Ok(())
}
