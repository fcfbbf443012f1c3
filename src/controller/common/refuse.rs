//! Refuses fields that the server of a resource does not have. The server itself would accept and silently drop them.

use std::borrow::Cow;

use kube::ResourceExt;

use crate::api::AuthorizationServer;
use crate::api::authorization_server::AuthorizationServerStatus;
use crate::api::condition::{READY, is_true};
use crate::controller::engine::links::is_reported;
use crate::error::{Error, Result};

/// Refuses those of these fields that the spec sets.
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

/// Like [`refuse`], for fields whose support depends on the version of the server. Until a check has found out what the
/// server supports, the resource waits. A server may hide its version.
///
/// # Errors
/// [`Error::UnsupportedFields`]; [`Error::ServerPending`] before the first check of the server,
/// [`Error::ServerNotReady`] after a check that failed.
pub(crate) fn refuse_by_version(server: &AuthorizationServer, fields: Vec<Cow<'static, str>>) -> Result<()> {
    let is_checked =
        |status: &AuthorizationServerStatus| status.version.is_some() || is_true(&status.conditions, READY);
    let is_known = server.status.as_ref().is_some_and(is_checked);
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
