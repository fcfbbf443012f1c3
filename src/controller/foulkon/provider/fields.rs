//! The fields of a provider as they were left on a Foulkon.

use crate::admin::foulkon::Fields;
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
