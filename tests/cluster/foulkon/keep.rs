//! A provider is created from its spec, follows its changes, and costs nothing while nothing changes.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::OidcProvider;
use serde_json::json;

use super::stage::{ISSUER, Stage, clients, trusting};
use crate::bed::{Bed, uid_of};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(a_provider_is_created_from_its_spec),
        side.shared(a_changed_spec_is_applied),
        side.shared(a_provider_is_renamed_and_moved_without_being_recreated),
        side.shared(a_provider_gets_a_name_when_another_releases_it),
        side.shared(a_resync_reads_each_provider_once_and_writes_nothing),
    ]
}

async fn a_provider_is_created_from_its_spec(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let mark = stage.server.admin.journal().mark();
    let made = stage.ready("main.one", trusting(&["web", "shop", "web"])).await?;
    let name = stage.name("main-one");
    let entry = stage.entry(&name).await?;
    ensure!(clients(&entry) == json!(["shop", "web"]), "{entry}");
    ensure!(
        entry["path"] == format!("{}{}/", stage.path(), uid_of(&made)) && entry["issuerUrl"] == ISSUER,
        "{entry}"
    );
    let status = made.status.context("a status")?;
    ensure!(status.id.as_deref() == entry["id"].as_str(), "{status:?}");
    ensure!(status.urn.as_deref() == entry["urn"].as_str(), "{status:?}");
    ensure!(status.issuer.as_deref() == Some(ISSUER) && status.client_ids == ["shop", "web"]);
    let methods: Vec<_> = stage
        .about(mark)
        .iter()
        .map(|exchange| exchange.head.method.to_string())
        .collect();
    ensure!(methods == ["GET", "POST"], "{methods:?}");
    let own = stage.space.config_maps().get_opt("main.one").await?;
    ensure!(own.is_none(), "a ConfigMap was created");
    Ok(())
}

async fn a_changed_spec_is_applied(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    stage.ready("main", trusting(&["web"])).await?;
    let name = stage.name("main");
    let before = stage.entry(&name).await?;
    for (change, ids, issuer) in [
        (
            json!({ "allowedClients": [{ "clientId": "b" }, { "clientId": "a@x.y" }] }),
            json!(["a@x.y", "b"]),
            ISSUER,
        ),
        (
            json!({ "issuer": "https://other.example.com/realms/a" }),
            json!(["a@x.y", "b"]),
            "https://other.example.com/realms/a",
        ),
        (
            json!({ "allowedClients": [{ "clientId": "b" }] }),
            json!(["b"]),
            "https://other.example.com/realms/a",
        ),
    ] {
        stage.space.respecify::<OidcProvider>("main", change).await?;
        let entry = stage
            .until("its clients and issuer", &name, |entry| {
                clients(entry) == ids && entry["issuerUrl"] == issuer
            })
            .await?;
        ensure!(entry["id"] == before["id"], "it was recreated");
        stage.space.until_ready::<OidcProvider>("main").await?;
    }
    Ok(())
}

async fn a_provider_is_renamed_and_moved_without_being_recreated(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let made = stage.ready("main", trusting(&["web"])).await?;
    let own_path = format!("{}{}/", stage.path(), uid_of(&made));
    let id = made.status.and_then(|status| status.id).context("an id")?;
    let mut last = stage.name("main");
    let own = stage.space.name();
    for (place, name, path) in [
        (
            json!({ "name": format!("{own}-new") }),
            format!("{own}-new"),
            own_path.clone(),
        ),
        (
            json!({ "name": format!("{own}-new"), "path": format!("{}deep/er/", stage.path()) }),
            format!("{own}-new"),
            format!("{}deep/er/", stage.path()),
        ),
        (
            json!({ "name": format!("{own}-newer"), "path": "/oidc-operator/elsewhere/" }),
            format!("{own}-newer"),
            "/oidc-operator/elsewhere/".to_owned(),
        ),
        (json!(null), stage.name("main"), own_path.clone()),
    ] {
        let mark = stage.server.admin.journal().mark();
        // A merge patch keeps members of the last place, so each place sets them all or none.
        let clear = json!({ "foulkon": null });
        let change = json!({ "foulkon": place });
        let change = if place.is_null() { clear } else { change };
        stage.space.respecify::<OidcProvider>("main", change).await?;
        stage
            .until("its path", &name, |entry| {
                entry["path"] == path.as_str() && entry["id"] == id.as_str()
            })
            .await?;
        let ready = stage.space.until_ready::<OidcProvider>("main").await?;
        let status = ready.status.context("a status")?;
        ensure!(
            status.name.as_ref() == Some(&name) && status.path.as_ref() == Some(&path),
            "{status:?}"
        );
        let writes = stage.writes(mark);
        ensure!(writes.iter().all(|write| write.head.method == "PUT"), "{writes:#?}");
        if last != name {
            ensure!(stage.found(&last).await?.is_none(), "{last} still exists");
        }
        last = name;
    }
    Ok(())
}

async fn a_provider_gets_a_name_when_another_releases_it(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let own = stage.space.name();
    let named = |name: &str, issuer: &str| {
        json!({
            "issuer": issuer, "allowedClients": [{ "clientId": "web" }], "foulkon": { "name": format!("{own}-{name}") },
        })
    };
    stage.ready("one", named("a", "https://one.example.com")).await?;
    stage.ready("other", named("b", "https://other.example.com")).await?;
    let taken = format!(
        "Another resource has the provider `{own}-b` on this server, or asked for it first. Create a new resource with another name."
    );
    let one = json!({ "foulkon": { "name": format!("{own}-b") } });
    stage.space.respecify::<OidcProvider>("one", one).await?;
    stage
        .space
        .says::<OidcProvider>("one", crate::conditions::Tone::Stalled, "NotOwned", &taken)
        .await?;
    ensure!(stage.entry(&format!("{own}-a")).await?["issuerUrl"] == "https://one.example.com");
    let other = json!({ "foulkon": { "name": format!("{own}-c") } });
    stage.space.respecify::<OidcProvider>("other", other).await?;
    stage.space.until_ready::<OidcProvider>("one").await?;
    stage.space.until_ready::<OidcProvider>("other").await?;
    ensure!(stage.entry(&format!("{own}-b")).await?["issuerUrl"] == "https://one.example.com");
    ensure!(stage.entry(&format!("{own}-c")).await?["issuerUrl"] == "https://other.example.com");
    Ok(())
}

async fn a_resync_reads_each_provider_once_and_writes_nothing(bed: &Bed) -> Result<()> {
    let stage = Stage::eager(bed).await?;
    stage.ready("main", trusting(&["web"])).await?;
    let name = stage.name("main");
    stage.read_again(&name).await?;
    stage.read_again(&name).await?;
    let (mark, kube) = (stage.server.admin.journal().mark(), bed.operator().requests().mark());
    for _ in 0..3 {
        stage.read_again(&name).await?;
    }
    let all = stage.server.admin.journal().since(mark);
    let looks = all.iter().filter(|exchange| exchange.head.is("GET", "/about")).count();
    let about = stage.about(mark);
    ensure!(stage.writes(mark).is_empty(), "{about:#?}");
    // One more pass may have begun at either end.
    ensure!(
        about.len() <= looks + 1,
        "{} reads in {looks} passes of the server",
        about.len()
    );
    let writes = bed
        .operator()
        .writes_about(kube, stage.space.name(), &stage.server.name);
    ensure!(writes.is_empty(), "{writes:#?}");
    Ok(())
}
