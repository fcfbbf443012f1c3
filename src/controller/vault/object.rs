//! Syncs or removes the object of a resource.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use kube::core::CustomResourceExt;
use serde_json::json;

use crate::access::Candidates;
use crate::admin::http::Failure;
use crate::admin::vault::{Object, Vault};
use crate::api::AuthorizationServer;
use crate::clock::DEADLINE;
use crate::controller::common::admission::{Allowing, admitted, may_create};
use crate::controller::common::claim::{Claim, accept_policy, store_claim, take_claim_over};
use crate::controller::common::cleanup::{remove_claimed, waits};
use crate::controller::common::drift::{is_drift, note_drift};
use crate::controller::common::failure::{is_certain, unread};
use crate::controller::common::note::{note_registered, note_updated};
use crate::controller::common::revoke;
use crate::controller::engine::context::Context;
use crate::controller::engine::hold::{hold, record};
use crate::controller::engine::managed::Pass;
use crate::controller::vault::failure::failure;
use crate::controller::vault::name::{self, Named};
use crate::error::{Error, Result, Suspect, VaultFault};

/// Wait before a missing object is read again: a standby may not have it yet.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// An object that is as wanted.
pub(crate) struct Synced<O> {
    /// The object, as the server has it.
    pub found: O,
    /// What was wanted of it in the end.
    pub wanted: O,
}

/// One resource's object, within one pass.
pub(crate) struct Target<'a, K> {
    /// The resource.
    pub resource: &'a K,
    /// Shared by all passes.
    pub ctx: &'a Context,
    /// The server.
    pub server: Arc<AuthorizationServer>,
    /// Name of the object.
    pub name: String,
    /// The access rules that allow the name and the deletion policy.
    candidates: Candidates,
}

impl<'a, K: Named + CustomResourceExt> Target<'a, K> {
    /// The object of a resource that the access rules admit. If they no longer admit it and the server's admin wants it
    /// so, the object is deleted.
    ///
    /// # Errors
    /// As [`admitted`] and [`name::allowed`].
    pub(crate) async fn of(resource: &'a K, ctx: &'a Context, pass: &mut Pass<K::Status>) -> Result<Self> {
        let allowed = admitted(resource, ctx).and_then(|server| Ok((name::allowed(resource, ctx, &server)?, server)));
        match allowed {
            Ok(((name, candidates), server)) => {
                take_claim_over(resource, ctx, pass).await?;
                accept_policy(resource, pass);
                Ok(Target {
                    resource,
                    ctx,
                    server,
                    name,
                    candidates,
                })
            }
            Err(Error::NotAllowed { denied, .. }) => {
                revoke::deny(resource, ctx, pass, denied, async |pass| {
                    remove(resource, ctx, pass).await
                })
                .await
            }
            Err(error) => Err(error),
        }
    }

