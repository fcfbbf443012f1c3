//! The core of these tests in a Vault namespace: create, correct, rotate, delete; a hidden version; and what older
//! versions of OpenBao lack there. HashiCorp Vault has namespaces in its Enterprise edition only.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::condition::{self, READY};
use oidc_operator::api::{Assignment, AuthorizationServer, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use serde_json::{Value, json};
use testbed::bao::Api;
use testbed::proxy::{Action, Answer, Fault};
use testbed::wait;

use super::hidden::{hide, until_version};
use super::server::is_health;
use super::stage::{NOBODY, REDIRECT, Stage};
use crate::bed::{Bed, LIMIT, ServerOptions};
use crate::conditions::{Tone, server_conditions, server_says};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(objects_in_a_namespace_are_created_corrected_and_deleted),
        side.shared(two_namespaces_share_no_names),
        side.shared(a_server_in_a_namespace_may_hide_its_version),
        side.shared(what_older_versions_lack_in_namespaces_is_reported),
    ]
}

/// The policy that is shipped with the operator.
const POLICY: &str = include_str!("../../../deploy/vault/policy.hcl");

/// A stage in a Vault namespace, which has the login as well.
pub struct Within<'a> {
    pub stage: Stage<'a>,
    /// The API of the namespace, with all rights.
    pub api: Api,
}

impl<'a> Within<'a> {
    /// A stage in a new namespace. None if the server has no namespaces.
    pub async fn new(bed: &'a Bed) -> Result<Option<Self>> {
        let root = bed.bao().await?.root();
        let (_, listed) = root.call("LIST", "sys/namespaces", None).await?;
        if listed["errors"][0]
            .as_str()
            .is_some_and(|text| text.contains("unsupported"))
        {
            return Ok(None);
        }
        let space = bed.space().await?;
        let namespace = format!("of-{}", space.name());
        let api = root.namespace(&namespace).await?;
        api.policy("oidc-operator", POLICY).await?;
        let (role_id, secret_id) = api.approle("oidc-operator", "oidc-operator").await?;
        let secret = bed.beside_operator(json!({ "value": secret_id })).await?;
        let spec = json!({ "vault": { "namespace": namespace, "auth": {
            "kubernetes": null, "appRole": { "roleId": role_id, "secretRef": { "name": secret, "key": "value" } },
        } } });
        let options = ServerOptions {
            resync_interval: "1s".to_owned(),
            spec,
            ..ServerOptions::default()
        };
        let server = bed.own_vault(options).await?;
        let stage = Stage { bed, space, server };
        Ok(Some(Within { stage, api }))
    }

    /// An object in the namespace.
    async fn object(&self, type_: &str, name: &str) -> Result<Option<Value>> {
        let path = format!("identity/oidc/{}", self.stage.path(type_, name));
        let (status, mut answer) = self.api.call("GET", &path, None).await?;
        if let Some(secret) = answer["data"]["client_secret"].as_str() {
            self.stage.bed.canary(secret);
        }
        Ok((status == 200).then(|| answer["data"].take()))
    }

    /// Waits until an object in the namespace is as wanted.
    async fn until(&self, type_: &str, name: &str, wanted: impl Fn(&Option<Value>) -> bool) -> Result<Option<Value>> {
        wait::until(&format!("{type_} {name}"), LIMIT, async || {
            Ok(Some(self.object(type_, name).await?).filter(&wanted))
        })
        .await
    }

    /// Writes an object in the namespace as another writer would.
    async fn write(&self, type_: &str, name: &str, fields: Value) -> Result<()> {
        let path = format!("identity/oidc/{}", self.stage.path(type_, name));
        self.api.must("POST", &path, Some(fields)).await.map(drop)
    }
}

/// Types of objects, each with the resource of [`Stage::everything`].
const OBJECTS: [(&str, &str); 5] = [
    ("client", "app"),
    ("provider", "main"),
    ("scope", "groups"),
    ("assignment", "staff"),
    ("key", "signing"),
];

