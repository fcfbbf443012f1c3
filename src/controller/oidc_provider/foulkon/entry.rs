//! The server's entry of a provider: found again whatever became of it, written, removed.
//!
//! It is ours if it has the id that the status keeps; before that is known, if it has the name and the path that the status has claimed. Names are looked up
//! with `_` for any character, so that nothing is written or deleted by a name but what was just read under exactly that name.

use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use crate::admin::foulkon::{Column, Fields, Foulkon, Listing, Order, PAGE, Provider, is_conflict};
use crate::admin::http::{DEADLINE, Failure};
use crate::api::oidc_provider::OidcProviderStatus;
use crate::api::{AuthorizationServer, OidcProvider};
use crate::controller::cleanup::{connection, hindered, is_settled, may_leave_behind};
use crate::controller::failure::unread;
use crate::controller::foulkon::failure::failure;
use crate::controller::object::{Claiming, is_certain, note_drift, store_claim};
use crate::controller::on_server::may_create;
use crate::controller::{Context, Pass, is_abandoned, is_held, record};
use crate::error::{Error, FoulkonFault, Outage, Result};

/// Most entries that are read one by one to find one that was renamed.
const MOST_READ: usize = 1000;
/// What the entry is called in messages.
const TYPE: &str = "provider";

/// One provider's entry, within one pass.
pub(super) struct Target<'a> {
    provider: &'a OidcProvider,
    ctx: &'a Context,
    server: &'a AuthorizationServer,
    api: &'a Foulkon,
    /// What the path of every entry of ours begins with.
    prefix: &'a str,
}

impl<'a> Target<'a> {
    /// The entry of a provider on a server.
    ///
    /// # Errors
    /// [`Error::ServerPending`] if the server is no Foulkon any more.
    pub(super) fn new(
        provider: &'a OidcProvider,
        ctx: &'a Context,
        server: &'a AuthorizationServer,
        api: &'a Foulkon,
    ) -> Result<Self> {
        let spec = server.spec.foulkon.as_ref();
        let spec = spec.ok_or_else(|| Error::ServerPending(server.name_any()))?;
        Ok(Target {
            provider,
            ctx,
            server,
            api,
            prefix: spec.prefix(),
        })
    }

    /// Makes the entry what it should be, if it is not. Returns it as it is then. `settled`: whether a difference is somebody else's doing.
    ///
    /// # Errors
    /// [`Error::ObjectNotOwned`], [`Error::NameClaimed`], [`Error::Contested`], [`FoulkonFault`], and what a failed request means.
    pub(super) async fn sync(
        &self,
        pass: &mut Pass<OidcProviderStatus>,
        wanted: &Fields,
        settled: bool,
    ) -> Result<Provider> {
        let memory = &self.ctx.providers.memory;
        let uid = self.provider.uid().unwrap_or_default();
        let found = self.find(&pass.status, Some(&wanted.name)).await;
        let found = found.map_err(|error| unread(error, settled))?;
        let differences = found.as_ref().map(|found| wanted.differences(found));
        let note = match (&found, &differences) {
            (Some(found), Some(differences)) if differences.is_empty() => {
                memory.confirmed(&uid); // whatever became of the reply to the last write
                self.set_claim(pass, wanted);
                return Ok(found.clone());
            }
            (_, Some(differences)) => format!(
                "The provider had been changed on the server ({}) and was put right.",
                differences.join(", ")
            ),
            // One that comes while another one is still under way would make a twin.
            _ if memory.is_unconfirmed(&uid) && memory.quiet_for(&uid) < DEADLINE => {
                return Err(Error::Unavailable(Outage::Busy));
            }
            _ => {
                may_create(self.ctx, self.server).await?;
                "The provider was gone from the server and was made again.".to_owned()
            }
        };
        note_drift(self.provider, self.ctx, pass, settled, note)?;
        let before = pass.status.clone();
        self.claim(pass, wanted, found.is_none()).await?;
        memory.writing(&uid);
        let (operation, written) = match &found {
            Some(found) => ("update_oidc_provider", self.api.update(&found.name, wanted).await),
            None => ("create_oidc_provider", self.api.create(wanted).await),
        };
        if written.as_ref().err().is_none_or(is_certain) {
            memory.confirmed(&uid);
        }
        // What other providers are told is the server's to find out.
        self.ctx.servers.wake(ObjectRef::from_obj(self.server));
        match written {
            Ok(written) if wanted.differences(&written).is_empty() => Ok(written),
            Ok(_) => Err(Error::Reply {
                operation,
                problem: "is not what was asked for",
            }),
            Err(failed) => {
                if matches!(failed, Failure::Status { .. } | Failure::Refused(_)) {
                    // Nothing was written: a claim that stays would make ours what somebody else makes of that name later.
                    self.withdraw(pass, &before).await?;
                }
                Err(match is_conflict(&failed) {
                    true => self.not_owned(&wanted.name),
                    false => failure(operation, failed),
                })
            }
        }
    }

