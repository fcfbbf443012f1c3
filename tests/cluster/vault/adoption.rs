//! Adoption of objects that exist on the server: by grant and exact name, with their ids, secrets and logins.

mod imported;
mod limits;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use libtest_mimic::Trial;
use oidc_operator::api::{ADOPTABLE_BY_ANNOTATION, Assignment, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use serde_json::{Value, json};

use super::stage::{NOBODY, REDIRECT, Stage};
use crate::bed::{Bed, Namespaced, ServerOptions, conditions};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(existing_objects_are_adopted_with_their_ids_and_secrets),
        side.shared(limits::an_object_is_adopted_only_if_nothing_breaks_and_nobody_has_it),
        side.shared(limits::the_servers_own_provider_and_key_are_adopted_by_grant),
        side.shared(a_client_that_stays_keeps_its_logins),
        side.shared(imported::objects_are_imported_with_everything_they_are),
        side.shared(imported::a_state_of_terraform_moves_in),
    ]
}

/// A client of nobody's that the lists name besides.
const FOREIGN: &str = "0123456789abcdefghijABCDEFGHIJ00";
/// Issuer that the existing provider has.
const ISSUER: &str = "https://id.example.com:8443";
/// Every type of object.
const TYPES: [&str; 5] = ["key", "assignment", "scope", "client", "provider"];

/// Objects that others made, all with the same name, and a server whose rule grants their adoption.
pub struct Legacy<'a> {
    /// Namespace and server.
    pub stage: Stage<'a>,
    /// Name of all the objects.
    pub name: String,
}

impl<'a> Legacy<'a> {
    /// Creates the objects and the server. `adoptable`: whether the rule grants the adoption.
    async fn new(bed: &'a Bed) -> Result<Self> {
        let space = bed.space().await?;
        let name = format!("{}-legacy", space.name());
        let key = json!({ "algorithm": "ES256", "rotation_period": 43200, "verification_ttl": 43200 });
        bed.write_object(&format!("key/{name}"), key).await?;
        let staff = json!({ "entity_ids": [NOBODY] });
        bed.write_object(&format!("assignment/{name}"), staff).await?;
        let scope = json!({ "description": "Groups", "template": "{}" });
        bed.write_object(&format!("scope/{name}"), scope).await?;
        let client = json!({ "key": name, "redirect_uris": [REDIRECT], "assignments": [name], "id_token_ttl": "1h" });
        bed.write_object(&format!("client/{name}"), client).await?;
        let id = bed.existing(&format!("client/{name}")).await?["client_id"].clone();
        let listed = json!({ "allowed_client_ids": [id, FOREIGN] });
        bed.write_object(&format!("key/{name}"), listed.clone()).await?;
        let provider = json!({ "issuer": ISSUER, "allowed_client_ids": [id, FOREIGN], "scopes_supported": [name] });
        bed.write_object(&format!("provider/{name}"), provider).await?;
        let server = bed.own_vault(Self::granting(&name)).await?;
        let stage = Stage { bed, space, server };
        Ok(Self { stage, name })
    }

    fn granting(name: &str) -> ServerOptions {
        let access = json!([{
            "namespaces": { "from": "All" },
            "kinds": ["OAuth2Client", "Scope", "Assignment", "JsonWebKeySet", "OidcProvider"],
            "adopt": { "objectNames": [name] },
        }]);
        ServerOptions {
            resync_interval: "1s".to_owned(),
            spec: json!({ "access": access }),
            ..ServerOptions::default()
        }
    }

    async fn object(&self, type_: &str) -> Result<Value> {
        self.stage.bed.existing(&format!("{type_}/{}", self.name)).await
    }

