//! The ledger: id, secret and revision of a client, stored before the server gets them.
//!
//! It is a separate Secret, so the Secret that applications mount is never incomplete. Changes flow one way: ledger →
//! server → credentials Secret.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret as KubeSecret;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use crate::api::event::Happening;
use crate::api::oauth2_client::{Effective, OAuth2ClientStatus};
use crate::api::{OAuth2Client, RESOURCE_ANNOTATION};
use crate::controller::common::client::layout::{self, asked_labels};
use crate::controller::common::client::offered::check_offered;
use crate::controller::common::client::output::Held;
use crate::controller::common::client::plan::{ClientPlan, Way, ledger_name};
use crate::controller::common::own_secret::{conflict, has_labels, is_owned, labels, owned_by, remember, text};
use crate::controller::engine::context::Context;
use crate::controller::engine::hold::confirm;
use crate::controller::engine::managed::Pass;
use crate::controller::hydra::client::reference;
use crate::controller::hydra::client::work::{Secrecy, Work};
use crate::error::{ClusterFault, Error, Result};
use crate::labels::Labels;
use crate::secret::Secret;

mod entry;

pub(crate) use entry::{Entry, read};

const TYPE: &str = "oidc-operator.dev/ledger";

/// The current secret and its revision.
pub(crate) struct Ledger {
    /// The client secret.
    pub(crate) secret: Secret,
    /// Revision of the secret. The marker on the server repeats it.
    pub(crate) revision: String,
    /// The secret before it.
    pub(crate) former: Former,
    /// Whether this pass wrote the ledger with a new revision.
    pub(crate) rewritten: bool,
    /// resourceVersion of the Secret that was read or written.
    pub(crate) version: String,
    /// When the secret was made.
    pub(crate) since: Option<Timestamp>,
}

/// The secret before the current one.
#[derive(Clone)]
pub(crate) enum Former {
    /// It is not valid.
    Over,
    /// It is valid beside the current one. With its revision.
    Valid(Secret, String),
    /// It is to end. Only the pass that stored this says so: a later one does not know how far this pass came.
    Ends,
}

impl Settled {
    fn of(ledger: Ledger) -> Self {
        Settled::Ledger(Some(ledger))
    }
}

impl Ledger {
    /// When the secret came into use. With a former one beside it, that is when the credentials Secret first had it: now,
    /// unless the status has told it. `told`: the time in the status.
    pub(crate) fn in_use_since(&self, told: Option<&str>, now: Timestamp) -> Option<Timestamp> {
        if !matches!(self.former, Former::Valid(..)) {
            return self.since;
        }
        let made = self.since.unwrap_or(now);
        let told = told.and_then(|told| told.parse().ok()).filter(|told| *told >= made);
        Some(told.unwrap_or(now.max(made)))
    }

    /// The secret, for the Secret that applications mount.
    pub(crate) fn held(&self) -> Held<'_> {
        Held {
            secret: &self.secret,
            former: match &self.former {
                Former::Valid(former, _) => Some(former),
                Former::Over | Former::Ends => None,
            },
            revision: Some(&self.revision),
        }
    }
}

impl Entry {
    /// When the secret came into use. `found`: the stored ledger.
    fn in_use_since(&self, plan: &ClientPlan, found: Option<&KubeSecret>) -> Option<Timestamp> {
        let since = self.since.or_else(|| created_at(found?));
        since.map(|since| plan.schedule.since(since))
    }

    fn into_ledger(
        self,
        work: &Work<'_>,
        found: Option<&KubeSecret>,
        version: Option<String>,
        rewritten: bool,
    ) -> Ledger {
        Ledger {
            since: match rewritten {
                true => self.since,
                false => self.in_use_since(work.plan, found),
            },
            secret: self.secret,
            revision: self.revision,
            former: match self.former {
                Some((secret, revision)) => Former::Valid(secret, revision),
                None => Former::Over,
            },
            rewritten,
            version: version.unwrap_or_default(),
        }
    }
}

/// Stores what the ledger of an earlier resource held in that of this one. `found`: the latter, if it exists.
///
/// # Errors
/// [`Error::Cluster`], [`Error::NotLeader`].
pub(crate) async fn inherit(
    client: &OAuth2Client,
    ctx: &Context,
    plan: &ClientPlan,
    found: Option<KubeSecret>,
    entry: &Entry,
) -> Result<()> {
    match write(client, ctx, plan, found, entry).await? {
        Some(_) => Ok(()),
        None => Err(Error::Cluster(ClusterFault::Conflict)),
    }
}

/// What is known once the ledger is read and repaired.
pub(crate) enum Settled {
    /// The ledger. None for a client without a secret, or with a secret that only other owners know.
    Ledger(Option<Ledger>),
    /// A new secret is due, and the server is to make it. Nothing has been written.
    Due(Box<(KubeSecret, Entry)>),
}

