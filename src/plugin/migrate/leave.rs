//! The end of a resource of hydra-maester without its cleanup, which would delete the client, and without the garbage
//! collection of its Secret.

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::DynamicObject;
use kube::{Api, ResourceExt};
use serde_json::json;

use super::cluster::secret_name;
use super::maester::{FINALIZER, is_same_spec};
use super::plan::CHANGED;
use crate::api::ADOPTABLE_BY_ANNOTATION;
use crate::plugin::NAME;

/// hydra-maester adds its finalizer again as soon as it sees that it is gone. One of the attempts is faster.
const ATTEMPTS: usize = 100;

/// The resource with this UID as it is now, if it still exists.
pub(super) async fn now(api: &Api<DynamicObject>, old: &DynamicObject) -> Result<Option<DynamicObject>> {
    let found = api.get_opt(&old.name_any()).await;
    let found = found.context("cannot read the resource of hydra-maester")?;
    Ok(found.filter(|found| found.uid() == old.uid()))
}

/// Deletes a resource, if it still exists and is as it was. The deletion counts only for the version without finalizer, so
/// that a hydra-maester that runs meanwhile never gets to see it being deleted.
pub(super) async fn delete(api: &Api<DynamicObject>, old: &DynamicObject) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let Some(found) = now(api, old).await? else {
            return Ok(());
        };
        ensure!(is_same_spec(&found.data["spec"], &old.data["spec"]), CHANGED);
        match attempt(api, &found).await {
            Ok(()) => return Ok(()),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => return Err(error).context("cannot delete the resource of hydra-maester"),
        }
    }
    bail!("hydra-maester keeps adding its finalizer. Scale it to zero, and try again.")
}

async fn attempt(api: &Api<DynamicObject>, found: &DynamicObject) -> kube::Result<()> {
    let rest: Vec<&String> = found.finalizers().iter().filter(|name| *name != FINALIZER).collect();
    let change = json!({ "metadata": {
        "resourceVersion": found.resource_version(), "finalizers": (!rest.is_empty()).then_some(rest),
    } });
    let parameters = PatchParams {
        field_manager: Some(NAME.to_owned()),
        ..PatchParams::default()
    };
    let bare = api.patch(&found.name_any(), &parameters, &Patch::Merge(change)).await?;
    let only_this = Preconditions {
        resource_version: bare.resource_version(),
        uid: bare.uid(),
    };
    api.delete(&bare.name_any(), &DeleteParams::default().preconditions(only_this))
        .await
        .map(drop)
}

/// Lets the new resource take over the Secret of an old one, if that goes with the old one. What the plan said may be old,
/// and a Secret of others is not the caller's to give away.
pub(super) async fn offer_secret(secrets: &Api<Secret>, old: &DynamicObject) -> Result<()> {
    let (name, uid) = (secret_name(old), old.uid().unwrap_or_default());
    let found = secrets
        .get(&name)
        .await
        .with_context(|| format!("cannot read Secret {name}"))?;
    if !found.owner_references().iter().any(|owner| owner.uid == uid) {
        return Ok(());
    }
    let change = json!({ "metadata": {
        "resourceVersion": found.resource_version(), "annotations": { (ADOPTABLE_BY_ANNOTATION): old.name_any() },
    } });
    let offered = secrets
        .patch(&name, &PatchParams::default(), &Patch::Merge(change))
        .await;
    offered
        .map(drop)
        .with_context(|| format!("cannot annotate Secret {name}"))
}

/// Makes sure that the Secret of a resource does not go with it. `releases`: takes its owner reference off.
pub(super) async fn keep_secret(secrets: &Api<Secret>, old: &DynamicObject, releases: bool) -> Result<()> {
    let (name, uid) = (secret_name(old), old.uid().unwrap_or_default());
    let found = secrets
        .get(&name)
        .await
        .with_context(|| format!("cannot read Secret {name}"))?;
    let owners = found.owner_references();
    let others: Vec<_> = owners.iter().filter(|owner| owner.uid != uid).collect();
    if others.len() == owners.len() {
        return Ok(());
    }
    ensure!(releases, "Secret {name} would go with the resource of hydra-maester");
    let change = json!({ "metadata": {
        "resourceVersion": found.resource_version(), "ownerReferences": (!others.is_empty()).then_some(others),
    } });
    let released = secrets
        .patch(&name, &PatchParams::default(), &Patch::Merge(change))
        .await;
    released
        .map(drop)
        .with_context(|| format!("cannot change Secret {name}"))
}
