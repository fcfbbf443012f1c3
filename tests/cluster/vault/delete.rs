//! Deletion succeeds in any order, and deletes what the operator created and nothing else.

use anyhow::{Result, ensure};
use kube::api::ListParams;
use libtest_mimic::Trial;
use oidc_operator::api::{Assignment, JsonWebKeySet, OAuth2Client, OidcProvider, Scope, UID_LABEL};
use serde_json::json;

use super::stage::{NOBODY, REDIRECT, Stage, client};
use crate::bed::{Bed, Namespaced, uid_of};
use crate::conditions::Tone::Reconciling;
use crate::run::Side;

/// Types and names of the objects of [`Stage::everything`].
const OBJECTS: [(&str, &str); 5] = [
    ("client", "app"),
    ("provider", "main"),
    ("scope", "groups"),
    ("assignment", "staff"),
    ("key", "signing"),
];

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(a_namespace_with_every_kind_is_deleted),
        side.shared(resources_can_be_deleted_in_the_wrong_order),
        side.shared(deletion_waits_for_foreign_objects_that_use_the_object),
        side.shared(an_orphan_keeps_working),
        side.shared(revoked_access_deletes_objects_if_the_admin_wants_it),
        side.shared(a_server_is_not_deleted_while_it_has_objects),
    ]
}

async fn a_namespace_with_every_kind_is_deleted(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    stage.everything(NOBODY).await?;
    stage.space.delete_namespace_and_wait().await?;
    nothing_is_left(&stage).await
}

async fn nothing_is_left(stage: &Stage<'_>) -> Result<()> {
    for (type_, name) in OBJECTS {
        let left = stage.bed.object(&stage.path(type_, name)).await?;
        ensure!(left.is_none(), "{type_} still exists: {left:?}");
    }
    Ok(())
}

async fn resources_can_be_deleted_in_the_wrong_order(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    stage.everything(NOBODY).await?;
    let space = &stage.space;
    let message = |user: &str, name: &str, kind: &str, field: &str| {
        format!(
            "{user} `{name}` still refers to this {kind}. Remove it from {field} of the {user}, or delete the {user} first."
        )
    };
    let keys = space.remove::<JsonWebKeySet>("signing").await?;
    let staff = space.remove::<Assignment>("staff").await?;
    let groups = space.remove::<Scope>("groups").await?;
    let used = message("OAuth2Client", "app", "JsonWebKeySet", "keySetRef");
    space
        .says::<JsonWebKeySet>("signing", Reconciling, "InUse", &used)
        .await?;
    let used = message("OAuth2Client", "app", "Assignment", "assignmentRefs");
    space.says::<Assignment>("staff", Reconciling, "InUse", &used).await?;
    let used = message("OidcProvider", "main", "Scope", "scopeRefs");
    space.says::<Scope>("groups", Reconciling, "InUse", &used).await?;
    let client = space.remove::<OAuth2Client>("app").await?;
    space.until_gone(&client).await?;
    space.until_gone(&keys).await?;
    space.until_gone(&staff).await?;
    let provider = space.remove::<OidcProvider>("main").await?;
    space.until_gone(&provider).await?;
    space.until_gone(&groups).await?;
    let ours = ListParams::default().labels(&format!("{UID_LABEL}={}", uid_of(&client)));
    ensure!(
        space.secrets().list(&ours).await?.items.is_empty(),
        "Secrets still exist"
    );
    nothing_is_left(&stage).await
}