    /// The access rules that allow what the resource has asked for until now.
    pub(crate) fn allowing(&self) -> Allowing<'_> {
        Allowing::left(&self.server, self.candidates.clone())
    }

    /// Whether nothing is written for the resource.
    pub(crate) fn is_suspended(&self) -> bool {
        self.resource.consent().is_suspended()
    }

    /// The server, for reads only. None if it cannot be used now.
    pub(crate) fn usable(&self) -> Option<Vault> {
        self.ctx.links.usable(&self.server).ok()?.vault().ok().cloned()
    }

    /// The server, once the operator may write to it for this resource. `settled`: whether nothing must be written
    /// unless another writer changed the object.
    ///
    /// # Errors
    /// Why the server cannot be used; [`Error::Cluster`].
    pub(crate) async fn vault(&self, settled: bool) -> Result<Vault> {
        let link = self.ctx.links.usable(&self.server);
        let vault = link.map_err(|error| unread(error, settled))?.vault()?.clone();
        hold(self.resource, self.ctx).await?;
        Ok(vault)
    }

    /// Reads the object and corrects it if it differs. Returns it as it is then. `settled`: whether only another writer
    /// can have caused a difference.
    ///
    /// # Errors
    /// [`Error::ObjectNotOwned`], [`VaultFault::Immutable`], [`Error::Contested`], and what a failed request means.
    pub(crate) async fn sync(
        &self,
        pass: &mut Pass<K::Status>,
        vault: &Vault,
        mut wanted: K::Object,
        settled: bool,
    ) -> Result<Synced<K::Object>> {
        let claim = K::claim(&mut pass.status);
        let is_ours = claim.is_for(&self.name, &self.server, &self.ctx.settings);
        let found = self.look(vault, settled, is_ours && self.resource.is_settled()).await?;
        let found = match found {
            Some(found) if is_ours => {
                wanted.follow(&found);
                Some(found)
            }
            Some(found) => return self.adopt(pass, vault, wanted, found).await,
            None => None,
        };
        let is_created = found.is_none();
        let claimed = Claimed::of(is_created && !self.resource.is_settled(), is_ours);
        let fields = found.as_ref().map(|found| wanted.differences(found));
        let changed = fields.clone().unwrap_or_default();
        let memory = &K::kind_of(self.ctx).memory;
        let uid = self.resource.uid().unwrap_or_default();
        let (what, is_drift) = match (found, fields) {
            (Some(found), Some(fields)) if fields.is_empty() => {
                memory.confirmed(&uid); // even if the reply to the last write was lost
                memory.wrote_at(&uid, None, None); // a value that was not kept once may be another writer's the next time
                return Ok(Synced { found, wanted });
            }
            (Some(found), _) if !wanted.immutable(&found).is_empty() => {
                return Err(VaultFault::Immutable(wanted.immutable(&found)).into());
            }
            // Nobody has changed it since our last write, so another one would not help.
            (Some(found), Some(fields)) if memory.has_sent(&uid, kept_for(&wanted, &found)) => {
                return Err(unkept(&wanted, &found).unwrap_or(VaultFault::NotKept(fields)).into());
            }
            (Some(_), Some(fields)) => {
                let what = fields.join(", ");
                let is_drift = is_drift(self.resource, self.ctx, settled, &what)?;
                (what, is_drift)
            }
            _ => {
                self.may_make().await?;
                let what = "it was deleted".to_owned();
                let is_drift = is_drift(self.resource, self.ctx, settled, &what)?;
                self.claim(pass, None).await?;
                (what, is_drift)
            }
        };
        self.write(pass, vault, &wanted, claimed).await?;
        match is_drift {
            true => self.note_drift(pass, &what),
            false if is_created => note_registered(pass, K::Object::TYPE),
            false => note_updated(pass, K::Object::TYPE, &changed),
        }
        let found = self.confirmed(vault, &wanted).await?;
        Ok(Synced { found, wanted })
    }

    fn note_drift(&self, pass: &mut Pass<K::Status>, what: &str) {
        let type_ = K::Object::TYPE;
        let note = format!("The {type_} was changed on the server ({what}) and has been corrected.");
        note_drift(self.resource, self.ctx, pass, note);
    }

    /// Makes sure that a new object may be made now.
    async fn may_make(&self) -> Result<()> {
        let (memory, uid) = (&K::kind_of(self.ctx).memory, self.resource.uid().unwrap_or_default());
        // An earlier create may still be in progress. A second one would make another id.
        if memory.is_unconfirmed(&uid) && memory.quiet_for(&uid) < DEADLINE {
            return Err(Error::Overtaken);
        }
        match K::Object::is_reserved(&self.name) {
            true => Err(VaultFault::NoOwn(K::Object::TYPE).into()),
            false => may_create(self.ctx, &self.server).await,
        }
    }

    /// The object that was just written, as the server has it. The reply to the write does not show it, and the server
    /// silently drops what it does not support. Another writer may be faster than this read, so that a value counts as
    /// not kept only if two writes in a row end alike.
    pub(super) async fn confirmed(&self, vault: &Vault, wanted: &K::Object) -> Result<K::Object> {
        let now = self.read(vault, false).await?;
        let now = now.ok_or(Error::Overtaken)?; // a standby may not have it yet
        if wanted.is_confirmed_by(&now) {
            return Ok(now);
        }
        let (memory, uid) = (&K::kind_of(self.ctx).memory, self.resource.uid().unwrap_or_default());
        let (kept, dropped) = (kept_for(wanted, &now), unkept(wanted, &now));
        if memory.repeats(&uid, kept) || dropped.is_some() {
            memory.wrote_at(&uid, None, Some(kept));
        } else {
            memory.corrects(&uid); // whose change it is counts, although a write of ours was the last that we know of
        }
        Err(dropped.map_or(Error::Overtaken, Error::from))
    }

    /// Writes the object.
    pub(super) async fn write(
        &self,
        pass: &mut Pass<K::Status>,
        vault: &Vault,
        wanted: &K::Object,
        claimed: Claimed,
    ) -> Result<()> {
        let (memory, uid) = (&K::kind_of(self.ctx).memory, self.resource.uid().unwrap_or_default());
        memory.writing(&uid);
        let written = vault.write(&self.name, wanted).await;
        memory.ended(&uid, written.as_ref().err().is_none_or(is_certain));
        let is_unused = match (claimed, &written) {
            (Claimed::Now, Err(failed)) => is_certain(failed),
            // A write of an earlier pass may still be in progress where the server has not answered.
            (Claimed::Before, Err(failed)) => matches!(failed, Failure::Status { .. } | Failure::Denied),
            (Claimed::Used, _) | (_, Ok(_)) => false,
        };
        if is_unused {
            // Nothing was written. If the claim stayed, an object that others make under this name would count as ours.
            self.withdraw(pass).await?;
        }
        written
            .map(drop)
            .map_err(|failed| self.failed(K::Object::WRITE, failed))
    }

    /// Reads the object. If it existed before and is missing now, it is read twice.
    async fn look(&self, vault: &Vault, settled: bool, was_there: bool) -> Result<Option<K::Object>> {
        match self.read(vault, settled).await? {
            None if was_there => {
                tokio::time::sleep(SECOND_LOOK).await;
                self.read(vault, settled).await
            }
            found => Ok(found),
        }
    }

    pub(super) async fn read(&self, vault: &Vault, settled: bool) -> Result<Option<K::Object>> {
        let found = vault.read(&self.name).await;
        found.map_err(|failed| unread(self.failed(K::Object::READ, failed), settled))
    }

    fn failed(&self, operation: &'static str, failed: Failure) -> Error {
        failure(operation, K::Object::TYPE, failed)
    }

    /// Stores the claim to the name in the status, before anything is written under that name. `adopted`: what is
    /// wanted of an object that exists already.
    pub(super) async fn claim(&self, pass: &mut Pass<K::Status>, adopted: Option<&K::Object>) -> Result<()> {
        let before = pass.status.clone();
        self.set_claim(pass, Some(self.name.clone()), adopted);
        let latest = store_claim(self.resource, self.ctx, pass, &self.server, before).await?;
        match name::is_claimed(&*latest, self.ctx, &self.server, &self.name) {
            false => Ok(()),
            true => {
                self.withdraw(pass).await?;
                Err(Error::NameClaimed {
                    type_: K::Object::TYPE,
                    name: self.name.clone(),
                })
            }
        }
    }

    async fn withdraw(&self, pass: &mut Pass<K::Status>) -> Result<()> {
        self.set_claim(pass, None, None);
        record(self.resource, self.ctx, pass).await
    }

    fn set_claim(&self, pass: &mut Pass<K::Status>, name: Option<String>, adopted: Option<&K::Object>) {
        let claim = K::claim(&mut pass.status);
        *claim.server_uid = name.as_ref().and(self.server.uid());
        *claim.cluster_id = name.as_ref().map(|_| self.ctx.settings.cluster.clone());
        *claim.name = name;
        *claim.inputs = None; // the next object is a new one
        *claim.adopted = adopted.map(|_| true);
        if let Some(kept) = claim.kept {
            *kept = adopted.map(Object::kept).unwrap_or_default();
        }
    }
}

