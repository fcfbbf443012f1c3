//! Rotation on a Hydra that keeps former secrets valid: no login fails, whatever happens in between. The two operations
//! that released builds lack are those of a stand-in, which is held to recordings of a real build.

mod recording;
mod stage;
pub mod unused;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use libtest_mimic::Trial;
use oidc_operator::api::{OAuth2Client, ROTATE_AT_ANNOTATION};
use serde_json::json;
use testbed::http::exchange;
use testbed::proxy::{Action, Answer, Fault};
use testbed::wait;

use crate::bed::{Bed, LIMIT, ServerOptions, ledger_of, uid_of};
use crate::conditions::{Tone, client_says};
use crate::run::Side;
use stage::{Stage, over, rotated};
pub use stage::{accepts, is_rotation, rotating_before};

/// What another writer makes of a client secret.
const STOLEN: &str = "stolen-secret-1234";

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(recording::the_stand_in_answers_as_recorded),
        side.shared(recording::the_stand_in_keeps_five_former_secrets),
        side.shared(twenty_rotations_fail_no_login),
        side.shared(the_secret_has_the_former_one_during_the_overlap),
        side.shared(lost_replies_end_no_secret_in_use),
        side.shared(refusals_end_no_secret_in_use),
        side.shared(a_period_without_a_way_ends_the_overlap_all_the_same),
        side.shared(corrections_during_the_overlap_end_no_secret),
        side.shared(without_a_public_url_a_secret_of_others_does_not_stay),
        side.shared(a_rotation_gives_no_overlap_to_a_stolen_secret),
        side.shared(a_former_secret_ends_with_one_request_of_its_own),
        side.shared(a_server_without_the_operation_is_found_by_asking),
        side.shared(unused::an_overlap_ends_when_no_pod_uses_the_former_secret),
    ]
}

/// An application uses its old secret until the Secret has changed and for half of the overlap after.
async fn twenty_rotations_fail_no_login(bed: &Bed) -> Result<()> {
    const ROTATIONS: usize = 20;
    const OVERLAP: Duration = Duration::from_secs(2);
    let stage = Stage::of(bed).await?;
    let space = bed.space().await?;
    let (id, mut current) = stage.overlapping(&space, "2s").await?;
    let mark = stage.server.admin.journal().mark();
    let mut logins = 0;
    for _ in 0..ROTATIONS {
        let old = current.clone();
        let now = jiff::Timestamp::now().to_string();
        space.annotate("app", ROTATE_AT_ANNOTATION, &now).await?;
        let (asked, mut changed) = (Instant::now(), None);
        while changed.is_none_or(|changed: Instant| changed.elapsed() < OVERLAP / 2) {
            ensure!(asked.elapsed() < LIMIT, "the secret was not replaced");
            ensure!(
                stage.accepts(&id, &old).await?,
                "the old secret fails, {changed:?} after the change"
            );
            logins += 1;
            if changed.is_none() {
                current = space.credentials("app").await?.1;
                changed = (current != old).then(Instant::now);
                continue;
            }
            ensure!(stage.accepts(&id, &current).await?, "the new secret fails");
        }
        over(&space).await?;
        ensure!(!stage.accepts(&id, &old).await?, "the old secret is still valid");
    }
    let asked = stage.asked(mark);
    ensure!(asked == (ROTATIONS, ROTATIONS), "(ends, rotations) = {asked:?}");
    space.wait_event("app", "FormerSecretEnded", |_| true).await?;
    eprintln!("overlap: {ROTATIONS} rotations, {logins} logins with the old secret, none failed");
    Ok(())
}