/// Reads and repairs the ledger: creates it, rebuilds it from the credentials Secret, or stores the user's secret or,
/// if one is due, a new secret.
pub(crate) async fn put_right(
    work: &Work<'_>,
    pass: &mut Pass<OAuth2ClientStatus>,
    is_new: bool,
    secrecy: &Secrecy,
) -> Result<Settled> {
    let Work {
        client,
        ctx,
        plan,
        reference,
        ..
    } = *work;
    if !plan.effective.has_secret() || matches!(secrecy, Secrecy::Others) {
        return Ok(Settled::Ledger(None));
    }
    let users = match (reference, secrecy) {
        (Some(reference), _) => Some(reference::value(client, ctx, plan, reference).await?),
        (None, Secrecy::Published(secret)) => Some(secret.clone()),
        (None, _) => None,
    };
    let found = match is_new {
        true => None,
        false => find(client, ctx, plan).await?,
    };
    if found.is_none() && work.had_ledger() {
        confirm(client, ctx).await?;
    }
    let entry = found.as_ref().and_then(|found| read(found, &plan.client_id));
    let is_due = users.is_none() && is_due(work, found.as_ref(), entry.as_ref());
    if let (Some(entry), Some(found)) = (&entry, &found)
        && users.as_ref().is_none_or(|users| *users == entry.secret)
        && !matches!(secrecy, Secrecy::Replaced)
    {
        if let Some(entry) = without_former(work, &pass.status, entry) {
            return end(work, found, entry).await.map(Settled::of);
        }
        match (is_due, plan.way) {
            (false, _) => return kept(work, found, entry).await.map(Settled::of),
            (true, Some(Way::Overlap)) => return Ok(Settled::Due(Box::new((found.clone(), entry.clone())))),
            (true, _) => {}
        }
    }
    let secret = match users {
        Some(secret) => secret,
        None if is_due && entry.is_some() || matches!(secrecy, Secrecy::Replaced) => replaced(pass),
        None => lost(work, pass, found.as_ref(), is_new).await?,
    };
    store_new(work, found, secret).await.map(Settled::of)
}

/// Whether the secret is to be replaced. Both must agree: the pass, which has checked that this may happen, and the time
/// in the ledger.
fn is_due(work: &Work<'_>, found: Option<&KubeSecret>, entry: Option<&Entry>) -> bool {
    let schedule = &work.plan.schedule;
    let since = entry.and_then(|entry| entry.in_use_since(work.plan, found));
    let since = since.or_else(|| Some(schedule.since(created_at(found?)?)));
    work.is_due && since.is_some_and(|since| schedule.is_due(since, Duration::ZERO, Timestamp::now()))
}

/// The secret in the place of one that the ledger does not have any more.
async fn lost(
    work: &Work<'_>,
    pass: &mut Pass<OAuth2ClientStatus>,
    found: Option<&KubeSecret>,
    is_new: bool,
) -> Result<Secret> {
    let Work { client, ctx, plan, .. } = *work;
    match found.and_then(usable_secret) {
        Some(secret) => Ok(secret),
        None => match repeated(client, ctx, plan, pass, is_new).await? {
            Some(secret) => Ok(secret),
            None => Ok(anew(pass)),
        },
    }
}

/// Replaces a secret that is due, without an overlap.
pub(super) async fn replace(work: &Work<'_>, pass: &mut Pass<OAuth2ClientStatus>, found: KubeSecret) -> Result<Ledger> {
    let secret = replaced(pass);
    store_new(work, Some(found), secret).await
}

async fn store_new(work: &Work<'_>, found: Option<KubeSecret>, secret: Secret) -> Result<Ledger> {
    store(work, found, Entry::new(work.plan.client_id.clone(), secret)).await
}

/// The ledger without the former secret, if its overlap is over. It begins when the status tells of the current secret,
/// which the credentials Secret has by then.
fn without_former(work: &Work<'_>, status: &OAuth2ClientStatus, entry: &Entry) -> Option<Entry> {
    let published_at = status.rotated_at.as_ref()?.parse().ok()?;
    let is_over = work.ends_former && entry.former.is_some() && entry.since.is_none_or(|made| made <= published_at);
    is_over.then(|| entry.sent_again(Some(published_at)))
}

/// Ends the former secret: without it in the ledger, and with another revision, this pass or a later one ends it on the
/// server too.
async fn end(work: &Work<'_>, found: &KubeSecret, entry: Entry) -> Result<Ledger> {
    let stored = store(work, Some(found.clone()), entry).await?;
    Ok(Ledger {
        former: Former::Ends,
        ..stored
    })
}

/// An intact ledger. Only its labels may have to change, which nobody but the cluster needs to know.
pub(super) async fn kept(work: &Work<'_>, found: &KubeSecret, entry: &Entry) -> Result<Ledger> {
    let Work { client, ctx, plan, .. } = *work;
    let wanted = wanted_labels(client, ctx, plan);
    let is_labelled = match work.is_laid_out_anew() {
        true => *found.labels() == wanted,
        false => has_labels(found, &wanted),
    };
    let version = match is_labelled {
        true => found.resource_version(),
        false => {
            let written = write(client, ctx, plan, Some(without_labels(work, found.clone())), entry).await?;
            written.and_then(|written| written.resource_version())
        }
    };
    Ok(entry.clone().into_ledger(work, Some(found), version, false))
}

