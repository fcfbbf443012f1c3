//! The messages for invalid input, which is never written in part.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::{Assignment, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use serde_json::{Value, json};

use super::stage::{NOBODY, REDIRECT, Stage};
use crate::bed::{Bed, Namespaced};
use crate::conditions::Tone::{self, Reconciling, Stalled};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(invalid_values_are_explained),
        side.shared(unsupported_fields_are_named),
        side.shared(changes_of_immutable_fields_are_reported),
        side.shared(the_generated_name_may_be_written_out_and_no_other),
        side.shared(missing_references_are_reported),
        side.shared(the_schema_rejects_invalid_specs),
    ]
}

async fn says<K: Namespaced>(
    stage: &Stage<'_>,
    type_: &str,
    spec: Value,
    (tone, reason, message): (Tone, &str, &str),
) -> Result<()> {
    let made = stage.make::<K>("bad", spec).await?;
    stage.space.says::<K>("bad", tone, reason, message).await?;
    let path = stage.path(type_, "bad");
    ensure!(stage.bed.object(&path).await?.is_none(), "{path} was created");
    // While a pass retries, a claim exists for a moment.
    let is_claimed = |found: &K| serde_json::to_value(found).is_ok_and(|found| !found["status"]["name"].is_null());
    stage
        .space
        .until("the claim to be withdrawn", "bad", |found: &K| !is_claimed(found))
        .await?;
    stage.space.remove::<K>("bad").await?;
    stage.space.until_gone(&made).await
}

async fn invalid_values_are_explained(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    for (template, message) in [
        (
            r#"{"sub": "x"}"#,
            "template: it sets a claim that the server reserves (iat, aud, exp, iss, sub, namespace, nonce, auth_time, at_hash or c_hash); remove it.",
        ),
        (
            r#"{"name": {{identity.nothing}}}"#,
            "template: the server does not know one of the `{{…}}`; see the documentation of its identity templates.",
        ),
        (
            r#"{"name": "{{identity.entity.name}}"}"#,
            "template: a `{{…}}` must not be in quotation marks, because the inserted value has its own.",
        ),
        ("[]", "template: it is not a JSON object."),
    ] {
        says::<Scope>(
            &stage,
            "scope",
            json!({ "template": template }),
            (Stalled, "InvalidSpec", message),
        )
        .await?;
    }
    let message = "on this server a name consists of letters, digits and underscores, with dashes and dots only inside; create a new resource with another name.";
    says::<Scope>(
        &stage,
        "scope",
        json!({ "name": "orders:read" }),
        (Stalled, "InvalidSpec", &format!("name: {message}")),
    )
    .await?;
    let set = json!({ "setName": "a~b", "generate": { "algorithm": "RS256" } });
    says::<JsonWebKeySet>(
        &stage,
        "key",
        set,
        (Stalled, "InvalidSpec", &format!("setName: {message}")),
    )
    .await?;
    let keys = |rotation: Value| json!({ "generate": { "algorithm": "RS256" }, "rotation": rotation });
    let message = "rotation.period: it must be at least one minute; lengthen it.";
    says::<JsonWebKeySet>(
        &stage,
        "key",
        keys(json!({ "period": "10s" })),
        (Stalled, "InvalidSpec", message),
    )
    .await?;
    let message = "rotation.overlap: it must not be longer than ten times rotation.period; shorten it.";
    let rotation = json!({ "period": "1h", "overlap": "11h" });
    says::<JsonWebKeySet>(&stage, "key", keys(rotation), (Stalled, "InvalidSpec", message)).await?;
    let message = "issuer: on this server it must be only scheme, host and port, such as https://vault.example.com:8200; the server adds the provider's path.";
    let provider = json!({ "issuer": "https://vault.example.com/path" });
    says::<OidcProvider>(&stage, "provider", provider, (Stalled, "InvalidSpec", message)).await?;

    stage
        .ready::<JsonWebKeySet>("short", keys(json!({ "period": "1h", "overlap": "1h" })))
        .await?;
    let message = "idTokenTtl: ID tokens must not be valid for longer than the public key stays published; shorten it, or lengthen rotation.overlap of the JsonWebKeySet.";
    let client = json!({ "redirectUris": [REDIRECT], "keySetRef": { "name": "short" }, "idTokenTtl": "2h" });
    says::<OAuth2Client>(&stage, "client", client, (Stalled, "InvalidSpec", message)).await?;

    let unknown = |field: &str, type_: &str, name: &str| {
        format!("{field}: the server has no {type_} `{name}`; nothing was changed. Create it, or correct the name.")
    };
    let group = format!("{}-nobody", stage.space.name());
    for (spec, message) in [
        (
            json!({ "groups": [{ "name": group }] }),
            unknown("groups", "group", &group),
        ),
        (
            json!({ "vault": { "entities": [{ "name": group }] } }),
            unknown("vault.entities", "entity", &group),
        ),
        (
            json!({ "vault": { "entities": [{ "alias": { "name": "x", "mountPath": "nowhere" } }] } }),
            unknown("vault.entities", "auth method", "nowhere"),
        ),
    ] {
        says::<Assignment>(&stage, "assignment", spec, (Reconciling, "ReferenceNotFound", &message)).await?;
    }
    let message = "subjects: `*` means nobody; leave assignmentRefs out of a client that everybody may use.";
    says::<Assignment>(
        &stage,
        "assignment",
        json!({ "subjects": ["*"] }),
        (Stalled, "InvalidSpec", message),
    )
    .await
}