async fn the_secret_has_the_former_one_during_the_overlap(bed: &Bed) -> Result<()> {
    let stage = Stage::of(bed).await?;
    let space = bed.space().await?;
    let client = space
        .ready_client("app", &stage.spec(json!({ "overlap": "1h" })))
        .await?;
    let (id, first) = space.credentials("app").await?;
    ensure!(
        !space.secret_data("app").await?.contains_key("CLIENT_SECRET_PREVIOUS"),
        "too early"
    );
    let second = rotated(&space, &first).await?;
    space.canary(&second);
    let tells = |client: &OAuth2Client| {
        let status = client.status.as_ref();
        status.is_some_and(|status| status.former_secret_until.is_some())
    };
    let ready = space.wait_client("the end of the former secret", "app", tells).await?;
    let data = space.secret_data("app").await?;
    ensure!(
        data["CLIENT_SECRET_PREVIOUS"] == first && data["CLIENT_SECRET"] == second,
        "the Secret has others"
    );
    let status = ready.status.context("no status")?;
    let until: jiff::Timestamp = status.former_secret_until.context("no end")?.parse()?;
    let rotated_at: jiff::Timestamp = status.rotated_at.context("no rotation")?.parse()?;
    let overlap = until.duration_since(rotated_at).as_secs();
    ensure!((3599..=3600).contains(&overlap), "{until} {rotated_at}");
    ensure!(
        space.secret_data(&ledger_of(&client)).await?["former_client_secret"] == first,
        "the ledger has another"
    );

    // What others do to the Secret is put right, with both secrets.
    space.delete_secret("app").await?;
    wait::until("the Secret to come back", LIMIT, async || {
        let found = space.secret("app").await?.is_some();
        Ok((found && space.secret_data("app").await?.get("CLIENT_SECRET_PREVIOUS") == Some(&first)).then_some(()))
    })
    .await?;
    // A rotation that is requested meanwhile waits.
    let now = jiff::Timestamp::now().to_string();
    space.annotate("app", ROTATE_AT_ANNOTATION, &now).await?;
    let message = format!(
        "The client is registered and its credentials are in Secret `app`; the rotation that rotate-at requests waits until the former secret is no longer valid. The former secret is valid until {until}."
    );
    let waits = |client: &OAuth2Client| {
        let conditions = client.status.iter().flat_map(|status| &status.conditions);
        conditions
            .into_iter()
            .any(|condition| condition.type_ == "Ready" && condition.message == message)
    };
    space.wait_client(&message, "app", waits).await?;
    space
        .annotate("app", ROTATE_AT_ANNOTATION, "2020-01-01T00:00:00Z")
        .await?;
    ensure!(
        stage.accepts(&id, &first).await? && stage.accepts(&id, &second).await?,
        "one is not valid"
    );

    // The spec wants no overlap any more.
    space
        .change("app", json!({ "spec": { "rotation": { "overlap": null } } }))
        .await?;
    over(&space).await?;
    ensure!(!stage.accepts(&id, &first).await?, "the old secret is still valid");
    ensure!(stage.accepts(&id, &second).await?, "the new secret is not valid");
    let data = space.secret_data("app").await?;
    ensure!(
        !data.contains_key("CLIENT_SECRET_PREVIOUS") && data["CLIENT_SECRET"] == second,
        "the Secret has others"
    );
    Ok(())
}

/// Only the reply has the new secret. However many replies are lost, the one in the Secret stays valid.
async fn lost_replies_end_no_secret_in_use(bed: &Bed) -> Result<()> {
    const MOST: usize = 4;
    let stage = Stage::of(bed).await?;
    let (some, all) = (bed.space().await?, bed.space().await?);
    for (space, lost) in [(&some, MOST - 1), (&all, usize::MAX)] {
        let (id, first) = stage.overlapping(space, "1h").await?;
        let mark = stage.server.admin.journal().mark();
        let lossy = Fault::new(|head| is_rotation(head, "POST"), Action::LoseReply);
        let lossy = stage.server.admin.inject(lossy.times(u64::try_from(lost)?));
        let now = jiff::Timestamp::now().to_string();
        space.annotate("app", ROTATE_AT_ANNOTATION, &now).await?;
        if lost < MOST {
            wait::until("another client secret", LIMIT, async || {
                ensure!(
                    stage.accepts(&id, &first).await?,
                    "it fails after {} lost replies",
                    lossy.struck()
                );
                Ok((space.credentials("app").await?.1 != first).then_some(()))
            })
            .await?;
            let second = space.credentials("app").await?.1;
            ensure!(stage.accepts(&id, &second).await?, "the new secret is not valid");
        } else {
            let part = "is lost again and again; the secret in use stays valid";
            let says = |client: &OAuth2Client| {
                let conditions = client.status.iter().flat_map(|status| &status.conditions);
                conditions
                    .into_iter()
                    .any(|found| found.type_ == "Ready" && found.message.contains(part))
            };
            space.wait_client(part, "app", says).await?;
            ensure!(space.credentials("app").await?.1 == first, "it was replaced");
            // What else changes makes no further attempt.
            space
                .change("app", json!({ "spec": { "rotation": { "overlap": "2h" } } }))
                .await?;
            let seen = |client: &OAuth2Client| {
                let observed = client.status.as_ref().and_then(|status| status.observed_generation);
                observed == client.metadata.generation
            };
            space.wait_client("the change to be seen", "app", seen).await?;
            ensure!(stage.asked(mark).1 == MOST, "{:?} attempts", stage.asked(mark));
        }
        ensure!(stage.accepts(&id, &first).await?, "the secret in use is not valid");
    }
    Ok(())
}

