//! What happens when the access rules refuse a resource.

use kube::ResourceExt;

use crate::access::Denied;
use crate::controller::common::admission::{is_revoked, server_of};
use crate::controller::common::claim::forget;
use crate::controller::engine::context::Context;
use crate::controller::engine::managed::{OnServer, Pass};
use crate::error::{Error, Result};

/// Refuses a resource. If no rule admits it any more and the server has `onRevoked: Delete`, `remove` deletes what was
/// made for it, and our finalizer is removed.
///
/// # Errors
/// [`Error::NotAllowed`]; errors of the removal.
pub(crate) async fn deny<K: OnServer, T>(
    resource: &K,
    ctx: &Context,
    pass: &mut Pass<K::Status>,
    denied: Denied,
    remove: impl AsyncFnOnce(&mut Pass<K::Status>) -> Result<()>,
) -> Result<T> {
    let server = server_of(resource, ctx)?;
    if is_revoked(resource, ctx, &server, &denied).await? {
        remove(pass).await?;
        forget(resource, ctx, pass).await?;
    }
    let server = server.name_any();
    Err(Error::NotAllowed { server, denied })
}
