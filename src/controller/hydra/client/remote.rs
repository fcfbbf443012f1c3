//! The client on the server: read → compare → write, and what a failure means.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use kube::ResourceExt;
use serde_json::Value;

use crate::admin::http::Failure;
use crate::admin::hydra::Client;
use crate::admin::hydra::client::Marker;
use crate::admin::hydra::mapping::{fields_of, grant_names};
use crate::admin::hydra::sync::{Known, Ownership, Step, decide, is_later};
use crate::api::OAuth2Client;
use crate::api::event::Happening;
use crate::api::oauth2_client::OAuth2ClientStatus;
use crate::api::refs::Adoption;
use crate::controller::common::admission::may_create;
use crate::controller::common::claim::note_takeover;
use crate::controller::common::client::plan::{ClientPlan, check_access_with};
use crate::controller::common::drift::{is_drift, note_drift, tell_drift};
use crate::controller::common::failure::unread;
use crate::controller::common::note::note_updated;
use crate::controller::engine::context::Context;
use crate::controller::engine::links::Link;
use crate::controller::engine::managed::Pass;
use crate::controller::engine::memory::Memory;
use crate::controller::hydra::client::adoption::{
    adoption_in_words, differences, in_status, is_secret_of_others, kept_grant_types, may_take_over, not_owned,
    of_another_cluster, own_mark, owner_of,
};
use crate::controller::hydra::client::ledger::{Former, Ledger};
use crate::controller::hydra::client::plan::marker as own_marker;
use crate::controller::hydra::failure::failure;
use crate::controller::hydra::server;
use crate::error::{Error, Result};

/// One resource's client on one server, within one pass.
pub(crate) struct Remote<'a> {
    pub(crate) client: &'a OAuth2Client,
    pub(crate) ctx: &'a Context,
    pub(crate) plan: &'a ClientPlan,
    pub(crate) link: &'a Link,
    pub(crate) ledger: Option<&'a Ledger>,
    /// Whether our secret may replace a secret of other owners.
    pub(crate) may_tell: bool,
    /// Whether there was a ledger at the last success.
    pub(crate) had_ledger: bool,
    /// Whether only another writer can have caused a difference.
    pub(crate) drift: bool,
}

