//! The scripts, from the ConfigMap that users apply, on what the real operator stores.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use testbed::install::{self, make_namespace};
use testbed::proxy::{Action, Answer, Fault, Proxy, RequestHead, Upstream};

use super::engine::Engine;
use crate::kinds::{self, TEAM, api, condition, is_true, until};
use crate::stage::Stage;

/// The namespace of Argo CD.
const ARGO_CD: &str = "argocd";
/// The ConfigMap of Argo CD.
const CONFIG_MAP: &str = "argocd-cm";
/// Where nothing listens.
const NOWHERE: &str = "http://127.0.0.1:1";
/// What the scripts say before the operator has seen a generation.
const NOT_SEEN: &str = "Waiting for the operator to process this generation.";

/// The scripts of Argo CD's ConfigMap, and a client.
struct Judge {
    engine: Engine,
    scripts: BTreeMap<String, String>,
    client: Client,
}

pub(super) async fn the_scripts_judge_what_the_operator_stores() -> Result<()> {
    let mut stage = kinds::stage().await?;
    make_namespace(&stage.servers.control_plane, TEAM).await?;
    let judge = Judge {
        engine: Engine::new().await?,
        scripts: scripts(&stage).await?,
        client: stage.client(),
    };
    stage
        .apply(TEAM, &format!("{}---\n{}", kinds::ON_HYDRA, kinds::ON_VAULT))
        .await?;
    let platform = kinds::platform(&stage.servers).await?;
    install::apply(&stage.servers.control_plane, &platform).await?;
    ready(&judge).await.context("ready")?;
    waiting(&stage, &judge).await.context("waiting")?;
    refused(&stage, &judge).await.context("refused")?;
    suspended(&stage, &judge).await.context("suspended")?;
    acted(&judge).await.context("actions")?;
    deleting(&stage, &judge).await.context("deleting")?;
    sealed(&stage, &judge).await.context("sealed")?;
    stage.operator.terminate(crate::stage::LIMIT).await?;
    not_seen(&stage, &judge).await.context("not seen")
}

/// Puts the scripts into the ConfigMap of an Argo CD that is configured already, as the comment in the file says.
async fn scripts(stage: &Stage) -> Result<BTreeMap<String, String>> {
    let plane = &stage.servers.control_plane;
    make_namespace(plane, ARGO_CD).await?;
    let maps: Api<ConfigMap> = Api::namespaced(stage.client(), ARGO_CD);
    let labels = json!({ "app.kubernetes.io/name": CONFIG_MAP, "app.kubernetes.io/part-of": "argocd" });
    let own = json!({ "metadata": { "name": CONFIG_MAP, "labels": labels }, "data": { "url": "https://argocd.example.com" } });
    maps.create(&PostParams::default(), &serde_json::from_value(own)?)
        .await?;
    stage
        .apply(ARGO_CD, include_str!("../../../deploy/argo-cd/argocd-cm.yaml"))
        .await?;
    let data = maps.get(CONFIG_MAP).await?.data.unwrap_or_default();
    ensure!(
        data.get("url").is_some_and(|url| url == "https://argocd.example.com"),
        "{data:?}"
    );
    Ok(data)
}

impl Judge {
    /// Health of an object: status and message.
    async fn health(&self, object: &Value) -> Result<(String, String)> {
        let kind = object["kind"].as_str().unwrap_or_default();
        let key = format!("resource.customizations.health.oidc-operator.dev_{kind}");
        let script = self.scripts.get(&key).with_context(|| key.clone())?;
        let said = self.engine.run_text(script, object).await?;
        let part = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
        Ok((part("status"), part("message")))
    }

    /// Fails unless the health has this status, and the message of this condition.
    async fn expect(&self, object: &Value, status: &str, of: &str) -> Result<()> {
        let message = condition(object, of).map(|(_, message)| message);
        let message = message.with_context(|| format!("no {of} in {:#}", object["status"]))?;
        let said = self.health(object).await?;
        ensure!(
            said.0 == status && said.1.starts_with(message),
            "{said:?} of {object:#}"
        );
        Ok(())
    }

