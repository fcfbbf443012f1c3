//! Login with Basic and Bearer, refusals, outages.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::{AuthorizationServer, OidcProvider};
use serde_json::json;
use testbed::Foulkon;
use testbed::proxy::{Action, Answer, Fault};

use super::stage::{Stage, clients, trusting};
use super::trust::signed_in;
use crate::bed::{Bed, ServerOptions};
use crate::conditions::{Tone, server_says};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(the_admin_logs_in_and_sees_the_version),
        side.shared(a_wrong_password_is_reported_and_a_corrected_one_is_used),
        side.shared(a_user_logs_in_with_a_token),
        side.shared(resources_become_ready_after_an_outage),
        side.shared(a_server_that_is_not_foulkon_is_not_recognized),
        side.shared(orphaned_providers_are_counted),
    ]
}

async fn the_admin_logs_in_and_sees_the_version(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let server = bed.server_ready(&stage.server.name).await?;
    let status = server.status.context("a status")?;
    ensure!(
        status.flavour.as_deref() == Some("foulkon") && status.login.as_deref() == Some("Basic"),
        "{status:?}"
    );
    ensure!(
        status
            .version
            .as_deref()
            .is_some_and(|version| version.starts_with('v')),
        "{status:?}"
    );
    Ok(())
}

async fn a_wrong_password_is_reported_and_a_corrected_one_is_used(bed: &Bed) -> Result<()> {
    if Foulkon::is_real() {
        return Ok(()); // its answer depends on the providers that it has loaded
    }
    // A worker with providers answers with another code than a worker without.
    for loaded in [false, true] {
        let mut foulkon = Foulkon::start().await?;
        if loaded {
            let theirs =
                json!({ "name": "theirs", "path": "/theirs/", "issuerUrl": "https://x.example.com", "clients": ["x"] });
            foulkon.must("POST", "", Some(theirs)).await?;
            foulkon.restart().await?;
        }
        let (user, password) = (foulkon.admin().0.to_owned(), foulkon.admin().1.to_owned());
        let login = bed
            .beside_operator(json!({ "username": user, "password": "wrong-password" }))
            .await?;
        let options = ServerOptions {
            resync_interval: "1h".to_owned(),
            spec: json!({ "foulkon": { "auth": { "basic": { "secretRef": { "name": login } } } } }),
            ..ServerOptions::default()
        };
        let server = bed.make_foulkon(&foulkon, options).await?;
        let code = if loaded { 400 } else { 401 };
        let message = format!(
            "The worker answered {code}: it refuses the operator's login. Check foulkon.auth of the AuthorizationServer."
        );
        server_says(bed, &server.name, Tone::Reconciling, "ServerRefused", &message).await?;
        bed.home().edit_secret(&login, json!({ "password": password })).await?;
        bed.server_ready(&server.name).await?;
    }
    Ok(())
}

/// The worker trusts OpenBao, where the user signs in.
async fn a_user_logs_in_with_a_token(bed: &Bed) -> Result<()> {
    if Foulkon::is_real() {
        return Ok(()); // a real worker cannot be told to allow a user
    }
    let mut stage = Stage::quiet(bed).await?;
    let subject = signed_in(bed, &stage.space).await?;
    let theirs = json!({ "name": "bao", "path": "/theirs/", "issuerUrl": subject.issuer, "clients": [subject.client] });
    stage.foulkon.must("POST", "", Some(theirs)).await?;
    stage.foulkon.restart().await?;
    let secret = bed.beside_operator(json!({ "token": subject.id_token })).await?;
    let bearer = json!({ "foulkon": { "auth": {
        "basic": null, "bearerToken": { "secretRef": { "name": secret, "key": "token" } },
    } } });
    bed.change_server(&stage.server.name, bearer).await?;
    let message = "The operator can log in, but the policies of its user on the server do not allow list_oidc_providers. Let it manage OIDC providers, or use the admin's login in foulkon.auth.";
    server_says(bed, &stage.server.name, Tone::Reconciling, "PermissionDenied", message).await?;
    stage.foulkon.allow(&subject.name)?;
    bed.server_ready(&stage.server.name).await?;
    let made = stage.ready("main", trusting(&["web"])).await?;
    ensure!(clients(&stage.entry(&stage.name("main")).await?) == json!(["web"]));
    ensure!(
        made.status.context("a status")?.loaded.is_none(),
        "only the admin can read what is loaded"
    );
    let server = bed.servers_api().get(&stage.server.name).await?;
    let status = server.status.context("a status")?;
    ensure!(
        status.login.as_deref() == Some("Bearer") && status.version.is_none(),
        "{status:?}"
    );
    Ok(())
}

