//! Deletion: the client on the server, then our Secrets, then (in the engine) the finalizer. Access rules are not
//! checked: what the operator made may always be deleted.

use kube::runtime::reflector::ObjectRef;

use crate::admin::hydra::Client;
use crate::admin::hydra::sync::Ownership;
use crate::api::OAuth2Client;
use crate::api::oauth2_client::OAuth2ClientStatus;
use crate::api::refs::{Adoption, DeletionPolicy};
use crate::controller::common::claim::{Claiming, note_left_behind};
use crate::controller::common::cleanup::{connection, hindered, is_quiet};
use crate::controller::common::client::outcome::{Fate, drop_secrets, fate, leave_secret};
use crate::controller::common::note::{note_deleted, note_released};
use crate::controller::engine::context::Context;
use crate::controller::engine::lifecycle::is_abandoned;
use crate::controller::engine::links::Link;
use crate::controller::engine::managed::{OnServer, Pass};
use crate::controller::hydra::client::adoption::owner_of;
use crate::controller::hydra::client::plan::{client_id, id_with};
use crate::controller::hydra::failure::failure;
use crate::error::{Error, Outage, Result};

/// The object in messages.
const TYPE: &str = "client";

pub(crate) async fn run(client: &OAuth2Client, ctx: &Context, pass: &mut Pass<OAuth2ClientStatus>) -> Result<()> {
    match fate(client, ctx).await? {
        Fate::Delete => remove(client, ctx, pass).await,
        Fate::Abandon => {
            note_released(pass, TYPE);
            drop_secrets(client, ctx).await
        }
        Fate::Orphan => orphan(client, ctx, pass).await,
    }
}

/// Deletes the client, if it is ours, and our Secrets. An adopted client stays, unless the spec says otherwise. The
/// marker shows that it was adopted, even if the status was lost.
pub(crate) async fn remove(client: &OAuth2Client, ctx: &Context, pass: &mut Pass<OAuth2ClientStatus>) -> Result<()> {
    let (_, link) = connection(client, ctx)?;
    let removed = remove_client(client, ctx, pass, &link).await;
    match removed.map_err(|error| hindered(client, ctx, error))? {
        Fate::Orphan => orphan(client, ctx, pass).await,
        Fate::Delete | Fate::Abandon => drop_secrets(client, ctx).await,
    }
}

pub(crate) async fn remove_client(
    client: &OAuth2Client,
    ctx: &Context,
    pass: &mut Pass<OAuth2ClientStatus>,
    link: &Link,
) -> Result<Fate> {
    let id = id_with(client, Some(&pass.status));
    if id.is_empty() {
        return Ok(Fate::Delete); // its id was never known, so it was never registered
    }
    let is_quiet = is_quiet(client, ctx, pass.status.updated_at.is_some());
    let found = link.hydra()?.get_client(&id).await;
    let found = found.map_err(|failed| failure("get_o_auth2_client", failed))?;
    let mark = found.as_ref().and_then(Client::marker);
    let owner = found.as_ref().map(|found| owner_of(client, ctx, &pass.status, found));
    let is_unmarked = found.as_ref().is_some_and(Client::is_unmarked);
    let is_left = client.consent().deletion_policy != Some(DeletionPolicy::Delete);
    let is_kept = is_left && mark.as_ref().is_some_and(|mark| mark.adopted);
    match owner {
        // The marker of a former cluster need not be rewritten before a deletion.
        Some(Ownership::Ours | Ownership::Former(_)) => match is_kept {
            true => Ok(Fate::Orphan),
            false => {
                let deleted = link.hydra()?.delete_client(&id).await;
                deleted.map_err(|failed| failure("delete_o_auth2_client", failed))?;
                note_deleted(pass, TYPE);
                Ok(Fate::Delete)
            }
        },
        Some(Ownership::OtherCluster(cluster)) => {
            note_left_behind(pass, TYPE, &id, &cluster);
            Ok(Fate::Delete)
        }
        // The marker was already removed, by another tool or by us.
        Some(Ownership::Others) if pass.status.adopted == Some(true) && is_unmarked && is_left => Ok(Fate::Orphan),
        // A write that takes the client over may still be in progress.
        Some(Ownership::Others) if !is_quiet && client.spec.adoption == Some(Adoption::Allow) => {
            Err(Error::CleanupUnconfirmed)
        }
        None if !is_quiet => Err(Error::CleanupUnconfirmed),
        Some(Ownership::Others) | None => Ok(Fate::Delete),
    }
}

/// Leaves client and credentials Secret working, without our markers.
async fn orphan(client: &OAuth2Client, ctx: &Context, pass: &mut Pass<OAuth2ClientStatus>) -> Result<()> {
    leave_secret(client, ctx).await?;
    // Last: while the marker exists, it shows that the cleanup is not complete.
    let unmarked = match connection(client, ctx) {
        Ok((_, link)) => unmark(client, ctx, &link).await,
        // Wait for the server's first pass in this process: no later pass removes the marker.
        Err(error) if error.is_silent() => return Err(error),
        Err(error) => Err(error),
    };
    match unmarked {
        Ok(()) => {}
        // The server works, but the request conflicted with another one. The next try may succeed.
        Err(error @ Error::Unavailable(Outage::Busy | Outage::Limited(_) | Outage::Status(500, _)))
            if !is_abandoned(client) =>
        {
            return Err(hindered(client, ctx, error));
        }
        Err(failure) => {
            if failure.is_outage() {
                ctx.kinds.servers.wake(ObjectRef::new(client.server_name()));
            }
            tracing::info!(%failure, "the orphaned client keeps its marker");
        }
    }
    note_released(pass, TYPE);
    Ok(())
}

async fn unmark(client: &OAuth2Client, ctx: &Context, link: &Link) -> Result<()> {
    let id = client_id(client);
    if id.is_empty() {
        return Ok(());
    }
    let found = link
        .hydra()?
        .get_client(&id)
        .await
        .map_err(|f| failure("get_o_auth2_client", f))?;
    let status = client.status.clone().unwrap_or_default();
    let is_ours = |found: &Client| match owner_of(client, ctx, &status, found) {
        Ownership::Ours | Ownership::Former(_) => true,
        Ownership::OtherCluster(_) | Ownership::Others => false,
    };
    let Some(mut found) = found.filter(is_ours) else {
        return Ok(());
    };
    found.unmark();
    link.hydra()?
        .update_client(&found, None)
        .await
        .map_err(|f| failure("update_o_auth2_client", f))?;
    Ok(())
}
