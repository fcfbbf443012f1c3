//! Every field reaches the server and stays there. After it is unset, the object is as before.

use anyhow::{Result, ensure};
use kube::api::PostParams;
use libtest_mimic::Trial;
use oidc_operator::api::{Assignment, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use serde_json::{Value, json};

use super::stage::{NOBODY, REDIRECT, Stage};
use crate::bed::{Bed, Namespaced};
use crate::conditions::Tone::{Reconciling, Stalled};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(every_field_of_a_client),
        side.shared(a_change_that_failed_halfway_can_be_taken_back),
        side.shared(every_field_of_a_key),
        side.shared(every_field_of_a_provider),
        side.shared(every_field_of_a_scope_and_of_an_assignment),
        side.shared(a_key_is_rotated_on_request),
        side.shared(a_tenant_cannot_rotate_keys_more_often_than_its_rule_allows),
    ]
}

/// Sets and unsets fields one by one. Each reaches the server as expected, and afterwards the object is as before.
async fn walk<K: Namespaced>(stage: &Stage<'_>, type_: &str, base: Value, fields: &[(Value, Value)]) -> Result<()> {
    let path = stage.path(type_, "it");
    stage.ready::<K>("it", base).await?;
    let before = stage.bed.existing(&path).await?;
    for (spec, expected) in fields {
        let unset = nulls(spec);
        stage.space.respecify::<K>("it", spec.clone()).await?;
        let holds = |object: &Value| holds(object, expected);
        stage.bed.until_object(&expected.to_string(), &path, holds).await?;
        stage.space.until_ready::<K>("it").await?;
        stage.space.respecify::<K>("it", unset).await?;
        let as_before = |object: &Value| *object == before;
        stage
            .bed
            .until_object(&format!("{before}, without {spec}"), &path, as_before)
            .await?;
        stage.space.until_ready::<K>("it").await?;
    }
    Ok(())
}

/// Whether an object has these members among others.
fn holds(object: &Value, expected: &Value) -> bool {
    let expected = expected.as_object().into_iter().flatten();
    expected.into_iter().all(|(name, value)| object[name] == *value)
}

/// The merge patch that unsets fields.
fn nulls(spec: &Value) -> Value {
    let members = spec.as_object().into_iter().flatten();
    members
        .into_iter()
        .map(|(name, _)| (name.clone(), Value::Null))
        .collect()
}

async fn every_field_of_a_client(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    stage.ready::<Assignment>("a", json!({ "subjects": [NOBODY] })).await?;
    stage.ready::<Assignment>("b", json!({ "subjects": [NOBODY] })).await?;
    let named = |name: &str| format!("{}.{name}", stage.space.name());
    let fields = [
        (
            json!({ "assignmentRefs": [{ "name": "b" }, { "name": "a" }] }),
            json!({ "assignments": [named("a"), named("b")] }),
        ),
        (json!({ "idTokenTtl": "90m" }), json!({ "id_token_ttl": 5400 })),
        (
            json!({ "accessTokenTtl": "1h30s" }),
            json!({ "access_token_ttl": 3630 }),
        ),
        (
            json!({ "tokenEndpointAuthMethod": "client_secret_post" }),
            json!({ "client_type": "confidential" }),
        ),
    ];
    walk::<OAuth2Client>(&stage, "client", json!({ "redirectUris": [REDIRECT] }), &fields).await?;
    let chooses_grants = stage.chooses_grants().await?;
    if chooses_grants {
        let both = json!({ "grantTypes": ["authorization_code", "client_credentials"] });
        stage.space.respecify::<OAuth2Client>("it", both).await?;
        let both = json!({ "authorization_code": true, "client_credentials": true });
        let path = stage.path("client", "it");
        bed.until_object(&both.to_string(), &path, |object| holds(object, &both))
            .await?;
    }
    let more = json!({ "redirectUris": ["https://b.example.com/", REDIRECT, "http://127.0.0.1/"] });
    stage.space.respecify::<OAuth2Client>("it", more).await?;
    let sorted = json!({ "redirect_uris": ["http://127.0.0.1/", REDIRECT, "https://b.example.com/"] });
    bed.until_object(&sorted.to_string(), &stage.path("client", "it"), |object| {
        holds(object, &sorted)
    })
    .await?;

    let public =
        json!({ "redirectUris": [REDIRECT], "clientType": "Public", "credentials": { "secretName": "public" } });
    stage.ready::<OAuth2Client>("spa", public).await?;
    let object = stage.object("client", "spa").await?;
    ensure!(
        object["client_type"] == "public" && object.get("client_secret").is_none(),
        "{object}"
    );
    let data = stage.space.secret_data("public").await?;
    ensure!(
        data.keys().eq(["CLIENT_ID"]) && object["client_id"] == data["CLIENT_ID"].as_str(),
        "{data:?}"
    );
    if chooses_grants {
        let machine = json!({ "grantTypes": ["client_credentials"] });
        stage.ready::<OAuth2Client>("machine", machine).await?;
        let object = stage.object("client", "machine").await?;
        ensure!(
            object["authorization_code"] == false && object["client_credentials"] == true,
            "{object}"
        );
    }
    stage
        .space
        .respecify::<OAuth2Client>("spa", json!({ "credentials": null }))
        .await?;
    stage.space.wait_secret("its name", "spa", |_| true).await?;
    stage.space.wait_ready("spa").await?;
    ensure!(
        stage.space.secret("public").await?.is_none(),
        "the Secret of the former name still exists"
    );
    Ok(())
}