    /// Finds the entry: by the names that it may have, and, if it has an id, wherever it was moved to. `wanted`: a name that is free, or ours.
    async fn find(&self, status: &OidcProviderStatus, wanted: Option<&String>) -> Result<Option<Provider>> {
        let claimed = status.name.as_ref().filter(|_| self.has_claim(status));
        let mut is_taken = false;
        for name in claimed
            .into_iter()
            .chain(wanted.filter(|wanted| claimed != Some(wanted)))
        {
            match self.get(name).await?.filter(|found| found.name == *name) {
                Some(found) if self.is_ours(status, &found) => return self.checked(found).map(Some),
                Some(_) => is_taken |= wanted == Some(name),
                None => {}
            }
        }
        if let Some(id) = status.id.as_ref().filter(|_| self.has_claim(status))
            && let Some(found) = self.search(id).await?
        {
            return self.checked(found).map(Some);
        }
        match wanted {
            Some(name) if is_taken => Err(self.not_owned(name)),
            _ => Ok(None),
        }
    }

    /// Reads all entries that no resource is known to have, one by one: somebody renamed ours, or deleted it.
    async fn search(&self, id: &str) -> Result<Option<Provider>> {
        let server = self.server.name_any();
        let known = |name: &String| {
            let has = |other: &OidcProvider| {
                other
                    .status
                    .as_ref()
                    .is_some_and(|status| status.name.as_ref() == Some(name))
            };
            self.ctx.providers.on(&server).iter().any(|other| has(other))
        };
        let (mut offset, mut left) = (0, MOST_READ);
        loop {
            let listing = Listing {
                path_prefix: None,
                offset,
                limit: Some(PAGE),
                order_by: Some((Column::CreateAt, Order::Ascending)),
            };
            let page = self.api.list(listing).await;
            let page = page.map_err(|failed| failure("list_oidc_providers", failed))?;
            let is_last = page.providers.is_empty();
            for name in page.providers.into_iter().filter(|name| !known(name)).take(left) {
                left -= 1;
                if let Some(found) = self.get(&name).await?.filter(|found| found.id == id) {
                    return Ok(Some(found));
                }
            }
            offset += PAGE;
            if is_last || offset >= page.total || left == 0 {
                return Ok(None);
            }
        }
    }

    async fn get(&self, name: &str) -> Result<Option<Provider>> {
        let found = self.api.get(name).await;
        found.map_err(|failed| failure("get_oidc_provider", failed))
    }

    /// Whether the status has claimed a name on this very server.
    fn has_claim(&self, status: &OidcProviderStatus) -> bool {
        OidcProvider::claim(&mut status.clone()).is_on(self.server)
    }

    fn is_ours(&self, status: &OidcProviderStatus, found: &Provider) -> bool {
        self.has_claim(status)
            && match &status.id {
                Some(id) => *id == found.id,
                None => status.name.as_ref() == Some(&found.name) && status.path.as_ref() == Some(&found.path),
            }
    }

    /// Ours, if it is still where the operator may write.
    fn checked(&self, found: Provider) -> Result<Provider> {
        match found {
            found if !found.path.starts_with(self.prefix) => Err(FoulkonFault::MovedAway(found.path).into()),
            found if found.name.contains('_') => Err(FoulkonFault::Ambiguous(found.name).into()),
            found => Ok(found),
        }
    }

    fn not_owned(&self, name: &str) -> Error {
        Error::ObjectNotOwned {
            type_: TYPE,
            name: name.to_owned(),
        }
    }

