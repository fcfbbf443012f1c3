//! Rotation on a server that keeps the former secret valid: the server makes the new secret, and its reply is the only copy.
//!
//! attempt counted in the ledger → rotate → ledger → mark on the server → credentials Secret → overlap → former secret ended.

use k8s_openapi::api::core::v1::Secret as KubeSecret;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::ledger::{self, Entry, Former, Ledger};
use super::remote::Remote;
use super::work::Work;
use crate::admin::hydra::Client;
use crate::admin::hydra::revocation::{SentIn, is_secret_of};
use crate::admin::hydra::secrets::{Answer, Rotated};
use crate::admin::hydra::sync::{is_later, same_instant};
use crate::api::event::Happening;
use crate::api::oauth2_client::{OAuth2ClientStatus, WithoutOverlap};
use crate::controller::engine::links::Link;
use crate::controller::engine::managed::Pass;
use crate::controller::hydra::client::adoption::{own_mark, untried};
use crate::controller::hydra::failure::failure;
use crate::error::{ClusterFault, Error, Result};

/// Number of rotations without a reply after which the secret in use is sent again. The server keeps five former
/// secrets, so one more could end it.
const ATTEMPTS: u8 = 4;
/// How long no rotation is tried after that.
const REST: SignedDuration = SignedDuration::from_secs(600);
/// Id of a client that does not exist. Only a server with the operation says so.
const NOBODY: &str = "oidc-operator.dev/no-such-client";
const OPERATION: &str = "rotate_o_auth2_client_secret";

/// Lets the server make a new secret, and stores it in the ledger. If the server cannot do this and the spec consents, the
/// operator makes the secret, without an overlap.
///
/// # Errors
/// [`Error::RotationWithoutOverlap`], and what a failed request means.
pub(super) async fn rotate(
    work: &Work<'_>,
    pass: &mut Pass<OAuth2ClientStatus>,
    link: &Link,
    found: &KubeSecret,
    entry: &Entry,
) -> Result<Ledger> {
    let Work { client, ctx, plan, .. } = *work;
    let remote = link.hydra()?.get_client(&plan.client_id).await;
    let remote = remote.map_err(|failed| failure("get_o_auth2_client", failed))?;
    let mark = remote.as_ref().and_then(|remote| own_mark(client, ctx, remote));
    let written_at = remote.as_ref().and_then(|remote| remote.updated_at.as_deref());
    let is_moved = entry.attempts() == 0 && is_moved(work, &pass.status, written_at);
    if is_moved || mark.is_none_or(|mark| !entry.has_revision(&mark.revision)) {
        // The sync of this pass brings the server in line first. Another writer may have set a secret, and a rotation would
        // make that the former one, and end ours.
        return ledger::kept(work, found, entry).await;
    }
    if entry.attempts() >= ATTEMPTS {
        return ledger::store(work, Some(found.clone()), entry.given_up()).await;
    }
    if entry
        .rests_since()
        .is_some_and(|at| Timestamp::now().duration_since(at) < REST)
    {
        return Err(Error::Reply {
            operation: OPERATION,
            problem: "is lost again and again; the secret in use stays valid",
        });
    }
    let counted = entry.counted();
    let found = ledger::write(client, ctx, plan, Some(found.clone()), &counted).await?;
    let found = found.ok_or(Error::Cluster(ClusterFault::Conflict))?;
    let answer = match ask(work, link).await {
        Ok(answer) => answer,
        Err((error, is_certain)) => {
            if is_certain {
                // The server did nothing, so the attempt does not count.
                ledger::write(client, ctx, plan, Some(found), entry).await?;
            }
            return Err(error);
        }
    };
    match answer {
        Answer::Done(rotated) => keep(work, pass, found, entry, rotated).await,
        Answer::NoClient => ledger::kept(work, &found, &counted).await, // the sync creates it
        Answer::NoOperation => {
            // Nothing was rotated, so the attempt does not count.
            let found = ledger::write(client, ctx, plan, Some(found), entry).await?;
            let found = found.ok_or(Error::Cluster(ClusterFault::Conflict))?;
            without(work, pass, link, found).await
        }
    }
}

/// Whether another writer changed the client since our last write. `now`: when it was written last.
fn is_moved(work: &Work<'_>, status: &OAuth2ClientStatus, now: Option<&str>) -> bool {
    let remembered = work.ctx.kinds.clients.memory.written_at(&work.plan.uid);
    let ours = match is_later(remembered.as_deref(), status.updated_at.as_deref()) {
        true => remembered.as_deref(),
        false => status.updated_at.as_deref(),
    };
    ours.zip(now).is_some_and(|(ours, now)| !same_instant(ours, now))
}