    /// Runs an action on an object, stores the difference that it makes, and returns the stored object.
    async fn act(&self, (kind, name): (&str, &str), action: &str) -> Result<Value> {
        let api = api(self.client.clone(), kind)?;
        let object = serde_json::to_value(api.get(name).await?)?;
        let key = format!("resource.customizations.actions.oidc-operator.dev_{kind}");
        let scripts: Value = serde_saphyr::from_str(self.scripts.get(&key).with_context(|| key.clone())?)?;
        let text = |script: &Value| script.as_str().unwrap_or_default().to_owned();
        let offered = self.engine.run_text(&text(&scripts["discovery.lua"]), &object).await?;
        ensure!(
            offered[action] == json!({ "disabled": false }),
            "{kind} {name}: {offered}"
        );
        let defined = scripts["definitions"].as_array().into_iter().flatten();
        let script = defined
            .into_iter()
            .find(|script| script["name"] == action)
            .context("no script")?;
        let after = self.engine.run_text(&text(&script["action.lua"]), &object).await?;
        let difference = difference(&object, &after).context("the action changes nothing")?;
        let stored = api
            .patch(name, &PatchParams::default(), &Patch::Merge(&difference))
            .await?;
        Ok(serde_json::to_value(stored)?)
    }
}

async fn ready(judge: &Judge) -> Result<()> {
    for object in kinds::all() {
        let found = until(&judge.client, object, "to be ready", |found| is_true(found, "Ready")).await?;
        judge.expect(&found, "Healthy", "Ready").await?;
    }
    let plain = until(
        &judge.client,
        ("AuthorizationServer", "hydra"),
        "to be ready",
        |found| is_true(found, "Ready"),
    );
    let plain = plain.await?;
    let (_, insecure) = condition(&plain, "Insecure").context("plain http is no condition")?;
    let (_, message) = judge.health(&plain).await?;
    ensure!(message.contains(insecure), "{message}");
    Ok(())
}

/// A server that cannot be reached, and resources of a server that does not exist.
async fn waiting(stage: &Stage, judge: &Judge) -> Result<()> {
    stage.apply(TEAM, &server("away", NOWHERE)).await?;
    stage.apply(TEAM, &five("absent", "waits", "")).await?;
    let server = [("AuthorizationServer", "away")];
    for object in server.into_iter().chain(each("waits")) {
        let found = until(&judge.client, object, "to wait", |found| is_true(found, "Reconciling")).await?;
        judge.expect(&found, "Progressing", "Ready").await?;
    }
    Ok(())
}

/// A server of an old version, and resources whose names on the server are taken.
async fn refused(stage: &Stage, judge: &Judge) -> Result<()> {
    let hydra = stage.servers.hydra2.as_ref().context("no Hydra")?;
    let proxy = Proxy::start("old", Upstream::http(&hydra.admin_url()), None).await?;
    let old = Answer::json(200, &json!({ "version": "v2.1.0" }));
    let _fault = proxy.inject(Fault::new(
        |head: &RequestHead| head.is("GET", "/version"),
        Action::Answer(old),
    ));
    stage.apply(TEAM, &server("old", &proxy.url())).await?;
    let bao = stage.servers.bao.as_ref().context("no OpenBao")?;
    for (type_, fields) in [
        ("key", json!({ "algorithm": "ES256" })),
        ("assignment", json!({})),
        ("scope", json!({})),
        ("provider", json!({})),
        ("client", json!({ "redirect_uris": ["https://taken.example.com"] })),
    ] {
        let path = format!("identity/oidc/{type_}/{TEAM}.taken");
        bao.must("POST", &path, Some(fields)).await?;
    }
    stage.apply(TEAM, &five("vault", "taken", "")).await?;
    let server = [("AuthorizationServer", "old")];
    for object in server.into_iter().chain(each("taken")) {
        let found = until(&judge.client, object, "to be refused", |found| {
            is_true(found, "Stalled")
        })
        .await?;
        judge.expect(&found, "Degraded", "Stalled").await?;
    }
    Ok(())
}

