//! `clientIdFrom`: an id that another tool brings.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use oidc_operator::api::{CLIENT_ID_KEY_ANNOTATION, WATCH_LABEL};
use serde_json::{Value, json};

use crate::bed::{Bed, ServerOptions, Space, everything, ledger_of, text_of};
use crate::conditions::{Tone, client_ready, client_says};

/// Creates or changes the Secret of the other tool, which says that this key holds a client id.
async fn bring(space: &Space<'_>, key: &str, data: Value) -> Result<()> {
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "stringData": data, "metadata": {
        "name": "brought", "labels": { WATCH_LABEL: "true" }, "annotations": { CLIENT_ID_KEY_ANNOTATION: key },
    } });
    space.apply::<Secret>(&secret.to_string()).await?;
    Ok(())
}

fn unusable(problem: &str) -> String {
    format!("Secret `brought`, key `id`: the value {problem}. Replace it with a usable one.")
}

pub(super) async fn an_id_and_a_secret_of_another_tool_are_waited_for_and_followed(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let space = bed.space().await?;
    let id = format!("https://{}.example.com:8080", space.name()).replace('/', "|"); // a slash needs a newer server
    let [first, second] = ["first", "second"].map(|nth| format!("the-{nth}-secret-of-{}", space.name()));
    bed.canary(&*first);
    bed.canary(&*second);
    let spec = json!({
        "serverRef": { "name": server.name }, "grantTypes": ["client_credentials"], "scopes": ["read"],
        "clientIdFrom": { "name": "brought", "key": "id" },
        "clientSecretRef": { "name": "brought", "key": "secret" },
    });
    space.apply_client("app", &spec.to_string()).await?;
    let message = "Secret `brought` does not exist. Create it.";
    client_says(&space, "app", Tone::Reconciling, "SecretNotFound", message).await?;

    // Other values of a Secret stay secret: the status would show them to everybody.
    bring(&space, "secret", json!({ "id": first, "secret": first })).await?;
    let message = "clientIdFrom: the Secret does not say that this key holds a client id, which is public; set the annotation oidc-operator.dev/client-id-key of the Secret to the key.";
    client_says(&space, "app", Tone::Reconciling, "InvalidSpec", message).await?;

    bring(&space, "id", json!({ "id": format!("{id}\n"), "secret": first })).await?;
    let problem = unusable("begins or ends with white space, often an accidental line break");
    client_says(&space, "app", Tone::Reconciling, "InvalidSpec", &problem).await?;
    ensure!(server.about_clients(0).is_empty(), "the server was asked");
    ensure!(space.secret("app").await?.is_none(), "there are credentials");

    bring(&space, "id", json!({ "id": id, "secret": first })).await?;
    let client = client_ready(&space, "app").await?;
    ensure!(
        space.credentials("app").await? == (id.clone(), first.clone()),
        "other credentials"
    );
    let status = client.status.clone().context("no status")?;
    ensure!(status.client_id.as_ref() == Some(&id), "{status:?}");
    bed.token(&id, &first, "read").await?;

    bring(&space, "id", json!({ "id": id, "secret": second })).await?;
    let has_it = |secret: &Secret| text_of(secret).get("CLIENT_SECRET") == Some(&second);
    space.wait_secret("the second secret", "app", has_it).await?;
    bed.token(&id, &second, "read").await?;

    // The id stays, and so does everything else as long as the Secret has another one.
    client_ready(&space, "app").await?;
    let mark = server.admin.journal().mark();
    bring(&space, "id", json!({ "id": "another", "secret": first })).await?;
    let problem = unusable(
        "is not the id of the registered client, which cannot change (create a new OAuth2Client for another id)",
    );
    client_says(&space, "app", Tone::Reconciling, "InvalidSpec", &problem).await?;
    bed.token(&id, &second, "read").await?;
    ensure!(
        space.credentials("app").await? == (id.clone(), second.clone()),
        "the credentials changed"
    );
    let written = server
        .about_clients(mark)
        .into_iter()
        .find(|exchange| exchange.head.method != "GET");
    ensure!(written.is_none(), "{written:?}");
    bring(&space, "id", json!({ "id": id, "secret": second })).await?;
    client_ready(&space, "app").await?;

    // The cleanup does not need the Secret.
    space.delete_secret("brought").await?;
    space.delete_and_wait("app").await?;
    ensure!(bed.hydra_client(&id).await?.is_none(), "the client is left");
    ensure!(space.secret(&ledger_of(&client)).await?.is_none(), "the ledger is left");
    Ok(())
}

pub(super) async fn an_id_from_a_secret_obeys_the_rules_of_client_id(bed: &Bed) -> Result<()> {
    let mut rules = everything(&[]);
    rules[0]["clients"]["clientIds"] = json!("Prefixed");
    let server = bed
        .own_server(ServerOptions {
            spec: json!({ "access": rules }),
            ..ServerOptions::default()
        })
        .await?;
    let space = bed.space().await?;
    let spec = json!({
        "serverRef": { "name": server.name }, "grantTypes": ["client_credentials"], "scopes": ["read"],
        "clientIdFrom": { "name": "brought", "key": "id" },
    });
    bring(&space, "id", json!({ "id": "of-nobody.shop" })).await?;
    space.apply_client("app", &spec.to_string()).await?;
    let denied = space.wait_condition("app", "Ready", "False", "NotAllowed").await?;
    let said = serde_json::to_string(&denied.status)?;
    ensure!(
        said.contains("clients.clientIds") && said.contains("of-nobody.shop"),
        "{said}"
    );
    ensure!(
        denied.status.is_some_and(|status| status.assigned_client_id.is_none()),
        "claimed"
    );

    // Another resource has the id: nothing of it changes, and the id may still be replaced.
    let [taken, free] = ["taken", "free"].map(|name| format!("{}.{name}", space.name()));
    let other =
        json!({ "serverRef": { "name": server.name }, "grantTypes": ["client_credentials"], "clientId": taken });
    space.ready_client("other", &other.to_string()).await?;
    let before = bed.registered(&taken).await?;
    bring(&space, "id", json!({ "id": taken })).await?;
    let message = format!(
        "The client `{taken}` exists on the server and does not belong to this resource; nothing was changed. Create a new resource with another clientId."
    );
    client_says(&space, "app", Tone::Stalled, "NotOwned", &message).await?;
    bring(&space, "id", json!({ "id": free })).await?;
    client_ready(&space, "app").await?;
    let (id, secret) = space.credentials("app").await?;
    ensure!(id == free, "{id}");
    bed.token(&id, &secret, "read").await?;
    ensure!(bed.registered(&taken).await? == before, "it was changed");

    // The id belongs to the resource once and for all.
    let said = space.client_refusal("app", &other.to_string()).await?;
    ensure!(said.contains("clientId is immutable"), "{said}");
    Ok(())
}
