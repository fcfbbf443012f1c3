//! What is not adopted, and what takes a grant of its own.

use anyhow::{Result, ensure};
use oidc_operator::api::{JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use serde_json::json;

use super::super::namespaced::Within;
use super::super::stage::{REDIRECT, Stage};
use super::{Legacy, leaves};
use crate::bed::Bed;
use crate::conditions::Tone::{Reconciling, Stalled};

pub(super) async fn an_object_is_adopted_only_if_nothing_breaks_and_nobody_has_it(bed: &Bed) -> Result<()> {
    let legacy = Legacy::new(bed).await?;
    let (stage, name) = (&legacy.stage, &legacy.name);
    let before = legacy.objects().await?;
    let vault = json!({ "name": name });
    // Not by the spec alone.
    let ungranted = Stage::quiet(bed).await?;
    let spec = ungranted.spec(json!({ "name": name, "adoption": "Allow" }));
    stage.space.make::<Scope>("ungranted", &spec).await?;
    let message = format!(
        "AuthorizationServer `{}`: access[0].adopt.objectNames does not allow `{name}` in name; change it or ask the server's admin.",
        ungranted.server.name
    );
    stage
        .space
        .says::<Scope>("ungranted", Reconciling, "NotAllowed", &message)
        .await?;
    // What is left behind needs a rule as well, when the spec is accepted.
    let kept = ungranted.spec(json!({ "deletionPolicy": "Orphan" }));
    stage.space.ready::<Scope>("kept", &kept).await?;
    let access = json!([{
        "namespaces": { "from": "All" }, "kinds": ["Scope"], "clients": { "deletionPolicies": ["Delete"] },
    }]);
    bed.change_server(&ungranted.server.name, json!({ "access": access }))
        .await?;
    let spec = ungranted.spec(json!({ "deletionPolicy": "Orphan" }));
    stage.space.make::<Scope>("left", &spec).await?;
    let message = format!(
        "AuthorizationServer `{}`: access[0].clients.deletionPolicies does not allow `Orphan` in deletionPolicy; change it or ask the server's admin.",
        ungranted.server.name
    );
    stage
        .space
        .says::<Scope>("left", Reconciling, "NotAllowed", &message)
        .await?;
    leaves::<Scope>(stage, "kept").await?;
    bed.existing(&stage.path("scope", "kept")).await?;
    // Not if the client would become another one, or open to everybody.
    let public = json!({ "vault": vault, "redirectUris": [REDIRECT], "clientType": "Public", "adoption": "Allow" });
    stage.make::<OAuth2Client>("other", public).await?;
    let message = "The object on the server differs from this resource in keySetRef, clientType, which cannot be changed there; nothing was changed. Set what the object has, or create a new resource with another name.";
    stage
        .space
        .says::<OAuth2Client>("other", Stalled, "NotOwned", message)
        .await?;
    let gone = stage.space.remove::<OAuth2Client>("other").await?;
    stage.space.until_gone(&gone).await?;
    let key = json!({ "setName": name, "generate": { "algorithm": "ES256" }, "adoption": "Allow",
        "rotation": { "period": "12h", "overlap": "12h" } });
    stage.ready::<JsonWebKeySet>("key", key).await?;
    let open =
        json!({ "vault": vault, "redirectUris": [REDIRECT], "keySetRef": { "name": "key" }, "adoption": "Allow" });
    stage.make::<OAuth2Client>("open", open).await?;
    let message = "assignmentRefs: the client on the server lets only the members of its assignments log in, but with this resource everybody could; nothing was changed. Name Assignments, or give the client the assignment `allow_all` on the server.";
    stage
        .space
        .says::<OAuth2Client>("open", Stalled, "NotOwned", message)
        .await?;
    // Not what another resource has, even through another AuthorizationServer of the same Vault.
    let mut second = Stage::new(bed, Legacy::granting(name)).await?;
    second.space = stage.space.clone();
    for (other, stage) in [("beside", stage), ("elsewhere", &second)] {
        let spec = json!({ "setName": name, "generate": { "algorithm": "RS256" }, "adoption": "Allow" });
        stage.make::<JsonWebKeySet>(other, spec).await?;
        let message = format!(
            "Another resource has the key `{name}` on this server, or asked for it first. Create a new resource with another name."
        );
        stage
            .space
            .says::<JsonWebKeySet>(other, Stalled, "NotOwned", &message)
            .await?;
    }
    ensure!(legacy.objects().await? == before, "something was changed");
    // The spec may say that an adopted object goes with its resource.
    let spec = json!({ "name": name, "adoption": "Allow", "deletionPolicy": "Delete", "template": "{}" });
    let provider = format!("provider/{name}");
    bed.write_object(&provider, json!({ "scopes_supported": [] })).await?;
    stage.ready::<Scope>("scope", spec).await?;
    leaves::<Scope>(stage, "scope").await?;
    bed.until_no_object(&format!("scope/{name}")).await?;
    // What does not exist is created, and deleted again.
    let spec = json!({ "name": name, "adoption": "Allow" });
    stage.ready::<Scope>("scope", spec).await?;
    leaves::<Scope>(stage, "scope").await?;
    bed.until_no_object(&format!("scope/{name}")).await
}

pub(super) async fn the_servers_own_provider_and_key_are_adopted_by_grant(bed: &Bed) -> Result<()> {
    let Some(within) = Within::new(bed).await? else {
        return Ok(());
    };
    let (stage, server) = (&within.stage, &within.stage.server.name);
    let own = async |type_: &str| {
        let path = format!("identity/oidc/{type_}/default");
        let (_, mut answer) = within.api.call("GET", &path, None).await?;
        anyhow::Ok(answer["data"].take())
    };
    let provider = json!({ "vault": { "name": "default" }, "scopeRefs": [{ "name": "groups" }], "adoption": "Allow" });
    let key = json!({ "setName": "default", "generate": { "algorithm": "RS256" }, "adoption": "Allow" });
    stage.ready::<Scope>("groups", json!({})).await?;
    stage
        .ready::<OAuth2Client>("app", json!({ "redirectUris": [REDIRECT] }))
        .await?;
    stage.make::<OidcProvider>("main", provider).await?;
    stage.make::<JsonWebKeySet>("key", key).await?;
    let refused = |limit: &str, field: &str| {
        format!(
            "AuthorizationServer `{server}`: access[0].{limit} does not allow `default` in {field}; change it or ask the server's admin."
        )
    };
    let message = refused("adopt.objectNames", "vault.name");
    stage
        .space
        .says::<OidcProvider>("main", Reconciling, "NotAllowed", &message)
        .await?;
    let mut access = json!([{
        "namespaces": { "from": "All" }, "kinds": ["OAuth2Client", "Scope", "JsonWebKeySet", "OidcProvider"],
        "adopt": { "objectNames": ["default"] },
    }]);
    bed.change_server(server, json!({ "access": access })).await?;
    stage.space.until_ready::<OidcProvider>("main").await?;
    let found = own("provider").await?;
    let scope = format!("{}.groups", stage.space.name());
    ensure!(
        found["scopes_supported"] == json!([scope]) && found["allowed_client_ids"] == json!(["*"]),
        "{found}"
    );
    let message = format!(
        "AuthorizationServer `{server}`: access[0].reservedKeySets does not allow setName `default`, a key set of the server itself; choose another name or ask the server's admin."
    );
    stage
        .space
        .says::<JsonWebKeySet>("key", Reconciling, "NotAllowed", &message)
        .await?;
    access[0]["reservedKeySets"] = json!("Allow");
    bed.change_server(server, json!({ "access": access })).await?;
    stage.space.until_ready::<JsonWebKeySet>("key").await?;
    ensure!(
        own("key").await?["allowed_client_ids"] == json!(["*"]),
        "other clients cannot use the key any more"
    );
    // They belong to the server, which deletes neither.
    let delete = json!({ "deletionPolicy": "Delete" });
    stage.space.respecify::<OidcProvider>("main", delete).await?;
    let message = "deletionPolicy: the server does not delete its own provider. Set Orphan, or leave it out.";
    stage
        .space
        .says::<OidcProvider>("main", Stalled, "InvalidSpec", message)
        .await?;
    leaves::<OidcProvider>(stage, "main").await?;
    leaves::<JsonWebKeySet>(stage, "key").await?;
    ensure!(own("provider").await?["scopes_supported"] == json!([scope]));
    ensure!(own("key").await?["algorithm"] == "RS256");
    Ok(())
}
