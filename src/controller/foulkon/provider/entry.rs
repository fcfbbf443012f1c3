//! The entry of a provider on the server: claim, write, remove.

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use crate::admin::foulkon::{Fields, Foulkon, Provider, is_conflict};
use crate::admin::http::Failure;
use crate::api::event::Happening;
use crate::api::oidc_provider::OidcProviderStatus;
use crate::api::status::clear;
use crate::api::{AuthorizationServer, OidcProvider};
use crate::clock::DEADLINE;
use crate::controller::common::admission::may_create;
use crate::controller::common::claim::{Claim, Claiming, store_claim};
use crate::controller::common::cleanup::remove_claimed;
use crate::controller::common::drift::{is_drift, note_drift};
use crate::controller::common::failure::{is_certain, unread};
use crate::controller::common::note::{note_registered, note_updated};
use crate::controller::engine::context::Context;
use crate::controller::engine::hold::record;
use crate::controller::engine::links::Link;
use crate::controller::engine::managed::Pass;
use crate::controller::foulkon::failure::failure;
use crate::controller::foulkon::provider::fields::follow;
use crate::controller::foulkon::provider::names::{TYPE, check_alone, check_name, marked_path};
use crate::error::{Error, FoulkonFault, Result};

/// One provider's entry, within one pass.
pub(crate) struct Entry<'a> {
    pub(crate) provider: &'a OidcProvider,
    pub(crate) ctx: &'a Context,
    pub(crate) server: &'a AuthorizationServer,
    pub(crate) api: &'a Foulkon,
    /// Lock that is held while a name is taken.
    pub(crate) naming: &'a tokio::sync::Mutex<()>,
    /// Prefix of the paths of all our entries.
    pub(crate) prefix: &'a str,
    /// A path that only this provider's entry has.
    pub(crate) marked_path: String,
}

impl<'a> Entry<'a> {
    /// The entry of a provider on a server.
    ///
    /// # Errors
    /// [`Error::ServerPending`] if the server is no longer a Foulkon.
    pub(crate) fn new(
        provider: &'a OidcProvider,
        ctx: &'a Context,
        server: &'a AuthorizationServer,
        link: &'a Link,
    ) -> Result<Self> {
        let spec = server.spec.foulkon.as_ref();
        let spec = spec.ok_or_else(|| Error::ServerPending(server.name_any()))?;
        Ok(Entry {
            provider,
            ctx,
            server,
            api: &link.foulkon()?.api,
            naming: &link.connection.naming,
            prefix: spec.prefix(),
            marked_path: marked_path(provider, spec),
        })
    }

    /// Reads the entry and corrects it if it differs. Returns it as it is then. `settled`: whether only another writer
    /// can have caused a difference.
    ///
    /// # Errors
    /// [`Error::ObjectNotOwned`], [`Error::NameClaimed`], [`Error::Contested`], [`FoulkonFault`], and what a failed
    /// request means.
    pub(crate) async fn sync(
        &self,
        pass: &mut Pass<OidcProviderStatus>,
        wanted: &mut Fields,
        settled: bool,
    ) -> Result<Provider> {
        let memory = &self.ctx.kinds.providers.memory;
        let uid = self.provider.uid().unwrap_or_default();
        let found = match self.find(&pass.status, Some(&wanted.name)).await {
            Err(error @ Error::ObjectNotOwned { .. }) => {
                clear(&mut pass.status); // our entry does not exist any more
                return match self.provider.consent().adopts() {
                    true => self.adopt(pass, wanted, error).await,
                    false => Err(error),
                };
            }
            found => found.map_err(|error| unread(error, settled))?,
        };
        if let Some(found) = &found {
            follow(&mut pass.status.kept_client_ids, wanted, found);
        }
        let differences = found.as_ref().map(|found| wanted.differences(found));
        let note = match (&found, &differences) {
            (Some(found), Some(differences)) if differences.is_empty() => {
                memory.confirmed(&uid); // even if the reply to the last write was lost
                self.set_claim(pass, wanted);
                return Ok(found.clone());
            }
            (_, Some(differences)) => format!(
                "The provider was changed on the server ({}) and has been corrected.",
                differences.join(", ")
            ),
            // An earlier create may still be in progress. A second one would make a duplicate.
            _ if memory.is_unconfirmed(&uid) && memory.quiet_for(&uid) < DEADLINE => {
                return Err(Error::Overtaken);
            }
            _ => {
                may_create(self.ctx, self.server).await?;
                "The provider was deleted on the server and has been created again.".to_owned()
            }
        };
        let is_drift = is_drift(self.provider, self.ctx, settled, "the provider")?;
        let written = self.write(pass, wanted, found.as_ref(), None).await?;
        match (is_drift, &differences) {
            (true, _) => note_drift(self.provider, self.ctx, pass, note),
            (false, None) => note_registered(pass, TYPE),
            (false, Some(fields)) => note_updated(pass, TYPE, fields),
        }
        Ok(written)
    }