/// A server that refuses does nothing, so its refusals do not count.
async fn refusals_end_no_secret_in_use(bed: &Bed) -> Result<()> {
    const REFUSALS: u64 = 7;
    let stage = Stage::of(bed).await?;
    let space = bed.space().await?;
    let (id, first) = stage.overlapping(&space, "1h").await?;
    let busy = Fault::new(|head| is_rotation(head, "POST"), Action::Answer(Answer::status(429)));
    let busy = stage.server.admin.inject(busy.times(REFUSALS));
    let second = rotated(&space, &first).await?;
    ensure!(busy.struck() == REFUSALS, "{} refusals", busy.struck());
    ensure!(stage.accepts(&id, &first).await?, "the former secret is not valid");
    ensure!(stage.accepts(&id, &second).await?, "the new secret is not valid");
    Ok(())
}

/// A spec that wants no overlap any more, and accepts no rotation without one, ends the former secret and then says what it
/// does not accept.
async fn a_period_without_a_way_ends_the_overlap_all_the_same(bed: &Bed) -> Result<()> {
    let stage = Stage::of(bed).await?;
    let space = bed.space().await?;
    let spec = stage.spec(json!({ "overlap": "1h", "period": "1000h" }));
    space.ready_client("app", &spec).await?;
    let (id, first) = space.credentials("app").await?;
    let second = rotated(&space, &first).await?;
    space
        .change("app", json!({ "spec": { "rotation": { "overlap": null } } }))
        .await?;
    over(&space).await?;
    ensure!(!stage.accepts(&id, &first).await?, "the former secret is still valid");
    ensure!(stage.accepts(&id, &second).await?, "the secret in use is not valid");
    space
        .wait_condition("app", "Ready", "False", "UnsupportedByServer")
        .await?;
    Ok(())
}

async fn corrections_during_the_overlap_end_no_secret(bed: &Bed) -> Result<()> {
    let stage = Stage::of(bed).await?;
    let space = bed.space().await?;
    let (id, first) = stage.overlapping(&space, "1h").await?;
    let second = rotated(&space, &first).await?;
    space.wait_ready("app").await?;
    // Another writer changes something else …
    bed.tamper(&id, |found| found["scope"] = json!("admin")).await?;
    bed.change_server(&stage.server.name, json!({ "resyncInterval": "2s" }))
        .await?;
    bed.until_registered("its scope back", &id, |found| found["scope"] != "admin")
        .await?;
    ensure!(
        stage.accepts(&id, &first).await? && stage.accepts(&id, &second).await?,
        "one is not valid"
    );
    // … a person changes the spec …
    space.change("app", json!({ "spec": { "clientName": "a" } })).await?;
    bed.until_registered("its name", &id, |found| found["client_name"] == "a")
        .await?;
    ensure!(
        stage.accepts(&id, &first).await? && stage.accepts(&id, &second).await?,
        "one is not valid"
    );
    // … and another writer the secret itself.
    a_stolen_secret_ends(bed, &stage, &id, &second).await
}

/// The operator cannot try the secret there.
async fn without_a_public_url_a_secret_of_others_does_not_stay(bed: &Bed) -> Result<()> {
    let stage = Stage::with(bed, json!({ "hydra": { "publicUrl": null } })).await?;
    let space = bed.space().await?;
    let (id, first) = stage.overlapping(&space, "1h").await?;
    let second = rotated(&space, &first).await?;
    space.wait_ready("app").await?;
    ensure!(stage.accepts(&id, &first).await?, "the former secret is not valid");
    bed.change_server(&stage.server.name, json!({ "resyncInterval": "2s" }))
        .await?;
    a_stolen_secret_ends(bed, &stage, &id, &second).await
}

/// Another writer gives the client another secret, and leaves everything else as it is.
async fn steal(bed: &Bed, stage: &Stage, id: &str) -> Result<()> {
    let admin = format!("{}/admin/clients/{id}", stage.rotating.admin_url);
    let mut stolen = bed.registered(id).await?;
    stolen["client_secret"] = json!(STOLEN);
    let (status, _) = exchange(testbed::http::client().put(admin), Some(stolen), "put").await?;
    ensure!(status == 200, "not changed: {status}");
    Ok(())
}