async fn unsupported_fields_are_named(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let server = bed.server_ready(&stage.server.name).await?;
    let version = server.status.and_then(|status| status.version).unwrap_or_default();
    let message = |fields: &str| {
        format!(
            "AuthorizationServer `{}` (version `{version}`) does not support what this resource sets in {fields}; nothing was changed. Remove it, or use a server or version that supports it.",
            stage.server.name
        )
    };
    let client = json!({
        "redirectUris": [REDIRECT], "clientId": "mine", "clientName": "Mine", "scopes": ["openid"], "audience": ["api"],
        "grantTypes": ["authorization_code", "refresh_token"], "refreshTokenTtl": "1h", "metadata": { "a": 1 },
        "rotation": { "period": "1h", "withoutOverlap": "Allow" },
        "hydra": { "skipConsent": false },
    });
    let fields = "audience, clientId, clientName, grantTypes, hydra, metadata, refreshTokenTtl, rotation, scopes";
    bed.change_server(
        &stage.server.name,
        json!({ "access": [{
        "namespaces": { "from": "All" }, "kinds": ["OAuth2Client", "JsonWebKeySet"], "clients": { "clientIds": "Any" },
    }] }),
    )
    .await?;
    says::<OAuth2Client>(
        &stage,
        "client",
        client,
        (Stalled, "UnsupportedByServer", &message(fields)),
    )
    .await?;
    let keys = json!({
        "generate": { "algorithm": "PS256", "by": "Operator" }, "privateKey": {}, "publish": {},
        "rotation": { "period": "1h", "prePublish": "1m" },
    });
    let fields = "generate.by, generate.algorithm, privateKey, publish, rotation.prePublish";
    says::<JsonWebKeySet>(&stage, "key", keys, (Stalled, "UnsupportedByServer", &message(fields))).await?;
    let import = json!({ "import": { "secretRef": { "name": "mine", "key": "key.pem" } } });
    says::<JsonWebKeySet>(
        &stage,
        "key",
        import,
        (Stalled, "UnsupportedByServer", &message("import")),
    )
    .await
}