async fn resources_become_ready_after_an_outage(bed: &Bed) -> Result<()> {
    if Foulkon::is_real() {
        return Ok(()); // a real worker cannot be stopped
    }
    let mut stage = Stage::quiet(bed).await?;
    stage.ready("main", trusting(&["web"])).await?;
    stage.foulkon.stop().await?;
    stage
        .space
        .respecify::<OidcProvider>("main", trusting(&["other"]))
        .await?;
    stage
        .make::<OidcProvider>("new", {
            let mut spec = trusting(&["web"]);
            spec["issuer"] = json!("https://another.example.com");
            spec
        })
        .await?;
    let message = "The server cannot be used now: the connection broke during a reply. The operator keeps trying.";
    server_says(bed, &stage.server.name, Tone::Reconciling, "ServerUnavailable", message).await?;
    stage.foulkon.start_again().await?;
    bed.server_ready(&stage.server.name).await?;
    stage.space.until_ready::<OidcProvider>("main").await?;
    stage.space.until_ready::<OidcProvider>("new").await?;
    ensure!(clients(&stage.entry(&stage.name("main")).await?) == json!(["other"]));
    Ok(())
}

async fn a_server_that_is_not_foulkon_is_not_recognized(bed: &Bed) -> Result<()> {
    let stage = Stage::eager(bed).await?;
    let message =
        |problem: &str| format!("Foulkon's admin API {problem}. Check foulkon.workerUrl of the AuthorizationServer.");
    for (answer, reason, message) in [
        (Answer::status(404), "ServerNotRecognized", message("is not found where it should be")),
        (
            Answer::status(302).header("location", "https://elsewhere.example.com"),
            "ServerNotRecognized",
            message("redirects to another URL"),
        ),
        (
            Answer::json(200, &json!({ "version": "v2.3.0" })),
            "InternalError",
            "The server's reply to about is not what a Foulkon worker reports about itself. This is a fault of the server, of a proxy in front of it, or of the operator.".to_owned(),
        ),
    ] {
        let fault = stage
            .server
            .admin
            .inject(Fault::new(|head| head.is("GET", "/about"), Action::Answer(answer)));
        server_says(bed, &stage.server.name, Tone::Reconciling, reason, &message).await?;
        drop(fault);
        bed.server_ready(&stage.server.name).await?;
    }
    Ok(())
}

async fn orphaned_providers_are_counted(bed: &Bed) -> Result<()> {
    if Foulkon::is_real() {
        return Ok(()); // it has entries of other tests too
    }
    let stage = Stage::eager(bed).await?;
    stage.ready("main", trusting(&["web"])).await?;
    let orphan = format!("{}--orphan", stage.space.name());
    let outside = format!("{}--outside", stage.space.name());
    for (name, path) in [(&orphan, stage.path()), (&outside, "/theirs/".to_owned())] {
        let theirs = json!({ "name": name, "path": path, "issuerUrl": "https://x.example.com", "clients": ["x"] });
        stage.foulkon.must("POST", "", Some(theirs)).await?;
    }
    let counts = |wanted: i64| {
        move |server: &AuthorizationServer| server.status.as_ref().and_then(|status| status.orphans) == Some(wanted)
    };
    bed.wait_server("one orphan", &stage.server.name, counts(1)).await?;
    stage.foulkon.must("DELETE", &format!("/{orphan}"), None).await?;
    stage.foulkon.must("DELETE", &format!("/{outside}"), None).await?;
    bed.wait_server("no orphan", &stage.server.name, counts(0))
        .await
        .map(drop)
}
