//! The secret of an adopted client: it stays, unless the spec says otherwise.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use oidc_operator::api::{OAuth2Client, ROTATE_AT_ANNOTATION};
use serde_json::json;

use super::{Legacy, SECRET, status_of};
use crate::bed::{Bed, LIMIT, ledger_of, uid_of};
use crate::conditions::Tone::{Reconciling, Stalled};

pub(super) async fn an_adopted_client_keeps_its_secret(bed: &Bed) -> Result<()> {
    let legacy = Legacy::new(bed, json!({})).await?;
    let space = &legacy.space;
    space.apply_client("app", &legacy.spec(json!({}))).await?;
    let client = legacy.is_unknown("app").await?;
    let (found, mark) = legacy.on_server().await?;
    ensure!(
        mark["uid"] == uid_of(&client).as_str() && mark["adopted"] == true,
        "{mark}"
    );
    ensure!(found["scope"] == "read" && found["client_name"] == "", "{found}");
    let status = status_of(&client);
    ensure!(
        status.adopted == Some(true) && status.secret_name.is_none(),
        "{status:?}"
    );
    legacy.works_with(SECRET).await?;
    for secret in ["app", &ledger_of(&client)] {
        ensure!(
            space.secret(secret).await?.is_none(),
            "Secret {secret} was created without a known secret"
        );
    }
    space.wait_event("app", "Adopted", |_| true).await?;

    // Nothing more is written, and drift is corrected without sending a secret.
    let mark = legacy.server.admin.journal().mark();
    legacy.swept().await?;
    let asked = legacy.server.about_clients(mark);
    ensure!(asked.is_empty(), "{asked:?}");
    bed.tamper(&legacy.id, |found| found["scope"] = json!("read write"))
        .await?;
    let put_right = async || Ok((legacy.on_server().await?.0["scope"] == "read").then_some(()));
    testbed::wait::until("the scope to be corrected", LIMIT, put_right).await?;
    legacy.works_with(SECRET).await?;

    // A change that does not concern the server does not change the secret either.
    space
        .change("app", json!({ "spec": { "credentials": { "secretName": "login" } } }))
        .await?;
    legacy.is_unknown("app").await?;
    legacy.works_with(SECRET).await?;
    space.change("app", json!({ "spec": { "credentials": null } })).await?;

    // The user provides the secret.
    let told =
        format!("{{ apiVersion: v1, kind: Secret, metadata: {{ name: told }}, stringData: {{ secret: {SECRET} }} }}");
    let _: k8s_openapi::api::core::v1::Secret = space.apply(&told).await?;
    let reference = json!({ "clientSecretRef": { "name": "told", "key": "secret" } });
    space.change("app", json!({ "spec": reference })).await?;
    let ready = space.wait_ready("app").await?;
    ensure!(
        space.credentials("app").await? == (legacy.id.clone(), SECRET.to_owned()),
        "the credentials differ"
    );
    ensure!(status_of(&ready).adopted == Some(true), "status.adopted is gone");
    legacy.works_with(SECRET).await
}

pub(super) async fn the_secret_of_an_adopted_client_can_be_given_from_the_start(bed: &Bed) -> Result<()> {
    let legacy = Legacy::new(bed, json!({})).await?;
    let told =
        format!("{{ apiVersion: v1, kind: Secret, metadata: {{ name: told }}, stringData: {{ secret: {SECRET} }} }}");
    let _: k8s_openapi::api::core::v1::Secret = legacy.space.apply(&told).await?;
    let spec = legacy.spec(json!({ "clientSecretRef": { "name": "told", "key": "secret" } }));
    let client = legacy.space.ready_client("app", &spec).await?;
    ensure!(status_of(&client).adopted == Some(true), "{:?}", client.status);
    ensure!(
        legacy.on_server().await?.1["adopted"] == true,
        "its marker does not say adopted"
    );
    legacy.works_with(SECRET).await
}

pub(super) async fn the_secret_of_an_adopted_client_is_replaced_only_on_request(bed: &Bed) -> Result<()> {
    let legacy = Legacy::new(bed, json!({})).await?;
    let space = &legacy.space;
    space
        .apply_client(
            "app",
            &legacy.spec(json!({ "rotation": { "withoutOverlap": "Allow" } })),
        )
        .await?;
    legacy.is_unknown("app").await?;
    legacy.works_with(SECRET).await?;

    space
        .annotate("app", ROTATE_AT_ANNOTATION, &jiff::Timestamp::now().to_string())
        .await?;
    let ready = space.wait_ready("app").await?;
    let (_, secret) = space.credentials("app").await?;
    ensure!(secret != SECRET, "it was not replaced");
    legacy.works_with(&secret).await?;
    ensure!(legacy.works_with(SECRET).await.is_err(), "the old secret still works");
    ensure!(status_of(&ready).rotated_at.is_some(), "{:?}", ready.status);
    space.wait_event("app", "SecretRotated", |_| true).await?;

    // When a tool drops the marker, the client stays adopted.
    bed.tamper(&legacy.id, |found| found["metadata"] = json!({})).await?;
    let marked = async || Ok((legacy.on_server().await?.1["adopted"] == true).then_some(()));
    testbed::wait::until("the marker to be restored", LIMIT, marked).await?;
    space.wait_ready("app").await?;
    legacy.works_with(&secret).await?;

    // From now on the ledger holds the secret, and a lost credentials Secret is restored.
    space.delete_secret("app").await?;
    let back = space.wait_secret("the credentials", "app", |_| true).await?;
    ensure!(
        crate::bed::text_of(&back)["CLIENT_SECRET"] == secret,
        "it was replaced again"
    );
    Ok(())
}

