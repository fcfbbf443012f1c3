//! Adoption of a provider that others made, or that an earlier resource of this name had.

use anyhow::{Result, ensure};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Patch, PatchParams};
use libtest_mimic::Trial;
use oidc_operator::api::{ABANDON_ANNOTATION, OidcProvider};
use serde_json::{Value, json};
use testbed::install::NAMESPACE;

use super::stage::{ISSUER, Stage, clients, trusting};
use crate::bed::{Bed, ServerOptions, conditions, uid_of};
use crate::conditions::Tone::{Reconciling, Stalled};
use crate::plugin::Plugin;
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(a_provider_is_adopted_with_its_id_and_its_clients),
        side.shared(a_provider_is_imported_with_a_command),
        side.shared(providers_of_one_issuer_keep_what_one_of_them_adopted),
        side.shared(a_restored_provider_is_taken_back_by_grant),
    ]
}

async fn grant(stage: &Stage<'_>, names: &[&str]) -> Result<()> {
    let access = json!([{
        "namespaces": { "from": "All" }, "kinds": ["OidcProvider"], "objectNames": "Any",
        "adopt": { "objectNames": names },
    }]);
    stage
        .bed
        .change_server(&stage.server.name, json!({ "access": access }))
        .await
        .map(drop)
}

fn adopting(name: &str, more: Value) -> Value {
    let mut spec = trusting(&["web"]);
    spec["foulkon"] = json!({ "name": name });
    spec["adoption"] = json!("Allow");
    let members = more.as_object().cloned().unwrap_or_default();
    spec.as_object_mut()
        .into_iter()
        .for_each(|spec| spec.extend(members.clone()));
    spec
}

async fn a_provider_is_imported_with_a_command(bed: &Bed) -> Result<()> {
    let stage = Stage::new(bed, ServerOptions::default()).await?;
    bed.server_ready(&stage.server.name).await?;
    let space = &stage.space;
    let name = format!("{}-imported", space.name());
    let theirs = json!({ "name": name, "path": "/theirs/", "issuerUrl": ISSUER, "clients": ["old", "web"] });
    stage.foulkon.must("POST", "", Some(theirs)).await?;
    let before = stage.entry(&name).await?;
    grant(&stage, &[&name]).await?;
    let asked = [
        "import",
        &name,
        "--server",
        &stage.server.name,
        "--operator-namespace",
        NAMESPACE,
    ];
    let text = Plugin::new()?.succeeds(space, &asked).await?;
    let imported: OidcProvider = space.apply(&text).await?;
    space
        .until_ready::<OidcProvider>(&imported.metadata.name.unwrap_or_default())
        .await?;
    let now = stage.entry(&name).await?;
    for member in ["id", "issuerUrl", "clients"] {
        ensure!(
            now[member] == before[member],
            "{member} was {} and is {}",
            before[member],
            now[member]
        );
    }
    Ok(())
}

async fn a_provider_is_adopted_with_its_id_and_its_clients(bed: &Bed) -> Result<()> {
    let options = ServerOptions {
        resync_interval: "1s".to_owned(),
        ..ServerOptions::default()
    };
    let stage = Stage::new(bed, options).await?;
    bed.server_ready(&stage.server.name).await?;
    let space = &stage.space;
    let name = format!("{}-legacy", space.name());
    let theirs = json!({ "name": name, "path": "/theirs/", "issuerUrl": ISSUER, "clients": ["web", "old"] });
    stage.foulkon.must("POST", "", Some(theirs)).await?;
    let before = stage.entry(&name).await?;
    stage.make::<OidcProvider>("main", adopting(&name, json!({}))).await?;
    let message = format!(
        "AuthorizationServer `{}`: access[0].adopt.objectNames does not allow `{name}` in foulkon.name; change it or ask the server's admin.",
        stage.server.name
    );
    space
        .says::<OidcProvider>("main", Reconciling, "NotAllowed", &message)
        .await?;
    space
        .respecify::<OidcProvider>("main", json!({ "suspend": true }))
        .await?;
    grant(&stage, &[&name]).await?;
    let preview =
        "Reconciliation is suspended by spec.suspend. An adoption would change these members of the provider: path.";
    let says = |found: &OidcProvider| conditions(found).iter().any(|condition| condition.message == preview);
    space.until("a preview", "main", says).await?;
    ensure!(stage.entry(&name).await? == before, "it was changed while suspended");

    space
        .respecify::<OidcProvider>("main", json!({ "suspend": null }))
        .await?;
    let found = space.until_ready::<OidcProvider>("main").await?;
    let note = "The provider existed on the server before and now belongs to this resource. Changed: path.";
    space
        .wait_event("main", "Adopted", |event: &Event| event.note.as_deref() == Some(note))
        .await?;
    let now = stage.entry(&name).await?;
    ensure!(
        now["id"] == before["id"] && clients(&now) == json!(["old", "web"]),
        "{now}"
    );
    ensure!(now["path"] == format!("{}{}/", stage.path(), uid_of(&found)), "{now}");
    let status = found.status.unwrap_or_default();
    ensure!(
        status.adopted == Some(true) && status.kept_client_ids == ["old"],
        "{status:?}"
    );
    // Nothing more is written, until a client is removed there.
    stage.read_again(&name).await?;
    let mark = stage.server.admin.journal().mark();
    stage.read_again(&name).await?;
    ensure!(stage.writes(mark).is_empty(), "{:#?}", stage.writes(mark));
    stage.meddle(&name, json!({ "clients": ["web"] })).await?;
    let none = |found: &OidcProvider| {
        found
            .status
            .as_ref()
            .is_some_and(|status| status.kept_client_ids.is_empty() && status.client_ids == ["web"])
    };
    space.until("no kept client", "main", none).await?;
    ensure!(clients(&stage.entry(&name).await?) == json!(["web"]));
    // It stays when its resource goes.
    let gone = space.remove::<OidcProvider>("main").await?;
    space.until_gone(&gone).await?;
    ensure!(stage.entry(&name).await?["id"] == before["id"]);
    Ok(())
}

