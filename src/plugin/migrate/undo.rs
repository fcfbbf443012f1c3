//! The way back to hydra-maester. The old resource is there before the new one goes, so that a command that was interrupted
//! can be repeated.

use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, Patch, PostParams, Preconditions};
use kube::core::DynamicObject;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::cluster::{clients, known as known_of, named, namespace, olds, parameters, secret_name};
use super::maester::{self, API_VERSION, Choice, Credentials, KEYS, Past, SecretFate, keys_of};
use super::moving::{Servers, known, servers};
use super::plan::key;
use super::report::tell;
use crate::admin::bounded::printable;
use crate::api::DEFAULT_SERVER;
use crate::controller::common::own_secret::{is_owned, text};
use crate::kubernetes::at_once;
use crate::plugin::NAME;
use crate::plugin::arguments::HydraMaester;
use crate::plugin::objects::{put, until_gone};
use crate::plugin::session::Session;

pub(super) async fn run(session: &Session, asked: &HydraMaester) -> Result<ExitCode> {
    let all = at_once(clients(session, namespace(session, asked))).await;
    let all = all.context("cannot list the OAuth2Clients of the operator")?;
    let moved = all.into_iter().filter(|found| Past::of(found).is_some()).collect();
    let moved = named(moved, &asked.names)?;
    if !asked.apply {
        for found in &moved {
            put(&format!("back   {}\n", printable(&key(found))))?;
            if let Some(host) = Past::of(found).and_then(|past| past.admin_host()) {
                let host = printable(&host);
                put(&format!(
                    "       hydra-maester sends its requests to {host}. Make sure that it is yours.\n"
                ))?;
            }
        }
        put(&format!(
            "{} to move back. Nothing was changed; --apply moves them.\n",
            moved.len()
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    let servers = servers(session).await?;
    let each = moved.iter().map(async |found| {
        let done = walk(session, found, &servers, asked).await;
        (key(found), done)
    });
    tell(each, "moved back").await
}

/// The old resource, from what the annotation says. Whoever may write the new one may write that, so nothing but labels,
/// annotations and spec comes from there.
fn old_of(found: &DynamicObject, past: &Past) -> Result<DynamicObject> {
    let metadata = &past.manifest["metadata"];
    Ok(serde_json::from_value(json!({
        "apiVersion": API_VERSION, "kind": "OAuth2Client",
        "metadata": {
            "name": found.name_any(), "namespace": found.namespace(),
            "labels": metadata["labels"], "annotations": metadata["annotations"],
        },
        "spec": past.manifest["spec"],
    }))?)
}

/// A resource that goes back.
struct Return<'a> {
    found: &'a DynamicObject,
    old: DynamicObject,
    past: Past,
    secrets: Api<Secret>,
    /// Keys of id and secret that the caller has named.
    keys: Option<[&'a str; 2]>,
}

impl Return<'_> {
    /// Makes sure that hydra-maester would find the client as it is, with the id and the secret that are in use: without
    /// its Secret it would delete the client and make another one.
    async fn check(&self) -> Result<Credentials> {
        let status = &self.found.data["status"];
        ensure!(
            status["adopted"] == true,
            "its client is not the one of hydra-maester any more; move it back by hand"
        );
        let name = secret_name(&self.old);
        let kept = self.secrets.get_opt(&name).await.context("cannot read its Secret")?;
        let kept = kept.with_context(|| {
            format!("Secret {name}, which hydra-maester would read, does not exist; restore it first")
        })?;
        let mut credentials = known_of(&kept, "", self.keys);
        credentials.is_owned = self.past.secret != SecretFate::Untouched;
        ensure!(
            credentials.client_id.is_some() && credentials.client_id.as_deref() == status["clientId"].as_str(),
            "Secret {name}, which hydra-maester would read, does not have the id of the client; correct it first"
        );
        let in_use = status["secretName"].as_str().unwrap_or(&name);
        if in_use != name {
            let current = self.secrets.get(in_use).await.context("cannot read its Secret")?;
            let key = self.found.data["spec"]["credentials"]["keys"]["clientSecret"].as_str();
            let current = text(&current, key.unwrap_or(KEYS[0][1]));
            let key = keys_of(&credentials.keys, self.keys).map_or(KEYS[0][1], |[_, key]| key);
            ensure!(
                current.is_none() || current == text(&kept, key),
                "Secret {name}, which hydra-maester would read, does not have the secret of the client; correct it first"
            );
        }
        Ok(credentials)
    }

    /// Makes sure that the resource is as it moved. One that was changed goes back only by name.
    fn check_spec(&self, credentials: &Credentials, servers: &Servers) -> Result<()> {
        let spec = &self.found.data["spec"];
        let choice = Choice {
            server: spec["serverRef"]["name"].as_str().unwrap_or(DEFAULT_SERVER),
            servers: &known(servers),
            keys: self.keys,
        };
        let planned = maester::plan(&self.old, Some(credentials), &choice).map_err(anyhow::Error::msg)?;
        let bare = |spec: &Value| {
            let mut spec = spec.clone();
            for set_here in ["suspend", "deletionPolicy"] {
                spec.as_object_mut().and_then(|spec| spec.remove(set_here));
            }
            spec
        };
        ensure!(
            bare(&planned.manifest["spec"]) == bare(spec),
            "it was changed since it moved, and would go back as it was before; name it to do that"
        );
        Ok(())
    }

    /// Creates the old resource, unless it is there.
    async fn create(&self, olds: &Api<DynamicObject>) -> Result<DynamicObject> {
        let parameters = PostParams {
            field_manager: Some(NAME.to_owned()),
            ..PostParams::default()
        };
        match olds.create(&parameters, &self.old).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let there = olds.get(&self.old.name_any()).await;
                let there = there.context("cannot read the resource of hydra-maester")?;
                let is_it =
                    secret_name(&there) == secret_name(&self.old) && there.metadata.deletion_timestamp.is_none();
                ensure!(
                    is_it,
                    "hydra-maester has another resource of this name, or one that is being deleted"
                );
                Ok(there)
            }
            created => created.context("cannot create the resource of hydra-maester"),
        }
    }
}

