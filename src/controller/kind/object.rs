//! Objects that a kind has on some servers only.

use kube::core::CustomResourceExt;

use crate::api::authorization_server::Flavour;
use crate::controller::engine::context::Context;
use crate::controller::engine::managed::Pass;
use crate::controller::vault;
use crate::error::Result;

/// Deletes the object of a resource whose kind has objects on a Vault only.
///
/// # Errors
/// As [`vault::object::remove`].
pub(crate) async fn remove<K>(resource: &K, ctx: &Context, pass: &mut Pass<K::Status>) -> Result<()>
where
    K: vault::name::Named + CustomResourceExt,
{
    let server = ctx.server(resource.server_name());
    match server.as_ref().and_then(|server| server.spec.flavour()) {
        Some(Flavour::Vault(_)) => vault::object::remove(resource, ctx, pass).await,
        Some(Flavour::Hydra(_) | Flavour::Foulkon(_)) => Ok(()),
        // The server is gone. The claim shows whether an object was on it.
        None if resource.is_settled() => vault::object::remove(resource, ctx, pass).await,
        None => Ok(()),
    }
}