async fn suspended(stage: &Stage, judge: &Judge) -> Result<()> {
    stage.apply(TEAM, &five("vault", "paused", "suspend: true")).await?;
    for object in each("paused") {
        let found = until(&judge.client, object, "to be suspended", |found| {
            is_true(found, "Suspended")
        })
        .await?;
        judge.expect(&found, "Suspended", "Suspended").await?;
    }
    Ok(())
}

/// Resources that another finalizer holds, and a server that is still in use.
async fn deleting(stage: &Stage, judge: &Judge) -> Result<()> {
    stage.apply(TEAM, &five("vault", "held", "")).await?;
    for object in each("held") {
        // A provider without clients is on the server, but not ready.
        let is_written = |found: &Value| {
            found["metadata"]["finalizers"] == json!(["oidc-operator.dev/cleanup"])
                && condition(found, "Ready").is_some()
        };
        until(&judge.client, object, "to be written", is_written).await?;
        let hold = json!({ "metadata": { "finalizers": ["example.com/hold", "oidc-operator.dev/cleanup"] } });
        let api = api(judge.client.clone(), object.0)?;
        api.patch(object.1, &PatchParams::default(), &Patch::Merge(&hold))
            .await?;
    }
    let server = [("AuthorizationServer", "hydra")];
    for (kind, name) in server.into_iter().chain(each("held")) {
        api(judge.client.clone(), kind)?
            .delete(name, &DeleteParams::default())
            .await?;
    }
    for object in each("held") {
        let cleaned = |found: &Value| found["metadata"]["finalizers"] == json!(["example.com/hold"]);
        let found = until(&judge.client, object, "to be cleaned up", cleaned).await?;
        let (status, _) = judge.health(&found).await?;
        ensure!(status == "Progressing", "{status}: {found:#}");
    }
    let in_use = until(&judge.client, server[0], "to be in use", |found| {
        is_true(found, "Reconciling")
    })
    .await?;
    judge.expect(&in_use, "Progressing", "Ready").await
}

/// What the actions store, and what the operator does then.
async fn acted(judge: &Judge) -> Result<()> {
    for object in [("AuthorizationServer", "vault"), ("OidcProvider", "main")] {
        let refreshed = judge.act(object, "refresh").await?;
        let at = &refreshed["metadata"]["annotations"]["oidc-operator.dev/reconcile-at"];
        ensure!(at.is_string(), "{refreshed:#}");
    }
    let scope = ("Scope", "groups");
    judge.act(scope, "suspend").await?;
    let found = until(&judge.client, scope, "to be suspended", |found| {
        is_true(found, "Suspended")
    })
    .await?;
    judge.expect(&found, "Suspended", "Suspended").await?;
    judge.act(scope, "resume").await?;
    until(&judge.client, scope, "to be resumed", |found| {
        is_true(found, "Ready") && condition(found, "Suspended").is_none()
    })
    .await?;
    let set = ("JsonWebKeySet", "signing");
    let before = until(&judge.client, set, "to be ready", |found| is_true(found, "Ready")).await?;
    judge.act(set, "rotate-keys").await?;
    until(&judge.client, set, "to have new keys", |found| {
        found["status"]["rotatedAt"] != before["status"]["rotatedAt"] && is_true(found, "Ready")
    })
    .await?;
    let secrets: Api<Secret> = Api::namespaced(judge.client.clone(), TEAM);
    let old = secrets.get("web").await?;
    judge.act(("OAuth2Client", "web"), "rotate-secret").await?;
    testbed::wait::until("a new client secret", crate::stage::LIMIT, async || {
        let new = secrets.get("web").await?;
        Ok((new.data != old.data).then_some(()))
    })
    .await
}

