//! A resource that was restored from a backup, with a new UID and without status, finds its client again: it keeps id
//! and secret. Whose the client is, and what is done, [`kept`](super::kept) decides.
//!
//! Secrets that came back and the last sweep say where to look; without such a hint nothing is asked. Each step can be
//! repeated: the mark on the server changes last, and until then the same search finds the same client.

use std::collections::BTreeSet;

use kube::ResourceExt;

use super::adoption::lives;
use super::id::problem;
use super::kept::{Consent, Evidence, Known, Verdict, judge, rank};
use super::kin::Kin;
use super::ledger;
use super::plan::{client_id, id_with, marker};
use super::remote::Remote;
use super::traces::{MOST, Trace, traces};
use crate::access::may_keep_id;
use crate::admin::hydra::Client;
use crate::api::OAuth2Client;
use crate::api::event::Happening;
use crate::api::oauth2_client::OAuth2ClientStatus;
use crate::api::refs::Adoption;
use crate::api::status::clear;
use crate::controller::common::admission::may_create;
use crate::controller::common::client::free::{check_free, take_back};
use crate::controller::common::client::inputs::Inputs;
use crate::controller::common::client::layout::secret_name;
use crate::controller::common::client::plan::{ClientPlan, ledger_name};
use crate::controller::common::own_secret::drop_left;
use crate::controller::engine::context::Context;
use crate::controller::engine::hold::{hold, record};
use crate::controller::engine::links::Link;
use crate::controller::engine::managed::{OnServer, Pass};
use crate::controller::hydra::failure::failure;
use crate::error::{EarlierFault, Error, Result};

/// Searches for the client of an earlier resource, and gives the plan the id that the client has.
///
/// # Errors
/// As [`find`].
pub(crate) async fn begin(
    client: &OAuth2Client,
    ctx: &Context,
    plan: &mut ClientPlan,
    pass: &mut Pass<OAuth2ClientStatus>,
) -> Result<Option<Box<Earlier>>> {
    let earlier = match find(client, ctx, plan, &pass.status).await? {
        Search::Settled => return Ok(None),
        Search::Nothing => None,
        Search::Found(earlier) => Some(earlier),
    };
    plan.client_id = match &earlier {
        Some(earlier) => earlier.client_id.clone(),
        None => id_with(client, None),
    };
    let status = &mut pass.status;
    let is_others = status.client_id.as_ref().is_some_and(|id| *id != plan.client_id);
    let is_ours = earlier.as_ref().is_some_and(|earlier| earlier.kin == Kin::Ours);
    if is_others || status.inputs.is_some() && !is_ours {
        // It is not of this resource, so nothing in it holds.
        let assigned = status.assigned_client_id.take();
        clear(status);
        status.assigned_client_id = assigned;
    }
    if earlier.is_none() && client.spec.client_id_from.is_none() {
        status.assigned_client_id = None;
    }
    Ok(earlier)
}

/// Result of a search.
enum Search {
    /// The resource is in sync with its client, so nothing is searched.
    Settled,
    /// There is no client to keep.
    Nothing,
    /// The client of an earlier resource is kept.
    Found(Box<Earlier>),
}

/// The client of an earlier resource, and what came back of it.
pub(crate) struct Earlier {
    /// Id of the client.
    pub(crate) client_id: String,
    kin: Kin,
    known: Known,
    /// The client as it was read.
    found: Option<Client>,
    traces: Vec<Trace>,
    /// UIDs of the earlier resources that it had.
    uids: BTreeSet<String>,
    link: Link,
}

/// Whether a search has to wait for the server. Asked before anything is read, because it may be asked often.
///
/// # Errors
/// [`Error::ServerPending`], [`EarlierFault::Unlisted`].
pub(crate) fn wait(client: &OAuth2Client, ctx: &Context, plan: &ClientPlan, status: &OAuth2ClientStatus) -> Result<()> {
    match searchable(client, ctx, plan, status) {
        Err(waits @ (Error::ServerPending(_) | Error::Earlier(_))) => Err(waits),
        Ok(_) | Err(_) => Ok(()), // what else is wrong comes first
    }
}