/// Users who adopt a client often keep its secret in a Secret with the resource's name already.
pub(super) async fn a_conflicting_secret_is_detected_before_anything_is_changed(bed: &Bed) -> Result<()> {
    let legacy = Legacy::new(bed, json!({})).await?;
    let space = &legacy.space;
    let own =
        format!("{{ apiVersion: v1, kind: Secret, metadata: {{ name: app }}, stringData: {{ secret: {SECRET} }} }}");
    let _: k8s_openapi::api::core::v1::Secret = space.apply(&own).await?;
    space.apply_client("app", &legacy.spec(json!({}))).await?;
    let message = "Secret `app` exists and cannot be taken over: it does not name this resource; set its annotation oidc-operator.dev/adoptable-by to `app`, choose another secretName, or delete it if nobody needs it.";
    space
        .says::<OAuth2Client>("app", Stalled, "SecretConflict", message)
        .await?;
    ensure!(legacy.on_server().await?.1.is_null(), "it was adopted");
    space
        .change("app", json!({ "spec": { "credentials": { "secretName": "login" } } }))
        .await?;
    legacy.is_unknown("app").await?;
    legacy.works_with(SECRET).await
}

/// The operator tries the secret at the server's public API, in the way of the client's authentication method.
pub(super) async fn an_adoption_replaces_no_secret_unless_the_spec_consents(bed: &Bed) -> Result<()> {
    const MISMATCH: &str = "The client on the server has another secret than the Secret that this resource reads, so its applications could not log in after an adoption; nothing was changed. Correct the Secret, or set onSecretMismatch: Replace.";
    const OTHER: &str = "50%off+now:ok";
    let told = |secret: &str| {
        let labels = r#"{ oidc-operator.dev/watch: "true" }"#;
        format!(
            "{{ apiVersion: v1, kind: Secret, metadata: {{ name: told, labels: {labels} }}, stringData: {{ secret: '{secret}' }} }}"
        )
    };
    for method in ["client_secret_basic", "client_secret_post"] {
        let legacy = Legacy::new(bed, json!({ "token_endpoint_auth_method": method })).await?;
        let space = &legacy.space;
        space.canary(OTHER);
        let before = legacy.on_server().await?.0;
        let _: Secret = space.apply(&told(OTHER)).await?;
        let spec = json!({ "clientSecretRef": { "name": "told", "key": "secret" }, "tokenEndpointAuthMethod": method });
        space.apply_client("app", &legacy.spec(spec.clone())).await?;
        let waits = space
            .says::<OAuth2Client>("app", Reconciling, "SecretMismatch", MISMATCH)
            .await?;
        ensure!(legacy.on_server().await?.0 == before, "the client was changed");
        ensure!(
            space.secret(&ledger_of(&waits)).await?.is_none(),
            "the secret was stored"
        );
        // Without consent, the right secret is needed.
        let _: Secret = space.apply(&told(SECRET)).await?;
        space.wait_ready("app").await?;
        ensure!(legacy.on_server().await?.1["adopted"] == true, "it is not adopted");
        if method == "client_secret_basic" {
            legacy.works_with(SECRET).await?;
        }
    }
    // The same for a client that was adopted before its secret was known.
    let legacy = Legacy::new(bed, json!({})).await?;
    let space = &legacy.space;
    space.apply_client("app", &legacy.spec(json!({}))).await?;
    legacy.is_unknown("app").await?;
    let _: Secret = space.apply(&told(OTHER)).await?;
    let named = json!({ "spec": { "clientSecretRef": { "name": "told", "key": "secret" } } });
    space.change("app", named).await?;
    space
        .says::<OAuth2Client>("app", Reconciling, "SecretMismatch", MISMATCH)
        .await?;
    legacy.works_with(SECRET).await?;
    let _: Secret = space.apply(&told(SECRET)).await?;
    space.wait_ready("app").await?;
    legacy.works_with(SECRET).await?;
    // With consent, the secret is replaced.
    let legacy = Legacy::new(bed, json!({})).await?;
    let space = &legacy.space;
    let _: Secret = space.apply(&told("another-secret-2")).await?;
    let spec = json!({ "clientSecretRef": { "name": "told", "key": "secret" }, "onSecretMismatch": "Replace" });
    space.apply_client("app", &legacy.spec(spec)).await?;
    space.wait_ready("app").await?;
    legacy.works_with("another-secret-2").await?;
    ensure!(legacy.works_with(SECRET).await.is_err(), "the old secret still works");
    Ok(())
}