/// Since when the name of an object is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claimed {
    /// In this pass, and nothing was written before.
    Now,
    /// In an earlier pass that did not end well.
    Before,
    /// There is an object, or there was one.
    Used,
}

impl Claimed {
    /// `is_first`: whether no object was made under the name yet. `is_ours`: whether the name was claimed when the pass
    /// began.
    fn of(is_first: bool, is_ours: bool) -> Self {
        match (is_first, is_ours) {
            (true, false) => Claimed::Now,
            (true, true) => Claimed::Before,
            (false, _) => Claimed::Used,
        }
    }
}

/// Why a server does not keep what it was sent, if it does not know some of it.
fn unkept<O: Object>(sent: &O, stored: &O) -> Option<VaultFault> {
    let dropped = sent.dropped(stored);
    (!dropped.is_empty()).then_some(VaultFault::Dropped(dropped))
}

/// Digest of what a server stores for what it was sent.
fn kept_for<O: Object>(sent: &O, stored: &O) -> u64 {
    let mut hasher = DefaultHasher::new();
    json!([sent, stored]).to_string().hash(&mut hasher);
    hasher.finish()
}

/// Deletes the object of a resource, if it has one. Access rules are not checked: what the operator made may always be
/// deleted.
///
/// # Errors
/// [`VaultFault::InUse`] while another object refers to it; [`Error::CleanupWaits`], [`Error::CleanupUnconfirmed`].
pub(crate) async fn remove<K: Named + CustomResourceExt>(
    resource: &K,
    ctx: &Context,
    pass: &mut Pass<K::Status>,
) -> Result<()> {
    let is_ours = |claim: Claim<'_>, server: &AuthorizationServer| claim.is_on(server, &ctx.settings);
    if K::claim(&mut pass.status)
        .name
        .as_deref()
        .is_some_and(K::Object::is_reserved)
    {
        return Ok(()); // the server deletes no object of its own
    }
    remove_claimed(resource, ctx, pass, K::Object::TYPE, is_ours, async |_, claimed| {
        let (memory, uid) = (&K::kind_of(ctx).memory, resource.uid().unwrap_or_default());
        let vault = claimed.link.vault()?;
        memory.writing(&uid);
        let deleted = vault.delete::<K::Object>(&claimed.name).await;
        memory.ended(&uid, deleted.as_ref().err().is_none_or(is_certain));
        let deleted = deleted.map_err(|failed| failure(K::Object::DELETE, K::Object::TYPE, failed));
        deleted.map_err(|error| match error {
            Error::Vault(VaultFault::InUse(_) | VaultFault::PermissionDenied(_)) => error,
            Error::Vault(_) => waits(resource, ctx, Suspect::Server),
            other => other,
        })
    })
    .await
}
