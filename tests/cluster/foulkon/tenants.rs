//! Tenants: what one namespace may request, and what it never gets.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::{OAuth2Client, OidcProvider};
use serde_json::{Value, json};

use super::stage::{Stage, clients};
use crate::bed::{Bed, ServerOptions, client_id_of};
use crate::conditions::Tone::{Reconciling, Stalled};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(requested_names_and_paths_need_a_grant),
        side.shared(an_issuer_chosen_by_a_user_needs_a_grant),
        side.shared(a_client_id_chosen_by_a_user_needs_a_grant),
        side.shared(the_first_resource_with_a_name_keeps_it),
    ]
}

fn rule(names: Value) -> Value {
    json!({ "access": [{ "namespaces": { "from": "All" }, "kinds": ["OidcProvider"], "objectNames": names }] })
}

async fn requested_names_and_paths_need_a_grant(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let own = stage.space.name().to_owned();
    let issuer = super::trust::hydra_provider(bed, &stage.space, "hydra").await?;
    ensure!(!issuer.is_empty());
    let with = |change: Value| {
        let mut spec =
            json!({ "issuerRef": { "name": "hydra" }, "allowedClients": [{ "clientId": format!("{own}.web") }] });
        if let (Some(members), Value::Object(change)) = (spec.as_object_mut(), change) {
            members.extend(change);
            members.retain(|_, value| !value.is_null());
        }
        spec
    };
    let named = |name: String| json!({ "foulkon": { "name": name } });
    let placed = |path: String| json!({ "foulkon": { "path": path } });
    let mine = format!("{own}--mine");
    let theirs = format!("{own}--b--c"); // the generated name of another namespace
    let deep = format!("/oidc-operator/{own}/deep/");
    let beside = format!("/oidc-operator/{own}s/");
    for (grant, change, denied) in [
        ("Generated", json!({}), Some(("allowedClients", format!("{own}.web")))),
        ("Prefixed", json!({}), None),
        (
            "Prefixed",
            json!({ "allowedClients": [{ "clientId": "web" }] }),
            Some(("allowedClients", "web".to_owned())),
        ),
        (
            "Prefixed",
            json!({ "issuerRef": null, "issuer": "https://id.example.com" }),
            Some(("issuer", "https://id.example.com".to_owned())),
        ),
        ("Prefixed", named(mine.clone()), None),
        (
            "Prefixed",
            named(theirs.clone()),
            Some(("foulkon.name", theirs.clone())),
        ),
        (
            "Prefixed",
            named("mine".to_owned()),
            Some(("foulkon.name", "mine".to_owned())),
        ),
        ("Prefixed", placed(deep.clone()), None),
        (
            "Prefixed",
            placed(beside.clone()),
            Some(("foulkon.path", beside.clone())),
        ),
        ("Any", named(theirs), None),
        ("Any", placed(beside), None),
        (
            "Any",
            json!({ "issuerRef": null, "issuer": "https://id.example.com" }),
            None,
        ),
    ] {
        bed.change_server(&stage.server.name, rule(json!(grant))).await?;
        let what = format!("{grant} {change}");
        let made = stage.make::<OidcProvider>("main", with(change)).await?;
        match denied {
            None => drop(stage.space.until_ready::<OidcProvider>("main").await?),
            Some((field, value)) => {
                let message = format!(
                    "AuthorizationServer `{}`: access[0].objectNames does not allow `{value}` in {field}; change it or ask the server's admin.",
                    stage.server.name
                );
                let said = stage
                    .space
                    .says::<OidcProvider>("main", Reconciling, "NotAllowed", &message)
                    .await?;
                ensure!(said.metadata.finalizers.is_none(), "{what}");
            }
        }
        stage.space.remove::<OidcProvider>("main").await?;
        stage.space.until_gone(&made).await?;
    }
    Ok(())
}

fn denied(stage: &Stage<'_>, field: &str, value: &str) -> String {
    format!(
        "AuthorizationServer `{}`: access[0].objectNames does not allow `{value}` in {field}; change it or ask the server's admin.",
        stage.server.name
    )
}

