//! What a refusal by the access rules comes to.

use kube::ResourceExt;

use crate::access::Denied;
use crate::controller::common::admission::{is_revoked, server_of};
use crate::controller::common::claim::forget;
use crate::controller::engine::context::Context;
use crate::controller::engine::managed::{OnServer, Pass};
use crate::error::{Error, Result};

/// Refuses a resource. Where no rule admits it any more and the server's admin wants it so, `remove` takes away what was made for it, and the resource is
/// let go of.
///
/// # Errors
/// [`Error::NotAllowed`]; what is in the way of the removal.
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
