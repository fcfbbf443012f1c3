//! Writes the finalizer, and the status during a pass.

use kube::ResourceExt;

use crate::controller::engine::context::Context;
use crate::controller::engine::lifecycle::is_held;
use crate::controller::engine::managed::{Managed, Pass};
use crate::controller::engine::report::{latest, store};
use crate::error::{ClusterFault, Error, Result};

/// Stores the status of the pass so far, before a step that must not be forgotten.
///
/// # Errors
/// [`Error::Cluster`], [`Error::NotLeader`].
pub(crate) async fn record<K: Managed>(object: &K, ctx: &Context, pass: &Pass<K::Status>) -> Result<()> {
    let newest = latest(object, ctx);
    let before = newest.status().cloned().unwrap_or_default();
    store(&*newest, ctx, &before, pass.status.clone(), None).await.map(drop)
}

/// Adds our finalizer if it is missing, which must come before any other write. True if it was missing.
///
/// # Errors
/// [`Error::Cluster`], [`Error::NotLeader`].
pub(crate) async fn hold<K: Managed>(object: &K, ctx: &Context) -> Result<bool> {
    if is_held(object) {
        return Ok(false);
    }
    // An earlier step of this pass may have stored it.
    let newest = latest(object, ctx);
    if is_held(&*newest) {
        return Ok(false);
    }
    let held = ctx.cluster.hold(&object.api(ctx.cluster.client()), &*newest).await?;
    K::kind_of(ctx).wrote(held);
    Ok(true)
}

/// Makes sure that a resource still exists whose Secrets are gone, before anything is made in their place: both may have
/// been lost together, and the cache may show the end of the Secrets first.
///
/// # Errors
/// [`Error::Cluster`], also if it does not.
pub(crate) async fn confirm<K: Managed>(object: &K, ctx: &Context) -> Result<()> {
    let api = object.api(ctx.cluster.client());
    let live = ctx.cluster.live(&api, &object.name_any()).await?;
    match live.is_some_and(|live| live.uid() == object.uid()) {
        true => Ok(()),
        false => Err(Error::Cluster(ClusterFault::Gone)),
    }
}

/// Removes our finalizer. Succeeds if the object no longer exists.
///
/// # Errors
/// [`Error::Cluster`], [`Error::NotLeader`].
pub(crate) async fn release<K: Managed>(object: &K, ctx: &Context) -> Result<()> {
    let api = object.api(ctx.cluster.client());
    let latest = latest(object, ctx);
    let released = match ctx.cluster.release(&api, &*latest).await {
        Err(Error::Cluster(ClusterFault::Conflict)) => {
            let live = ctx.cluster.live(&api, &object.name_any()).await?;
            match live.filter(|live| live.uid() == object.uid()) {
                Some(live) if is_held(&live) => ctx.cluster.release(&api, &live).await?,
                _ => return Ok(()),
            }
        }
        other => other?,
    };
    let kind = K::kind_of(ctx);
    kind.memory.released(&released);
    kind.wrote(released);
    Ok(())
}