    /// Claims the entry, then writes it. `kept`: for an entry that is adopted, the clients that its list keeps.
    pub(crate) async fn write(
        &self,
        pass: &mut Pass<OidcProviderStatus>,
        wanted: &Fields,
        found: Option<&Provider>,
        kept: Option<Vec<String>>,
    ) -> Result<Provider> {
        let has_name = found.is_some_and(|found| found.name == *wanted.name);
        // The server first checks whether a name is free and then stores it, without a lock in between. Nor may two
        // resources adopt the same entry.
        let _turn = match has_name && kept.is_none() {
            true => None,
            false => Some(self.naming.lock().await),
        };
        check_name(self.provider, self.ctx, self.server, &wanted.name)?;
        if let Some(found) = found.filter(|_| !has_name) {
            self.check_free(&wanted.name, found).await?;
        }
        let before = pass.status.clone();
        if let Some((kept, found)) = kept.zip(found) {
            pass.status.id = Some(found.id.to_string());
            (pass.status.adopted, pass.status.kept_client_ids) = (Some(true), kept);
        }
        self.claim(pass, wanted, found.is_none()).await?;
        self.confirm_alone(pass, wanted, before.clone()).await?;
        let (memory, uid) = (
            &self.ctx.kinds.providers.memory,
            self.provider.uid().unwrap_or_default(),
        );
        memory.writing(&uid);
        let (operation, written) = match found {
            Some(found) => ("update_oidc_provider", self.api.update(&found.name, wanted).await),
            None => ("create_oidc_provider", self.api.create(wanted).await),
        };
        memory.ended(&uid, written.as_ref().err().is_none_or(is_certain));
        self.tell_the_server();
        match written {
            Ok(written) if found.is_some_and(|found| found.id != written.id) => Err(self.not_owned(&written.name)),
            Ok(written) if wanted.differences(&written).is_empty() => Ok(written),
            Ok(_) => Err(Error::Reply {
                operation,
                problem: "is not what was requested",
            }),
            Err(failed) => {
                if matches!(failed, Failure::Status { .. } | Failure::Refused(_) | Failure::Denied) {
                    // Nothing was written. If the claim stayed, an entry that others create under this name later would
                    // count as ours.
                    self.withdraw(pass, before).await?;
                }
                Err(match is_conflict(&failed) {
                    true => self.not_owned(&wanted.name),
                    false => failure(operation, failed),
                })
            }
        }
    }

    /// Deletes the entry and the claim to it.
    ///
    /// # Errors
    /// As [`Entry::delete`].
    pub(crate) async fn take_off(&self, pass: &mut Pass<OidcProviderStatus>) -> Result<()> {
        let memory = &self.ctx.kinds.providers.memory;
        let uid = self.provider.uid().unwrap_or_default();
        if memory.is_unconfirmed(&uid) && memory.quiet_for(&uid) < DEADLINE {
            return Err(Error::Overtaken);
        }
        self.delete(pass).await?;
        clear(&mut pass.status);
        Ok(())
    }