/// The server on which a client is searched for. None: the resource has one, so nothing is searched.
fn searchable(
    client: &OAuth2Client,
    ctx: &Context,
    plan: &ClientPlan,
    status: &OAuth2ClientStatus,
) -> Result<Option<Link>> {
    let is_unknown = plan.client_id.is_empty(); // the Secret with the id comes first
    let is_settled = is_settled(plan, status);
    if is_unknown || is_settled && (!has_lost(ctx, plan, status) || left_by(client, ctx, plan).is_empty()) {
        return Ok(None);
    }
    let link = ctx.links.usable(&plan.server)?;
    // Without a complete listing, a resource whose Secrets are lost would get a second client.
    match link.connection.unlisted() {
        Some(listing) => Err(Error::Earlier(EarlierFault::Unlisted {
            server: plan.server.name_any(),
            listing,
        })),
        None => Ok(Some(link)),
    }
}

/// Whether the resource is in sync with its client. A status that was restored as well names the client of the earlier
/// resource.
fn is_settled(plan: &ClientPlan, status: &OAuth2ClientStatus) -> bool {
    status.inputs.is_some() && status.client_id.as_deref().is_none_or(|id| id == plan.client_id)
}

/// UIDs of the earlier resources that Secrets in the namespace tell of.
fn left_by(client: &OAuth2Client, ctx: &Context, plan: &ClientPlan) -> BTreeSet<String> {
    ctx.left_by(&plan.namespace, &client.name_any(), &secret_name(client))
}

/// Searches for the client of an earlier resource, if this one has no client yet.
///
/// # Errors
/// Why a client that was found cannot be kept, and why the search cannot be made.
async fn find(client: &OAuth2Client, ctx: &Context, plan: &ClientPlan, status: &OAuth2ClientStatus) -> Result<Search> {
    let Some(link) = searchable(client, ctx, plan, status)? else {
        return Ok(Search::Settled);
    };
    let strangers = link.connection.census.strangers_of(&plan.namespace, &client.name_any());
    let mut uids = left_by(client, ctx, plan);
    uids.extend(strangers.iter().map(|(_, uid)| uid.clone()));
    let is_begun = plan.own_secret(ctx, &ledger_name(&plan.uid)).is_some();
    let is_blind = !ctx.shows_secrets(&plan.namespace);
    let hinted = status.client_id.iter().chain(&status.assigned_client_id);
    let mut ids: Vec<String> = strangers.into_iter().map(|(id, _)| id).chain(hinted.cloned()).collect();
    if uids.is_empty() && ids.is_empty() && !is_begun && !is_blind {
        return Ok(Search::Nothing);
    }
    if is_begun {
        uids.insert(plan.uid.clone());
    }
    let traces = traces(client, ctx, plan, uids).await?;
    ids.extend(traces.iter().map(|trace| trace.evidence.client_id.clone()));
    match chosen(client, ctx, plan, link, ids, traces).await? {
        Search::Nothing if is_settled(plan, status) => Ok(Search::Settled),
        search => Ok(search),
    }
}

/// Whether a Secret is missing that the resource of this status had. Then the status may be that of an earlier one, even
/// if the id of the client is the same.
fn has_lost(ctx: &Context, plan: &ClientPlan, status: &OAuth2ClientStatus) -> bool {
    if plan.client_id == plan.uid {
        return false;
    }
    let last = status.inputs.as_deref().and_then(Inputs::parse);
    let name = match last.is_some_and(|last| last.had_ledger()) {
        true => Some(ledger_name(&plan.uid)),
        false => status.secret_name.clone(),
    };
    name.is_some_and(|name| plan.own_secret(ctx, &name).is_none())
}

