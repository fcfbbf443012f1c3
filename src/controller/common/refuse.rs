//! Fields that the server of a resource does not have. They are refused: a server takes what it does not know without a word and drops it.

use std::borrow::Cow;

use kube::ResourceExt;

use crate::api::AuthorizationServer;
use crate::controller::engine::links::is_reported;
use crate::error::{Error, Result};

/// Refuses those of these fields that are asked for.
///
/// # Errors
/// [`Error::UnsupportedFields`].
pub(crate) fn refuse(
    server: &AuthorizationServer,
    asked: impl IntoIterator<Item = (&'static str, bool)>,
) -> Result<()> {
    let fields: Vec<_> = asked
        .into_iter()
        .filter(|(_, asked)| *asked)
        .map(|(field, _)| field.into())
        .collect();
    match fields.is_empty() {
        true => Ok(()),
        false => Err(unsupported(server, fields)),
    }
}

/// As [`refuse`], where the version of the server decides: one whose version is not known yet is waited for.
///
/// # Errors
/// [`Error::UnsupportedFields`]; [`Error::ServerPending`] before the first look at the server, [`Error::ServerNotReady`] after one that failed.
pub(crate) fn refuse_by_version(server: &AuthorizationServer, fields: Vec<Cow<'static, str>>) -> Result<()> {
    let is_known = server.status.as_ref().is_some_and(|status| status.version.is_some());
    match is_known {
        _ if fields.is_empty() => Ok(()),
        true => Err(unsupported(server, fields)),
        false if is_reported(server) => Err(Error::ServerNotReady(server.name_any())),
        false => Err(Error::ServerPending(server.name_any())),
    }
}

fn unsupported(server: &AuthorizationServer, fields: Vec<Cow<'static, str>>) -> Error {
    Error::UnsupportedFields {
        server: server.name_any(),
        version: server.status.as_ref().and_then(|status| status.version.clone()),
        fields,
    }
}