async fn the_generated_name_may_be_written_out_and_no_other(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let assignment = stage
        .ready::<Assignment>("staff", json!({ "subjects": [NOBODY] }))
        .await?;
    let before = stage.object("assignment", "staff").await?;
    let name = format!("{}.staff", stage.space.name());
    for vault in [json!({ "name": name }), json!({ "name": null })] {
        stage
            .space
            .respecify::<Assignment>("staff", json!({ "vault": vault }))
            .await?;
        stage.space.until_ready::<Assignment>("staff").await?;
    }
    let other = json!({ "vault": { "name": "elsewhere.staff" } });
    stage.space.respecify::<Assignment>("staff", other).await?;
    let message = format!(
        "vault.name: the name on the server is `{name}` and cannot change; restore the field, or create a new resource with the other name."
    );
    stage
        .space
        .says::<Assignment>("staff", Stalled, "InvalidSpec", &message)
        .await?;
    ensure!(stage.object("assignment", "staff").await? == before);
    ensure!(stage.bed.object("assignment/elsewhere.staff").await?.is_none());
    // It is the claimed object that is deleted.
    stage.space.remove::<Assignment>("staff").await?;
    stage.space.until_gone(&assignment).await?;
    stage.bed.until_no_object(&stage.path("assignment", "staff")).await
}

async fn changes_of_immutable_fields_are_reported(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    stage
        .ready::<JsonWebKeySet>("one", json!({ "generate": { "algorithm": "RS256" } }))
        .await?;
    stage
        .ready::<JsonWebKeySet>("other", json!({ "generate": { "algorithm": "RS256" } }))
        .await?;
    let spec = json!({ "redirectUris": [REDIRECT], "keySetRef": { "name": "one" } });
    stage.ready::<OAuth2Client>("app", spec).await?;
    let before = stage.object("client", "app").await?;
    let change = json!({ "keySetRef": { "name": "other" }, "clientType": "Public" });
    stage.space.respecify::<OAuth2Client>("app", change).await?;
    let message = "keySetRef, clientType cannot be changed on this server after the object was created; nothing was changed. Undo the change, or create a new resource.";
    stage
        .space
        .says::<OAuth2Client>("app", Stalled, "InvalidSpec", message)
        .await?;
    ensure!(stage.object("client", "app").await? == before);
    // Its key still signs for it.
    stage.space.until_ready::<JsonWebKeySet>("one").await?;
    ensure!(stage.object("key", "one").await?["allowed_client_ids"] == json!([before["client_id"]]));
    ensure!(stage.object("key", "other").await?["allowed_client_ids"] == json!([]));
    let back = json!({ "keySetRef": { "name": "one" }, "clientType": null });
    stage.space.respecify::<OAuth2Client>("app", back).await?;
    stage.space.wait_ready("app").await?;
    // If tokens would outlive a key, the key waits for the client, not the client for the key.
    stage
        .space
        .respecify::<OAuth2Client>("app", json!({ "idTokenTtl": "12h" }))
        .await?;
    stage.space.wait_ready("app").await?;
    stage
        .space
        .respecify::<JsonWebKeySet>("one", json!({ "rotation": { "period": "1h", "overlap": "1h" } }))
        .await?;
    let message = "rotation: a client of the key has ID tokens that are valid for longer than a public key would stay published. Shorten its idTokenTtl, or lengthen rotation.overlap.";
    stage
        .space
        .says::<JsonWebKeySet>("one", Reconciling, "InvalidSpec", message)
        .await?;
    stage
        .space
        .respecify::<OAuth2Client>("app", json!({ "idTokenTtl": null }))
        .await?;
    stage.space.until_ready::<JsonWebKeySet>("one").await?;
    stage.space.wait_ready("app").await?;
    ensure!(stage.object("client", "app").await?["id_token_ttl"] == 3600);
    ensure!(stage.object("key", "one").await?["verification_ttl"] == 3600);
    Ok(())
}