    /// Keeps in the status that name and path are ours, before anything is written under them. `is_new`: whether what is written next gets an id of its own.
    async fn claim(&self, pass: &mut Pass<OidcProviderStatus>, wanted: &Fields, is_new: bool) -> Result<()> {
        let before = pass.status.clone();
        self.set_claim(pass, wanted);
        if is_new {
            pass.status.id = None;
        }
        if pass.status == before {
            return Ok(());
        }
        store_claim(self.provider, self.ctx, pass, self.server).await?;
        let claimed = check_name(self.provider, self.ctx, self.server, &wanted.name);
        if claimed.is_err() {
            self.withdraw(pass, &before).await?;
        }
        claimed
    }

    fn set_claim(&self, pass: &mut Pass<OidcProviderStatus>, wanted: &Fields) {
        pass.status.name = Some(wanted.name.clone());
        pass.status.path = Some(wanted.path.clone());
        pass.status.server_uid = self.server.uid();
    }

    /// The claim is as it was before.
    async fn withdraw(&self, pass: &mut Pass<OidcProviderStatus>, before: &OidcProviderStatus) -> Result<()> {
        let before = before.clone();
        (pass.status.name, pass.status.path) = (before.name, before.path);
        (pass.status.id, pass.status.server_uid) = (before.id, before.server_uid);
        record(self.provider, self.ctx, pass).await
    }
}

/// Whether a provider may have a name, or goes on having it: nobody else has claimed it. Of two that have, the later one withdraws.
///
/// # Errors
/// [`Error::NameClaimed`].
pub(super) fn check_name(
    provider: &OidcProvider,
    ctx: &Context,
    server: &AuthorizationServer,
    name: &str,
) -> Result<()> {
    let kind = &ctx.providers;
    let age = |provider: &OidcProvider| (provider.creation_timestamp(), provider.uid());
    let has = |provider: &OidcProvider| {
        let mut status = provider.status.clone().unwrap_or_default();
        is_held(provider) && OidcProvider::claim(&mut status).is_for(name, server)
    };
    let ours = kind.newest(Arc::new(provider.clone()));
    let is_ours = has(&ours);
    let others = kind.on(&server.name_any()).into_iter();
    let mut others = others
        .filter(|other| other.uid() != ours.uid())
        .map(|other| kind.newest(other));
    match others.any(|other| has(&other) && (!is_ours || age(&other) < age(&ours))) {
        false => Ok(()),
        true => Err(Error::NameClaimed {
            type_: TYPE,
            name: name.to_owned(),
        }),
    }
}

/// Deletes the entry of a provider, if it has one. Access is not evaluated: what was made may always go. What somebody has moved out of the operator's
/// reach stays.
///
/// # Errors
/// [`Error::CleanupWaits`], [`Error::CleanupUnconfirmed`], [`Error::CleanupWithoutServer`].
pub(in crate::controller::oidc_provider) async fn remove(
    provider: &OidcProvider,
    ctx: &Context,
    pass: &mut Pass<OidcProviderStatus>,
) -> Result<()> {
    let was_confirmed = pass.status.inputs.is_some();
    // Without a claim nothing was ever written.
    if pass.status.name.is_none() || pass.status.server_uid.is_none() {
        return Ok(());
    }
    if is_abandoned(provider) && may_leave_behind(provider, ctx).await? {
        return Ok(());
    }
    let (server, link) = connection(provider, ctx)?;
    if !OidcProvider::claim(&mut pass.status).is_on(&server) {
        return Ok(()); // it was made on another server of that name
    }
    let is_settled = is_settled(provider, ctx, was_confirmed);
    let target = Target::new(provider, ctx, &server, &link.foulkon()?.api)?;
    let found = match target.find(&pass.status, None).await {
        Err(Error::Foulkon(FoulkonFault::MovedAway(_) | FoulkonFault::Ambiguous(_))) => None,
        found => found.map_err(|error| hindered(provider, ctx, error))?,
    };
    if let Some(found) = found {
        let uid = provider.uid().unwrap_or_default();
        ctx.providers.memory.writing(&uid);
        let deleted = target.api.delete(&found.name).await;
        if deleted.as_ref().err().is_none_or(is_certain) {
            ctx.providers.memory.confirmed(&uid);
        }
        deleted.map_err(|failed| hindered(provider, ctx, failure("delete_oidc_provider", failed)))?;
        ctx.servers.wake(ObjectRef::from_obj(&*server));
    }
    match is_settled {
        true => Ok(()),
        false => Err(Error::CleanupUnconfirmed),
    }
}