/// The server has the change already when a Secret in the way stops the pass.
async fn a_change_that_failed_halfway_can_be_taken_back(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let space = &stage.space;
    stage
        .ready::<OAuth2Client>("it", json!({ "redirectUris": [REDIRECT] }))
        .await?;
    let before = stage.object("client", "it").await?;
    let theirs = serde_json::from_value(json!({ "metadata": { "name": "theirs" } }))?;
    space.secrets().create(&PostParams::default(), &theirs).await?;
    let change = json!({ "idTokenTtl": "90m", "credentials": { "secretName": "theirs" } });
    space.respecify::<OAuth2Client>("it", change.clone()).await?;
    let path = stage.path("client", "it");
    bed.until_object("the change", &path, |object| object["id_token_ttl"] == 5400)
        .await?;
    let message = "Secret `theirs` exists and belongs to another owner, so the operator does not change it. Delete it or choose another secretName.";
    space
        .says::<OAuth2Client>("it", Stalled, "SecretConflict", message)
        .await?;
    space.respecify::<OAuth2Client>("it", nulls(&change)).await?;
    space.until_ready::<OAuth2Client>("it").await?;
    let now = stage.object("client", "it").await?;
    ensure!(now == before, "{now} and not {before}");
    space.no_event("it", "DriftCorrected").await
}

async fn every_field_of_a_key(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let fields = [
        (
            json!({ "rotation": { "period": "2h" } }),
            json!({ "rotation_period": 7200, "verification_ttl": 72000 }),
        ),
        (
            json!({ "rotation": { "period": "2h", "overlap": "90m" } }),
            json!({ "rotation_period": 7200, "verification_ttl": 5400 }),
        ),
        (
            json!({ "rotation": { "period": "720h" } }),
            json!({ "rotation_period": 2_592_000, "verification_ttl": 86400 }),
        ),
    ];
    walk::<JsonWebKeySet>(&stage, "key", json!({ "generate": { "algorithm": "RS256" } }), &fields).await?;
    for algorithm in ["ES256", "ES384", "ES512", "EdDSA", "RS256"] {
        stage
            .space
            .respecify::<JsonWebKeySet>("it", json!({ "generate": { "algorithm": algorithm } }))
            .await?;
        let holds = |key: &Value| key["algorithm"] == algorithm;
        bed.until_object(algorithm, &stage.path("key", "it"), holds).await?;
    }
    Ok(())
}