    async fn objects(&self) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        for type_ in TYPES {
            all.push(self.object(type_).await?);
        }
        Ok(all)
    }

    fn client(&self) -> Value {
        json!({
            "vault": { "name": self.name }, "redirectUris": [REDIRECT, "https://new.example.com/callback"],
            "keySetRef": { "name": "key" }, "assignmentRefs": [{ "name": "staff" }],
            "providerRefs": [{ "name": "main" }], "idTokenTtl": "1h", "adoption": "Allow",
        })
    }

    /// Applies a resource for each object. `more`: members of each spec.
    async fn apply(&self, more: Value) -> Result<()> {
        let stage = &self.stage;
        let spec = |mut spec: Value| {
            let members = more.as_object().cloned().unwrap_or_default();
            spec.as_object_mut()
                .into_iter()
                .for_each(|spec| spec.extend(members.clone()));
            spec
        };
        let name = json!({ "name": self.name });
        let key = json!({ "setName": self.name, "generate": { "algorithm": "ES256" },
            "rotation": { "period": "12h", "overlap": "12h" } });
        stage.make::<JsonWebKeySet>("key", spec(key)).await?;
        let staff = json!({ "vault": name, "subjects": [NOBODY] });
        stage.make::<Assignment>("staff", spec(staff)).await?;
        let scope = json!({ "name": self.name, "description": "New", "template": "{}" });
        stage.make::<Scope>("scope", spec(scope)).await?;
        stage.make::<OAuth2Client>("app", spec(self.client())).await?;
        let provider = json!({ "vault": name, "scopeRefs": [{ "name": "scope" }] });
        stage.make::<OidcProvider>("main", spec(provider)).await?;
        Ok(())
    }

    async fn all_ready(&self) -> Result<()> {
        let space = &self.stage.space;
        space.until_ready::<JsonWebKeySet>("key").await?;
        space.until_ready::<Assignment>("staff").await?;
        space.until_ready::<Scope>("scope").await?;
        space.until_ready::<OAuth2Client>("app").await?;
        space.until_ready::<OidcProvider>("main").await?;
        Ok(())
    }
}

async fn previews<K: Namespaced>(stage: &Stage<'_>, name: &str, text: &str) -> Result<()> {
    let expected = format!("Reconciliation is suspended by spec.suspend. {text}");
    let says = |found: &K| conditions(found).iter().any(|condition| condition.message == expected);
    stage
        .space
        .until(&format!("the preview: {expected}"), name, says)
        .await
        .map(drop)
}

async fn is_adopted<K: Namespaced>(stage: &Stage<'_>, type_: &str, name: &str, changed: &str) -> Result<K> {
    let note = match changed {
        "" => {
            format!("The {type_} existed on the server before and now belongs to this resource. Nothing was changed.")
        }
        fields => {
            format!("The {type_} existed on the server before and now belongs to this resource. Changed: {fields}.")
        }
    };
    let says = |event: &Event| event.note.as_deref() == Some(&note);
    stage.space.wait_event(name, "Adopted", says).await?;
    let found: K = stage.space.until_ready(name).await?;
    let status = serde_json::to_value(found.status())?;
    ensure!(status["adopted"] == true, "{status}");
    Ok(found)
}

