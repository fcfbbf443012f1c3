//! Objects that a kind has on some servers and not on others.

use kube::core::CustomResourceExt;

use crate::api::authorization_server::Flavour;
use crate::controller::engine::context::Context;
use crate::controller::engine::managed::Pass;
use crate::controller::vault;
use crate::error::Result;

/// Deletes the object of a resource of a kind that has one on a Vault alone.
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
        // What was on a server that has gone is known by its claim.
        None if resource.is_settled() => vault::object::remove(resource, ctx, pass).await,
        None => Ok(()),
    }
}