async fn every_field_of_a_provider(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    stage.ready::<Scope>("a", json!({})).await?;
    let theirs = format!("{}-theirs", stage.space.name());
    bed.write_object(&format!("scope/{theirs}"), json!({ "template": "{}" }))
        .await?;
    stage
        .ready::<OAuth2Client>("app", json!({ "redirectUris": [REDIRECT] }))
        .await?;
    let (id, _) = stage.space.credentials("app").await?;
    let named = format!("{}.a", stage.space.name());
    let own = format!(
        "{}/v1/identity/oidc/provider/{}.it",
        bed.bao().await?.address(),
        stage.space.name()
    );
    let fields = [
        (
            json!({ "scopeRefs": [{ "name": "a" }] }),
            json!({ "scopes_supported": [named] }),
        ),
        (
            json!({ "scopes": [theirs, "openid"] }),
            json!({ "scopes_supported": [theirs] }),
        ),
        (
            json!({ "issuer": bed.bao().await?.address().replace("127.0.0.1", "localhost") }),
            json!({ "issuer": own.replace("127.0.0.1", "localhost") }),
        ),
    ];
    let base = json!({ "allowedClients": [{ "name": "app" }] });
    walk::<OidcProvider>(&stage, "provider", base, &fields).await?;
    let object = stage.object("provider", "it").await?;
    ensure!(
        object["allowed_client_ids"] == json!([id]) && object["issuer"] == own.as_str(),
        "{object}"
    );
    let all = json!({ "allowedClients": [{ "clientId": "*" }] });
    stage.space.respecify::<OidcProvider>("it", all).await?;
    bed.until_object("every client", &stage.path("provider", "it"), |provider| {
        provider["allowed_client_ids"] == json!(["*"])
    })
    .await?;
    let ready = stage.space.until_ready::<OidcProvider>("it").await?;
    ensure!(
        ready.status.is_some_and(|status| !status.signing_key_ids.is_empty()),
        "no keys"
    );
    Ok(())
}

async fn every_field_of_a_scope_and_of_an_assignment(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let template = r#"{"name": {{identity.entity.name}}}"#;
    let fields = [
        (
            json!({ "description": "Says who" }),
            json!({ "description": "Says who", "template": "{}" }),
        ),
        (json!({ "template": template }), json!({ "template": template })),
    ];
    walk::<Scope>(&stage, "scope", json!({}), &fields).await?;

    let root = bed.bao().await?.root();
    let carol = root
        .userpass(&format!("{}-carol", stage.space.name()), "of-carol")
        .await?;
    let group = format!("{}-Team", stage.space.name());
    let id = root.group(&group, &[&carol.entity_id]).await?;
    let entity = root
        .must("GET", &format!("identity/entity/id/{}", carol.entity_id), None)
        .await?;
    let name = entity["data"]["name"].clone();
    let alias = json!({ "name": format!("{}-carol", stage.space.name()), "mountPath": "userpass" });
    let both = |entities: Value, groups: Value| json!({ "entity_ids": entities, "group_ids": groups });
    let carols = json!([NOBODY, carol.entity_id]);
    let fields = [
        (
            json!({ "groups": [{ "name": group }] }),
            both(json!([NOBODY]), json!([id])),
        ),
        (
            json!({ "vault": { "entities": [{ "name": name }] } }),
            both(carols.clone(), json!([])),
        ),
        (
            json!({ "vault": { "entities": [{ "alias": alias }] } }),
            both(carols.clone(), json!([])),
        ),
        (
            json!({ "vault": { "entities": [{ "id": carol.entity_id.to_uppercase() }] } }),
            both(carols, json!([])),
        ),
        (
            json!({ "vault": { "groups": [{ "id": id }] } }),
            both(json!([NOBODY]), json!([id])),
        ),
        (
            json!({ "vault": { "groups": [{ "name": group }] } }),
            both(json!([NOBODY]), json!([id])),
        ),
    ];
    walk::<Assignment>(&stage, "assignment", json!({ "subjects": [NOBODY] }), &fields).await
}

