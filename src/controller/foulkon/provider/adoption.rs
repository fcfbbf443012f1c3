//! Adoption of an entry that others made. It moves to the path of the resource, unless the spec asks for another one.

use crate::admin::foulkon::{Fields, Provider, is_client_id};
use crate::api::OidcProvider;
use crate::api::oidc_provider::OidcProviderStatus;
use crate::controller::common::admission::may_create;
use crate::controller::common::adoption::{MOST_KEPT, note_adoption, preview_in_words};
use crate::controller::common::claim::Claiming;
use crate::controller::common::observe::observed;
use crate::controller::engine::managed::Pass;
use crate::controller::engine::verdict::Done;
use crate::controller::foulkon::provider::entry::Entry;
use crate::controller::foulkon::provider::fields::follow;
use crate::controller::foulkon::provider::names::{TYPE, check_name};
use crate::error::{Error, FoulkonFault, Result};

impl Entry<'_> {
    /// Claims the entry with the wanted name and makes it match the spec, apart from clients that no resource has.
    /// `taken`: the error if there is none after all.
    ///
    /// # Errors
    /// As [`Entry::write`]; [`FoulkonFault::TooManyClients`].
    pub(crate) async fn adopt(
        &self,
        pass: &mut Pass<OidcProviderStatus>,
        wanted: &mut Fields,
        taken: Error,
    ) -> Result<Provider> {
        let found = self.get(&wanted.name).await?.filter(|found| found.name == *wanted.name);
        let Some(found) = found else { return Err(taken) };
        check_name(self.provider, self.ctx, self.server, &wanted.name)?;
        let kept = keep(wanted, &found)?;
        may_create(self.ctx, self.server).await?;
        let fields = wanted.differences(&found);
        let written = self.write(pass, wanted, Some(&found), Some(kept)).await?;
        note_adoption(pass, TYPE, &fields);
        Ok(written)
    }

    /// Compares the entry with what is wanted, and writes nothing. Only an entry of this resource is compared, or one
    /// that it may adopt.
    ///
    /// # Errors
    /// As [`Entry::find`]; [`FoulkonFault::TooManyClients`].
    pub(crate) async fn observe(&self, status: &OidcProviderStatus, mut wanted: Fields) -> Result<Done> {
        let found = match self.find(status, Some(&wanted.name)).await {
            Err(taken @ Error::ObjectNotOwned { .. }) if self.provider.consent().adopts() => {
                let found = self.get(&wanted.name).await?.filter(|found| found.name == *wanted.name);
                let Some(found) = found else { return Err(taken) };
                check_name(self.provider, self.ctx, self.server, &wanted.name)?;
                keep(&mut wanted, &found)?;
                Some(found)
            }
            found => {
                let found = found?;
                if let Some(found) = &found {
                    follow(&mut status.kept_client_ids.clone(), &mut wanted, found);
                }
                found
            }
        };
        let differences = found.map(|found| wanted.differences(&found));
        Ok(observed(
            TYPE,
            differences.as_deref(),
            self.server.spec.resync_interval(),
        ))
    }

    /// What an adoption would change. None if none is asked for, or the server cannot be asked.
    pub(crate) async fn preview(&self, status: &OidcProviderStatus, mut wanted: Fields) -> Option<String> {
        let mut claimed = status.clone();
        let is_claimed = self.has_claim(status);
        let is_of_another = OidcProvider::claim(&mut claimed)
            .other_cluster(&self.ctx.settings)
            .is_some();
        if is_claimed || is_of_another || !self.provider.consent().adopts() {
            return None;
        }
        let found = self.get(&wanted.name).await.ok()?;
        let Some(found) = found.filter(|found| found.name == *wanted.name) else {
            return Some(preview_in_words(TYPE, None));
        };
        Some(match keep(&mut wanted, &found) {
            Ok(_) => preview_in_words(TYPE, Some(&wanted.differences(&found))),
            Err(error) => error.to_string(),
        })
    }
}

/// Adds the clients of an entry that no resource has. Returns them.
fn keep(wanted: &mut Fields, found: &Provider) -> Result<Vec<String>> {
    let found = found.client_ids();
    let kept: Vec<String> = found
        .difference(&wanted.clients)
        .filter(|id| is_client_id(id)) // an empty one lets nobody in
        .cloned()
        .collect();
    if kept.len() > MOST_KEPT {
        return Err(FoulkonFault::TooManyClients.into());
    }
    wanted.clients.extend(kept.iter().cloned());
    Ok(kept)
}
