//! A resource that was restored from a backup, with a new UID and without status, finds its client again: it keeps id
//! and secret. Whose the client is, and what is done, [`kin`](super::kin) decides.
//!
//! Secrets that came back and the last sweep say where to look; without such a hint nothing is asked. Each step can be
//! repeated: the mark on the server changes last, and until then the same search finds the same client.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::ResourceExt;
use kube::runtime::events::EventType;

use super::kin::{Consent, Evidence, Kin, Known, Verdict, judge};
use super::ledger;
use super::plan::{id_with, marker};
use super::remote::Remote;
use crate::access::may_keep_id;
use crate::admin::hydra::Client;
use crate::api::oauth2_client::OAuth2ClientStatus;
use crate::api::refs::Adoption;
use crate::api::{OAuth2Client, REVISION_ANNOTATION, UID_LABEL};
use crate::controller::common::admission::may_create;
use crate::controller::common::client::free::{check_free, take_back};
use crate::controller::common::client::layout::secret_name;
use crate::controller::common::client::plan::{ClientPlan, Keys, ledger_name};
use crate::controller::common::own_secret::{drop_left, is_left_by, is_owned, text};
use crate::controller::engine::context::Context;
use crate::controller::engine::hold::{hold, record};
use crate::controller::engine::links::Link;
use crate::controller::engine::managed::Pass;
use crate::controller::hydra::failure::failure;
use crate::error::{EarlierFault, Error, Result};
use crate::secret::Secret;

