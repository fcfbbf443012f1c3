//! Secrets without a watch: each pass reads those of its resource, and a pass is due once per `resyncInterval`.

use std::time::Duration;

use kube::ResourceExt;

use crate::api::UID_LABEL;
use crate::controller::engine::context::Context;
use crate::controller::engine::managed::{Managed, SecretKey};
use crate::error::Result;

/// Reads the versions of the Secrets that a resource depends on, if no watch shows them.
///
/// # Errors
/// [`Error::Cluster`](crate::error::Error::Cluster).
pub(crate) async fn look<K: Managed>(object: &K, ctx: &Context) -> Result<()> {
    let namespace = object.namespace().unwrap_or_default();
    if ctx.shows_secrets(&namespace) {
        return Ok(());
    }
    for SecretKey { owner, name } in object.secrets(ctx) {
        let found = ctx.cluster.secret_metadata(&namespace, &name).await?;
        let own = found.filter(|found| {
            let owners = found.owner_references();
            found.labels().get(UID_LABEL) == Some(&owner) && owners.iter().any(|reference| reference.uid == owner)
        });
        match own.and_then(|own| own.uid().zip(own.resource_version())) {
            Some((uid, version)) => ctx.children.read(&owner, &name, uid, version),
            None => ctx.children.seen(&owner, &name),
        }
    }
    Ok(())
}

/// Returns when a resource must be looked at again because no watch shows its Secrets. None: one does, or there are
/// none.
pub(crate) fn due<K: Managed>(object: &K, ctx: &Context) -> Option<Duration> {
    let namespace = object.namespace().unwrap_or_default();
    let is_read = !ctx.shows_secrets(&namespace) && !object.secrets(ctx).is_empty();
    let server = ctx.server(object.server()?)?;
    is_read.then(|| server.spec.resync_interval())
}
