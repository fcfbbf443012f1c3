//! What happens to a client and its Secrets when the resource is deleted.

use std::collections::BTreeSet;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use crate::api::oauth2_client::OAuth2ClientStatus;
use crate::api::refs::DeletionPolicy;
use crate::api::{OAuth2Client, REVISION_ANNOTATION, UID_LABEL, WATCH_LABEL};
use crate::controller::common::claim::Claiming;
use crate::controller::common::cleanup::{is_allowed, may_leave_behind};
use crate::controller::common::client::layout::secret_name;
use crate::controller::common::client::plan::ledger_name;
use crate::controller::common::own_secret::{drop_at_cleanup, is_owned};
use crate::controller::engine::context::Context;
use crate::controller::engine::lifecycle::is_abandoned;
use crate::controller::engine::managed::SecretKey;
use crate::error::{Error, Result};

/// What happens to the client on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Delete,
    Orphan,
    /// No request is sent to the server.
    Abandon,
}

/// Decides what happens to the client on the server. It is left behind only if the access rules allow it, now or when
/// the spec was accepted, or if it was adopted.
pub(crate) async fn fate(client: &OAuth2Client, ctx: &Context) -> Result<Fate> {
    let status = client.status.clone().unwrap_or_default();
    let wants_orphan = deletion_policy(client, &status) == DeletionPolicy::Orphan;
    if !is_abandoned(client) && !wants_orphan {
        return Ok(Fate::Delete);
    }
    let is_adopted = status.adopted == Some(true);
    let accepted = status.effective.as_ref().map(|effective| effective.deletion_policy);
    if is_abandoned(client) && may_leave_behind(client, ctx).await? {
        return Ok(Fate::Abandon);
    }
    if !wants_orphan {
        return Ok(Fate::Delete);
    }
    if is_adopted || accepted == Some(DeletionPolicy::Orphan) {
        return Ok(Fate::Orphan);
    }
    let may_stay = is_allowed(client, ctx, |rules, seen| client.may_stay(rules, seen));
    Ok(match may_stay.await? {
        true => Fate::Orphan,
        false => Fate::Delete,
    })
}

/// Keeps the credentials Secret, without our owner reference, labels and annotation, and deletes the ledger. In a
/// namespace that is being deleted, both are deleted with it.
pub(crate) async fn leave_secret(client: &OAuth2Client, ctx: &Context) -> Result<()> {
    let namespace = client.namespace().unwrap_or_default();
    let is_within = ctx.settings.reach.has_namespace(&namespace);
    let has_secret = client
        .status
        .as_ref()
        .is_some_and(|status| status.secret_name.is_some());
    match keep_credentials(client, ctx).await {
        Err(error) if error.is_forbidden() && ctx.is_going(&namespace) => return Ok(()),
        Err(error) if error.is_forbidden() && !is_within && has_secret => {
            return Err(Error::NamespaceLeft(namespace));
        }
        Err(error) if error.is_forbidden() && !is_within => return Ok(()),
        kept => kept?,
    }
    let uid = client.uid().unwrap_or_default();
    let ledger = ledger_name(&uid);
    if let Some(found) = ctx.own_secret(&namespace, &uid, &ledger) {
        drop_at_cleanup(ctx, &namespace, &uid, &ledger, found.uid).await?;
    }
    Ok(())
}

async fn keep_credentials(client: &OAuth2Client, ctx: &Context) -> Result<()> {
    let namespace = client.namespace().unwrap_or_default();
    let uid = client.uid().unwrap_or_default();
    for name in secret_names(client, ctx)
        .iter()
        .filter(|name| **name != ledger_name(&uid))
    {
        let Some(mut secret) = ctx.cluster.secret(&namespace, name).await? else {
            continue;
        };
        if !is_owned(&secret, &uid) {
            continue;
        }
        let owners = secret.metadata.owner_references.iter_mut();
        owners.for_each(|owners| owners.retain(|owner| owner.uid != uid));
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
    Ok(())
}

/// Names that our Secrets may have: the present names and, while a rename may be incomplete, those of all Secrets with
/// our labels.
fn secret_names(client: &OAuth2Client, ctx: &Context) -> BTreeSet<String> {
    let uid = client.uid().unwrap_or_default();
    let mut names = own_secrets(client);
    let is_renamed = names.len() > 2;
    if is_renamed {
        names.extend(ctx.marked_secrets(&client.namespace().unwrap_or_default(), &uid));
    }
    names
}

/// Names that follow from spec and status: of the ledger and of the credentials Secret, the present and the former one.
fn own_secrets(client: &OAuth2Client) -> BTreeSet<String> {
    let former = client.status.as_ref().and_then(|status| status.secret_name.clone());
    let ledger = ledger_name(&client.uid().unwrap_or_default());
    let all = [ledger, secret_name(client)];
    all.into_iter().chain(former).collect()
}

/// The Secrets that a client depends on: its own, and the one with the private key of its key set.
pub(crate) fn secrets(client: &OAuth2Client, ctx: &Context) -> Vec<SecretKey> {
    let uid = client.uid().unwrap_or_default();
    let own = own_secrets(client).into_iter().map(|name| SecretKey {
        owner: uid.clone(),
        name,
    });
    let set = client.spec.key_set_ref.as_ref().and_then(|reference| {
        let key = ObjectRef::new(&reference.name).within(&client.namespace().unwrap_or_default());
        ctx.kinds.key_sets.store.get(&key)
    });
    let key = set.and_then(|set| {
        Some(SecretKey {
            owner: set.uid()?,
            name: set.status.as_ref()?.secret_name.clone()?,
        })
    });
    own.chain(key).collect()
}

/// Deletes our Secrets without waiting for the garbage collector: a new resource of the same name must not find them.
pub(crate) async fn drop_secrets(client: &OAuth2Client, ctx: &Context) -> Result<()> {
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

/// Returns the deletion policy: an adopted client stays, unless the spec says otherwise.
pub(crate) fn deletion_policy(client: &OAuth2Client, status: &OAuth2ClientStatus) -> DeletionPolicy {
    client.consent().policy(status.adopted)
}
