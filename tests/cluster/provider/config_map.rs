//! The ConfigMap of a provider: the operator restores its own and leaves a foreign one alone.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use libtest_mimic::Trial;
use oidc_operator::api::OidcProvider;
use serde_json::{Value, json};
use testbed::wait;

use super::{looks, own_server};
use crate::bed::{Bed, LIMIT, Space};
use crate::conditions::Tone::{Reconciling, Stalled};
use crate::run::Side;

pub(super) fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(a_foreign_config_map_is_not_touched),
        side.shared(the_operator_waits_until_the_config_map_of_a_namesake_is_deleted),
        side.shared(a_renamed_config_map_replaces_the_old_one),
        side.shared(an_edited_or_deleted_config_map_is_restored),
        side.shared(labels_follow_the_spec_and_foreign_labels_stay),
        side.shared(a_deletion_leaves_nothing_and_needs_no_server),
    ]
}

/// Changes a ConfigMap by a JSON merge patch, as another writer would.
async fn tamper(space: &Space<'_>, name: &str, patch: Value) -> Result<ConfigMap> {
    let patch = Patch::Merge(patch);
    Ok(space.config_maps().patch(name, &PatchParams::default(), &patch).await?)
}

/// Waits until a ConfigMap exists and is as wanted.
async fn until(space: &Space<'_>, what: &str, name: &str, wanted: impl Fn(&ConfigMap) -> bool) -> Result<ConfigMap> {
    wait::until(what, LIMIT, async || {
        Ok(space.config_maps().get_opt(name).await?.filter(|found| wanted(found)))
    })
    .await
}

async fn a_foreign_config_map_is_not_touched(bed: &Bed) -> Result<()> {
    let (_server, spec) = own_server(bed).await?;
    let space = bed.space().await?;
    let foreign = json!({ "metadata": { "name": "login" }, "data": { "OIDC_ISSUER": "mine" } });
    let foreign: ConfigMap = serde_json::from_value(foreign)?;
    let foreign = space.config_maps().create(&PostParams::default(), &foreign).await?;
    space.make::<OidcProvider>("login", &spec.to_string()).await?;
    let message = "ConfigMap `login` exists and belongs to another owner, so the operator does not change it. Delete it or choose another configMapName.";
    space
        .says::<OidcProvider>("login", Stalled, "ConfigMapConflict", message)
        .await?;
    space
        .respecify::<OidcProvider>("login", json!({ "publish": { "configMapName": "login-oidc" } }))
        .await?;
    space.until_ready::<OidcProvider>("login").await?;
    let provider = space.remove::<OidcProvider>("login").await?;
    space.until_gone(&provider).await?;
    let after = space.config_maps().get("login").await?;
    ensure!(after == foreign, "it was touched: {after:?}");
    Ok(())
}

/// The owner of the ConfigMap does not exist, so the garbage collector deletes it eventually. The test does not wait
/// for that.
async fn the_operator_waits_until_the_config_map_of_a_namesake_is_deleted(bed: &Bed) -> Result<()> {
    let (_server, spec) = own_server(bed).await?;
    let space = bed.space().await?;
    let owner = json!({
        "apiVersion": "oidc-operator.dev/v1alpha1", "kind": "OidcProvider", "name": "login",
        "uid": "01234567-89ab-cdef-0123-456789abcdef", "controller": true,
    });
    // A finalizer keeps it until the operator has seen it.
    let earlier = json!({ "metadata": {
        "name": "login", "ownerReferences": [owner], "finalizers": ["example.org/kept"],
    } });
    let earlier: ConfigMap = serde_json::from_value(earlier)?;
    space.config_maps().create(&PostParams::default(), &earlier).await?;
    space.make::<OidcProvider>("login", &spec.to_string()).await?;
    let message = "ConfigMap `login` belongs to an earlier resource of this name and is being deleted.";
    space
        .says::<OidcProvider>("login", Reconciling, "ConfigMapConflict", message)
        .await?;
    space.config_maps().delete("login", &DeleteParams::default()).await?;
    tamper(&space, "login", json!({ "metadata": { "finalizers": null } })).await?;
    space.until_ready::<OidcProvider>("login").await?;
    Ok(())
}