/// Asks the server about the ids, and chooses the first client that is kept.
async fn chosen(
    client: &OAuth2Client,
    ctx: &Context,
    plan: &ClientPlan,
    link: Link,
    mut ids: Vec<String>,
    traces: Vec<Trace>,
) -> Result<Search> {
    let requested = client.spec.client_id.as_ref();
    let mut seen = BTreeSet::new();
    ids.retain(|id| {
        let is_wanted = requested.map_or(*id != plan.uid, |requested| id == requested);
        // Anybody may have written the Secrets.
        is_wanted && problem(id, true).is_none() && seen.insert(id.clone())
    });
    let ours = marker(client, ctx);
    let evidence: Vec<Evidence> = traces.iter().map(|trace| trace.evidence.clone()).collect();
    let mut refused = None;
    for id in ids.into_iter().take(MOST) {
        let found = link.hydra()?.get_client(&id).await;
        let found = found.map_err(|failed| failure("get_o_auth2_client", failed))?;
        let origin = |cluster: &str| ctx.settings.origin(cluster);
        let kin = Kin::of(&ours, found.as_ref(), origin, |uid| lives(ctx, uid));
        match judge(&id, &kin, &ours, &evidence, consent(client, ctx, plan, &id)) {
            Verdict::Pass => {}
            Verdict::Refuse(error) => refused = refused.or(Some(error)),
            Verdict::Keep(known) => {
                return Ok(Search::Found(Box::new(Earlier {
                    uids: earlier_uids(&id, &kin, &evidence, &plan.uid),
                    client_id: id,
                    kin,
                    known,
                    found,
                    traces,
                    link,
                })));
            }
        }
    }
    refused.map_or(Ok(Search::Nothing), Err)
}

fn consent(client: &OAuth2Client, ctx: &Context, plan: &ClientPlan, id: &str) -> Consent {
    let has_it = |other: &OAuth2Client| {
        let uid = other.metadata.uid.as_deref();
        uid != Some(&plan.uid)
            && other.server_name() == client.server_name()
            && client_id(other) == id
            // Without a client, its id is only a wish, unless it is the UID, which nobody can choose.
            && (uid == Some(id) || other.status.as_ref().is_some_and(|status| status.updated_at.is_some()))
    };
    Consent {
        rules: ctx.with_namespace(&plan.namespace, |namespace| {
            may_keep_id(&plan.server.spec.access, namespace, &client.spec, &plan.effective, id)
        }),
        is_requested: client.spec.client_id.is_some(),
        adopts: client.spec.adoption == Some(Adoption::Allow),
        is_taken: ctx.kinds.clients.store.find(has_it).is_some(),
    }
}

/// UIDs of the earlier resources whose Secrets are taken over: the one in the mark, and those that name the client.
fn earlier_uids(id: &str, kin: &Kin, evidence: &[Evidence], own: &str) -> BTreeSet<String> {
    let named = evidence
        .iter()
        .filter(|found| found.client_id == id && found.uid != own);
    let mut uids: BTreeSet<String> = named.map(|found| found.uid.clone()).collect();
    if let Kin::Earlier { mark, .. } = kin {
        uids.insert(mark.uid.clone());
    }
    uids
}

impl Earlier {
    /// Takes over what came back: finalizer, id in the status, ledger, credentials Secret, and the mark on the server at
    /// last.
    ///
    /// # Errors
    /// [`Error::SecretConflict`] before anything is written, and what blocks a step.
    pub(crate) async fn keep(
        mut self: Box<Self>,
        client: &OAuth2Client,
        ctx: &Context,
        plan: &ClientPlan,
        pass: &mut Pass<OAuth2ClientStatus>,
    ) -> Result<()> {
        check_free(client, ctx, plan, None, &self.uids).await?;
        hold(client, ctx).await?;
        may_create(ctx, &plan.server).await?;
        let assigned = Some(self.client_id.clone())
            .filter(|_| client.spec.client_id.is_none() || client.spec.client_id_from.is_some());
        if pass.status.assigned_client_id != assigned {
            pass.status.assigned_client_id = assigned;
            record(client, ctx, pass).await?;
        }
        // Without a revision, Secrets of this resource prove nothing, so the next attempt would not find the client.
        let is_marked_first = matches!(&self.kin, Kin::Earlier { mark, .. } if mark.revision.is_empty());
        let mut changed = is_marked_first && self.mark(client, ctx, plan, pass).await?;
        changed |= self.keep_ledger(client, ctx, plan).await?;
        changed |= take_back(client, ctx, plan, &self.uids).await?;
        for uid in &self.uids {
            drop_left(ctx, &plan.namespace, uid, &ledger_name(uid)).await?;
        }
        changed |= !is_marked_first && self.mark(client, ctx, plan, pass).await?;
        if changed {
            self.note(pass);
        }
        Ok(())
    }