/// Maximum number of ids and of Secrets that are looked at for one resource.
const MOST: usize = 8;

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
    if status.client_id.as_ref().is_some_and(|id| *id != plan.client_id) || status.inputs.is_some() {
        // It is not of this resource, so nothing in it holds.
        *status = OAuth2ClientStatus {
            observed_generation: status.observed_generation,
            conditions: std::mem::take(&mut status.conditions),
            assigned_client_id: status.assigned_client_id.take(),
            ..OAuth2ClientStatus::default()
        };
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

/// A Secret that says something about a client. It has no `Debug`, because it holds a secret.
struct Trace {
    evidence: Evidence,
    secret: Option<Secret>,
    /// The ledger itself.
    ledger: Option<KubeSecret>,
}

/// Whether a search has to wait for the server. Asked before anything is read, because it may be asked often.
///
/// # Errors
/// [`Error::ServerPending`], [`EarlierFault::Unlisted`].
pub(crate) fn wait(ctx: &Context, plan: &ClientPlan, status: &OAuth2ClientStatus) -> Result<()> {
    match searchable(ctx, plan, status) {
        Err(waits @ (Error::ServerPending(_) | Error::Earlier(_))) => Err(waits),
        Ok(_) | Err(_) => Ok(()), // what else is wrong comes first
    }
}

/// The server on which a client is searched for. None: the resource has one, so nothing is searched.
fn searchable(ctx: &Context, plan: &ClientPlan, status: &OAuth2ClientStatus) -> Result<Option<Link>> {
    // A status that was restored as well names the client of the earlier resource.
    let is_own = status.client_id.as_deref().is_none_or(|id| id == plan.client_id);
    let is_unknown = plan.client_id.is_empty(); // the Secret with the id comes first
    if is_unknown || status.inputs.is_some() && is_own {
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

/// Searches for the client of an earlier resource, if this one has no client yet.
///
/// # Errors
/// Why a client that was found cannot be kept, and why the search cannot be made.
async fn find(client: &OAuth2Client, ctx: &Context, plan: &ClientPlan, status: &OAuth2ClientStatus) -> Result<Search> {
    let Some(link) = searchable(ctx, plan, status)? else {
        return Ok(Search::Settled);
    };
    let strangers = link.connection.census.strangers_of(&plan.namespace, &client.name_any());
    let credentials = secret_name(client);
    let mut uids = ctx.left_by(&plan.namespace, &client.name_any(), &credentials);
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
    chosen(client, ctx, plan, link, ids, traces).await
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
    ids.retain(|id| requested.map_or(*id != plan.uid, |requested| id == requested) && seen.insert(id.clone()));
    let ours = marker(client, ctx);
    let evidence: Vec<Evidence> = traces.iter().map(|trace| trace.evidence.clone()).collect();
    let mut refused = None;
    for id in ids.into_iter().take(MOST) {
        let found = link.hydra()?.get_client(&id).await;
        let found = found.map_err(|failed| failure("get_o_auth2_client", failed))?;
        let lives = |uid: &str| {
            ctx.kinds
                .clients
                .store
                .find(|other| other.metadata.uid.as_deref() == Some(uid))
                .is_some()
        };
        let kin = Kin::of(&ours, found.as_ref(), |cluster| ctx.settings.origin(cluster), lives);
        let rules = ctx.with_namespace(&plan.namespace, |namespace| {
            may_keep_id(&plan.server.spec.access, namespace, &id)
        });
        let consent = Consent {
            rules,
            is_requested: requested.is_some(),
            adopts: client.spec.adoption == Some(Adoption::Allow),
        };
        match judge(&id, &kin, &ours, &evidence, consent) {
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

/// UIDs of the earlier resources whose Secrets are taken over: the one in the mark, else those that name the client.
fn earlier_uids(id: &str, kin: &Kin, evidence: &[Evidence], own: &str) -> BTreeSet<String> {
    let named = evidence
        .iter()
        .filter(|found| found.client_id == id && found.uid != own);
    match kin {
        Kin::Earlier(mark) => BTreeSet::from([mark.uid.clone()]),
        _ => named.map(|found| found.uid.clone()).collect(),
    }
}

/// Reads the credentials Secret, and the ledgers of the resources with these UIDs.
async fn traces(
    client: &OAuth2Client,
    ctx: &Context,
    plan: &ClientPlan,
    mut uids: BTreeSet<String>,
) -> Result<Vec<Trace>> {
    let mut traces = Vec::new();
    let name = secret_name(client);
    if let Some(found) = ctx.cluster.secret(&plan.namespace, &name).await?
        && let Some(uid) = uid_of(&found, plan)
    {
        let keys = Keys::of(client);
        let value = |key: &str| text(&found, key);
        traces.extend(value(&keys.client_id).map(|client_id| Trace {
            evidence: Evidence {
                uid: uid.clone(),
                client_id,
                revision: found.annotations().get(REVISION_ANNOTATION).cloned(),
            },
            secret: value(&keys.client_secret).map(Secret::new),
            ledger: None,
        }));
        if uid != plan.uid {
            uids.insert(uid);
        }
    }
    for uid in uids.into_iter().take(MOST) {
        let found = ctx.cluster.secret(&plan.namespace, &ledger_name(&uid)).await?;
        let Some(found) = found.filter(|found| uid_of(found, plan).as_ref() == Some(&uid)) else {
            continue;
        };
        if let (Some(client_id), Some(secret)) = (text(&found, "client_id"), ledger::usable_secret(&found)) {
            traces.push(Trace {
                evidence: Evidence {
                    uid,
                    client_id,
                    revision: text(&found, "revision"),
                },
                secret: Some(secret),
                ledger: Some(found),
            });
        }
    }
    Ok(traces)
}

/// UID of the resource that one of our Secrets belongs to: this one, or the one in the label of a Secret without owner.
fn uid_of(secret: &KubeSecret, plan: &ClientPlan) -> Option<String> {
    if is_owned(secret, &plan.uid) {
        return Some(plan.uid.clone());
    }
    let label = secret.labels().get(UID_LABEL)?;
    is_left_by(secret, label).then(|| label.clone())
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
        check_free(client, ctx, plan, &self.uids).await?;
        hold(client, ctx).await?;
        may_create(ctx, &plan.server).await?;
        let assigned = Some(self.client_id.clone())
            .filter(|_| client.spec.client_id.is_none() || client.spec.client_id_from.is_some());
        if pass.status.assigned_client_id != assigned {
            pass.status.assigned_client_id = assigned;
            record(client, ctx, pass).await?;
        }
        let mut changed = self.keep_ledger(client, ctx, plan).await?;
        changed |= take_back(client, ctx, plan, &self.uids).await?;
        for uid in &self.uids {
            drop_left(ctx, &plan.namespace, uid, &ledger_name(uid)).await?;
        }
        if let (Kin::Earlier(mark), Some(found)) = (&self.kin, &mut self.found) {
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
            changed = true;
        }
        if changed {
            self.note(pass);
        }
        Ok(())
    }

    /// Writes the ledger of this resource, if it is missing: with the revision of a ledger that came back as it was, else
    /// with a new one, so that the server gets the secret.
    async fn keep_ledger(&self, client: &OAuth2Client, ctx: &Context, plan: &ClientPlan) -> Result<bool> {
        let is_own = |trace: &Trace| trace.ledger.is_some() && trace.evidence.uid == plan.uid;
        if !plan.effective.has_secret() || self.known == Known::Lost || self.traces.iter().any(is_own) {
            return Ok(false);
        }
        let revision = match &self.kin {
            Kin::Earlier(mark) => Some(mark.revision.clone()),
            _ => None,
        };
        let is_its = |trace: &&Trace| trace.evidence.uid == plan.uid || self.uids.contains(&trace.evidence.uid);
        let of_it = self.traces.iter().filter(is_its);
        let is_current = |trace: &&Trace| revision.is_none() || trace.evidence.revision == revision;
        let mut found: Vec<&Trace> = of_it.clone().filter(is_current).collect();
        found.extend(of_it);
        let intact = found
            .iter()
            .find_map(|trace| ledger::read(trace.ledger.as_ref()?, &self.client_id));
        let entry = intact.or_else(|| {
            let secret = found.iter().find_map(|trace| trace.secret.clone())?;
            Some(ledger::Entry::new(self.client_id.clone(), secret))
        });
        match entry {
            Some(entry) => ledger::inherit(client, ctx, plan, &entry).await.map(|()| true),
            None => Ok(false),
        }
    }

    fn note(&self, pass: &mut Pass<OAuth2ClientStatus>) {
        let (type_, reason, note) = match (&self.kin, self.known) {
            (Kin::Gone, _) => (
                EventType::Normal,
                "Restored",
                "The client of an earlier resource of this name is gone from the server, so it is registered again with its id and secret.",
            ),
            (_, Known::Current) => (
                EventType::Normal,
                "Restored",
                "The client of an earlier resource of this name was found on the server and is kept, with its id and secret.",
            ),
            (_, Known::Older) => (
                EventType::Warning,
                "SecretReplaced",
                "The client of an earlier resource of this name is kept with its id, and has the secret of the Secrets in this namespace again. Restart applications that use another one.",
            ),
            (_, Known::Lost) => (
                EventType::Warning,
                "SecretReplaced",
                "The client of an earlier resource of this name is kept with its id, and has a new secret, because its Secrets are lost. Restart applications that use the old one.",
            ),
        };
        pass.notes.push((type_, reason, note.to_owned()));
    }
}