    /// Deletes the entry, if there is one. An entry that was moved or renamed out of the operator's reach stays, and an
    /// event reports it.
    ///
    /// # Errors
    /// What a failed request means.
    pub(crate) async fn delete(&self, pass: &mut Pass<OidcProviderStatus>) -> Result<()> {
        let found = match self.find(&pass.status, None).await {
            Err(Error::Foulkon(fault @ (FoulkonFault::MovedAway(_) | FoulkonFault::Ambiguous(_)))) => {
                pass.note(Happening::LeftBehind, fault.to_string());
                None
            }
            found => found?,
        };
        let Some(found) = found else { return Ok(()) };
        let (memory, uid) = (
            &self.ctx.kinds.providers.memory,
            self.provider.uid().unwrap_or_default(),
        );
        memory.writing(&uid);
        let deleted = self.api.delete(&found.name).await;
        if deleted.as_ref().err().is_none_or(is_certain) {
            memory.confirmed(&uid);
        }
        deleted.map_err(|failed| failure("delete_oidc_provider", failed))?;
        self.tell_the_server();
        Ok(())
    }

    /// Wakes the server, which reports whether a restart is required. If it reports that already, there is nothing new
    /// to find out.
    pub(crate) fn tell_the_server(&self) {
        let server = self.ctx.server(&self.server.name_any());
        if server.is_some_and(|server| server.status.as_ref().is_some_and(|status| status.loaded == Some(true))) {
            self.ctx.kinds.servers.wake(ObjectRef::from_obj(self.server));
        }
    }

    /// Stores the claim to name and path in the status, before anything is written under them. `is_new`: whether the
    /// next write makes a new id.
    pub(crate) async fn claim(&self, pass: &mut Pass<OidcProviderStatus>, wanted: &Fields, is_new: bool) -> Result<()> {
        let before = pass.status.clone();
        self.set_claim(pass, wanted);
        if is_new {
            (pass.status.id, pass.status.inputs, pass.status.adopted) = (None, None, None);
        }
        match pass.status == before {
            true => Ok(()),
            false => store_claim(self.provider, self.ctx, pass, self.server, before)
                .await
                .map(drop),
        }
    }

    /// Withdraws a new claim if another resource has the name as well, through another AuthorizationServer of the same
    /// worker. Both would write the same entry, and one of them could delete it.
    async fn confirm_alone(
        &self,
        pass: &mut Pass<OidcProviderStatus>,
        wanted: &Fields,
        before: OidcProviderStatus,
    ) -> Result<()> {
        if self.has_claim(&before) && before.name.as_ref() == Some(&wanted.name) {
            return Ok(());
        }
        let alone = check_alone(self.provider, self.ctx, self.server, &wanted.name);
        if alone.is_err() {
            self.withdraw(pass, before).await?;
        }
        alone
    }

    pub(crate) fn set_claim(&self, pass: &mut Pass<OidcProviderStatus>, wanted: &Fields) {
        pass.status.name = Some(wanted.name.clone());
        pass.status.path = Some(wanted.path.clone());
        pass.status.server_uid = self.server.uid();
        pass.status.cluster_id = Some(self.ctx.settings.cluster.clone());
    }

    /// Restores the claim as it was before.
    pub(crate) async fn withdraw(&self, pass: &mut Pass<OidcProviderStatus>, before: OidcProviderStatus) -> Result<()> {
        pass.status = before;
        record(self.provider, self.ctx, pass).await
    }
}

/// Deletes the entry of a provider. Access rules are not checked: what the operator made may always be deleted.
///
/// # Errors
/// [`Error::CleanupWaits`], [`Error::CleanupUnconfirmed`], [`Error::CleanupWithoutServer`].
pub(crate) async fn remove(provider: &OidcProvider, ctx: &Context, pass: &mut Pass<OidcProviderStatus>) -> Result<()> {
    // If another resource asked for the name first, the entry is that one's.
    let is_first = |claim: &Claim<'_>, server: &AuthorizationServer| {
        let name = claim.name.as_ref();
        name.is_none_or(|name| check_name(provider, ctx, server, name).is_ok())
    };
    let is_ours =
        |claim: Claim<'_>, server: &AuthorizationServer| claim.is_on(server, &ctx.settings) && is_first(&claim, server);
    remove_claimed(provider, ctx, pass, TYPE, is_ours, async |pass, claimed| {
        Entry::new(provider, ctx, &claimed.server, &claimed.link)?
            .delete(pass)
            .await
    })
    .await
}
