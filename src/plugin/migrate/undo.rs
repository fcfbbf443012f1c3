//! The way back to hydra-maester. The old resource is there before the new one goes, so that a command that was interrupted
//! can be repeated.

use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, Patch, Preconditions};
use kube::core::DynamicObject;
use kube::{Api, ResourceExt};
use serde_json::json;

use self::back::{How, Return};
use super::cluster::{AT_ONCE, clients, named, namespace, parameters, secret_name};
use super::maester::{API_VERSION, Past, SecretFate};
use super::moving::{known, servers};
use super::plan::key;
use super::report::{code, tell};
use super::server::Known;
use super::walk::{DryRun, withdraw_untouched};
use crate::admin::bounded::printable;
use crate::controller::common::own_secret::is_owned;
use crate::kubernetes::at_once;
use crate::plugin::arguments::HydraMaester;
use crate::plugin::objects::{put, until_gone};
use crate::plugin::session::Session;

mod back;

pub(super) async fn run(session: &Session, asked: &HydraMaester) -> Result<ExitCode> {
    let all = at_once(clients(session, namespace(session, asked))).await;
    let all = all.context("cannot list the OAuth2Clients of the operator")?;
    let moved = all.into_iter().filter(|found| Past::of(found).is_some()).collect();
    let moved = named(moved, &asked.names, DynamicObject::name_any)?;
    let servers = known(&servers(session).await?);
    if !asked.apply {
        return plan(session, asked, &moved, &servers).await;
    }
    for found in &moved {
        put(&destination(found).map_or_else(String::new, |host| format!("{}: {host}\n", printable(&key(found)))))?;
    }
    let each = moved.iter().map(async |found| {
        let done = walk(session, found, &servers, asked).await;
        (key(found), done)
    });
    tell(each, "moved back").await
}

/// Prints what would go back, and why others would not.
async fn plan(session: &Session, asked: &HydraMaester, moved: &[DynamicObject], servers: &[Known]) -> Result<ExitCode> {
    let each = moved.iter().map(async |found| {
        let may_go = async { Return::of(session, found, asked)?.may_go(servers).await };
        (found, may_go.await)
    });
    let mut each = stream::iter(each).buffered(AT_ONCE);
    let (mut back, mut left) = (0, 0);
    while let Some((found, may_go)) = each.next().await {
        let (word, sentence) = match may_go {
            Ok(_) => {
                back += 1;
                ("back", destination(found))
            }
            Err(why) => {
                left += 1;
                ("stay", Some(printable(&format!("{why:#}"))))
            }
        };
        put(&format!("{word}   {}\n", printable(&key(found))))?;
        if let Some(sentence) = sentence {
            put(&format!("       {sentence}\n"))?;
        }
    }
    put(&format!(
        "{back} to move back, {left} left. Nothing was changed; --apply moves them.\n"
    ))?;
    Ok(code(left))
}

/// Where hydra-maester would send its requests, if not to its own server.
fn destination(found: &DynamicObject) -> Option<String> {
    let host = Past::of(found)?.admin_host()?;
    let host = printable(&host);
    Some(format!(
        "hydra-maester sends its requests to {host}. Make sure that it is yours."
    ))
}

async fn walk(session: &Session, found: &DynamicObject, servers: &[Known], asked: &HydraMaester) -> Result<()> {
    let back = Return::of(session, found, asked)?;
    let (namespace, name) = (found.namespace().unwrap_or_default(), found.name_any());
    let api = clients(session, Some(&namespace));
    if back.may_go(servers).await? == How::Withdraw {
        withdraw_untouched(&api, &name).await?;
        return until_gone(&api, found, asked.timeout).await;
    }
    // The operator must neither correct what hydra-maester writes now, nor delete the client.
    let leave = json!({ "spec": { "suspend": true, "deletionPolicy": "Orphan" } });
    match api.patch(&name, &parameters(), &Patch::Merge(leave)).await {
        // A command that was interrupted had deleted it.
        Err(kube::Error::Api(status)) if status.code == 404 => return back.is_back().await,
        left => drop(left.context("cannot change the resource of the operator")?),
    }

    let created = match back.create(DryRun::No).await {
        Ok(created) => created,
        Err(why) => return Err(put_back(&api, found, why).await),
    };
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

/// Lets the operator work on a resource as before, because the old one was refused. If it is not known whether the old one
/// is there, the operator must stay away.
async fn put_back(api: &Api<DynamicObject>, found: &DynamicObject, why: anyhow::Error) -> anyhow::Error {
    let is_refused = match why.downcast_ref() {
        None => true,
        Some(kube::Error::Api(status)) => (400..500).contains(&status.code),
        Some(_) => false,
    };
    if !is_refused {
        return why.context("it stays suspended until you repeat the command");
    }
    let spec = &found.data["spec"];
    let before = json!({ "spec": { "suspend": spec["suspend"], "deletionPolicy": spec["deletionPolicy"] } });
    let put_back = api.patch(&found.name_any(), &parameters(), &Patch::Merge(before)).await;
    match put_back {
        Ok(_) => why,
        Err(error) => anyhow!("{why:#}; and it stays suspended until you repeat the command: {error}"),
    }
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
