//! Fields that the server of a resource does not have.

use kube::ResourceExt;

use crate::api::AuthorizationServer;
use crate::error::{Error, Result};

/// Refuses those fields that are asked for.
pub(crate) fn refuse<const N: usize>(server: &AuthorizationServer, asked: [(&'static str, bool); N]) -> Result<()> {
    let fields: Vec<&'static str> = asked
        .into_iter()
        .filter(|(_, asked)| *asked)
        .map(|(field, _)| field)
        .collect();
    match fields.is_empty() {
        true => Ok(()),
        false => Err(Error::UnsupportedFields {
            server: server.name_any(),
            version: server
                .status
                .clone()
                .and_then(|status| status.version)
                .unwrap_or_default(),
            fields,
        }),
    }
}