/// A ledger that may get other labels, without those that an earlier spec may have asked for.
fn without_labels(work: &Work<'_>, mut found: KubeSecret) -> KubeSecret {
    if work.is_laid_out_anew() {
        found.labels_mut().clear();
    }
    found
}

fn wanted_labels(client: &OAuth2Client, ctx: &Context, plan: &ClientPlan) -> Labels {
    labels(ctx, &plan.uid, &asked_labels(client))
}

/// Our ledger, if there is one.
///
/// # Errors
/// [`Error::SecretConflict`] if a Secret of another owner has its name; [`Error::Cluster`].
async fn find(client: &OAuth2Client, ctx: &Context, plan: &ClientPlan) -> Result<Option<KubeSecret>> {
    let name = ledger_name(&plan.uid);
    match ctx.cluster.secret(&plan.namespace, &name).await? {
        Some(found) if !is_owned(&found, &plan.uid) => Err(conflict(&found, client)),
        found => Ok(found),
    }
}

/// Stores an entry with a new revision, in place of what was found.
pub(super) async fn store(work: &Work<'_>, found: Option<KubeSecret>, entry: Entry) -> Result<Ledger> {
    let Work { client, ctx, plan, .. } = *work;
    let found = found.map(|found| without_labels(work, found));
    match write(client, ctx, plan, found, &entry).await? {
        Some(written) => Ok(entry.into_ledger(work, Some(&written), written.resource_version(), true)),
        // Another writer created one between our read and our write; the next pass reads it.
        None => Err(Error::Cluster(ClusterFault::Conflict)),
    }
}

/// A new secret in place of one that is due for replacement.
fn replaced(pass: &mut Pass<OAuth2ClientStatus>) -> Secret {
    let note = "The client has a new secret, because the old one was due. Restart applications that read the Secret only when they start.";
    pass.note(Happening::SecretRotated, note);
    Secret::generate()
}

fn created_at(ledger: &KubeSecret) -> Option<Timestamp> {
    ledger.creation_timestamp().map(|at| at.0)
}

/// The secret of a lost ledger, if the credentials Secret repeats it.
async fn repeated(
    client: &OAuth2Client,
    ctx: &Context,
    plan: &ClientPlan,
    pass: &Pass<OAuth2ClientStatus>,
    fresh: bool,
) -> Result<Option<Secret>> {
    if fresh {
        return Ok(None);
    }
    let layout = layout::layout(client, ctx, plan)?;
    let former = pass.status.secret_name.iter().map(String::as_str);
    for name in former.chain([layout.name.as_str()]) {
        let found = ctx.cluster.secret(&plan.namespace, name).await?;
        let value = found
            .filter(|found| is_owned(found, &plan.uid) || check_offered(found, client, &layout, plan).is_ok())
            .and_then(|found| text(&found, &layout.secret_key));
        if let Some(secret) = value.filter(|value| reference::problem(value).is_none()) {
            return Ok(Some(Secret::new(secret)));
        }
    }
    Ok(None)
}

/// A new secret. An event reports if a former one was lost.
fn anew(pass: &mut Pass<OAuth2ClientStatus>) -> Secret {
    let status = &pass.status;
    let had_one = status.effective.as_ref().is_some_and(Effective::has_secret) && status.secret_name.is_some();
    if had_one && status.updated_at.is_some() {
        let note = "The ledger and the credentials Secret were lost, so the client has a new secret. Restart applications that still use the old one.";
        pass.note(Happening::SecretReplaced, note);
    }
    Secret::generate()
}

/// Creates or replaces the ledger, and returns it. None: the name is already taken.
pub(super) async fn write(
    client: &OAuth2Client,
    ctx: &Context,
    plan: &ClientPlan,
    found: Option<KubeSecret>,
    entry: &Entry,
) -> Result<Option<KubeSecret>> {
    let exists = found.is_some();
    let mut secret = found.unwrap_or_default();
    secret.metadata.name = Some(ledger_name(&plan.uid));
    secret.metadata.owner_references = owned_by(client);
    secret.labels_mut().extend(wanted_labels(client, ctx, plan));
    let annotations = secret.metadata.annotations.get_or_insert_default();
    annotations.insert(RESOURCE_ANNOTATION.to_owned(), client.name_any());
    if !exists {
        secret.type_ = Some(TYPE.to_owned());
    }
    secret.data = Some(entry.data());
    let written = if exists {
        ctx.cluster.replace(&plan.namespace, &secret).await?
    } else {
        match ctx.cluster.create(&plan.namespace, &secret).await? {
            Some(created) => created,
            None => return Ok(None),
        }
    };
    remember(ctx, &plan.uid, &written);
    Ok(Some(written))
}

/// Value of an edited ledger, if it can be a secret. The operator sends it to the server, as the editor intended.
pub(crate) fn usable_secret(secret: &KubeSecret) -> Option<Secret> {
    text(secret, "client_secret")
        .filter(|value| reference::problem(value).is_none())
        .map(Secret::new)
}
