//! Finds the entry of a provider, even if it was renamed or moved.
//!
//! An entry is ours if its path ends with the UID of the resource. If the spec asks for another path, the entry is ours
//! if it has the id in the status or, until the id is known, the name and path that the status claims. The server looks
//! up names with `_` as a wildcard for any character. So the operator writes or deletes by a name only after it has
//! read an entry with exactly that name.

use std::collections::BTreeSet;

use kube::ResourceExt;

use crate::admin::foulkon::Provider;
use crate::api::OidcProvider;
use crate::api::oidc_provider::OidcProviderStatus;
use crate::controller::common::adoption::Consent;
use crate::controller::common::claim::Claiming;
use crate::controller::foulkon::failure::failure;
use crate::controller::foulkon::provider::entry::Entry;
use crate::controller::foulkon::provider::names::TYPE;
use crate::error::{Error, FoulkonFault, Result};

impl Entry<'_> {
    /// Finds the entry: by its possible names, then by its path, then anywhere below our prefix. `wanted`: a name that
    /// is free, or ours.
    ///
    /// # Errors
    /// [`Error::ObjectNotOwned`] if there is no entry of ours and another owner has the wanted name;
    /// [`Error::OtherCluster`] if another cluster has claimed it; [`FoulkonFault`] if our entry is where the operator
    /// must not write.
    pub(crate) async fn find(&self, status: &OidcProviderStatus, wanted: Option<&String>) -> Result<Option<Provider>> {
        if let Some(cluster) = OidcProvider::claim(&mut status.clone()).other_cluster(&self.ctx.settings) {
            return self.find_of(cluster, wanted).await.map(|()| None);
        }
        let claimed = status.name.as_ref().filter(|_| self.has_claim(status));
        let may_move = wanted.is_some() && is_adopting(self.provider.consent(), status);
        let mut is_taken = false;
        for name in claimed
            .into_iter()
            .chain(wanted.filter(|wanted| claimed != Some(wanted)))
        {
            match self.get(name).await?.filter(|found| found.name == **name) {
                Some(found) if self.is_ours(status, &found) => return self.checked(found, may_move).map(Some),
                Some(_) => is_taken |= wanted == Some(name),
                None => {}
            }
        }
        if status.id.is_some()
            && self.has_claim(status)
            && let Some(found) = self.search(status).await?
        {
            return self.checked(found, may_move).map(Some);
        }
        match wanted {
            Some(name) if is_taken => Err(self.not_owned(name)),
            _ => Ok(None),
        }
    }

    /// Another cluster has claimed an entry for this resource. A path with the UID of the resource does not make it
    /// ours.
    async fn find_of(&self, cluster: String, wanted: Option<&String>) -> Result<()> {
        let Some(name) = wanted else { return Ok(()) };
        match self.get(name).await?.filter(|found| found.name == **name) {
            None => Ok(()),
            Some(found) => Err(Error::OtherCluster {
                type_: TYPE,
                name: found.name.into(),
                cluster,
            }),
        }
    }

    /// Whether a name is free, or ours.
    ///
    /// # Errors
    /// [`Error::ObjectNotOwned`].
    pub(crate) async fn check_free(&self, name: &str, ours: &Provider) -> Result<()> {
        match self.get(name).await? {
            Some(found) if found.name == *name && found.id != ours.id => Err(self.not_owned(name)),
            _ => Ok(()),
        }
    }

    /// Another writer renamed, moved or deleted the entry. Usually nothing else is below its own path. Elsewhere,
    /// entries that no known resource has are read one by one.
    async fn search(&self, status: &OidcProviderStatus) -> Result<Option<Provider>> {
        if let Some(path) = &status.path {
            for name in self.names(path).await? {
                if let Some(found) = self.get(&name).await?.filter(|found| self.is_ours(status, found)) {
                    return Ok(Some(found));
                }
            }
        }
        let others = self.ctx.kinds.providers.on(&self.server.name_any()).into_iter();
        let known: BTreeSet<String> = others.filter_map(|other| other.status.as_ref()?.name.clone()).collect();
        for name in self.names(self.prefix).await?.difference(&known) {
            if let Some(found) = self.get(name).await?.filter(|found| self.is_ours(status, found)) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn names(&self, path_prefix: &str) -> Result<BTreeSet<String>> {
        let names = self.api.names(path_prefix).await;
        names.map_err(|failed| failure("list_oidc_providers", failed))
    }

    pub(super) async fn get(&self, name: &str) -> Result<Option<Provider>> {
        let found = self.api.get(name).await;
        found.map_err(|failed| failure("get_oidc_provider", failed))
    }

    /// Whether the status has claimed a name on this very server.
    pub(crate) fn has_claim(&self, status: &OidcProviderStatus) -> bool {
        OidcProvider::claim(&mut status.clone()).is_on(self.server, &self.ctx.settings)
    }

    fn is_ours(&self, status: &OidcProviderStatus, found: &Provider) -> bool {
        let is_claimed = || match &status.id {
            Some(id) => found.id == **id,
            None => status.name.as_deref() == Some(&*found.name) && status.path.as_deref() == Some(&*found.path),
        };
        found.path == *self.marked_path || self.has_claim(status) && is_claimed()
    }

    /// Our entry, if it still is where the operator may write. `may_move`: whether it may be elsewhere, and is moved.
    fn checked(&self, found: Provider, may_move: bool) -> Result<Provider> {
        match found {
            found if !may_move && !found.path.starts_with(self.prefix) => {
                Err(FoulkonFault::MovedAway(found.path.into()).into())
            }
            found if found.name.contains('_') => Err(FoulkonFault::Ambiguous(found.name.into()).into()),
            found => Ok(found),
        }
    }

    pub(crate) fn not_owned(&self, name: &str) -> Error {
        Error::ObjectNotOwned {
            type_: TYPE,
            name: name.to_owned(),
        }
    }
}

/// Whether an adoption was claimed and its first write has not succeeded yet. Until then, the entry is still where its
/// former owner had it.
fn is_adopting(consent: Consent, status: &OidcProviderStatus) -> bool {
    consent.adopts() && status.adopted == Some(true) && status.inputs.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::refs::Adoption;

    #[test]
    fn an_entry_may_be_elsewhere_until_its_adoption_has_succeeded() {
        for (adoption, adopted, inputs, expected) in [
            (Some(Adoption::Allow), Some(true), None, true),
            (Some(Adoption::Allow), Some(true), Some("written"), false),
            (Some(Adoption::Allow), None, None, false),
            (Some(Adoption::Never), Some(true), None, false),
            (None, Some(true), None, false),
        ] {
            let consent = Consent {
                adoption,
                ..Consent::default()
            };
            let status = OidcProviderStatus {
                adopted,
                inputs: inputs.map(str::to_owned),
                ..OidcProviderStatus::default()
            };
            assert_eq!(
                is_adopting(consent, &status),
                expected,
                "{adoption:?} {adopted:?} {inputs:?}"
            );
        }
    }
}