    /// Makes the mark on the server that of this resource. Returns whether it was another one.
    async fn mark(
        &mut self,
        client: &OAuth2Client,
        ctx: &Context,
        plan: &ClientPlan,
        pass: &mut Pass<OAuth2ClientStatus>,
    ) -> Result<bool> {
        let (Kin::Earlier { mark, .. }, Some(found)) = (&self.kin, &mut self.found) else {
            return Ok(false);
        };
        let remote = Remote {
            client,
            ctx,
            plan,
            link: &self.link,
            ledger: None,
            may_tell: false,
            had_ledger: false,
            drift: false,
        };
        if !remote.mark_as_ours(pass, found).await? {
            return Err(Error::Overtaken);
        }
        tracing::info!(
            client_id = self.client_id,
            earlier = mark.uid,
            "the client of an earlier resource is kept"
        );
        Ok(true)
    }

    /// Writes the ledger of this resource from what came back, unless it has the same secret: with the revision of a
    /// ledger that came back as it was, else with a new one, so that the server gets the secret.
    async fn keep_ledger(&self, client: &OAuth2Client, ctx: &Context, plan: &ClientPlan) -> Result<bool> {
        if !plan.effective.has_secret() || self.known == Known::Lost {
            return Ok(false);
        }
        let intact = |trace: &Trace| ledger::read(trace.ledger.as_ref()?, &self.client_id);
        let ranked = self.traces.iter().filter_map(|trace| {
            let rank = rank(&trace.evidence, &self.client_id, &self.kin, &plan.uid)?;
            Some((rank, intact(trace).is_none(), trace, trace.secret.as_ref()?))
        });
        let Some((.., best, secret)) = ranked.min_by_key(|(rank, is_edited, ..)| (*rank, *is_edited)) else {
            return Ok(false);
        };
        let own = self
            .traces
            .iter()
            .find(|trace| trace.ledger.is_some() && trace.evidence.uid == plan.uid);
        if own.is_some_and(|own| own.secret.as_ref() == Some(secret)) {
            return Ok(false);
        }
        let entry = intact(best).unwrap_or_else(|| ledger::Entry::new(self.client_id.clone(), secret.clone()));
        let found = own.and_then(|own| own.ledger.clone());
        ledger::inherit(client, ctx, plan, found, &entry).await.map(|()| true)
    }

    fn note(&self, pass: &mut Pass<OAuth2ClientStatus>) {
        let (happening, note) = match (&self.kin, self.known) {
            (Kin::Gone, _) => (
                Happening::Restored,
                "The client of an earlier resource of this name is gone from the server, so it is registered again with its id and secret.",
            ),
            (_, Known::Current) => (
                Happening::Restored,
                "The client of an earlier resource of this name was found on the server and is kept, with its id and secret.",
            ),
            (_, Known::Older) => (
                Happening::SecretReplaced,
                "The client of an earlier resource of this name is kept with its id, and has the secret of the Secrets in this namespace again. Restart applications that use another one.",
            ),
            (_, Known::Lost) => (
                Happening::SecretReplaced,
                "The client of an earlier resource of this name is kept with its id, and has a new secret, because its Secrets are lost. Restart applications that use the old one.",
            ),
        };
        pass.note(happening, note);
    }
}