/// The worker looks at the clients of only one of the providers of an issuer.
async fn providers_of_one_issuer_keep_what_one_of_them_adopted(bed: &Bed) -> Result<()> {
    let stage = Stage::eager(bed).await?;
    let space = &stage.space;
    let name = format!("{}-legacy", space.name());
    let theirs = json!({ "name": name, "path": "/theirs/", "issuerUrl": ISSUER, "clients": ["web", "old"] });
    stage.foulkon.must("POST", "", Some(theirs)).await?;
    grant(&stage, &[&name]).await?;
    stage.ready("beside", trusting(&["shop"])).await?;
    let beside = stage.name("beside");
    stage.ready("main", adopting(&name, json!({}))).await?;
    let all = json!(["old", "shop", "web"]);
    for entry in [&name, &beside] {
        stage
            .until("the clients of both", entry, |entry| clients(entry) == all)
            .await?;
    }
    // Only one resource gets the entry, and only that one keeps the client.
    stage.make::<OidcProvider>("second", adopting(&name, json!({}))).await?;
    let message = format!(
        "Another resource has the provider `{name}` on this server, or asked for it first. Create a new resource with another name."
    );
    space
        .says::<OidcProvider>("second", Stalled, "NotOwned", &message)
        .await?;
    let kept = async |provider: &str, expected: &[&str]| {
        let is_kept = |found: &OidcProvider| {
            let status = found.status.as_ref();
            status.is_some_and(|status| status.kept_client_ids == expected)
        };
        space
            .until(&format!("{expected:?} as kept"), provider, is_kept)
            .await
            .map(drop)
    };
    kept("main", &["old"]).await?;
    for other in ["beside", "second"] {
        kept(other, &[]).await?;
    }
    // A client that is removed where it is kept goes from all.
    stage.meddle(&name, json!({ "clients": ["shop", "web"] })).await?;
    kept("main", &[]).await?;
    let left = json!(["shop", "web"]);
    for entry in [&name, &beside] {
        stage
            .until("the other clients", entry, |entry| clients(entry) == left)
            .await?;
    }
    Ok(())
}

async fn a_restored_provider_is_taken_back_by_grant(bed: &Bed) -> Result<()> {
    let stage = Stage::eager(bed).await?;
    let space = &stage.space;
    stage.ready("main", trusting(&["web"])).await?;
    let name = stage.name("main");
    let before = stage.entry(&name).await?;
    let abandoned = Patch::Merge(json!({ "metadata": { "annotations": { ABANDON_ANNOTATION: "true" } } }));
    space
        .all::<OidcProvider>()
        .patch("main", &PatchParams::default(), &abandoned)
        .await?;
    let gone = space.remove::<OidcProvider>("main").await?;
    space.until_gone(&gone).await?;
    // The restored resource has another UID and no status.
    stage.make::<OidcProvider>("main", trusting(&["web"])).await?;
    let message = format!(
        "The provider `{name}` already exists on the server and does not belong to this resource; nothing was changed. Adopt it with adoption: Allow and a grant of the server's admin (adopt.objectNames), or create a new resource with another name."
    );
    space
        .says::<OidcProvider>("main", Stalled, "NotOwned", &message)
        .await?;
    grant(&stage, &[&name]).await?;
    space
        .respecify::<OidcProvider>("main", json!({ "adoption": "Allow" }))
        .await?;
    space.until_ready::<OidcProvider>("main").await?;
    let now = stage.entry(&name).await?;
    ensure!(now["id"] == before["id"] && clients(&now) == clients(&before), "{now}");
    Ok(())
}
