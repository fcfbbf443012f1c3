//! Deletion: the keys on the server, then the objects in the cluster that hold them. Access rules are not checked: what
//! the operator made may always be deleted.

use std::collections::BTreeSet;

use kube::ResourceExt;

use crate::api::JsonWebKeySet;
use crate::api::json_web_key_set::JsonWebKeySetStatus;
use crate::controller::common::claim::{Claiming, note_left_behind};
use crate::controller::common::cleanup::{connection, hindered, is_left, is_quiet, may_leave_behind};
use crate::controller::common::note::{note_deleted, note_released};
use crate::controller::common::own_config_map;
use crate::controller::common::own_secret::drop_at_cleanup;
use crate::controller::engine::context::Context;
use crate::controller::engine::lifecycle::is_abandoned;
use crate::controller::engine::managed::Pass;
use crate::controller::hydra::key_set::ledger::{self, Ledger};
use crate::controller::hydra::key_set::plan::RemoteSet;
use crate::controller::hydra::key_set::remote::Remote;
use crate::error::{Error, Result};

/// The object in messages.
const TYPE: &str = "key set";

pub(crate) async fn run(set: &JsonWebKeySet, ctx: &Context, pass: &mut Pass<JsonWebKeySetStatus>) -> Result<()> {
    if is_abandoned(set) && may_leave_behind(set, ctx).await? {
        note_released(pass, TYPE);
        return drop_copies(set, ctx, pass).await;
    }
    remove(set, ctx, pass).await
}

/// Deletes our keys, and every copy of them in the cluster.
pub(crate) async fn remove(set: &JsonWebKeySet, ctx: &Context, pass: &mut Pass<JsonWebKeySetStatus>) -> Result<()> {
    let claim = JsonWebKeySet::claim(&mut pass.status);
    if let (Some(name), Some(cluster)) = (claim.name.clone(), claim.other_cluster(&ctx.settings)) {
        note_left_behind(pass, TYPE, &name, &cluster);
        return drop_copies(set, ctx, pass).await;
    }
    if is_left(set, ctx, &mut pass.status).await? {
        note_released(pass, TYPE);
        return drop_copies(set, ctx, pass).await;
    }
    let (server, link) = connection(set, ctx)?;
    let target = RemoteSet::of(set, server);
    // Key ids and status show which keys are ours, except an imported key that was never confirmed. So cleanup does not
    // depend on the ledger.
    let entries = Ledger::read(set, ctx).await.map(|ledger| ledger.entries);
    let is_quiet = is_quiet(set, ctx, pass.status.set_name.is_some());
    let remote = Remote {
        ctx,
        target: &target,
        link: &link,
    };
    let removed = remote.remove(&pass.status, &entries.unwrap_or_default()).await;
    removed.map_err(|error| hindered(set, ctx, error))?;
    match is_quiet {
        true => {
            note_deleted(pass, TYPE);
            drop_copies(set, ctx, pass).await
        }
        false => Err(Error::CleanupUnconfirmed),
    }
}

async fn drop_copies(set: &JsonWebKeySet, ctx: &Context, pass: &mut Pass<JsonWebKeySetStatus>) -> Result<()> {
    let uid = set.uid().unwrap_or_default();
    let namespace = set.namespace().unwrap_or_default();
    // A Secret that was just written is not in the cache yet. A Secret with a former name is only in the cache.
    let published = set.spec.publish.as_ref();
    let mut names: BTreeSet<String> = ctx.marked_secrets(&namespace, &uid).into_iter().collect();
    names.insert(ledger::name(&uid));
    names.extend(set.private_key_secret_name());
    names.extend(published.and_then(|publish| publish.secret_name.clone()));
    for name in names {
        if let Some(secret) = ctx.own_secret(&namespace, &uid, &name) {
            drop_at_cleanup(ctx, &namespace, &uid, &name, secret.uid).await?;
        }
    }
    own_config_map::rename(set, ctx, &mut pass.status.config_map_name, None).await?;
    match set.config_map_name() {
        Some(name) => own_config_map::remove(set, ctx, &name).await,
        None => Ok(()),
    }
}