/// An outage is told by the server, and by its resources only when they have something to write.
async fn sealed(stage: &Stage, judge: &Judge) -> Result<()> {
    let bao = stage.servers.bao.as_ref().context("no OpenBao")?;
    bao.seal().await?;
    let server = ("AuthorizationServer", "vault");
    let found = until(&judge.client, server, "to be sealed", |found| {
        is_true(found, "Reconciling")
    })
    .await?;
    judge.expect(&found, "Progressing", "Ready").await?;
    let wiki = until(&judge.client, ("OAuth2Client", "wiki"), "to be ready", |found| {
        is_true(found, "Ready")
    });
    judge.expect(&wiki.await?, "Healthy", "Ready").await
}

/// New and changed resources while no operator runs.
async fn not_seen(stage: &Stage, judge: &Judge) -> Result<()> {
    stage.apply(TEAM, &server("new", NOWHERE)).await?;
    stage.apply(TEAM, &five("vault", "new", "")).await?;
    let server = [("AuthorizationServer", "new")];
    for (kind, name) in server.into_iter().chain(each("new")) {
        let found = serde_json::to_value(api(judge.client.clone(), kind)?.get(name).await?)?;
        let said = judge.health(&found).await?;
        ensure!(
            said == ("Progressing".to_owned(), NOT_SEEN.to_owned()),
            "{said:?} of {found:#}"
        );
    }
    let change = json!({ "spec": { "description": "changed" } });
    let scopes = api(judge.client.clone(), "Scope")?;
    let changed = scopes
        .patch("groups", &PatchParams::default(), &Patch::Merge(&change))
        .await?;
    let said = judge.health(&serde_json::to_value(changed)?).await?;
    ensure!(said == ("Progressing".to_owned(), NOT_SEEN.to_owned()), "{said:?}");
    Ok(())
}

/// The JSON merge patch (RFC 7396) from one value to another; None if they are equal.
fn difference(before: &Value, after: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        return (before != after).then(|| after.clone());
    };
    let removed = old.keys().filter(|name| !new.contains_key(*name));
    let removed = removed.map(|name| (name.clone(), Value::Null));
    let changed = new.iter().filter_map(|(name, value)| {
        let before = old.get(name).unwrap_or(&Value::Null);
        Some((name.clone(), difference(before, value)?))
    });
    let patch: serde_json::Map<String, Value> = removed.chain(changed).collect();
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// An AuthorizationServer for a Hydra at this URL.
fn server(name: &str, url: &str) -> String {
    json!({
        "apiVersion": "oidc-operator.dev/v1alpha1", "kind": "AuthorizationServer", "metadata": { "name": name },
        "spec": { "hydra": { "adminUrl": url }, "access": [], "resyncInterval": "1s" },
    })
    .to_string()
}

/// Kind and name of [`five`].
fn each(name: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    super::KINDS[1..].iter().map(move |kind| (*kind, name))
}

/// A resource of each namespaced kind that can be on OpenBao, with the same name; `more`: another field.
fn five(server: &str, name: &str, more: &str) -> String {
    let documents = super::KINDS[1..].iter().map(|kind| {
        let spec = match *kind {
            "OAuth2Client" => "redirectUris: [https://app.example.com/cb]",
            "JsonWebKeySet" => "generate: { algorithm: ES256 }",
            "Assignment" => "groups: [{ name: crew }]",
            _ => "",
        };
        let server = format!("serverRef: {{ name: {server} }}");
        let fields = [server.as_str(), spec, more].map(|field| format!("  {field}\n"));
        format!(
            "apiVersion: oidc-operator.dev/v1alpha1\nkind: {kind}\nmetadata: {{ name: {name} }}\nspec:\n{}",
            fields.concat()
        )
    });
    documents.collect::<Vec<_>>().join("---\n")
}
