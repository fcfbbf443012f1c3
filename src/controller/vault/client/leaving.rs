//! A client that stays on the server when its resource goes.

use kube::ResourceExt;

use crate::api::{JsonWebKeySet, OAuth2Client, OidcProvider};
use crate::controller::common::adoption::MOST_KEPT;
use crate::controller::engine::context::Context;
use crate::controller::engine::lifecycle::{is_abandoned, is_deleting};
use crate::controller::engine::managed::{Managed, OnServer};
use crate::controller::vault::key::signs_for;
use crate::controller::vault::provider::{is_listed, keeps};
use crate::error::{Result, VaultFault};

/// Waits until the lists keep the client: it works only as long as its key and its providers list it. Their own passes
/// see that its resource is being deleted.
///
/// # Errors
/// [`VaultFault::NotYetKept`].
pub(super) fn check_kept(client: &OAuth2Client, ctx: &Context) -> Result<()> {
    let status = client.status.clone().unwrap_or_default();
    let Some(id) = status.client_id else { return Ok(()) };
    let drops = |last: &[String], kept: &[String]| drops(&id, last, kept);
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
    let namespace = client.namespace().unwrap_or_default();
    // The user does not want to wait, or no pass would change the lists.
    if is_abandoned(client) || ctx.server(server).is_none() || !ctx.settings.reach.has_namespace(&namespace) {
        return Ok(());
    }
    for set in ctx.kinds.key_sets.on(server) {
        let status = set.status.clone().unwrap_or_default();
        if !is_deleting(&*set) && signs_for(&set, client) && drops(&status.client_ids, &status.kept_client_ids) {
            return waits(JsonWebKeySet::KIND, set.name_any(), set.namespace());
        }
    }
    for provider in ctx.kinds.providers.on(server) {
        let status = provider.status.clone().unwrap_or_default();
        let is_listed = keeps(&provider, client) && is_listed(&provider, client, ctx) && !by_id(&provider);
        if !is_deleting(&*provider) && is_listed && drops(&status.client_ids, &status.kept_client_ids) {
            return waits(OidcProvider::KIND, provider.name_any(), provider.namespace());
        }
    }
    Ok(())
}

/// Whether a list has the client and does not keep it yet, but can. A full list would never keep it, so nothing waits
/// for it. `last`: the ids in the list; `kept`: those that no resource adds.
fn drops(id: &String, last: &[String], kept: &[String]) -> bool {
    let drops = last.contains(id) && !kept.contains(id);
    let is_full = kept.len() >= MOST_KEPT;
    if drops && is_full {
        tracing::warn!(
            id,
            "a list keeps too many clients already; a client that stays leaves it"
        );
    }
    drops && !is_full
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_waits_only_for_a_list_that_can_keep_it() {
        let full: Vec<_> = (0..MOST_KEPT).map(|id| format!("{id:04}")).collect();
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        for (last, kept, expected) in [
            (ids(&["a", "b"]), ids(&[]), true),
            (ids(&["a", "b"]), ids(&["b"]), true),
            (ids(&["a", "b"]), ids(&["a"]), false),
            (ids(&["b"]), ids(&[]), false),
            (ids(&["a"]), full[1..].to_vec(), true),
            (ids(&["a"]), full, false),
        ] {
            assert_eq!(drops(&"a".to_owned(), &last, &kept), expected, "{last:?}");
        }
    }
}