async fn objects_in_a_namespace_are_created_corrected_and_deleted(bed: &Bed) -> Result<()> {
    let Some(within) = Within::new(bed).await? else {
        return Ok(());
    };
    let stage = &within.stage;
    stage.everything(NOBODY).await?;
    for (type_, name) in OBJECTS {
        ensure!(within.object(type_, name).await?.is_some(), "no {type_}");
        let in_root = bed.object(&stage.path(type_, name)).await?;
        ensure!(in_root.is_none(), "the {type_} is in the root namespace");
    }
    let client = within.object("client", "app").await?.context("a client")?;
    let (id, secret) = stage.space.credentials("app").await?;
    ensure!(client["client_id"] == id.as_str() && client["client_secret"] == secret.as_str());
    // A client without a key uses the namespace's own key `default`, if this version has one there.
    let (status, _) = within.api.call("GET", "identity/oidc/key/default", None).await?;
    let mut spec = json!({ "redirectUris": [REDIRECT] });
    if status == 404 {
        stage.make::<OAuth2Client>("plain", spec.clone()).await?;
        let message = "The server has no key `default`, which clients without keySetRef use; set keySetRef. The operator keeps trying.";
        let space = &stage.space;
        space
            .says::<OAuth2Client>("plain", Tone::Reconciling, "ReferenceNotFound", message)
            .await?;
        let refused = space.remove::<OAuth2Client>("plain").await?;
        space.until_gone(&refused).await?;
        spec["keySetRef"] = json!({ "name": "signing" });
    }
    stage.ready::<OAuth2Client>("plain", spec).await?;

    // Nothing is written without a cause.
    stage.swept().await?;
    let mark = stage.server.admin.journal().mark();
    stage.swept().await?;
    ensure!(stage.writes(mark).is_empty(), "{:?}", stage.writes(mark));

    let drifted = [
        ("client", "app", json!({ "access_token_ttl": 60 })),
        ("scope", "groups", json!({ "description": "changed" })),
        ("key", "signing", json!({ "allowed_client_ids": ["*"] })),
    ];
    for (type_, name, change) in drifted {
        let before = within.object(type_, name).await?;
        within.write(type_, name, change).await?;
        within.until(type_, name, |object| *object == before).await?;
    }
    let path = format!("identity/oidc/{}", stage.path("client", "plain"));
    within.api.must("DELETE", &path, None).await?;
    within.until("client", "plain", Option::is_some).await?;
    stage.all_ready().await?;

    stage.space.remove::<OAuth2Client>("app").await?;
    stage.space.remove::<OAuth2Client>("plain").await?;
    stage.space.remove::<OidcProvider>("main").await?;
    stage.space.remove::<Scope>("groups").await?;
    stage.space.remove::<Assignment>("staff").await?;
    stage.space.remove::<JsonWebKeySet>("signing").await?;
    for (type_, name) in OBJECTS.into_iter().chain([("client", "plain")]) {
        within.until(type_, name, Option::is_none).await?;
    }
    stage.space.delete_namespace_and_wait().await
}

