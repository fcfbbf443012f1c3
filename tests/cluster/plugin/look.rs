//! The verbs that look at resources, at their server, or at everything.

use anyhow::{Context, Result, ensure};
use oidc_operator::api::{GROUP, OAuth2Client};
use oidc_operator::plugin::{FAILED, NOT_READY};
use serde_json::{Value, json};

use super::{HOME, MACHINE, Plugin};
use crate::adoption::UNKNOWN;
use crate::bed::{Bed, ServerOptions};
use crate::conditions::Tone::Stalled;

pub(super) async fn explain_names_what_differs_and_who_wrote_it(bed: &Bed) -> Result<()> {
    let (plugin, space) = (Plugin::new()?, bed.space().await?);
    let ready = space.ready_client("app", MACHINE).await?;
    let explain = |more: &[&'static str]| [&["explain", "app"], more, &HOME].concat();
    let text = plugin.succeeds(&space, &explain(&[])).await?;
    for part in [
        format!(
            "OAuth2Client {}/app on AuthorizationServer default  Ready",
            space.name()
        ),
        "The operator wrote it last, at ".to_owned(),
        " changed the resource at ".to_owned(),
    ] {
        ensure!(text.contains(&part), "no `{part}` in {text}");
    }

    // Another writer, while the operator leaves the client alone.
    space.change("app", json!({ "spec": { "suspend": true } })).await?;
    space.wait_condition("app", "Suspended", "True", "").await?;
    let id = ready.status.and_then(|status| status.client_id).context("no id")?;
    bed.tamper(&id, |found| found["scope"] = json!("admin")).await?;
    let said = plugin.run(&space, &explain(&["-o", "json"])).await?;
    ensure!(
        said.code == Some(NOT_READY.into()),
        "{:?}: {}{}",
        said.code,
        said.out,
        said.err
    );
    let told: Value = serde_json::from_str(&said.out)?;
    ensure!(
        told["state"] == "Suspended" && told["outcome"] == "Different",
        "{told:#}"
    );
    let [difference] = told["differences"].as_array().context("no list")?.as_slice() else {
        anyhow::bail!("{told:#}")
    };
    ensure!(
        difference["member"] == "scope" && difference["found"] == "\"admin\"",
        "{difference:#}"
    );
    let writer = told["lastWrite"].as_str().unwrap_or_default();
    ensure!(writer.starts_with("Somebody else wrote it at "), "{writer}");

    // A server that this machine does not reach.
    let said = plugin
        .run(&space, &explain(&["--admin-url", "http://127.0.0.1:1"]))
        .await?;
    ensure!(
        said.code == Some(FAILED.into()) && said.out.contains("Its object was not compared."),
        "{:?}: {}",
        said.code,
        said.out
    );
    Ok(())
}

pub(super) async fn import_prints_resources_that_adopt(bed: &Bed) -> Result<()> {
    let (plugin, space) = (Plugin::new()?, bed.space().await?);
    let id = format!("legacy-{}", space.name());
    let members = json!({
        "client_id": id, "client_name": format!("Legacy {}", space.name()), "client_secret": "known-to-others-1",
        "grant_types": ["authorization_code", "refresh_token", "client_credentials"], "response_types": ["code"],
        "redirect_uris": ["https://app.example.com/callback"], "scope": "openid read",
        "token_endpoint_auth_method": "client_secret_post", "metadata": { "team": "a" }, "owner": "user-42",
        "policy_uri": "https://app.example.com/policy", "audience": ["https://api.example.com"],
        "frontchannel_logout_uri": "https://app.example.com/out", "frontchannel_logout_session_required": true,
    });
    space.canary("known-to-others-1");
    let before = bed.register(members).await?;
    space.ready_client("managed", MACHINE).await?;
    let access = json!([{
        "namespaces": { "from": "Names", "names": [space.name()] }, "kinds": ["OAuth2Client"],
        "adopt": { "clientIds": [id] },
    }]);
    let options = ServerOptions {
        spec: json!({ "access": access }),
        ..ServerOptions::default()
    };
    let server = bed.own_server(options).await?;
    let asked = [&["import", "--server", &server.name][..], &HOME].concat();
    let all = plugin.succeeds(&space, &asked).await?;
    ensure!(
        !all.contains("name: managed"),
        "a client of a resource is imported: {all}"
    );
    let asked = [&["import", &id, "--server", &server.name][..], &HOME].concat();
    let text = plugin.succeeds(&space, &asked).await?;
    ensure!(text.matches("kind: OAuth2Client").count() == 1, "{text}");
    let imported: OAuth2Client = space.apply(&text).await?;
    let name = imported.metadata.name.unwrap_or_default();
    ensure!(name.starts_with("legacy-"), "{name}");
    space
        .says::<OAuth2Client>(&name, Stalled, "SecretUnknown", UNKNOWN)
        .await?;

    // Nothing but the mark has changed.
    let mut now = bed.registered(&id).await?;
    now["metadata"].as_object_mut().context("no metadata")?.remove(GROUP);
    for (member, value) in before.as_object().context("no client")? {
        let is_empty = |value: &Value| value.is_null() || *value == json!([]) || *value == json!({});
        let is_passing = is_empty(value) && is_empty(&now[member])
            || [
                "updated_at",
                "client_secret",
                "registration_access_token",
                "registration_client_uri",
            ]
            .contains(&member.as_str());
        ensure!(
            is_passing || now[member] == *value,
            "{member} was {value} and is {}",
            now[member]
        );
    }
    Ok(())
}

pub(super) async fn support_bundle_has_no_secrets(bed: &Bed) -> Result<()> {
    let (plugin, space) = (Plugin::new()?, bed.space().await?);
    space.ready_client("app", MACHINE).await?;
    let (id, secret) = space.credentials("app").await?;
    let bundle = async |more: &[&'static str]| {
        let said = plugin
            .run_with(&space, &[&["support-bundle"], more, &HOME].concat(), more.is_empty())
            .await?;
        ensure!(said.code == Some(0), "{:?}: {}", said.code, said.err);
        bed.printed("the support bundle", &said.out);
        Ok(said.out)
    };
    bundle(&["--all-namespaces"]).await?;
    let text = bundle(&[]).await?;
    for part in [
        "=== versions and rights ===",
        "=== oauth2clients ===",
        "=== authorizationservers ===",
        "=== events ===",
        "name: app",
        &id,
        "=== pods of the operator",
    ] {
        ensure!(text.contains(part), "no `{part}` in {text}");
    }
    ensure!(!text.contains(&secret), "it has a client secret");
    Ok(())
}
