//! Tenants: which providers of another namespace clients may use, and which names a namespace may choose.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{Patch, PatchParams};
use libtest_mimic::Trial;
use oidc_operator::api::{OAuth2Client, OidcProvider, Scope};
use serde_json::{Value, json};

use super::stage::{REDIRECT, Stage};
use crate::bed::{Bed, Space};
use crate::conditions::Tone::{Reconciling, Stalled};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(clients_of_other_namespaces_need_the_consent_of_the_provider),
        side.shared(object_names_need_a_grant),
        side.shared(the_first_resource_to_claim_a_name_gets_it),
    ]
}

async fn clients_of_other_namespaces_need_the_consent_of_the_provider(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let other = bed.space().await?;
    let provider = stage.make::<OidcProvider>("main", json!({})).await?;
    let refers = json!({
        "redirectUris": [REDIRECT], "providerRefs": [{ "namespace": stage.space.name(), "name": "main" }],
    });
    other.make::<OAuth2Client>("app", &stage.spec(refers)).await?;
    let message = format!(
        "providerRefs: OidcProvider `{}/main` does not admit clients of this namespace. Admit it in allowedNamespaces of the provider, or remove the reference.",
        stage.space.name()
    );
    other
        .says::<OAuth2Client>("app", Reconciling, "NotAllowed", &message)
        .await?;
    let message = "No client may use the provider yet, so it publishes no keys. Name a client in allowedClients, or the provider in a client's providerRefs.";
    stage
        .space
        .says::<OidcProvider>("main", Reconciling, "ReferenceNotReady", message)
        .await?;

    let by_label = json!({ "from": "Selector", "selector": { "matchLabels": { "sso": "main" } } });
    stage
        .space
        .respecify::<OidcProvider>("main", json!({ "allowedNamespaces": by_label }))
        .await?;
    label(&other, json!({ "sso": "main" })).await?;
    let client = other.wait_ready("app").await?;
    let ready = stage.space.until_ready::<OidcProvider>("main").await?;
    let id = client.status.and_then(|status| status.client_id).context("an id")?;
    ensure!(ready.status.is_some_and(|status| status.client_ids == [id.clone()]));
    let listed = |ids: Value| move |provider: &Value| provider["allowed_client_ids"] == ids;
    bed.until_object("the client", &stage.path("provider", "main"), listed(json!([id])))
        .await?;

    // Withdrawn consent takes effect at once.
    label(&other, json!({ "sso": null })).await?;
    bed.until_object("no client", &stage.path("provider", "main"), listed(json!([])))
        .await?;
    other.says::<OAuth2Client>(
        "app",
        Reconciling,
        "NotAllowed",
        &format!(
            "providerRefs: OidcProvider `{}/main` does not admit clients of this namespace. Admit it in allowedNamespaces of the provider, or remove the reference.",
            stage.space.name()
        ),
    )
    .await?;
    ensure!(provider.metadata.name.is_some());
    Ok(())
}

async fn label(space: &Space<'_>, labels: Value) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(space.bed().client());
    let patch = Patch::Merge(json!({ "metadata": { "labels": labels } }));
    namespaces.patch(space.name(), &PatchParams::default(), &patch).await?;
    Ok(())
}

async fn object_names_need_a_grant(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let access = |names: &str| json!({ "access": [{ "namespaces": { "from": "All" }, "kinds": ["Scope", "OAuth2Client", "OidcProvider"], "objectNames": names }] });
    bed.change_server(&stage.server.name, access("Generated")).await?;
    let space = stage.space.name();
    let (own, free) = (format!("{space}.orders"), format!("{space}-orders"));
    stage.make::<Scope>("own", json!({ "name": own })).await?;
    stage.make::<Scope>("free", json!({ "name": free })).await?;
    let named = json!({ "redirectUris": [REDIRECT], "vault": { "name": free } });
    stage.make::<OAuth2Client>("free", named).await?;
    let denied = |field: &str, name: &str| {
        format!(
            "AuthorizationServer `{}`: access[0].objectNames does not allow `{name}` in {field}; change it or ask the server's admin.",
            stage.server.name
        )
    };
    stage
        .space
        .says::<Scope>("own", Reconciling, "NotAllowed", &denied("name", &own))
        .await?;
    stage
        .space
        .says::<Scope>("free", Reconciling, "NotAllowed", &denied("name", &free))
        .await?;
    stage
        .space
        .says::<OAuth2Client>("free", Reconciling, "NotAllowed", &denied("vault.name", &free))
        .await?;
    let others = json!({ "allowedClients": [{ "clientId": "*" }], "scopes": ["theirs"] });
    stage.make::<OidcProvider>("all", others).await?;
    stage
        .space
        .says::<OidcProvider>("all", Reconciling, "NotAllowed", &denied("allowedClients", "*"))
        .await?;
    bed.change_server(&stage.server.name, access("Prefixed")).await?;
    stage.space.until_ready::<Scope>("own").await?;
    bed.existing(&format!("scope/{own}")).await?;
    stage
        .space
        .says::<Scope>("free", Reconciling, "NotAllowed", &denied("name", &free))
        .await?;
    bed.change_server(&stage.server.name, access("Any")).await?;
    stage.space.until_ready::<Scope>("free").await?;
    stage.space.wait_ready("free").await?;
    bed.existing(&format!("scope/{free}")).await?;
    bed.existing(&format!("client/{free}")).await.map(drop)
}

async fn the_first_resource_to_claim_a_name_gets_it(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let other = bed.space().await?;
    let name = format!("{}-shared", stage.space.name());
    stage
        .ready::<Scope>("first", json!({ "name": name, "description": "first" }))
        .await?;
    other
        .make::<Scope>("second", &stage.spec(json!({ "name": name, "description": "second" })))
        .await?;
    let message = format!(
        "Another resource has the scope `{name}` on this server, or asked for it first. Create a new resource with another name."
    );
    other.says::<Scope>("second", Stalled, "NotOwned", &message).await?;
    let path = format!("scope/{name}");
    ensure!(bed.existing(&path).await?["description"] == "first");
    let gone = stage.space.remove::<Scope>("first").await?;
    stage.space.until_gone(&gone).await?;
    other.until_ready::<Scope>("second").await?;
    ensure!(bed.existing(&path).await?["description"] == "second");
    Ok(())
}
