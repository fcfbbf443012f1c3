//! The name of the credentials Secret: whether it is free, and what an earlier resource left under it.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::ResourceExt;

use crate::api::OAuth2Client;
use crate::controller::common::claim::asked_first;
use crate::controller::common::client::layout::{Layout, asked_labels, secret_name};
use crate::controller::common::client::offered::{check_consent, check_offered};
use crate::controller::common::client::plan::ClientPlan;
use crate::controller::common::own_secret::{is_left_by, is_owned, labels, owned_by, remember};
use crate::controller::engine::context::Context;
use crate::controller::engine::lifecycle::is_held;
use crate::controller::engine::managed::Managed;
use crate::error::{Error, Result, Taken};

/// Checks that no Secret of this name belongs to another owner, unless the resource may take it over, and that no other
/// client is about to create one. `layout`: of the Secret, if it is known; `left`: UIDs of earlier resources, whose Secret
/// may be taken back.
///
/// # Errors
/// [`Error::SecretConflict`], [`Error::Earlier`], [`Error::Going`], [`Error::Cluster`].
pub(crate) async fn check_free(
    client: &OAuth2Client,
    ctx: &Context,
    plan: &ClientPlan,
    layout: Option<&Layout>,
    left: &BTreeSet<String>,
) -> Result<()> {
    let name = secret_name(client);
    if let Some(other) = other_user(client, ctx, &name) {
        return Err(Error::SecretConflict(Taken {
            name,
            owner: Some(format!("{} `{}`", OAuth2Client::KIND, other.name_any())),
        }));
    }
    match ctx.cluster.secret(&plan.namespace, &name).await? {
        Some(found) if left.iter().any(|uid| is_left_by(&found, uid)) => Ok(()),
        Some(found) if !is_owned(&found, &plan.uid) => match layout {
            Some(layout) => check_offered(&found, client, layout, plan),
            None => check_consent(&found, client),
        },
        _ => Ok(()),
    }
}

/// Another client of the namespace that has a Secret of this name, or asked for it first and is being registered.
fn other_user(client: &OAuth2Client, ctx: &Context, name: &str) -> Option<Arc<OAuth2Client>> {
    // One that cannot be registered blocks nobody.
    let memory = &ctx.kinds.clients.memory;
    let is_progressing = |other: &OAuth2Client| !memory.is_failing(other.metadata.uid.as_deref().unwrap_or_default());
    let uses = |other: &OAuth2Client| {
        let has_it = other.status.as_ref().and_then(|status| status.secret_name.as_deref()) == Some(name);
        other.metadata.namespace == client.metadata.namespace
            && other.metadata.uid != client.metadata.uid
            && is_held(other)
            && (has_it || secret_name(other) == name && asked_first(other, client) && is_progressing(other))
    };
    ctx.kinds.clients.store.find(uses)
}

/// Makes a credentials Secret that an earlier resource left that of this one. Its content stays; it is corrected like
/// that of any Secret of ours. Returns whether there was one.
///
/// # Errors
/// [`Error::Cluster`], [`Error::NotLeader`].
pub(crate) async fn take_back(
    client: &OAuth2Client,
    ctx: &Context,
    plan: &ClientPlan,
    left: &BTreeSet<String>,
) -> Result<bool> {
    let found = ctx.cluster.secret(&plan.namespace, &secret_name(client)).await?;
    let Some(mut secret) = found.filter(|found| left.iter().any(|uid| is_left_by(found, uid))) else {
        return Ok(false);
    };
    secret.metadata.owner_references = owned_by(client);
    secret
        .metadata
        .labels
        .get_or_insert_default()
        .extend(labels(ctx, &plan.uid, &asked_labels(client)));
    let written = ctx.cluster.replace(&plan.namespace, &secret).await?;
    remember(ctx, &plan.uid, &written);
    Ok(true)
}
