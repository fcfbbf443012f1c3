//! The way back to hydra-maester. The old resource is there before the new one goes, so that a command that was interrupted
//! can be repeated.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, Patch, PostParams, Preconditions};
use kube::core::DynamicObject;
use kube::{Api, ResourceExt};
use serde_json::json;

use super::cluster::{AT_ONCE, clients, named, namespace, olds, pages, parameters, secret_name};
use super::maester::{API_VERSION, Past, SecretFate};
use super::plan::key;
use super::report::code;
use crate::admin::bounded::printable;
use crate::controller::common::own_secret::is_owned;
use crate::plugin::NAME;
use crate::plugin::arguments::HydraMaester;
use crate::plugin::objects::{put, until_gone};
use crate::plugin::session::Session;

pub(super) async fn run(session: &Session, asked: &HydraMaester) -> Result<ExitCode> {
    let all = pages(&clients(session, namespace(session, asked))).await;
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
    let (mut back, mut left) = (0, 0);
    let each = moved
        .iter()
        .map(async |found| (key(found), walk(session, found, asked.timeout).await));
    let mut done = stream::iter(each).buffer_unordered(AT_ONCE);
    while let Some((key, result)) = done.next().await {
        let said = match result {
            Ok(()) => {
                back += 1;
                "moved back".to_owned()
            }
            Err(why) => {
                left += 1;
                format!("not moved back. {why:#}")
            }
        };
        put(&format!("{}: {}\n", printable(&key), printable(&said)))?;
    }
    put(&format!("{back} moved back, {left} left.\n"))?;
    Ok(code(left))
}

async fn walk(session: &Session, found: &DynamicObject, limit: Duration) -> Result<()> {
    let past = Past::of(found).context("it does not say what it was at hydra-maester")?;
    let (namespace, name) = (found.namespace().unwrap_or_default(), found.name_any());
    let api = clients(session, Some(&namespace));
    // The operator must neither correct what hydra-maester writes now, nor delete the client.
    let leave = json!({ "spec": { "suspend": true, "deletionPolicy": "Orphan" } });
    let left = api.patch(&name, &parameters(), &Patch::Merge(leave)).await;
    left.context("cannot change the resource of the operator")?;

    let olds = olds(session, &namespace);
    let manifest: DynamicObject = serde_json::from_value(past.manifest)?;
    let parameters = PostParams {
        field_manager: Some(NAME.to_owned()),
        ..PostParams::default()
    };
    let created = match olds.create(&parameters, &manifest).await {
        Err(kube::Error::Api(status)) if status.code == 409 => olds.get(&name).await,
        created => created,
    };
    let created = created.context("cannot create the resource of hydra-maester")?;
    let secrets: Api<Secret> = Api::namespaced(session.client.clone(), &namespace);
    if past.secret != SecretFate::Untouched {
        own(&secrets, &created).await?;
    }
    if past.secret != SecretFate::TakenOver {
        drop_beside(&secrets, found).await?;
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
    until_gone(&api, found, limit).await
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
