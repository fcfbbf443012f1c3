//! Secrets without a watch: each pass reads those of its resource, and a pass is due once per `resyncInterval`.

use std::time::Duration;

use kube::ResourceExt;

use crate::controller::engine::context::Context;
use crate::controller::engine::managed::{Managed, SecretKey};
use crate::controller::engine::watched_secret::WatchedSecret;
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
        let found = found.map(|found| WatchedSecret::of(&found));
        match found.filter(|found| found.is_of(&namespace, &owner)) {
            Some(own) => ctx
                .children
                .read(&owner, &name, own.uid().to_owned(), own.version().to_owned()),
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
