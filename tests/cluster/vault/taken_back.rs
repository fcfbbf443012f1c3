//! Resources that come back from a backup: without status, with other UIDs, and their objects still on the server.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use libtest_mimic::Trial;
use oidc_operator::api::{ABANDON_ANNOTATION, Assignment, JsonWebKeySet, OAuth2Client, OidcProvider, Scope, UID_LABEL};
use serde_json::{Value, json};

use super::stage::{NOBODY, REDIRECT, Stage, scope};
use crate::bed::{Bed, Namespaced, uid_of};
use crate::conditions::Tone::{Reconciling, Stalled};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![side.shared(restored_resources_take_their_objects_back_by_grant)]
}

/// Types of objects, each with the resource that has one.
const OBJECTS: [(&str, &str); 5] = [
    ("key", "signing"),
    ("assignment", "staff"),
    ("scope", "groups"),
    ("client", "app"),
    ("provider", "main"),
];

/// The specs of the backup. `more`: members of each.
async fn apply(stage: &Stage<'_>, more: Value) -> Result<()> {
    let with = |mut spec: Value| {
        let members = more.as_object().cloned().unwrap_or_default();
        spec.as_object_mut()
            .into_iter()
            .for_each(|spec| spec.extend(members.clone()));
        spec
    };
    let client = json!({
        "vault": { "name": format!("{}.app", stage.space.name()) }, "redirectUris": [REDIRECT],
        "keySetRef": { "name": "signing" }, "assignmentRefs": [{ "name": "staff" }], "providerRefs": [{ "name": "main" }],
    });
    let provider = json!({ "scopeRefs": [{ "name": "groups" }] });
    let key = json!({ "generate": { "algorithm": "ES256" } });
    stage.make::<OAuth2Client>("app", with(client)).await?;
    stage.make::<OidcProvider>("main", with(provider)).await?;
    stage.make::<Scope>("groups", with(scope())).await?;
    stage
        .make::<Assignment>("staff", with(json!({ "subjects": [NOBODY] })))
        .await?;
    stage.make::<JsonWebKeySet>("signing", with(key)).await.map(drop)
}

/// Deletes a resource in the way of a lost cluster: its object stays on the server.
async fn lose<K: Namespaced>(stage: &Stage<'_>, name: &str) -> Result<String> {
    let abandoned = Patch::Merge(json!({ "metadata": { "annotations": { ABANDON_ANNOTATION: "true" } } }));
    stage
        .space
        .all::<K>()
        .patch(name, &PatchParams::default(), &abandoned)
        .await?;
    let gone = stage.space.remove::<K>(name).await?;
    stage.space.until_gone(&gone).await?;
    Ok(gone.meta().uid.clone().unwrap_or_default())
}

async fn objects(stage: &Stage<'_>) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for (type_, name) in OBJECTS {
        all.push(stage.object(type_, name).await?);
    }
    Ok(all)
}

async fn is_not_owned<K: Namespaced>(stage: &Stage<'_>, type_: &str, name: &str) -> Result<()> {
    let message = format!(
        "The {type_} `{}.{name}` already exists on the server and does not belong to this resource; nothing was changed. Adopt it with adoption: Allow and a grant of the server's admin (adopt.objectNames), or create a new resource with another name.",
        stage.space.name()
    );
    stage
        .space
        .says::<K>(name, Stalled, "NotOwned", &message)
        .await
        .map(drop)
}

async fn restored_resources_take_their_objects_back_by_grant(bed: &Bed) -> Result<()> {
    let stage = Stage::eager(bed).await?;
    let (space, server) = (&stage.space, &stage.server.name);
    apply(&stage, json!({})).await?;
    stage.all_ready().await?;
    let (before, secret) = (objects(&stage).await?, space.credentials("app").await?);
    // The client last: as long as their resources exist, its key and its provider follow it.
    lose::<JsonWebKeySet>(&stage, "signing").await?;
    lose::<OidcProvider>(&stage, "main").await?;
    lose::<Scope>(&stage, "groups").await?;
    lose::<Assignment>(&stage, "staff").await?;
    let uid = lose::<OAuth2Client>(&stage, "app").await?;
    ensure!(objects(&stage).await? == before, "an object was changed");

    // Without a word of the spec, one sentence tells the two steps.
    let mark = stage.server.admin.journal().mark();
    apply(&stage, json!({})).await?;
    is_not_owned::<JsonWebKeySet>(&stage, "key", "signing").await?;
    is_not_owned::<Assignment>(&stage, "assignment", "staff").await?;
    is_not_owned::<Scope>(&stage, "scope", "groups").await?;
    // Without a grant, the spec is not enough.
    apply(&stage, json!({ "adoption": "Allow" })).await?;
    let name = format!("{}.groups", space.name());
    let message = format!(
        "AuthorizationServer `{server}`: access[0].adopt.objectNames does not allow `{name}` in name; change it or ask the server's admin."
    );
    space
        .says::<Scope>("groups", Reconciling, "NotAllowed", &message)
        .await?;
    ensure!(stage.writes(mark).is_empty(), "{:#?}", stage.writes(mark));

    // The credentials Secret came back too, without its owner.
    let labels = json!({ UID_LABEL: uid });
    let data = json!({ "CLIENT_ID": secret.0, "CLIENT_SECRET": secret.1 });
    let restored: Secret =
        serde_json::from_value(json!({ "metadata": { "name": "app", "labels": labels }, "stringData": data }))?;
    space.secrets().create(&PostParams::default(), &restored).await?;
    let names: Vec<String> = OBJECTS
        .iter()
        .map(|(_, name)| format!("{}.{name}", space.name()))
        .collect();
    let access = json!([{
        "namespaces": { "from": "Names", "names": [space.name()] },
        "kinds": ["OAuth2Client", "Scope", "Assignment", "JsonWebKeySet", "OidcProvider"],
        "adopt": { "objectNames": names },
    }]);
    bed.change_server(server, json!({ "access": access })).await?;
    let message = "Secret `app` exists and cannot be taken over: it does not name this resource; set its annotation oidc-operator.dev/adoptable-by to `app`, choose another secretName, or delete it if nobody needs it.";
    space
        .says::<OAuth2Client>("app", Stalled, "SecretConflict", message)
        .await?;
    ensure!(space.credentials("app").await? == secret, "the Secret was changed");
    space.delete_secret("app").await?;
    // No watch reports that the Secret is gone; a change of the resource spares the wait for the next try.
    space
        .respecify::<OAuth2Client>("app", json!({ "suspend": false }))
        .await?;
    stage.all_ready().await?;
    ensure!(
        objects(&stage).await? == before,
        "{:#?} and not {before:#?}",
        objects(&stage).await?
    );
    ensure!(
        space.credentials("app").await? == secret,
        "the application has other credentials"
    );
    let client = space.client("app").await?;
    ensure!(uid_of(&client) != uid && client.status.is_some_and(|status| status.adopted == Some(true)));
    ensure!(stage.writes(mark).is_empty(), "{:#?}", stage.writes(mark));
    Ok(())
}
