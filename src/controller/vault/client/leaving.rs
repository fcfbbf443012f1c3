//! A client that stays on the server when its resource goes.

use kube::ResourceExt;

use crate::api::{JsonWebKeySet, OAuth2Client, OidcProvider};
use crate::controller::engine::context::Context;
use crate::controller::engine::lifecycle::is_deleting;
use crate::controller::engine::managed::{Managed, OnServer};
use crate::controller::vault::key::signs_for;
use crate::controller::vault::provider::is_listed;
use crate::error::{Result, VaultFault};

/// Waits until the lists keep the client: it works only as long as its key and its providers list it. Their own passes
/// see that its resource is being deleted.
///
/// # Errors
/// [`VaultFault::NotYetKept`].
pub(super) fn check_kept(client: &OAuth2Client, ctx: &Context) -> Result<()> {
    let status = client.status.clone().unwrap_or_default();
    let Some(id) = status.client_id else { return Ok(()) };
    let drops = |last: &[String], kept: &[String]| last.contains(&id) && !kept.contains(&id);
    let by_id = |provider: &OidcProvider| {
        let mut named = provider.spec.allowed_clients.iter();
        named.any(|named| named.client_id.as_ref() == Some(&id))
    };
    let waits = |kind, name: String, namespace: Option<String>| {
        Err(VaultFault::NotYetKept {
            kind,
            name,
            namespace: namespace.unwrap_or_default(),
        }
        .into())
    };
    let server = client.server_name();
    for set in ctx.kinds.key_sets.on(server) {
        let status = set.status.clone().unwrap_or_default();
        if !is_deleting(&*set) && signs_for(&set, client) && drops(&status.client_ids, &status.kept_client_ids) {
            return waits(JsonWebKeySet::KIND, set.name_any(), set.namespace());
        }
    }
    for provider in ctx.kinds.providers.on(server) {
        let status = provider.status.clone().unwrap_or_default();
        let is_listed = is_listed(&provider, client, ctx) && !by_id(&provider);
        if !is_deleting(&*provider) && is_listed && drops(&status.client_ids, &status.kept_client_ids) {
            return waits(OidcProvider::KIND, provider.name_any(), provider.namespace());
        }
    }
    Ok(())
}