/// Stores the new secret before anything else happens.
async fn keep(
    work: &Work<'_>,
    pass: &mut Pass<OAuth2ClientStatus>,
    found: KubeSecret,
    entry: &Entry,
    rotated: Rotated,
) -> Result<Ledger> {
    let updated_at = rotated.client.updated_at.map(String::from);
    let memory = &work.ctx.kinds.clients.memory;
    memory.wrote_at(&work.plan.uid, updated_at.clone(), None);
    pass.status.updated_at = updated_at;
    let ledger = ledger::store(work, Some(found), entry.followed_by(rotated.secret)).await?;
    pass.note(
        Happening::SecretRotated,
        "The client has a new secret, because the old one was due. The old one stays valid for the overlap; restart applications that read the Secret only when they start.",
    );
    Ok(ledger)
}

/// What happens on a server without the operation.
async fn without(
    work: &Work<'_>,
    pass: &mut Pass<OAuth2ClientStatus>,
    link: &Link,
    found: KubeSecret,
) -> Result<Ledger> {
    let Work { client, plan, .. } = *work;
    // A proxy or one of several servers may have answered: without an overlap, logins fail.
    let again = link.hydra()?.rotate_secret(NOBODY).await;
    match again.map_err(|failed| failure(OPERATION, failed))? {
        Answer::NoOperation => link.learns_no_rotation(&plan.server),
        Answer::Done(_) | Answer::NoClient => return Err(Error::Overtaken),
    }
    let rotation = client.spec.rotation.as_ref();
    match rotation.and_then(|rotation| rotation.without_overlap) {
        Some(WithoutOverlap::Allow) => ledger::replace(work, pass, found).await,
        _ => Err(Error::RotationWithoutOverlap(plan.server.name_any())),
    }
}

/// Asks for a new secret. With a failure comes whether the server certainly did nothing.
async fn ask(work: &Work<'_>, link: &Link) -> std::result::Result<Answer<Rotated>, (Error, bool)> {
    let (memory, uid) = (&work.ctx.kinds.clients.memory, &work.plan.uid);
    let hydra = link.hydra().map_err(|error| (error, true))?;
    memory.writing(uid);
    match hydra.rotate_secret(&work.plan.client_id).await {
        Ok(answer) => {
            memory.confirmed(uid);
            Ok(answer)
        }
        Err(failed) => {
            let is_certain = failed.is_certain();
            memory.ended(uid, is_certain);
            Err((failure(OPERATION, failed), is_certain))
        }
    }
}

impl Remote<'_> {
    /// Whether the secret must be sent with an update, which ends all other secrets of the client. `foreign`: whether
    /// another writer wrote after our last confirmed write.
    ///
    /// # Errors
    /// What a failed request means.
    pub(super) async fn must_send(&self, found: Option<&Client>, foreign: bool) -> Result<bool> {
        let Some((found, ledger)) = found.zip(self.ledger) else {
            return Ok(true);
        };
        match ledger.former {
            Former::Over => Ok(true),
            Former::Valid(_, ref revision) => {
                let marked = found.marker().map(|mark| mark.revision);
                // The mark is that of before the rotation, and nobody else wrote: the server has made this secret.
                let is_known = marked.as_ref() == Some(revision);
                if is_known && !foreign {
                    return Ok(false);
                }
                Ok(match self.accepts(found, ledger).await? {
                    Some(is_accepted) => !is_accepted,
                    None => !is_known,
                })
            }
            // Another writer may have rotated too; then ours is a former one itself.
            Former::Ends if foreign => Ok(true),
            Former::Ends => {
                let hydra = self.link.hydra()?;
                self.ctx.kinds.clients.memory.writing(&self.plan.uid);
                match hydra.end_former_secrets(&found.client_id).await {
                    Ok(Answer::Done(())) => Ok(self.accepts(found, ledger).await.ok().flatten() != Some(true)),
                    Ok(Answer::NoClient | Answer::NoOperation) => Ok(true),
                    Err(failed) if failed.is_certain() => Ok(true),
                    Err(failed) => Err(self.failed("delete_rotated_o_auth2_client_secrets", failed)),
                }
            }
        }
    }

    /// Whether the server accepts the secret. None: it has no public API here, or the client has no secret there.
    ///
    /// # Errors
    /// Why the public API did not answer.
    async fn accepts(&self, found: &Client, ledger: &Ledger) -> Result<Option<bool>> {
        let public = self.link.connection.public.as_ref();
        let Some(((public, _), sent_in)) = public.zip(SentIn::of(&found.token_endpoint_auth_method)) else {
            return Ok(None);
        };
        match is_secret_of(public, &found.client_id, &ledger.secret, sent_in).await {
            Ok(is_accepted) => Ok(Some(is_accepted)),
            Err(failed) => Err(untried(failed)),
        }
    }
}
