//! The resources of both sides and their Secrets, as they are in the cluster.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PatchParams;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, ResourceExt};
use serde_json::Value;

use super::maester::{Credentials, keys_of};
use super::plan::Found;
use crate::api::OAuth2Client;
use crate::controller::common::own_secret::text;
use crate::kubernetes::at_once;
use crate::plugin::NAME;
use crate::plugin::arguments::HydraMaester;
use crate::plugin::session::Session;

/// Requests at the same time.
pub(super) const AT_ONCE: usize = 8;

fn kind() -> ApiResource {
    ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("hydra.ory.sh", "v1alpha1", "OAuth2Client"),
        "oauth2clients",
    )
}

pub(super) fn olds(session: &Session, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(session.client.clone(), namespace, &kind())
}

/// All resources of a namespace or of the cluster.
pub(super) async fn list(session: &Session, namespace: Option<&str>) -> Result<Vec<DynamicObject>> {
    let found = match namespace {
        Some(namespace) => olds(session, namespace),
        None => Api::all_with(session.client.clone(), &kind()),
    };
    at_once(found).await.map_err(|error| match error {
        kube::Error::Api(status) if status.code == 404 => {
            anyhow::anyhow!("the cluster has no OAuth2Clients of hydra.ory.sh, so there is nothing to move")
        }
        error => anyhow::Error::new(error).context("cannot list the OAuth2Clients of hydra.ory.sh"),
    })
}

/// What is known of the Secrets of resources, in their order.
pub(super) async fn credentials(session: &Session, olds: &[DynamicObject], keys: Option<[&str; 2]>) -> Vec<Found> {
    let each = olds.iter().map(|old| one(session, old, keys));
    stream::iter(each.collect::<Vec<_>>()).buffered(AT_ONCE).collect().await
}

async fn one(session: &Session, old: &DynamicObject, keys: Option<[&str; 2]>) -> Found {
    let (namespace, name) = (old.namespace().unwrap_or_default(), secret_name(old));
    if name.is_empty() {
        return Err("It has no secretName. Set it, and try again.".to_owned());
    }
    let secrets: Api<Secret> = Api::namespaced(session.client.clone(), &namespace);
    let found = secrets.get_opt(&name).await;
    let found = found.map_err(|error| {
        format!("Secret `{name}` cannot be read. Ask for the right to read it, and try again: {error}.")
    })?;
    Ok(found.map(|found| known(&found, &old.uid().unwrap_or_default(), keys)))
}

pub(super) fn secret_name(old: &DynamicObject) -> String {
    old.data["spec"]["secretName"].as_str().unwrap_or_default().to_owned()
}

pub(super) fn known(secret: &Secret, owner: &str, chosen: Option<[&str; 2]>) -> Credentials {
    let keys: BTreeSet<String> = secret.data.iter().flat_map(|data| data.keys().cloned()).collect();
    Credentials {
        client_id: keys_of(&keys, chosen).and_then(|[id, _]| text(secret, id)),
        is_owned: secret.owner_references().iter().any(|found| found.uid == owner),
        keys,
    }
}

/// The namespace that is meant; none for all.
pub(super) fn namespace<'a>(session: &'a Session, asked: &HydraMaester) -> Option<&'a str> {
    (!asked.all_namespaces).then_some(session.namespace.as_str())
}

pub(super) fn clients(session: &Session, namespace: Option<&str>) -> Api<DynamicObject> {
    let kind = ApiResource::erase::<OAuth2Client>(&());
    match namespace {
        Some(namespace) => Api::namespaced_with(session.client.clone(), namespace, &kind),
        None => Api::all_with(session.client.clone(), &kind),
    }
}

/// Those of the resources that the caller has named, or all.
pub(super) fn named<T>(all: Vec<T>, names: &[String], name_of: impl Fn(&T) -> String) -> Result<Vec<T>> {
    let is_there = |name: &&String| all.iter().any(|found| name_of(found) == **name);
    if let Some(missing) = names.iter().find(|name| !is_there(name)) {
        bail!("there is no OAuth2Client `{missing}` to move");
    }
    let is_meant = |found: &T| names.is_empty() || names.contains(&name_of(found));
    Ok(all.into_iter().filter(is_meant).collect())
}

/// The namespace of a manifest.
pub(super) fn namespace_of(manifest: &Value) -> &str {
    manifest["metadata"]["namespace"].as_str().unwrap_or_default()
}

pub(super) fn parameters() -> PatchParams {
    PatchParams {
        field_manager: Some(NAME.to_owned()),
        ..PatchParams::default()
    }
}
