//! Adoption of an object that exists on a Vault without a claim of a resource.

use std::collections::BTreeSet;

use kube::core::CustomResourceExt;

use crate::admin::vault::{Object, Vault};
use crate::controller::common::admission::may_create;
use crate::controller::common::adoption::{MOST_KEPT, note_adoption, preview_in_words};
use crate::controller::common::claim::Claim;
use crate::controller::common::observe::observed;
use crate::controller::engine::managed::Pass;
use crate::controller::engine::verdict::Done;
use crate::controller::vault::name::Named;
use crate::controller::vault::object::{Claimed, Synced, Target};
use crate::error::{Error, Result, VaultFault};

impl<K: Named + CustomResourceExt> Target<'_, K> {
    /// Claims the object and makes it match the spec, if it may be adopted. The claim comes first, so that two
    /// resources never change the same object.
    ///
    /// # Errors
    /// [`Error::OtherCluster`], [`Error::ObjectNotOwned`], [`VaultFault::Unlike`], [`VaultFault::Opens`], [`VaultFault::TooManyClients`], [`Error::NameClaimed`], and what a
    /// failed request means.
    pub(super) async fn adopt(
        &self,
        pass: &mut Pass<K::Status>,
        vault: &Vault,
        mut wanted: K::Object,
        found: K::Object,
    ) -> Result<Synced<K::Object>> {
        let (type_, name) = (K::Object::TYPE, self.name.clone());
        if let Some(cluster) = K::claim(&mut pass.status).other_cluster(&self.ctx.settings) {
            return Err(Error::OtherCluster { type_, name, cluster });
        }
        if !self.resource.consent().adopts() {
            return Err(Error::ObjectNotOwned { type_, name });
        }
        let fields = match_up(&mut wanted, &found)?;
        may_create(self.ctx, &self.server).await?;
        self.claim(pass, Some(&wanted)).await?;
        let found = match fields.is_empty() {
            true => found,
            false => {
                self.write(pass, vault, &wanted, Claimed::Now).await?;
                self.confirmed(vault, &wanted).await?
            }
        };
        note_adoption(pass, type_, &fields);
        Ok(Synced { found, wanted })
    }

    /// The result for a resource that is suspended: nothing is written, and the message tells what an adoption would
    /// change. `wanted`: None if that is not known.
    pub(crate) async fn suspended(&self, pass: &mut Pass<K::Status>, wanted: Option<K::Object>) -> Done {
        let mut done = Done::suspended();
        let claim = K::claim(&mut pass.status);
        let is_ours = claim.is_for(&self.name, &self.server, &self.ctx.settings);
        if let Some(wanted) = wanted.filter(|_| !is_ours && self.resource.consent().adopts())
            && let Some(preview) = self.preview(claim, wanted).await
        {
            done.message += &format!(" {preview}");
        }
        done
    }

    /// Whether the object is only observed.
    pub(crate) fn is_observed(&self) -> bool {
        self.resource.consent().observes()
    }

    /// Compares the object with what is wanted, and writes nothing. Only an object of this resource is compared, or one
    /// that it may adopt.
    ///
    /// # Errors
    /// [`Error::OtherCluster`], [`Error::ObjectNotOwned`], as [`Target::adopt`] if it could not be adopted, and why the
    /// server cannot be asked.
    pub(crate) async fn observe(&self, pass: &mut Pass<K::Status>, mut wanted: K::Object) -> Result<Done> {
        let (type_, name) = (K::Object::TYPE, self.name.clone());
        let claim = K::claim(&mut pass.status);
        let is_ours = claim.is_for(&self.name, &self.server, &self.ctx.settings);
        if let Some(cluster) = claim.other_cluster(&self.ctx.settings) {
            return Err(Error::OtherCluster { type_, name, cluster });
        }
        let vault = self.ctx.links.usable(&self.server)?.vault()?.clone();
        let found = self.read(&vault, false).await?;
        let differences = match found {
            None => None,
            Some(found) if is_ours => {
                wanted.follow(&found);
                let fixed = wanted.immutable(&found).into_iter();
                Some(fixed.chain(wanted.differences(&found)).collect::<BTreeSet<_>>())
            }
            Some(found) if self.resource.consent().adopts() => {
                Some(match_up(&mut wanted, &found)?.into_iter().collect())
            }
            Some(_) => return Err(Error::ObjectNotOwned { type_, name }),
        };
        let differences = differences.map(Vec::from_iter);
        let again = self.server.spec.resync_interval();
        Ok(observed(type_, differences.as_deref(), again))
    }

    /// None if the server cannot be asked.
    async fn preview(&self, claim: Claim<'_>, mut wanted: K::Object) -> Option<String> {
        if claim.other_cluster(&self.ctx.settings).is_some() {
            return None;
        }
        let found = self.read(&self.usable()?, false).await.ok()?;
        Some(match found {
            None => preview_in_words(K::Object::TYPE, None),
            Some(found) => match match_up(&mut wanted, &found) {
                Ok(fields) => preview_in_words(K::Object::TYPE, Some(&fields)),
                Err(error) => error.to_string(),
            },
        })
    }
}

/// Takes over what the spec does not decide. Returns the fields that differ then.
fn match_up<O: Object>(wanted: &mut O, found: &O) -> Result<Vec<&'static str>> {
    let unlike = wanted.immutable(found);
    if !unlike.is_empty() {
        return Err(VaultFault::Unlike(unlike).into());
    }
    if wanted.opens(found) {
        return Err(VaultFault::Opens.into());
    }
    wanted.adopt(found);
    match wanted.kept().len() <= MOST_KEPT {
        true => Ok(wanted.differences(found)),
        false => Err(VaultFault::TooManyClients.into()),
    }
}