async fn missing_references_are_reported(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let missing = |kind: &str, name: &str| format!("{kind} `{name}` does not exist. Create it.");
    let client = json!({ "redirectUris": [REDIRECT], "keySetRef": { "name": "none" } });
    let message = missing("JsonWebKeySet", "none");
    says::<OAuth2Client>(&stage, "client", client, (Reconciling, "ReferenceNotFound", &message)).await?;
    let client = json!({ "redirectUris": [REDIRECT], "assignmentRefs": [{ "name": "none" }] });
    let message = missing("Assignment", "none");
    says::<OAuth2Client>(&stage, "client", client, (Reconciling, "ReferenceNotFound", &message)).await?;
    let provider = json!({ "scopeRefs": [{ "name": "none" }], "allowedClients": [{ "clientId": "*" }] });
    let message = missing("Scope", "none");
    says::<OidcProvider>(
        &stage,
        "provider",
        provider,
        (Reconciling, "ReferenceNotFound", &message),
    )
    .await?;

    // A missing client does not keep other clients out.
    stage
        .ready::<OAuth2Client>("app", json!({ "redirectUris": [REDIRECT] }))
        .await?;
    let provider = json!({ "allowedClients": [{ "name": "app" }, { "name": "later" }] });
    stage.make::<OidcProvider>("main", provider).await?;
    let message = missing("OAuth2Client", "later");
    stage
        .space
        .says::<OidcProvider>("main", Reconciling, "ReferenceNotFound", &message)
        .await?;
    let (id, _) = stage.space.credentials("app").await?;
    let listed = |provider: &Value| provider["allowed_client_ids"] == json!([id]);
    bed.until_object("the existing client", &stage.path("provider", "main"), listed)
        .await?;
    stage
        .make::<OAuth2Client>("later", json!({ "redirectUris": [REDIRECT] }))
        .await?;
    stage.space.until_ready::<OidcProvider>("main").await?;
    Ok(())
}

async fn the_schema_rejects_invalid_specs(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let space = &stage.space;
    let cases = [
        (
            space
                .refused::<OidcProvider>("bad", r#"{ "allowedClients": [{ "name": "a", "clientId": "b" }] }"#)
                .await?,
            "allowedClients: set exactly one of name and clientId",
        ),
        (
            space
                .refused::<OidcProvider>("bad", r#"{ "allowedNamespaces": { "from": "Selector" } }"#)
                .await?,
            "selector: set it with from: Selector, and only then",
        ),
        (
            space
                .refused::<Assignment>("bad", r#"{ "vault": { "entities": [{ "id": "a", "name": "b" }] } }"#)
                .await?,
            "set exactly one of id, name and alias",
        ),
        (
            space.refused::<Assignment>("bad", "{}").await?,
            "an Assignment must name at least one subject or group",
        ),
        (
            space
                .refused::<OAuth2Client>(
                    "bad",
                    &format!(r#"{{ "redirectUris": ["{REDIRECT}"], "vault": {{ "name": "-a" }} }}"#),
                )
                .await?,
            "spec.vault.name",
        ),
    ];
    for (refusal, expected) in cases {
        ensure!(refusal.contains(expected), "{refusal} instead of {expected}");
    }
    stage
        .ready::<Assignment>("fixed", json!({ "subjects": [NOBODY] }))
        .await?;
    let renamed = space
        .respecify::<Assignment>("fixed", json!({ "vault": { "name": "another" } }))
        .await;
    let refusal = format!("{:#}", renamed.err().unwrap_or_else(|| anyhow::anyhow!("accepted")));
    ensure!(refusal.contains("vault.name is immutable"), "{refusal}");
    for (change, expected) in [
        (
            json!({ "vault": { "namespace": "other" } }),
            "vault.namespace is immutable",
        ),
        (
            json!({ "vault": { "auth": { "token": { "secretRef": { "name": "a", "key": "b" } } } } }),
            "auth: set exactly one of kubernetes, jwt, appRole, token and certificate",
        ),
        (
            json!({ "hydra": { "adminUrl": "http://h" } }),
            "hydra, vault and foulkon select the API of the server",
        ),
        (
            json!({ "vault": null, "hydra": { "adminUrl": "http://h" } }),
            "the API of a server is immutable",
        ),
    ] {
        let changed = bed.change_server(&stage.server.name, change).await;
        let refusal = changed.err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(refusal.contains(expected), "{refusal} instead of {expected}");
    }
    Ok(())
}