async fn two_namespaces_share_no_names(bed: &Bed) -> Result<()> {
    let (Some(one), Some(other)) = (Within::new(bed).await?, Within::new(bed).await?) else {
        return Ok(());
    };
    let space = &one.stage.space;
    for (name, within) in [("here", &one), ("there", &other)] {
        let server = json!({ "name": within.stage.server.name });
        let key = json!({ "serverRef": server, "generate": { "algorithm": "ES256" } });
        space.ready::<JsonWebKeySet>(name, &key.to_string()).await?;
        let spec = json!({
            "serverRef": server, "keySetRef": { "name": name }, "redirectUris": [REDIRECT], "vault": { "name": "shared" },
        });
        space.ready::<OAuth2Client>(name, &spec.to_string()).await?;
        let found = within.api.must("GET", "identity/oidc/client/shared", None).await?;
        let (id, _) = space.credentials(name).await?;
        ensure!(found["data"]["client_id"] == id.as_str(), "{name}");
    }
    let root = bed.object("client/shared").await?;
    ensure!(root.is_none(), "it is in the root namespace");
    space.remove::<OAuth2Client>("here").await?;
    wait::until("the client to be gone", LIMIT, async || {
        let (status, _) = one.api.call("GET", "identity/oidc/client/shared", None).await?;
        Ok((status == 404).then_some(()))
    })
    .await?;
    let found = other.api.must("GET", "identity/oidc/client/shared", None).await?;
    let (id, secret) = space.credentials("there").await?;
    ensure!(found["data"]["client_id"] == id.as_str() && found["data"]["client_secret"] == secret.as_str());
    Ok(())
}

async fn a_server_in_a_namespace_may_hide_its_version(bed: &Bed) -> Result<()> {
    let Some(within) = Within::new(bed).await? else {
        return Ok(());
    };
    let stage = &within.stage;
    let known = bed.server_ready(&stage.server.name).await?.status.context("a status")?;
    let faults = hide(stage, json!("")).await?;
    let hidden = until_version(stage, None).await?;
    ensure!(hidden.capabilities == known.capabilities, "{:?}", hidden.capabilities);
    stage.ready::<Scope>("proof", json!({})).await?;
    ensure!(within.object("scope", "proof").await?.is_some(), "it is elsewhere");
    // The namespace is asked for, not only its kind.
    let nowhere = ServerOptions {
        spec: json!({ "vault": { "namespace": "nowhere", "auth": { "kubernetes": null, "token": {
            "secretRef": { "name": bed.beside_operator(json!({ "value": "none" })).await?, "key": "value" },
        } } } }),
        ..ServerOptions::default()
    };
    let lost = Stage {
        bed,
        space: bed.space().await?,
        server: bed.make_vault(&format!("{}-lost", stage.space.name()), nowhere).await?,
    };
    let _lost = hide(&lost, json!("")).await?;
    let message = "The Vault namespace in vault.namespace does not exist. Create it or correct the name.";
    server_says(bed, &lost.server.name, Tone::Reconciling, "NamespaceNotFound", message).await?;
    drop(faults);
    until_version(stage, known.version.as_deref()).await.map(drop)
}

async fn what_older_versions_lack_in_namespaces_is_reported(bed: &Bed) -> Result<()> {
    let Some(within) = Within::new(bed).await? else {
        return Ok(());
    };
    let available = "The admin API is available.";
    let rotation = "In a Vault namespace, this version of OpenBao does not rotate keys; upgrade it to 2.5.2 or later.";
    let key = "In a Vault namespace, this version of OpenBao has no key `default`; set keySetRef in every OAuth2Client, or upgrade it to 2.6.2 or later.";
    let in_root = Stage::eager(bed).await?;
    for (version, message) in [
        ("2.5.1", format!("{available} {rotation} {key}")),
        ("2.6.1", format!("{available} {key}")),
        ("2.6.2", available.to_owned()),
    ] {
        let (_, mut health) = bed.bao().await?.call("GET", "sys/health", None).await?;
        health["version"] = json!(version);
        for (stage, message) in [(&within.stage, message.as_str()), (&in_root, available)] {
            let answer = Action::Answer(Answer::json(200, &health));
            let _old = stage.server.admin.inject(Fault::new(is_health, answer));
            let says = |server: &AuthorizationServer| {
                let status = server.status.as_ref();
                let ready = condition::find(server_conditions(server), READY);
                status.is_some_and(|status| status.version.as_deref() == Some(version))
                    && ready.is_some_and(|ready| ready.status == "True" && ready.message == message)
            };
            let what = format!("version {version} and the message {message:?}");
            bed.wait_server(&what, &stage.server.name, says).await?;
        }
    }
    Ok(())
}
