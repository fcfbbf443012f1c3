//! Secrets and ConfigMaps of the operator: whose they are, and their labels and annotations.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::ResourceExt;

use crate::api::{UID_LABEL, WATCH_LABEL};
use crate::controller::engine::children::Child;
use crate::controller::engine::context::Context;
use crate::controller::engine::managed::Managed;
use crate::error::wording::shown;
use crate::error::{Error, Result, Source, Taken};
use crate::labels::Labels;

/// Remembers a write to one of the Secrets of the resource with UID `owner`, which the cache may not show yet.
pub(crate) fn remember(ctx: &Context, owner: &str, secret: &KubeSecret) {
    if let (Some(uid), Some(version)) = (secret.uid(), secret.resource_version()) {
        ctx.children
            .wrote(owner, &secret.name_any(), Child::Written(uid, version));
    }
}

/// Deletes one of the Secrets of the resource with UID `owner`.
///
/// # Errors
/// [`Error::Cluster`], [`Error::NotLeader`].
pub(crate) async fn drop_one(ctx: &Context, namespace: &str, owner: &str, name: &str, uid: String) -> Result<()> {
    ctx.cluster.delete::<KubeSecret>(namespace, name, &uid).await?;
    ctx.children.wrote(owner, name, Child::Deleted(uid));
    Ok(())
}

/// Whether a Secret is one of ours of the resource with this UID, and has lost its owner, as a backup leaves it.
pub(crate) fn is_left_by(found: &impl ResourceExt, uid: &str) -> bool {
    found.owner_references().is_empty() && found.labels().get(UID_LABEL).is_some_and(|label| label == uid)
}

/// Deletes a Secret that an earlier resource with this UID left without an owner.
///
/// # Errors
/// [`Error::Cluster`], [`Error::NotLeader`].
pub(crate) async fn drop_left(ctx: &Context, namespace: &str, uid: &str, name: &str) -> Result<()> {
    let found = ctx.cluster.secret(namespace, name).await?;
    match found
        .filter(|found| is_left_by(found, uid))
        .and_then(|found| found.uid())
    {
        Some(left) => ctx.cluster.delete::<KubeSecret>(namespace, name, &left).await,
        None => Ok(()),
    }
}

/// Like [`drop_one`], when the resource itself is being deleted.
///
/// # Errors
/// As [`drop_one`].
pub(crate) async fn drop_at_cleanup(
    ctx: &Context,
    namespace: &str,
    owner: &str,
    name: &str,
    uid: String,
) -> Result<()> {
    let dropped = drop_one(ctx, namespace, owner, name, uid).await;
    unless_left(ctx, namespace, dropped)
}

/// The result of a request about an output at cleanup. In a namespace that is being deleted, and in one that the operator
/// does not work in, it may have no permission for outputs; Kubernetes deletes them with their owner.
///
/// # Errors
/// Any other error of the request.
pub(crate) fn unless_left(ctx: &Context, namespace: &str, result: Result<()>) -> Result<()> {
    let is_left = ctx.is_going(namespace) || !ctx.settings.reach.has_namespace(namespace);
    match result {
        Err(error) if error.is_forbidden() && is_left => Ok(()),
        result => result,
    }
}

/// Returns the error for a conflicting Secret. It belongs to an earlier resource of this name and is about to be
/// deleted with it, or it belongs to another owner.
pub(crate) fn conflict<K: Managed>(found: &KubeSecret, owner: &K) -> Error {
    if is_namesakes(found, owner) {
        Error::Going(Source::Secret, found.name_any())
    } else {
        Error::SecretConflict(taken(found))
    }
}

/// An object of another owner.
pub(crate) fn taken(found: &impl ResourceExt) -> Taken {
    let mut references = found.owner_references().iter();
    let owner = references.find(|reference| reference.controller == Some(true));
    Taken {
        name: found.name_any(),
        owner: owner.map(|owner| format!("{} `{}`", shown(&owner.kind), shown(&owner.name))),
    }
}

/// Whether an object belongs to an earlier resource with the name of the owner.
pub(crate) fn is_namesakes<K: Managed>(found: &impl ResourceExt, owner: &K) -> bool {
    found.owner_references().iter().any(|reference| {
        reference.kind == K::KIND
            && Some(&reference.name) == owner.meta().name.as_ref()
            && reference.controller == Some(true)
            && Some(&reference.uid) != owner.meta().uid.as_ref()
    })
}

/// Owner references of an output. They do not block the deletion of the owner: this would need the permission to update
/// its finalizers where the admission plugin OwnerReferencesPermissionEnforcement is on, as on OpenShift.
pub(crate) fn owned_by<K: Managed>(owner: &K) -> Option<Vec<OwnerReference>> {
    let reference = owner.controller_owner_ref(&())?;
    Some(vec![OwnerReference {
        block_owner_deletion: None,
        ..reference
    }])
}

/// Whether an object belongs to the resource with this UID.
pub(crate) fn is_owned(found: &impl ResourceExt, uid: &str) -> bool {
    found
        .owner_references()
        .iter()
        .any(|owner| owner.uid == uid && owner.controller == Some(true))
}

/// Whether an object has the wanted labels and annotations; `strict`: and no others.
pub(crate) fn is_described_as(found: &ObjectMeta, wanted: &ObjectMeta, strict: bool) -> bool {
    let none = BTreeMap::new();
    let same = |found: &Option<BTreeMap<String, String>>, wanted: &Option<BTreeMap<String, String>>| {
        let (found, wanted) = (found.as_ref().unwrap_or(&none), wanted.as_ref().unwrap_or(&none));
        match strict {
            true => found == wanted,
            false => wanted.iter().all(|(key, value)| found.get(key) == Some(value)),
        }
    };
    same(&found.labels, &wanted.labels) && same(&found.annotations, &wanted.annotations)
}

/// Sets owner, labels and annotations of an object. `strict`: removes all other labels and annotations.
pub(crate) fn describe_as(found: &mut ObjectMeta, wanted: ObjectMeta, strict: bool) {
    let merge = |found: &mut Option<BTreeMap<String, String>>, wanted: Option<BTreeMap<String, String>>| {
        let kept = found.take().filter(|_| !strict);
        *found = Some(kept.into_iter().flatten().chain(wanted.into_iter().flatten()).collect());
    };
    merge(&mut found.labels, wanted.labels);
    merge(&mut found.annotations, wanted.annotations);
    found.owner_references = wanted.owner_references;
}

/// Whether an object has these labels.
pub(crate) fn has_labels(found: &impl ResourceExt, labels: &Labels) -> bool {
    labels.iter().all(|(key, value)| found.labels().get(key) == Some(value))
}

/// Labels of a Secret: those of the settings, those that the resource with this UID sets, and ours. The later ones take
/// precedence.
pub(crate) fn labels(ctx: &Context, uid: &str, asked: &Labels) -> Labels {
    let ours = [
        (WATCH_LABEL.to_owned(), "true".to_owned()),
        (UID_LABEL.to_owned(), uid.to_owned()),
    ];
    let others = ctx.settings.output_labels.iter().chain(asked);
    let others = others.map(|(key, value)| (key.clone(), value.clone()));
    others.chain(ours).collect()
}

/// A value of a Secret, if it is text.
pub(crate) fn text(secret: &KubeSecret, key: &str) -> Option<String> {
    String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).ok()
}

/// Text as a value of a Secret.
pub(crate) fn bytes(text: &str) -> ByteString {
    ByteString(text.as_bytes().to_vec())
}