impl Remote<'_> {
    /// Syncs the client on the server.
    pub(crate) async fn sync(
        &self,
        pass: &mut Pass<OAuth2ClientStatus>,
        mut wanted: Client,
        fresh: bool,
    ) -> Result<()> {
        let mut marker = own_marker(self.client, self.ctx);
        marker.revision = self.ledger.map(|ledger| ledger.revision.clone()).unwrap_or_default();
        let written_at = self.ctx.kinds.clients.memory.written_at(&self.plan.uid);
        if is_later(written_at.as_deref(), pass.status.updated_at.as_deref()) {
            pass.status.updated_at = written_at;
        }
        let confirmed = pass.status.updated_at.is_some();
        if !confirmed {
            may_create(self.ctx, &self.plan.server).await?;
        }
        wanted.mark(&marker);
        if fresh && self.client.spec.adoption != Some(Adoption::Allow) && self.create(pass, &wanted).await? {
            return Ok(());
        }
        // Twice: the client may be deleted between read and write, or created between them.
        for _ in 0..2 {
            if self.attempt(pass, &mut wanted, &mut marker, confirmed).await? {
                return Ok(());
            }
        }
        Err(Error::Overtaken)
    }

    fn memory(&self) -> &Memory<OAuth2Client> {
        &self.ctx.kinds.clients.memory
    }

    /// Reads the client, compares it, and writes what differs. False if it changed between read and write.
    async fn attempt(
        &self,
        pass: &mut Pass<OAuth2ClientStatus>,
        wanted: &mut Client,
        marker: &mut Marker,
        confirmed: bool,
    ) -> Result<bool> {
        let observed = self.link.hydra()?.get_client(&wanted.client_id).await;
        let mut observed = observed.map_err(|f| unread(failure("get_o_auth2_client", f), self.drift))?;
        // Taken before the marker is rewritten, so that our own write does not hide one of another writer.
        let updated_at = pass.status.updated_at.clone();
        if let Some(found) = &mut observed
            && !self.take_mark_over(pass, found).await?
        {
            return Ok(false);
        }
        let found = observed.as_ref();
        let may_take_over = self.adopt(pass, found, marker)?;
        let kept = self.complete(&pass.status, wanted, found, marker)?;
        let known = Known {
            updated_at: updated_at.as_deref(),
            must_read: pass.must_read,
            may_take_over,
            is_settled: self.drift && self.memory().has_sent(&self.plan.uid, digest_of(wanted)),
        };
        let step = decide(wanted, found, known);
        let is_certain = self.take(pass, (wanted, found), step, marker, confirmed).await?;
        if is_certain {
            // Only now: a client that is missing for a moment must not make us forget what it keeps.
            pass.status.kept_grant_types = in_status(&kept);
        }
        Ok(is_certain)
    }

    /// Writes what a comparison asks for. False if the client changed between read and write.
    async fn take(
        &self,
        pass: &mut Pass<OAuth2ClientStatus>,
        (wanted, found): (&Client, Option<&Client>),
        step: Step,
        marker: &Marker,
        confirmed: bool,
    ) -> Result<bool> {
        match step {
            Step::Nothing => Ok(stays(pass, &[], marker)),
            Step::NotKept(fields) => Ok(stays(pass, &fields, marker)),
            Step::NotOwned => {
                let id = || Error::NotOwned(wanted.client_id.clone());
                Err(found.map_or_else(id, |found| not_owned(self.client, self.ctx, &pass.status, found)))
            }
            // The client was just deleted, and with it the secret that only others knew.
            Step::Create if self.plan.effective.has_secret() && self.ledger.is_none() => Err(Error::Overtaken),
            Step::Create => {
                let created = self.recreate(pass, wanted, confirmed).await?;
                pass.status.adopted = pass.status.adopted.filter(|_| !created);
                Ok(created)
            }
            Step::Update {
                fields,
                with_secret,
                foreign,
            } => {
                let is_new = marker.adopted && pass.status.adopted != Some(true);
                let note = found.filter(|_| is_new).map(|found| adoption_in_words(wanted, found));
                let corrected = self
                    .correct(pass, (wanted, found), &fields, with_secret, foreign)
                    .await?;
                Self::note_adoption(pass, corrected, marker.adopted, note);
                Ok(corrected)
            }
        }
    }

    fn note_adoption(pass: &mut Pass<OAuth2ClientStatus>, corrected: bool, adopted: bool, note: Option<String>) {
        if corrected {
            pass.notes.extend(note.map(|note| (Happening::Adopted, note)));
            pass.status.adopted = adopted.then_some(true);
        }
    }

    /// Marks the wanted client. An adopted client keeps grant types that the spec does not list, because applications may
    /// depend on them, as far as the access rules allow them. Returns these grant types.
    ///
    /// # Errors
    /// [`Error::NotAllowed`].
    fn complete(
        &self,
        status: &OAuth2ClientStatus,
        wanted: &mut Client,
        found: Option<&Client>,
        marker: &Marker,
    ) -> Result<Vec<String>> {
        wanted.mark(marker);
        let effective = &self.plan.effective.grant_types;
        let kept = found.filter(|_| marker.adopted).map(|found| {
            let asked = self.client.spec.grant_types.as_deref();
            let was_adopted = status.adopted == Some(true);
            let before = was_adopted.then_some(status.kept_grant_types.as_slice());
            kept_grant_types(asked, effective, before, &found.grant_types)
        });
        let kept = kept.unwrap_or_default();
        let allowed = check_access_with(self.client, self.ctx, self.plan, &kept);
        allowed.map_err(|denied| Error::NotAllowed {
            server: self.plan.server.name_any(),
            denied,
        })?;
        wanted.grant_types = grant_names(effective);
        wanted.grant_types.extend_from_slice(&kept);
        Ok(kept)
    }

    /// Finds out whether the client existed before the resource, and notes it in the marker. Returns whether a client
    /// of another owner may be taken over.
    ///
    /// # Errors
    /// [`Error::Overtaken`] if this would replace a secret of other owners.
    fn adopt(&self, pass: &mut Pass<OAuth2ClientStatus>, found: Option<&Client>, marker: &mut Marker) -> Result<bool> {
        let mark = found.and_then(|found| own_mark(self.client, self.ctx, found));
        let may_take_over =
            mark.is_none() && found.is_some_and(|found| may_take_over(self.client, self.ctx, &pass.status, found));
        marker.adopted = may_take_over || mark.as_ref().is_some_and(|mark| mark.adopted);
        let is_of_others = marker.adopted && is_secret_of_others(mark.as_ref(), &pass.status, self.had_ledger);
        if is_of_others && self.ledger.is_some() && !self.may_tell {
            // This was not known when the ledger was written. The next pass checks it first.
            pass.status.adopted = mark.map(|_| true).or(pass.status.adopted);
            return Err(Error::Overtaken);
        }
        Ok(may_take_over)
    }

    /// Rewrites the marker of a former cluster and nothing else: secret and revision stay. False if the client was
    /// deleted.
    ///
    /// # Errors
    /// [`Error::OtherCluster`], and what a failed request means.
    async fn take_mark_over(&self, pass: &mut Pass<OAuth2ClientStatus>, found: &mut Client) -> Result<bool> {
        let former = match owner_of(self.client, self.ctx, &pass.status, found) {
            Ownership::Former(former) => former,
            Ownership::OtherCluster(cluster) => return Err(of_another_cluster(found.client_id.clone(), cluster)),
            Ownership::Ours | Ownership::Others => return Ok(true),
        };
        if !self.mark_as_ours(pass, found).await? {
            return Ok(false);
        }
        note_takeover(pass, &former);
        Ok(true)
    }

    /// Sends a client back with the mark of this resource and nothing else changed: secret and revision stay. False if
    /// the client was deleted.
    ///
    /// # Errors
    /// What a failed request means.
    pub(crate) async fn mark_as_ours(&self, pass: &mut Pass<OAuth2ClientStatus>, found: &mut Client) -> Result<bool> {
        let theirs = found.marker().unwrap_or_default();
        found.mark(&Marker {
            revision: theirs.revision,
            adopted: theirs.adopted,
            ..own_marker(self.client, self.ctx)
        });
        self.update(pass, found, false).await
    }

    /// Creates a client that does not exist (any more). False if the id is taken.
    async fn recreate(&self, pass: &mut Pass<OAuth2ClientStatus>, wanted: &Client, confirmed: bool) -> Result<bool> {
        if confirmed {
            server::confirm_issuer(&self.plan.server, self.link).await?;
            may_create(self.ctx, &self.plan.server).await?;
        }
        let created = self.create(pass, wanted).await?;
        if created {
            let note = "The client was deleted on the server and has been created again with the same id and secret.";
            if self.drift && confirmed {
                tell_drift(self.client, self.ctx, pass, note.to_owned());
            }
        }
        Ok(created)
    }

    /// Corrects what differs, unless another writer keeps changing it. False if the client was deleted.
    async fn correct(
        &self,
        pass: &mut Pass<OAuth2ClientStatus>,
        (wanted, found): (&Client, Option<&Client>),
        fields: &[String],
        with_secret: bool,
        foreign: bool,
    ) -> Result<bool> {
        // Without a later `updated_at`, no other writer caused the difference. The same holds after a write of ours
        // whose reply was lost.
        let what = match fields {
            [] => "secret or time of change".to_owned(),
            fields => fields.join(", "),
        };
        let is_foreign = (foreign || !self.drift) && is_drift(self.client, self.ctx, self.drift, &what)?;
        let was_registered = pass.status.updated_at.is_some();
        let with_secret = with_secret && self.must_send(found, foreign).await?;
        let body = found.map_or_else(|| wanted.clone(), |found| wanted.carrying(found));
        if !self.update(pass, &body, with_secret).await? {
            return Ok(false);
        }
        if self.ledger.is_some_and(|ledger| matches!(ledger.former, Former::Ends)) {
            pass.note(
                Happening::FormerSecretEnded,
                "The former secret of the client is no longer valid, because its overlap has ended.",
            );
        }
        let note = format!("The client was changed on the server ({what}) and has been corrected.");
        if is_foreign {
            note_drift(self.client, self.ctx, pass, note);
        } else if was_registered && !self.drift {
            let fields = found.map(|found| differences(wanted, found)).unwrap_or_default();
            self.note_update(pass, &fields, with_secret);
        }
        Ok(true)
    }

    /// Reports what a change of the resource, or of what it refers to, changed on the server.
    fn note_update(&self, pass: &mut Pass<OAuth2ClientStatus>, fields: &[String], with_secret: bool) {
        let is_told = pass.has_noted(&[Happening::SecretRotated, Happening::SecretReplaced]);
        let is_users = self.may_tell && self.ledger.is_some_and(|ledger| ledger.rewritten);
        let secret = (with_secret && is_users && !is_told).then_some("the secret");
        let fields: BTreeSet<&str> = fields_of(fields).into_iter().chain(secret).collect();
        note_updated(pass, "client", &Vec::from_iter(fields));
    }

    /// False if the id is taken.
    async fn create(&self, pass: &mut Pass<OAuth2ClientStatus>, wanted: &Client) -> Result<bool> {
        self.ctx.kinds.clients.memory.writing(&self.plan.uid);
        let secret = self.ledger.map(|ledger| &ledger.secret);
        let reply = self
            .link
            .hydra()?
            .create_client(wanted, secret)
            .await
            .map_err(|f| self.failed("create_o_auth2_client", f))?;
        self.confirm(pass, reply, wanted, "create_o_auth2_client")
    }

    /// False if no client has that id any more.
    async fn update(&self, pass: &mut Pass<OAuth2ClientStatus>, wanted: &Client, with_secret: bool) -> Result<bool> {
        self.ctx.kinds.clients.memory.writing(&self.plan.uid);
        let secret = self.ledger.filter(|_| with_secret).map(|ledger| &ledger.secret);
        let reply = self
            .link
            .hydra()?
            .update_client(wanted, secret)
            .await
            .map_err(|f| self.failed("update_o_auth2_client", f))?;
        self.confirm(pass, reply, wanted, "update_o_auth2_client")
    }

    /// Meaning of a failed write.
    pub(super) fn failed(&self, operation: &'static str, failed: Failure) -> Error {
        self.memory().ended(&self.plan.uid, failed.is_certain());
        match failure(operation, failed) {
            // The server does not name the field if it refuses a document that it fetches.
            Error::MetadataRefused(fields) if fields.is_empty() && self.client.spec.sector_identifier_uri.is_some() => {
                Error::MetadataRefused(vec!["sectorIdentifierUri"])
            }
            Error::Unfinished(_) if self.client.spec.sector_identifier_uri.is_some() => {
                Error::Unfinished(vec!["sectorIdentifierUri"])
            }
            other => other,
        }
    }

    /// Takes `updated_at` from the reply to our own write, never from a later read.
    fn confirm(
        &self,
        pass: &mut Pass<OAuth2ClientStatus>,
        reply: Option<Client>,
        sent: &Client,
        operation: &'static str,
    ) -> Result<bool> {
        let Some(reply) = reply else {
            self.ctx.kinds.clients.memory.confirmed(&self.plan.uid);
            return Ok(false);
        };
        let is_ours = |marker: &Marker| marker.uid == self.plan.uid && marker.cluster == self.ctx.settings.cluster;
        if !reply.marker().as_ref().is_some_and(is_ours) {
            return Err(Error::Reply {
                operation,
                problem: "does not repeat what was sent",
            });
        }
        let updated_at = reply.updated_at.map(String::from);
        self.memory()
            .wrote_at(&self.plan.uid, updated_at.clone(), Some(digest_of(sent)));
        pass.status.not_kept.clear();
        pass.status.updated_at = updated_at;
        self.ctx.kinds.clients.memory.confirmed(&self.plan.uid);
        Ok(true)
    }
}

/// Digest of what a client should be on the server.
fn digest_of(client: &Client) -> u64 {
    let mut hasher = DefaultHasher::new();
    Value::Object(client.normalized()).to_string().hash(&mut hasher);
    hasher.finish()
}

/// Notes that a client needs no write, and the members of which the server stores other values.
fn stays(pass: &mut Pass<OAuth2ClientStatus>, not_kept: &[String], marker: &Marker) -> bool {
    pass.status.not_kept = fields_of(not_kept).into_iter().map(str::to_owned).collect();
    pass.status.adopted = marker.adopted.then_some(true);
    true
}
