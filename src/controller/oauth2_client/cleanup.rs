//! Deletion: the client on the server, then our Secrets, then (by the driver) the finalizer. Access is not evaluated: what was made may always go.

use std::collections::BTreeSet;

use kube::ResourceExt;

use super::adoption::{deletion_policy, owner_of};
use super::{client_id, ledger};
use crate::admin::hydra::Client;
use crate::admin::sync::Ownership;
use crate::api::oauth2_client::OAuth2ClientStatus;
use crate::api::refs::{Adoption, DeletionPolicy};
use crate::api::{OAuth2Client, REVISION_ANNOTATION, UID_LABEL, WATCH_LABEL};
use crate::controller::cleanup::{connection, hindered, is_settled, may_leave_behind};
use crate::controller::failure::{failure, outage};
use crate::controller::links::Link;
use crate::controller::object::note_left_behind;
use crate::controller::on_server::OnServer;
use crate::controller::own_secret::{drop_at_cleanup, drop_one, is_owned};
use crate::controller::{Context, Pass, is_abandoned};
use crate::error::{Error, Outage, Result};

/// What becomes of the client on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Delete,
    Orphan,
    /// Nothing is asked of the server at all.
    Abandon,
}

pub(super) async fn run(client: &OAuth2Client, ctx: &Context, pass: &mut Pass<OAuth2ClientStatus>) -> Result<()> {
    match fate(client, ctx).await? {
        Fate::Delete => remove(client, ctx, pass).await,
        Fate::Abandon => drop_secrets(client, ctx).await,
        Fate::Orphan => orphan(client, ctx).await,
    }
}

/// Leaving a client behind needs the consent of the access rules, given now or when the spec was accepted.
pub(super) async fn fate(client: &OAuth2Client, ctx: &Context) -> Result<Fate> {
    let status = client.status.clone().unwrap_or_default();
    let wants_orphan = deletion_policy(client, &status) == DeletionPolicy::Orphan;
    if !is_abandoned(client) && !wants_orphan {
        return Ok(Fate::Delete);
    }
    let is_default = client.spec.deletion_policy.is_none();
    let accepted = status.effective.as_ref().map(|effective| effective.deletion_policy);
    let allowed = may_leave_behind(client, ctx).await?;
    Ok(if is_abandoned(client) && allowed {
        Fate::Abandon
    } else if wants_orphan && (is_default || allowed || accepted == Some(DeletionPolicy::Orphan)) {
        Fate::Orphan
    } else {
        Fate::Delete
    })
}

/// Deletes the client, if it is ours, and our Secrets. One that others had made stays, unless the spec says otherwise: the mark knows, whatever became of
/// the status.
pub(super) async fn remove(client: &OAuth2Client, ctx: &Context, pass: &mut Pass<OAuth2ClientStatus>) -> Result<()> {
    let (_, link) = connection(client, ctx)?;
    let removed = remove_client(client, ctx, pass, &link).await;
    match removed.map_err(|error| hindered(client, ctx, error))? {
        Fate::Orphan => orphan(client, ctx).await,
        Fate::Delete | Fate::Abandon => drop_secrets(client, ctx).await,
    }
}

async fn remove_client(
    client: &OAuth2Client,
    ctx: &Context,
    pass: &mut Pass<OAuth2ClientStatus>,
    link: &Link,
) -> Result<Fate> {
    let id = client_id(client);
    let is_settled = is_settled(client, ctx, pass.status.updated_at.is_some());
    let found = link.hydra()?.get_client(&id).await;
    let found = found.map_err(|failed| failure("get_o_auth2_client", failed))?;
    let mark = found.as_ref().and_then(Client::marker);
    let owner = found.as_ref().map(|found| owner_of(client, ctx, &pass.status, found));
    let is_unmarked = found.as_ref().is_some_and(Client::is_unmarked);
    let is_left = client.spec.deletion_policy != Some(DeletionPolicy::Delete);
    let is_kept = is_left && mark.as_ref().is_some_and(|mark| mark.adopted);
    match owner {
        // The mark of a former cluster need not be rewritten on what goes.
        Some(Ownership::Ours | Ownership::Former(_)) => match is_kept {
            true => Ok(Fate::Orphan),
            false => {
                let deleted = link.hydra()?.delete_client(&id).await;
                deleted.map_err(|failed| failure("delete_o_auth2_client", failed))?;
                Ok(Fate::Delete)
            }
        },
        Some(Ownership::OtherCluster(cluster)) => {
            note_left_behind(pass, "client", &id, &cluster);
            Ok(Fate::Delete)
        }
        // The mark has gone before: by another tool, or by us.
        Some(Ownership::Others) if pass.status.adopted == Some(true) && is_unmarked && is_left => Ok(Fate::Orphan),
        // A write that takes it over may still be under way.
        Some(Ownership::Others) if !is_settled && client.spec.adoption == Some(Adoption::Allow) => {
            Err(Error::CleanupUnconfirmed)
        }
        None if !is_settled => Err(Error::CleanupUnconfirmed),
        Some(Ownership::Others) | None => Ok(Fate::Delete),
    }
}