async fn a_renamed_config_map_replaces_the_old_one(bed: &Bed) -> Result<()> {
    let (_server, spec) = own_server(bed).await?;
    let space = bed.space().await?;
    space.ready::<OidcProvider>("login", &spec.to_string()).await?;
    let before = space.config_maps().get("login").await?;
    space
        .respecify::<OidcProvider>("login", json!({ "publish": { "configMapName": "other" } }))
        .await?;
    let renamed = space.until_ready::<OidcProvider>("login").await?;
    let name = renamed.status.and_then(|status| status.config_map_name);
    ensure!(name.as_deref() == Some("other"), "{name:?}");
    let after = space.config_maps().get("other").await?;
    ensure!(after.data == before.data, "{after:?}");
    ensure!(
        space.config_maps().get_opt("login").await?.is_none(),
        "the old one still exists"
    );
    Ok(())
}

async fn an_edited_or_deleted_config_map_is_restored(bed: &Bed) -> Result<()> {
    let (_server, spec) = own_server(bed).await?;
    let space = bed.space().await?;
    space.ready::<OidcProvider>("login", &spec.to_string()).await?;
    let before = space.config_maps().get("login").await?;
    let edit = json!({ "data": { "OIDC_ISSUER": "https://evil.example.org", "MORE": "x" } });
    tamper(&space, "login", edit).await?;
    until(&space, "the data to be corrected", "login", |found| {
        found.data == before.data
    })
    .await?;
    space.config_maps().delete("login", &DeleteParams::default()).await?;
    let again = until(&space, "the ConfigMap to be recreated", "login", |found| {
        found.data == before.data
    })
    .await?;
    ensure!(again.uid() != before.uid(), "it was not deleted");
    Ok(())
}

async fn labels_follow_the_spec_and_foreign_labels_stay(bed: &Bed) -> Result<()> {
    let (server, mut spec) = own_server(bed).await?;
    let space = bed.space().await?;
    spec["publish"] = json!({ "labels": { "team": "a" }, "annotations": { "note": "b" } });
    space.ready::<OidcProvider>("login", &spec.to_string()).await?;
    let made = space.config_maps().get("login").await?;
    ensure!(
        made.labels().get("team").map(String::as_str) == Some("a"),
        "{:?}",
        made.labels()
    );
    let more = json!({ "metadata": { "labels": { "foreign": "c", "team": "z" } } });
    tamper(&space, "login", more).await?;
    let label = |found: &ConfigMap, key: &str| found.labels().get(key).cloned().unwrap_or_default();
    let kept = until(&space, "the label to be corrected", "login", |found| {
        label(found, "team") == "a"
    })
    .await?;
    ensure!(label(&kept, "foreign") == "c", "{:?}", kept.labels());
    let mark = server.public.journal().mark();
    looks(&server, mark, 2).await?;
    let still = space.config_maps().get("login").await?;
    ensure!(still.resource_version() == kept.resource_version(), "{still:?}");
    space
        .respecify::<OidcProvider>("login", json!({ "publish": null }))
        .await?;
    space.until_ready::<OidcProvider>("login").await?;
    let bare = space.config_maps().get("login").await?;
    ensure!(label(&bare, "team").is_empty(), "{:?}", bare.labels());
    ensure!(bare.annotations().is_empty(), "{:?}", bare.annotations());
    Ok(())
}

async fn a_deletion_leaves_nothing_and_needs_no_server(bed: &Bed) -> Result<()> {
    let (server, spec) = own_server(bed).await?;
    let space = bed.space().await?;
    space.ready::<OidcProvider>("login", &spec.to_string()).await?;
    server.public.down();
    server.admin.down();
    let provider = space.remove::<OidcProvider>("login").await?;
    space.until_gone(&provider).await?;
    let left = space.config_maps().get_opt("login").await?;
    ensure!(left.is_none(), "{left:?}");
    server.public.up();
    server.admin.up();

    // A deletion also works without the AuthorizationServer, and with the namespace.
    let provider = space.ready::<OidcProvider>("login", &spec.to_string()).await?;
    let name = spec["serverRef"]["name"].as_str().context("no server")?;
    bed.servers_api().delete(name, &DeleteParams::default()).await?;
    wait::until("the server to be gone", LIMIT, async || {
        Ok(bed.servers_api().get_opt(name).await?.is_none().then_some(()))
    })
    .await?;
    space.remove::<OidcProvider>("login").await?;
    space.until_gone(&provider).await?;
    let spec = json!({ "issuer": spec["issuer"] }).to_string();
    space.ready::<OidcProvider>("login", &spec).await?;
    space.delete_namespace_and_wait().await
}