/// Nobody has noticed yet that another writer replaced the secret, when the next rotation is due.
async fn a_rotation_gives_no_overlap_to_a_stolen_secret(bed: &Bed) -> Result<()> {
    let stage = Stage::of(bed).await?;
    let space = bed.space().await?;
    let (id, first) = stage.overlapping(&space, "1h").await?;
    steal(bed, &stage, &id).await?;
    ensure!(!stage.accepts(&id, &first).await?, "nothing was stolen");
    let second = rotated(&space, &first).await?;
    for (secret, is_valid) in [(first.as_str(), true), (&second, true), (STOLEN, false)] {
        ensure!(stage.accepts(&id, secret).await? == is_valid, "{is_valid} expected");
    }
    Ok(())
}

/// Another writer gives the client another secret, and the operator gives it back its own.
async fn a_stolen_secret_ends(bed: &Bed, stage: &Stage, id: &str, secret: &str) -> Result<()> {
    steal(bed, stage, id).await?;
    wait::until("the secret to be valid again", LIMIT, async || {
        Ok(stage.accepts(id, secret).await?.then_some(()))
    })
    .await?;
    ensure!(!stage.accepts(id, STOLEN).await?, "the other writer's secret is valid");
    Ok(())
}

async fn a_former_secret_ends_with_one_request_of_its_own(bed: &Bed) -> Result<()> {
    let stage = Stage::of(bed).await?;
    let space = bed.space().await?;
    let (id, first) = stage.overlapping(&space, "1h").await?;
    let second = rotated(&space, &first).await?;
    space.wait_ready("app").await?;
    // Another writer rotates too, so ours is a former one. It must not end with the others.
    let other = format!("{}/admin/clients/{id}/secrets/rotate", stage.rotating.admin_url);
    let (_, third) = exchange(testbed::http::client().post(other), None, "rotate").await?;
    let third = third["client_secret"].as_str().context("no secret")?.to_owned();
    let mark = stage.server.admin.journal().mark();
    let lossy = stage
        .server
        .admin
        .inject(Fault::new(|head| is_rotation(head, "DELETE"), Action::LoseReply));
    space
        .change("app", json!({ "spec": { "rotation": { "overlap": null } } }))
        .await?;
    over(&space).await?;
    ensure!(stage.asked(mark).0 <= 1, "{:?}", stage.asked(mark));
    for (secret, is_valid) in [(&first, false), (&second, true), (&third, false)] {
        ensure!(stage.accepts(&id, secret).await? == is_valid, "{is_valid} expected");
    }
    drop(lossy);
    Ok(())
}

async fn a_server_without_the_operation_is_found_by_asking(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    // As a gateway or a build without it answers.
    let _absent = server.admin.inject(Fault::new(
        |head| head.path().ends_with("/secrets/rotate"),
        Action::Answer(Answer::status(404).body("404 page not found")),
    ));
    let space = bed.space().await?;
    let spec = json!({
        "serverRef": { "name": server.name }, "grantTypes": ["client_credentials"], "rotation": { "overlap": "1h" },
    });
    let client = space.ready_client("app", &spec.to_string()).await?;
    let (id, first) = space.credentials("app").await?;
    let now = jiff::Timestamp::now().to_string();
    space.annotate("app", ROTATE_AT_ANNOTATION, &now).await?;
    let message = format!(
        "AuthorizationServer `{}` keeps one secret per client, so logins would fail from a rotation until the application reads the Secret again; nothing was changed. Set rotation.withoutOverlap: Allow, or use private_key_jwt with keySetRef.",
        server.name
    );
    client_says(&space, "app", Tone::Stalled, "UnsupportedByServer", &message).await?;
    ensure!(space.credentials("app").await?.1 == first, "it was replaced");
    bed.token(&id, &first, "").await?;
    let asked = || {
        server
            .admin
            .journal()
            .since(0)
            .iter()
            .filter(|exchange| is_rotation(&exchange.head, "POST"))
            .count()
    };
    ensure!(asked() == 2, "asked {} times", asked()); // about the client, and about none

    space
        .change("app", json!({ "spec": { "rotation": { "withoutOverlap": "Allow" } } }))
        .await?;
    wait::until("another client secret", LIMIT, async || {
        Ok((space.credentials("app").await?.1 != first).then_some(()))
    })
    .await?;
    let ready = space.wait_ready("app").await?;
    ensure!(ready.uid() == Some(uid_of(&client)), "another resource");
    ensure!(
        ready.status.is_some_and(|status| status.former_secret_until.is_none()),
        "the former one is over"
    );
    bed.token(&id, &space.credentials("app").await?.1, "").await?;
    ensure!(asked() == 2, "asked {} times", asked()); // about the client, and about none
    Ok(())
}