async fn a_key_is_rotated_on_request(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    stage.everything(NOBODY).await?;
    let keys = async || -> Result<usize> {
        let issuer = stage
            .space
            .secret_data("app")
            .await?
            .remove("ISSUER")
            .unwrap_or_default();
        let answer = testbed::http::client()
            .get(format!("{issuer}/.well-known/keys"))
            .send()
            .await?;
        let keys: Value = serde_json::from_str(&answer.text().await?)?;
        Ok(keys["keys"].as_array().map_or(0, Vec::len))
    };
    let before = keys().await?;
    let now = k8s_openapi::jiff::Timestamp::now().to_string();
    let annotation = json!({ "metadata": { "annotations": { "oidc-operator.dev/rotate-at": now } } });
    let sets = stage.space.all::<JsonWebKeySet>();
    sets.patch("signing", &Default::default(), &kube::api::Patch::Merge(annotation))
        .await?;
    let rotated = |set: &JsonWebKeySet| set.status.as_ref().is_some_and(|status| status.rotated_at.is_some());
    stage.space.until("it to be rotated", "signing", rotated).await?;
    let after = keys().await?;
    ensure!(after > before, "{before} keys, then {after}");
    let path = format!("{}/rotate", stage.path("key", "signing"));
    let rotations = stage.server.admin.journal().since(0);
    let rotations = rotations
        .iter()
        .filter(|exchange| exchange.head.path().ends_with(&path))
        .count();
    ensure!(rotations == 1, "{rotations} rotations");
    Ok(())
}

/// A key with a rotation period of one minute, and a key that the tenant repeatedly asks the server to rotate.
async fn a_tenant_cannot_rotate_keys_more_often_than_its_rule_allows(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let rule = |min: Value| json!({ "access": [{ "namespaces": { "from": "All" }, "kinds": ["JsonWebKeySet"], "minRotationPeriod": min }] });
    bed.change_server(&stage.server.name, rule(Value::Null)).await?; // the default, one hour
    let keys = |period: &str| json!({ "generate": { "algorithm": "ES256" }, "rotation": { "period": period } });
    stage.make::<JsonWebKeySet>("often", keys("1m")).await?;
    let message = format!(
        "AuthorizationServer `{}`: access[0].minRotationPeriod does not allow rotation.period `1m`, which is shorter than 1h; lengthen it or ask the server's admin.",
        stage.server.name
    );
    stage
        .space
        .says::<JsonWebKeySet>("often", Reconciling, "NotAllowed", &message)
        .await?;
    ensure!(
        bed.object(&stage.path("key", "often")).await?.is_none(),
        "the key was created"
    );

    stage.ready::<JsonWebKeySet>("keys", keys("1h")).await?;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await; // so that the requested rotation is later than the key
    let mark = stage.server.admin.journal().mark();
    let sets = stage.space.all::<JsonWebKeySet>();
    for _ in 0..5 {
        let now = k8s_openapi::jiff::Timestamp::now().to_string();
        let annotation = json!({ "metadata": { "annotations": { "oidc-operator.dev/rotate-at": now } } });
        sets.patch("keys", &Default::default(), &kube::api::Patch::Merge(annotation))
            .await?;
    }
    let waits = "The key is on the server, which makes and rotates it; the rotation that rotate-at requests waits until minRotationPeriod of the access rule has passed.";
    let says = |set: &JsonWebKeySet| {
        let conditions = set.status.clone().unwrap_or_default().conditions;
        conditions.iter().any(|condition| condition.message == waits)
    };
    stage.space.until("the rotation to wait", "keys", says).await?;
    let rotations = |mark: u64| {
        let all = stage.server.admin.journal().since(mark);
        all.iter()
            .filter(|exchange| exchange.head.path().ends_with("/rotate"))
            .count()
    };
    ensure!(rotations(mark) == 0, "it was rotated");

    // The default period of a key counts too.
    bed.change_server(&stage.server.name, rule(json!("48h"))).await?;
    stage
        .make::<JsonWebKeySet>("default", json!({ "generate": { "algorithm": "ES256" } }))
        .await?;
    let message = message.replace("1m`", "24h`").replace("1h;", "48h;");
    stage
        .space
        .says::<JsonWebKeySet>("default", Reconciling, "NotAllowed", &message)
        .await?;

    bed.change_server(&stage.server.name, rule(json!("0s"))).await?;
    let rotated = |set: &JsonWebKeySet| set.status.as_ref().is_some_and(|status| status.rotated_at.is_some());
    stage.space.until("it to be rotated", "keys", rotated).await?;
    ensure!(rotations(mark) == 1, "{} rotations", rotations(mark));
    Ok(())
}