async fn existing_objects_are_adopted_with_their_ids_and_secrets(bed: &Bed) -> Result<()> {
    let legacy = Legacy::new(bed).await?;
    let stage = &legacy.stage;
    let before = legacy.objects().await?;
    let [_, _, _, client, provider] = before.as_slice() else {
        anyhow::bail!("{before:?}");
    };
    legacy.apply(json!({ "adoption": "Allow", "suspend": true })).await?;
    let would = |type_: &str, fields: &str| format!("An adoption would change these members of the {type_}: {fields}.");
    let nothing = "An adoption would change nothing on the server.";
    previews::<JsonWebKeySet>(stage, "key", nothing).await?;
    previews::<Assignment>(stage, "staff", nothing).await?;
    previews::<Scope>(stage, "scope", &would("scope", "description")).await?;
    ensure!(
        legacy.objects().await? == before,
        "something was changed while suspended"
    );

    let offered = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": "app", "annotations": { ADOPTABLE_BY_ANNOTATION: "app" } },
        "stringData": { "CLIENT_ID": client["client_id"], "CLIENT_SECRET": client["client_secret"] },
    });
    let offered: Secret = stage.space.apply(&offered.to_string()).await?;
    legacy.apply(json!({ "adoption": "Allow" })).await?;
    is_adopted::<Scope>(stage, "scope", "scope", "description").await?;
    is_adopted::<Assignment>(stage, "assignment", "staff", "").await?;
    let key: JsonWebKeySet = is_adopted(stage, "key", "key", "").await?;
    is_adopted::<OAuth2Client>(stage, "client", "app", "redirect_uris").await?;
    is_adopted::<OidcProvider>(stage, "provider", "main", "").await?;
    legacy.all_ready().await?;
    let (id, secret) = stage.space.credentials("app").await?;
    ensure!(client["client_id"] == id.as_str() && client["client_secret"] == secret.as_str());
    let taken_over = stage.space.secret("app").await?.context("the Secret is gone")?;
    ensure!(taken_over.metadata.uid == offered.metadata.uid && taken_over.data == offered.data);
    let now = legacy.object("client").await?;
    ensure!(now["redirect_uris"] == json!(["https://app.example.com/callback", "https://new.example.com/callback"]));
    ensure!(now["client_id"] == client["client_id"] && now["client_secret"] == client["client_secret"]);
    // Whoever could log in before still can, and with the same issuer.
    ensure!(
        legacy.object("provider").await? == *provider,
        "the provider was changed"
    );
    ensure!(legacy.object("key").await? == before[0], "the key was changed");
    let kept = key.status.map(|status| status.kept_client_ids).unwrap_or_default();
    ensure!(kept.contains(&FOREIGN.to_owned()), "{kept:?}");

    // A resource now decides on its client, nobody on the foreign one.
    let only_foreign = |found: &OidcProvider| {
        found
            .status
            .as_ref()
            .is_some_and(|status| status.kept_client_ids == [FOREIGN])
    };
    stage
        .space
        .until::<OidcProvider>("one kept client", "main", only_foreign)
        .await?;
    stage.swept().await?;
    let mark = stage.server.admin.journal().mark();
    stage.swept().await?;
    let since = stage.server.admin.journal().since(mark);
    let writes: Vec<_> = since
        .iter()
        .filter(|exchange| exchange.head.path().ends_with(&legacy.name) && exchange.head.method != "GET")
        .collect();
    ensure!(writes.is_empty(), "{writes:#?}");
    // Whoever removes it from the list there has the last word.
    bed.write_object(
        &format!("provider/{}", legacy.name),
        json!({ "allowed_client_ids": [id] }),
    )
    .await?;
    let none = |found: &OidcProvider| {
        found
            .status
            .as_ref()
            .is_some_and(|status| status.kept_client_ids.is_empty() && status.client_ids == [id.clone()])
    };
    stage
        .space
        .until::<OidcProvider>("no kept client", "main", none)
        .await?;

    // The objects stay when the resources go, and so does the Secret.
    let before = legacy.objects().await?;
    leaves::<OAuth2Client>(stage, "app").await?;
    leaves::<OidcProvider>(stage, "main").await?;
    leaves::<Scope>(stage, "scope").await?;
    leaves::<Assignment>(stage, "staff").await?;
    leaves::<JsonWebKeySet>(stage, "key").await?;
    ensure!(
        legacy.objects().await? == before,
        "an adopted object was changed or deleted"
    );
    ensure!(
        stage.space.credentials("app").await? == (id, secret),
        "the Secret was changed"
    );
    Ok(())
}

async fn leaves<K: Namespaced>(stage: &Stage<'_>, name: &str) -> Result<()> {
    let gone = stage.space.remove::<K>(name).await?;
    stage.space.until_gone(&gone).await
}

/// A client works only as long as its key and its providers list it.
async fn a_client_that_stays_keeps_its_logins(bed: &Bed) -> Result<()> {
    let stage = Stage::eager(bed).await?;
    stage.everything(NOBODY).await?;
    stage
        .space
        .respecify::<OAuth2Client>("app", json!({ "deletionPolicy": "Orphan" }))
        .await?;
    stage.space.wait_ready("app").await?;
    let (id, secret) = stage.space.credentials("app").await?;
    let lists = |object: &Value| object["allowed_client_ids"] == json!([id]);
    let mark = stage.server.admin.journal().mark();
    leaves::<OAuth2Client>(&stage, "app").await?;
    stage.swept().await?;
    ensure!(stage.writes(mark).is_empty(), "{:#?}", stage.writes(mark));
    for (type_, name) in [("key", "signing"), ("provider", "main")] {
        let found = stage.object(type_, name).await?;
        ensure!(lists(&found), "{found}");
    }
    let client = stage.object("client", "app").await.context("the client")?;
    ensure!(client["client_id"] == id.as_str() && client["client_secret"] == secret.as_str());
    ensure!(
        stage.space.credentials("app").await? == (id.clone(), secret),
        "the Secret was changed"
    );
    // A client that is deleted leaves the lists.
    let spec =
        json!({ "redirectUris": [REDIRECT], "keySetRef": { "name": "signing" }, "providerRefs": [{ "name": "main" }] });
    stage.ready::<OAuth2Client>("next", spec).await?;
    leaves::<OAuth2Client>(&stage, "next").await?;
    bed.until_object("one client", &stage.path("key", "signing"), lists)
        .await?;
    bed.until_object("one client", &stage.path("provider", "main"), lists)
        .await?;
    Ok(())
}
