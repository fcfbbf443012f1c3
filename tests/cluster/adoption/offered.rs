//! A Secret that applications mount already is taken over with its client, and loses nothing.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt;
use oidc_operator::api::{ADOPTABLE_BY_ANNOTATION, OAuth2Client, UID_LABEL};
use serde_json::{Value, json};

use super::{Legacy, SECRET};
use crate::bed::{Bed, Space, ledger_of, merge, text_of, uid_of};
use crate::conditions::Tone::{Reconciling, Stalled};

/// How a Secret is offered.
#[derive(Clone, Copy)]
struct Offer {
    /// Whether its owner is its controller.
    controlled: bool,
    /// The resource that it names.
    names: Option<&'static str>,
}

const OFFER: Offer = Offer {
    controlled: false,
    names: Some("app"),
};

/// A Secret of another tool, which goes with another object, as that of a controller does.
async fn offer(space: &Space<'_>, data: Value, Offer { controlled, names }: Offer) -> Result<Secret> {
    let owner = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "tool" } });
    let owner: ConfigMap = space.apply(&owner.to_string()).await?;
    let offered = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {
            "name": "app", "labels": { "team": "shop" }, "annotations": names.map(|name| json!({ ADOPTABLE_BY_ANNOTATION: name })),
            "ownerReferences": [{ "apiVersion": "v1", "kind": "ConfigMap", "name": "tool", "uid": owner.uid(),
                "controller": controlled }],
        },
        "stringData": data,
    });
    space.apply(&offered.to_string()).await
}

pub(super) async fn a_secret_that_names_the_resource_is_taken_over_with_the_client(bed: &Bed) -> Result<()> {
    let legacy = Legacy::new(bed, json!({})).await?;
    let space = &legacy.space;
    let before = offer(space, json!({ "CLIENT_ID": legacy.id, "CLIENT_SECRET": SECRET }), OFFER).await?;
    let client = space.ready_client("app", &legacy.spec(json!({}))).await?;
    let now = space.secret("app").await?.context("the Secret is gone")?;
    ensure!(
        now.uid() == before.uid() && now.data == before.data,
        "{:?}",
        now.metadata
    );
    ensure!(now.labels()["team"] == "shop" && now.labels()[UID_LABEL] == uid_of(&client));
    let owners = now.owner_references();
    ensure!(
        owners.len() == 1 && owners[0].uid == uid_of(&client) && owners[0].controller == Some(true),
        "{owners:?}"
    );
    let (_, mark) = legacy.on_server().await?;
    ensure!(mark["adopted"] == true, "{mark}");
    legacy.works_with(SECRET).await?;
    let tells = |event: &Event| {
        event
            .note
            .as_deref()
            .is_some_and(|note| note.contains("Secret `app` existed before"))
    };
    space.wait_event("app", "Adopted", tells).await?;

    // It is now like any other: the operator restores it, and it stays with the client.
    space.delete_secret("app").await?;
    let back = space.wait_secret("the credentials", "app", |_| true).await?;
    ensure!(text_of(&back)["CLIENT_SECRET"] == SECRET, "it has another secret");
    space.delete_and_wait("app").await?;
    let left = space
        .secret("app")
        .await?
        .context("the Secret went with the resource")?;
    ensure!(
        left.owner_references().is_empty() && left.data == before.data,
        "{:?}",
        left.metadata
    );
    legacy.works_with(SECRET).await
}

pub(super) async fn a_secret_that_would_lose_something_is_not_taken_over(bed: &Bed) -> Result<()> {
    let unnamed = "it does not name this resource; set its annotation oidc-operator.dev/adoptable-by to `app`, choose another secretName, or delete it if nobody needs it";
    let refused = |problem: &str| format!("Secret `app` exists and cannot be taken over: {problem}.");
    let rows = [
        (json!({}), Offer { names: None, ..OFFER }, refused(unnamed)),
        (
            json!({}),
            Offer { names: Some("other"), ..OFFER },
            refused(unnamed),
        ),
        (
            json!({}),
            Offer { controlled: true, ..OFFER },
            "Secret `app` belongs to ConfigMap `tool`, so the operator does not change it. Delete it or choose another secretName.".to_owned(),
        ),
        (
            json!({ "COOKIE_SECRET": "x", "salt": "y" }),
            OFFER,
            refused("it would lose keys that this resource does not write (`COOKIE_SECRET`, `salt`); move them to another Secret, or write them with credentials.data"),
        ),
        (
            json!({ "CLIENT_ID": "another" }),
            OFFER,
            refused("its key `CLIENT_ID` has another id than the client; correct clientId, or choose another secretName"),
        ),
    ];
    for (data, how, message) in rows {
        let legacy = Legacy::new(bed, json!({})).await?;
        let space = &legacy.space;
        let mut all = json!({ "CLIENT_ID": legacy.id, "CLIENT_SECRET": SECRET });
        merge(&mut all, &data);
        let before = offer(space, all, how).await?;
        space.apply_client("app", &legacy.spec(json!({}))).await?;
        let waits = space
            .says::<OAuth2Client>("app", Stalled, "SecretConflict", &message)
            .await?;
        unchanged(&legacy, &before, &waits).await?;
    }
    // A secret with which nobody can log in.
    let legacy = Legacy::new(bed, json!({})).await?;
    let space = &legacy.space;
    let data = json!({ "CLIENT_ID": legacy.id, "CLIENT_SECRET": "another-secret-2" });
    let before = offer(space, data, OFFER).await?;
    space.apply_client("app", &legacy.spec(json!({}))).await?;
    let message = "The client on the server has another secret than the Secret that this resource reads, so its applications could not log in after an adoption; nothing was changed. Correct the Secret, or set onSecretMismatch: Replace.";
    let waits = space
        .says::<OAuth2Client>("app", Reconciling, "SecretMismatch", message)
        .await?;
    unchanged(&legacy, &before, &waits).await
}

async fn unchanged(legacy: &Legacy<'_>, before: &Secret, waits: &OAuth2Client) -> Result<()> {
    let space = &legacy.space;
    let now = space.secret("app").await?.context("the Secret is gone")?;
    ensure!(
        now.resource_version() == before.resource_version(),
        "the Secret was changed: {:?}",
        now.metadata
    );
    ensure!(space.secret(&ledger_of(waits)).await?.is_none(), "there is a ledger");
    ensure!(legacy.on_server().await?.1.is_null(), "the client was adopted");
    legacy.works_with(SECRET).await
}

pub(super) async fn a_public_client_takes_its_secret_over(bed: &Bed) -> Result<()> {
    let members = json!({
        "token_endpoint_auth_method": "none", "grant_types": ["authorization_code"],
        "redirect_uris": ["http://127.0.0.1/callback"],
    });
    let legacy = Legacy::new(bed, members).await?;
    let space = &legacy.space;
    let before = offer(space, json!({ "CLIENT_ID": legacy.id }), OFFER).await?;
    let spec = json!({
        "clientType": "Public", "grantTypes": ["authorization_code"], "redirectUris": ["http://127.0.0.1/callback"],
    });
    space.ready_client("app", &legacy.spec(spec)).await?;
    let now = space.secret("app").await?.context("the Secret is gone")?;
    ensure!(
        now.uid() == before.uid() && now.data == before.data,
        "{:?}",
        now.metadata
    );
    Ok(())
}
