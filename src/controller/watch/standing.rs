//! The parts of a status that concern other resources.

use crate::api::{OAuth2Client, OidcProvider};

/// Returns the part of a client's status that concerns others: the keys that it is registered with, and the id that
/// others list. `inputs` shows whether the client has changed.
pub(crate) fn of_client(client: &OAuth2Client) -> String {
    let status = client.status.clone().unwrap_or_default();
    let made_from = status.name.and(status.inputs);
    format!("{:?}", (status.key_ids, status.client_id, made_from))
}

/// Returns the part of a provider's status that concerns its clients and scopes.
pub(crate) fn of_provider(provider: &OidcProvider) -> String {
    let status = provider.status.clone().unwrap_or_default();
    format!(
        "{:?}",
        (
            status.client_ids,
            status.kept_client_ids,
            status.endpoints,
            status.issuer,
            status.id
        )
    )
}
