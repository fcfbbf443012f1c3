//! The fields of a provider as they were left on a Foulkon.

use crate::admin::foulkon::{Fields, Provider};
use crate::api::OidcProvider;

/// Fields with which a settled provider was left. None: it is not on a Foulkon.
pub(crate) fn fields(provider: &OidcProvider) -> Option<Fields> {
    let status = provider.status.as_ref()?;
    status.inputs.as_ref().and(status.id.as_ref())?;
    Some(Fields {
        name: status.name.clone()?,
        path: status.path.clone()?,
        issuer_url: status.issuer.clone()?,
        clients: status.client_ids.iter().cloned().collect(),
    })
}

/// Drops the kept clients that another writer has removed from the entry.
pub(crate) fn follow(kept: &mut Vec<String>, wanted: &mut Fields, found: &Provider) {
    let found = found.client_ids();
    kept.retain(|id| {
        let is_there = found.contains(id);
        if !is_there {
            wanted.clients.remove(id);
        }
        is_there
    });
}