async fn walk(session: &Session, found: &DynamicObject, servers: &Servers, asked: &HydraMaester) -> Result<()> {
    let past = Past::of(found).context("it does not say what it was at hydra-maester")?;
    let (namespace, name) = (found.namespace().unwrap_or_default(), found.name_any());
    let back = Return {
        found,
        old: old_of(found, &past)?,
        past,
        secrets: Api::namespaced(session.client.clone(), &namespace),
        keys: asked.keys(),
    };
    let credentials = back.check().await?;
    if asked.names.is_empty() {
        back.check_spec(&credentials, servers)?;
    }
    let api = clients(session, Some(&namespace));
    // The operator must neither correct what hydra-maester writes now, nor delete the client.
    let leave = json!({ "spec": { "suspend": true, "deletionPolicy": "Orphan" } });
    let left = api.patch(&name, &parameters(), &Patch::Merge(leave)).await;
    left.context("cannot change the resource of the operator")?;

    let created = back.create(&olds(session, &namespace)).await?;
    if back.past.secret != SecretFate::Untouched {
        own(&back.secrets, &created).await?;
    }
    if back.past.secret != SecretFate::TakenOver {
        drop_beside(&back.secrets, found).await?;
    }
    let only_this = Preconditions {
        uid: found.uid(),
        resource_version: None,
    };
    match api
        .delete(&name, &DeleteParams::default().preconditions(only_this))
        .await
    {
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        deleted => drop(deleted.context("cannot delete the resource of the operator")?),
    }
    until_gone(&api, found, asked.timeout).await
}

/// Deletes the Secret that the operator wrote beside the old one.
async fn drop_beside(secrets: &Api<Secret>, found: &DynamicObject) -> Result<()> {
    let asked = found.data["spec"]["credentials"]["secretName"].as_str();
    let name = asked.map_or_else(|| found.name_any(), str::to_owned);
    let beside = secrets.get_opt(&name).await;
    let beside = beside.with_context(|| format!("cannot read Secret {name}"))?;
    let is_ours = |secret: &Secret| is_owned(secret, found.uid().as_deref().unwrap_or_default());
    let Some(beside) = beside.filter(is_ours) else {
        return Ok(());
    };
    let only_this = Preconditions {
        uid: beside.uid(),
        resource_version: None,
    };
    let deleted = secrets
        .delete(&name, &DeleteParams::default().preconditions(only_this))
        .await;
    deleted
        .map(drop)
        .with_context(|| format!("cannot delete Secret {name}"))
}

/// Lets the Secret go with the resource of hydra-maester again.
async fn own(secrets: &Api<Secret>, old: &DynamicObject) -> Result<()> {
    let name = secret_name(old);
    let found = secrets
        .get(&name)
        .await
        .with_context(|| format!("cannot read Secret {name}"))?;
    let uid = old.uid().unwrap_or_default();
    let mut owners = found.owner_references().to_vec();
    if owners.iter().any(|owner| owner.uid == uid) {
        return Ok(());
    }
    owners.push(OwnerReference {
        api_version: API_VERSION.to_owned(),
        kind: "OAuth2Client".to_owned(),
        name: old.name_any(),
        uid,
        ..OwnerReference::default()
    });
    let change = json!({ "metadata": { "resourceVersion": found.resource_version(), "ownerReferences": owners } });
    let owned = secrets.patch(&name, &parameters(), &Patch::Merge(change)).await;
    owned.map(drop).with_context(|| format!("cannot change Secret {name}"))
}
