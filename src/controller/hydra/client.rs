//! `OAuth2Client` on a Hydra: refs → access → desired → finalizer → ledger → server → credentials Secret → status.

use std::time::Duration;

use kube::ResourceExt;

use crate::access::Denied;
use crate::api::OAuth2Client;
use crate::api::oauth2_client::OAuth2ClientStatus;
use crate::controller::common::admission::is_revoked;
use crate::controller::common::client::plan::Plan;
use crate::controller::engine::context::Context;
use crate::controller::engine::hold::release;
use crate::controller::engine::managed::Pass;
use crate::controller::engine::verdict::Done;
use crate::error::{Error, Result};

pub mod adoption;
pub mod catalogue;
pub mod checks;
pub mod cleanup;
pub mod ledger;
pub mod plan;
pub mod reference;
pub mod remote;
pub mod work;

/// How soon a referenced Secret without our watch label is looked at again.
pub(crate) const UNWATCHED: Duration = Duration::from_secs(45);

/// Access is denied. Where the server's admin wants it, what was made before goes.
pub(crate) async fn revoked(
    client: &OAuth2Client,
    ctx: &Context,
    plan: &Plan,
    pass: &mut Pass<OAuth2ClientStatus>,
    denied: Denied,
) -> Result<Done> {
    if is_revoked(client, ctx, &plan.server, &denied).await? {
        cleanup::remove(client, ctx, pass).await?;
        pass.status = OAuth2ClientStatus {
            conditions: pass.status.conditions.clone(),
            ..OAuth2ClientStatus::default()
        };
        ctx.clients.memory.wrote_at(&plan.uid, None);
        release(client, ctx).await?;
    }
    Err(Error::NotAllowed {
        server: plan.server.name_any(),
        denied,
    })
}