/// Leaves the credentials Secret working, without our marks; the ledger goes.
pub(super) async fn leave_secret(client: &OAuth2Client, ctx: &Context) -> Result<()> {
    let namespace = client.namespace().unwrap_or_default();
    let uid = client.uid().unwrap_or_default();
    for name in secret_names(client, ctx)
        .iter()
        .filter(|name| **name != ledger::name(&uid))
    {
        let Some(mut secret) = ctx.cluster.secret(&namespace, name).await? else {
            continue;
        };
        if !is_owned(&secret, &uid) {
            continue;
        }
        secret.metadata.owner_references = None;
        let labels = secret.metadata.labels.get_or_insert_default();
        labels.remove(WATCH_LABEL);
        labels.remove(UID_LABEL);
        secret
            .metadata
            .annotations
            .get_or_insert_default()
            .remove(REVISION_ANNOTATION);
        ctx.cluster.replace(&namespace, &secret).await?;
    }
    let ledger = ledger::name(&uid);
    if let Some(found) = ctx.own_secret(&namespace, &uid, &ledger) {
        drop_one(ctx, &namespace, &uid, &ledger, found.uid).await?;
    }
    Ok(())
}

/// Leaves client and credentials Secret working, without our marks.
async fn orphan(client: &OAuth2Client, ctx: &Context) -> Result<()> {
    leave_secret(client, ctx).await?;
    // Last, since the mark tells what is left to be done.
    let unmarked = match connection(client, ctx) {
        Ok((_, link)) => unmark(client, ctx, &link).await,
        // The server's first pass in this process is worth waiting for: nobody comes back for the mark.
        Err(error) if error.is_silent() => return Err(error),
        Err(error) => Err(error),
    };
    match unmarked.map_err(|error| outage(ctx, client.server_name(), error)) {
        Ok(()) => {}
        // The server works, and this request met another: it passes.
        Err(error @ Error::Unavailable(Outage::Busy | Outage::Status(500, _))) if !is_abandoned(client) => {
            return Err(hindered(client, ctx, error));
        }
        Err(failure) => {
            tracing::info!(namespace = client.namespace(), name = client.name_any(), %failure, "the mark stays on the orphaned client");
        }
    }
    Ok(())
}

/// Names that Secrets of ours may have: the present ones, and every marked one while a change of name may be half done.
fn secret_names(client: &OAuth2Client, ctx: &Context) -> BTreeSet<String> {
    let uid = client.uid().unwrap_or_default();
    let wanted = client
        .spec
        .credentials
        .as_ref()
        .and_then(|credentials| credentials.secret_name.clone());
    let wanted = wanted.unwrap_or_else(|| client.name_any());
    let former = client.status.as_ref().and_then(|status| status.secret_name.clone());
    let mut names = BTreeSet::from([ledger::name(&uid), wanted.clone()]);
    if former.as_ref().is_some_and(|former| *former != wanted) {
        names.extend(ctx.marked_secrets(&client.namespace().unwrap_or_default(), &uid));
    }
    names.extend(former);
    names
}

async fn unmark(client: &OAuth2Client, ctx: &Context, link: &Link) -> Result<()> {
    let id = client_id(client);
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

/// Deletes our Secrets ourselves: a namesake that comes next must not find them.
pub(super) async fn drop_secrets(client: &OAuth2Client, ctx: &Context) -> Result<()> {
    let namespace = client.namespace().unwrap_or_default();
    let uid = client.uid().unwrap_or_default();
    for name in secret_names(client, ctx) {
        let Some(secret) = ctx.own_secret(&namespace, &uid, &name) else {
            continue;
        };
        drop_at_cleanup(ctx, &namespace, &uid, &name, secret.uid).await?;
    }
    Ok(())
}