async fn deletion_waits_for_foreign_objects_that_use_the_object(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    stage.ready::<Scope>("groups", json!({})).await?;
    stage
        .ready::<Assignment>("staff", json!({ "subjects": [NOBODY] }))
        .await?;
    stage
        .ready::<JsonWebKeySet>("signing", json!({ "generate": { "algorithm": "RS256" } }))
        .await?;
    let named = |name: &str| format!("{}.{name}", stage.space.name());
    let theirs = format!("{}-theirs", stage.space.name());
    bed.write_object(
        &format!("client/{theirs}"),
        json!({ "key": named("signing"), "assignments": [named("staff")] }),
    )
    .await?;
    bed.write_object(
        &format!("provider/{theirs}"),
        json!({ "scopes_supported": [named("groups")] }),
    )
    .await?;
    waits_for_others::<Scope>(&stage, "groups", "scope").await?;
    waits_for_others::<Assignment>(&stage, "staff", "assignment").await?;
    waits_for_others::<JsonWebKeySet>(&stage, "signing", "key").await?;
    bed.delete_object(&format!("client/{theirs}")).await?;
    bed.delete_object(&format!("provider/{theirs}")).await?;
    for path in [
        stage.path("scope", "groups"),
        stage.path("assignment", "staff"),
        stage.path("key", "signing"),
    ] {
        bed.until_no_object(&path).await?;
    }
    Ok(())
}

async fn waits_for_others<K: Namespaced>(stage: &Stage<'_>, name: &str, type_: &str) -> Result<()> {
    stage.space.remove::<K>(name).await?;
    let message = format!(
        "Another object on the server still uses the {type_}. The operator deletes it when that object is gone."
    );
    stage
        .space
        .says::<K>(name, Reconciling, "InUse", &message)
        .await
        .map(drop)
}

async fn an_orphan_keeps_working(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let spec = json!({ "redirectUris": [REDIRECT], "deletionPolicy": "Orphan" });
    stage.ready::<OAuth2Client>("app", spec).await?;
    let before = (
        stage.object("client", "app").await?,
        stage.space.secret_data("app").await?,
    );
    stage.space.delete_and_wait("app").await?;
    let after = (
        stage.object("client", "app").await?,
        stage.space.secret_data("app").await?,
    );
    ensure!(before == after, "{after:?}");
    let secret = stage.space.secret("app").await?;
    ensure!(secret.is_some_and(|secret| secret.metadata.owner_references.unwrap_or_default().is_empty()));
    Ok(())
}

async fn revoked_access_deletes_objects_if_the_admin_wants_it(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    stage.everything(NOBODY).await?;
    bed.change_server(&stage.server.name, json!({ "access": [] })).await?;
    let denied = |kind: &str| {
        let article = if matches!(kind, "Scope" | "JsonWebKeySet") {
            "a"
        } else {
            "an"
        };
        format!(
            "AuthorizationServer `{}`: no access rule lets namespace `{}` have {article} {kind}; ask the server's admin for one.",
            stage.server.name,
            stage.space.name()
        )
    };
    let space = &stage.space;
    space
        .says::<OAuth2Client>("app", Reconciling, "NotAllowed", &denied("OAuth2Client"))
        .await?;
    for (type_, name) in OBJECTS {
        stage.object(type_, name).await?; // Keep is the default
    }
    bed.change_server(&stage.server.name, json!({ "onRevoked": "Delete" }))
        .await?;
    for (type_, name) in OBJECTS {
        bed.until_no_object(&stage.path(type_, name)).await?;
    }
    let rule = json!([{
        "namespaces": { "from": "All" },
        "kinds": ["OAuth2Client", "Scope", "Assignment", "JsonWebKeySet", "OidcProvider"],
    }]);
    bed.change_server(&stage.server.name, json!({ "access": rule })).await?;
    stage.all_ready().await
}

async fn a_server_is_not_deleted_while_it_has_objects(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    stage.everything(NOBODY).await?;
    let api = bed.servers_api();
    api.delete(&stage.server.name, &Default::default()).await?;
    bed.server_condition(&stage.server.name, "Ready", "False", "InUse")
        .await?;
    stage.make::<OAuth2Client>("late", client()).await?;
    let message = format!(
        "AuthorizationServer `{}` is being deleted. Create this resource again with another serverRef.",
        stage.server.name
    );
    stage
        .space
        .says::<OAuth2Client>("late", Reconciling, "ServerNotReady", &message)
        .await?;
    stage.space.delete_namespace_and_wait().await?;
    testbed::wait::until("the server to be gone", crate::bed::LIMIT, async || {
        Ok(api.get_opt(&stage.server.name).await?.is_none().then_some(()))
    })
    .await?;
    nothing_is_left(&stage).await
}
