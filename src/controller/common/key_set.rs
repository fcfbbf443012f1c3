//! What JsonWebKeySets share on every server that has keys.

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use crate::access::{self, Grant, KeySetRequest};
use crate::api::AuthorizationServer;
use crate::api::json_web_key_set::JsonWebKeySetStatus;
use crate::controller::common::schedule::past;
use crate::controller::engine::context::Context;
use crate::error::{Error, Result};

/// Checks whether the access rules allow what a key set requests.
///
/// # Errors
/// [`Error::NotAllowed`].
pub(crate) fn check_access(
    ctx: &Context,
    server: &AuthorizationServer,
    namespace: &str,
    asked: KeySetRequest<'_>,
) -> Result<Grant> {
    let granted = ctx.with_namespace(namespace, |namespace| {
        access::check_key_set(&server.spec.access, namespace, asked)
    });
    granted.map_err(|denied| Error::NotAllowed {
        server: server.name_any(),
        denied,
    })
}

/// When the current signing key came into use, according to the status.
pub(crate) fn since(status: &JsonWebKeySetStatus) -> Option<Timestamp> {
    past(status.rotated_at.as_ref()?, Timestamp::now())
}
