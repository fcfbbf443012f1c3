//! ConfigMaps of the operator. One is created only if none of its name exists, and those of other owners are never
//! changed. They are not watched.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

use crate::api::UID_LABEL;
use crate::controller::common::own_secret::{
    describe_as, is_described_as, is_left_by, is_namesakes, is_owned, owned_by, taken, unless_left,
};
use crate::controller::engine::context::Context;
use crate::controller::engine::managed::Managed;
use crate::error::{ClusterFault, Error, Result, Source};

/// The desired ConfigMap.
pub(crate) struct Wanted {
    /// Name of the ConfigMap.
    pub name: String,
    /// Data of the ConfigMap.
    pub data: BTreeMap<String, String>,
    /// Labels in addition to ours.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the ConfigMap.
    pub annotations: BTreeMap<String, String>,
}

/// Creates or updates a ConfigMap. `strict`: labels and annotations that are not wanted are removed, because they may
/// be those of an earlier spec. Otherwise another writer has added them, and they stay. `is_replaceable`: whether
/// nothing in the data of a ConfigMap that came back from a backup is lost when it is written anew.
///
/// # Errors
/// [`Error::ConfigMapConflict`], [`Error::Going`], [`Error::InvalidField`], [`Error::Cluster`],
/// [`Error::NotLeader`].
pub(crate) async fn write<K: Managed>(
    owner: &K,
    ctx: &Context,
    wanted: Wanted,
    strict: bool,
    is_replaceable: impl Fn(&BTreeMap<String, String>) -> bool,
) -> Result<()> {
    let namespace = owner.namespace().unwrap_or_default();
    let uid = owner.uid().unwrap_or_default();
    let name = wanted.name.clone();
    let wanted = object(owner, ctx, wanted);
    let is_free = |found: &ConfigMap| has_come_back(found, ctx) && found.data.as_ref().is_none_or(&is_replaceable);
    match ctx.cluster.config_map(&namespace, &name).await? {
        None => match ctx.cluster.create(&namespace, &wanted).await.map_err(refused)? {
            Some(_) => Ok(()),
            None => Err(Error::Cluster(ClusterFault::Conflict)),
        },
        Some(found) if !is_owned(&found, &uid) && !is_free(&found) => Err(conflict(&found, owner)),
        Some(found) if is_owned(&found, &uid) && is_as_wanted(&found, &wanted, strict) => Ok(()),
        Some(found) => {
            let replacement = replacement(found, wanted, strict);
            let replaced = ctx.cluster.replace(&namespace, &replacement).await;
            replaced.map(drop).map_err(refused)
        }
    }
}

/// Deletes a ConfigMap if it belongs to the owner.
///
/// # Errors
/// [`Error::Cluster`], [`Error::NotLeader`].
pub(crate) async fn remove<K: Managed>(owner: &K, ctx: &Context, name: &str) -> Result<()> {
    let namespace = owner.namespace().unwrap_or_default();
    let uid = owner.uid().unwrap_or_default();
    let removed = async {
        let found = ctx.cluster.config_map(&namespace, name).await?;
        let own = found.filter(|found| is_owned(found, &uid));
        match own.and_then(|found| found.uid()) {
            Some(uid) => ctx.cluster.delete::<ConfigMap>(&namespace, name, &uid).await,
            None => Ok(()),
        }
    };
    unless_left(ctx, &namespace, removed.await)
}

/// Deletes the ConfigMap of a former name, once the one of the present name exists. `named`: the name in the status. It
/// stays until the former ConfigMap is deleted, so that the next pass can retry after a failure.
///
/// # Errors
/// As [`remove`].
pub(crate) async fn rename<K: Managed>(
    owner: &K,
    ctx: &Context,
    named: &mut Option<String>,
    present: Option<String>,
) -> Result<()> {
    if let Some(former) = named.as_ref().filter(|former| present.as_ref() != Some(*former)) {
        remove(owner, ctx, former).await?;
    }
    *named = present;
    Ok(())
}

fn object<K: Managed>(owner: &K, ctx: &Context, wanted: Wanted) -> ConfigMap {
    let mut object = ConfigMap {
        data: Some(wanted.data),
        ..ConfigMap::default()
    };
    let mut labels = ctx.settings.output_labels.clone();
    labels.extend(wanted.labels);
    labels.insert(UID_LABEL.to_owned(), owner.uid().unwrap_or_default());
    object.metadata.name = Some(wanted.name);
    object.metadata.owner_references = owned_by(owner);
    object.metadata.labels = Some(labels);
    object.metadata.annotations = Some(wanted.annotations);
    object
}

fn is_as_wanted(found: &ConfigMap, wanted: &ConfigMap, strict: bool) -> bool {
    found.data.clone().unwrap_or_default() == wanted.data.clone().unwrap_or_default()
        && found.binary_data.clone().unwrap_or_default().is_empty()
        && is_described_as(&found.metadata, &wanted.metadata, strict)
}

/// Returns the found ConfigMap with our content. It keeps UID and resourceVersion and, unless `strict`, the labels and
/// annotations of others.
fn replacement(mut found: ConfigMap, wanted: ConfigMap, strict: bool) -> ConfigMap {
    found.data = wanted.data;
    found.binary_data = None;
    describe_as(&mut found.metadata, wanted.metadata, strict);
    found
}

/// Whether a ConfigMap is one of ours whose owner is gone, as a backup leaves it.
fn has_come_back(found: &ConfigMap, ctx: &Context) -> bool {
    let is = |uid: &str, meta: &ObjectMeta| meta.uid.as_deref() == Some(uid);
    let lives = |uid: &str| {
        let kinds = &ctx.kinds;
        kinds.key_sets.store.find(|set| is(uid, &set.metadata)).is_some()
            || kinds
                .providers
                .store
                .find(|provider| is(uid, &provider.metadata))
                .is_some()
    };
    let label = found.labels().get(UID_LABEL);
    label.is_some_and(|uid| is_left_by(found, uid) && !lives(uid))
}

/// The Kubernetes API refuses what the schema does not check: label values, long annotations, changes of an immutable
/// ConfigMap.
fn refused(error: Error) -> Error {
    match error {
        Error::Cluster(ClusterFault::Status(422)) => Error::InvalidField {
            field: "publish",
            problem: "the Kubernetes API does not accept this ConfigMap; check configMapName, labels and annotations, and whether the ConfigMap is immutable"
                .to_owned(),
        },
        other => other,
    }
}

/// Returns the error for a conflicting ConfigMap. It belongs to an earlier resource of this name and is about to be
/// deleted with it, or it belongs to another owner.
fn conflict<K: Managed>(found: &ConfigMap, owner: &K) -> Error {
    match is_namesakes(found, owner) {
        true => Error::Going(Source::ConfigMap, found.name_any()),
        false => Error::ConfigMapConflict(taken(found)),
    }
}