/// Users of a Vault may choose the address in its issuer. A server at that address could sign in as any user.
async fn an_issuer_chosen_by_a_user_needs_a_grant(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    bed.change_server(&stage.server.name, rule(json!("Generated"))).await?;
    let vault = bed.own_vault(ServerOptions::default()).await?;
    let chosen = json!({
        "serverRef": { "name": vault.name }, "issuer": "https://evil.example.com", "allowedClients": [{ "name": "app" }],
    });
    let app = json!({ "serverRef": { "name": vault.name }, "redirectUris": ["https://app.example.com/"] });
    stage.space.ready::<OAuth2Client>("app", &app.to_string()).await?;
    let evil = stage.space.ready::<OidcProvider>("evil", &chosen.to_string()).await?;
    let issuer = evil.status.and_then(|status| status.issuer).context("an issuer")?;
    let spec = json!({ "issuerRef": { "name": "evil" }, "allowedClients": [{ "name": "app" }] });
    stage.make::<OidcProvider>("main", spec).await?;
    let message = denied(&stage, "issuerRef", &issuer);
    stage
        .space
        .says::<OidcProvider>("main", Reconciling, "NotAllowed", &message)
        .await?;
    // The issuer that the server's admin has set needs no grant.
    stage
        .space
        .respecify::<OidcProvider>("evil", json!({ "issuer": null }))
        .await?;
    stage.space.until_ready::<OidcProvider>("main").await?;
    let entry = stage.entry(&stage.name("main")).await?;
    ensure!(!entry.to_string().contains("evil.example.com"), "{entry}");
    Ok(())
}

/// A client id on one server may belong to another client at the issuer.
async fn a_client_id_chosen_by_a_user_needs_a_grant(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    bed.change_server(&stage.server.name, rule(json!("Generated"))).await?;
    super::trust::hydra_provider(bed, &stage.space, "hydra").await?;
    let elsewhere = bed.own_server(ServerOptions::default()).await?;
    let id = format!("grafana-{}", stage.space.name());
    let on = |mut spec: Value| {
        spec["serverRef"] = json!({ "name": elsewhere.name });
        spec["grantTypes"] = json!(["client_credentials"]);
        spec.to_string()
    };
    let chosen = on(json!({ "clientId": id }));
    stage.space.ready::<OAuth2Client>("chosen", &chosen).await?;
    let spec = json!({ "issuerRef": { "name": "hydra" }, "allowedClients": [{ "name": "chosen" }] });
    stage.make::<OidcProvider>("main", spec).await?;
    let message = denied(&stage, "allowedClients", &id);
    stage
        .space
        .says::<OidcProvider>("main", Reconciling, "NotAllowed", &message)
        .await?;
    // The id of a client on the issuer's own server is unambiguous, and a generated id belongs to no other client.
    let own = format!("own-{}", stage.space.name());
    let here = json!({ "clientId": own, "grantTypes": ["client_credentials"] }).to_string();
    stage.space.ready::<OAuth2Client>("own", &here).await?;
    let given = stage.space.ready::<OAuth2Client>("given", &on(json!({}))).await?;
    let names = json!({ "allowedClients": [{ "name": "own" }, { "name": "given" }] });
    stage.space.respecify::<OidcProvider>("main", names).await?;
    stage.space.until_ready::<OidcProvider>("main").await?;
    let mut ids = [own, client_id_of(&given)?];
    ids.sort_unstable();
    ensure!(clients(&stage.entry(&stage.name("main")).await?) == json!(ids));
    Ok(())
}

async fn the_first_resource_with_a_name_keeps_it(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let other = bed.space().await?;
    let name = format!("{}-wanted", stage.space.name());
    let spec = |issuer: &str| json!({ "issuer": issuer, "allowedClients": [{ "clientId": "web" }], "foulkon": { "name": name } });
    stage.ready("main", spec("https://one.example.com")).await?;
    other
        .make::<OidcProvider>("main", &stage.spec(spec("https://other.example.com")))
        .await?;
    let message = format!(
        "Another resource has the provider `{name}` on this server, or asked for it first. Create a new resource with another name."
    );
    other
        .says::<OidcProvider>("main", Stalled, "NotOwned", &message)
        .await?;
    ensure!(stage.entry(&name).await?["issuerUrl"] == "https://one.example.com");
    let gone = stage.space.remove::<OidcProvider>("main").await?;
    stage.space.until_gone(&gone).await?;
    other.until_ready::<OidcProvider>("main").await?;
    ensure!(stage.entry(&name).await?["issuerUrl"] == "https://other.example.com");
    Ok(())
}
