//! Rotation on a server that keeps the former secret valid: the server makes the new secret, and its reply is the only copy.
//!
//! attempt counted in the ledger → rotate → ledger → mark on the server → credentials Secret → overlap → former secret ended.

use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::ResourceExt;

use super::ledger::{self, Entry, Former, Ledger};
use super::remote::Remote;
use super::work::Work;
use crate::admin::hydra::Client;
use crate::admin::hydra::revocation::{SentIn, is_secret_of};
use crate::admin::hydra::secrets::{Answer, Rotated};
use crate::api::event::Happening;
use crate::api::oauth2_client::{OAuth2ClientStatus, WithoutOverlap};
use crate::controller::engine::links::Link;
use crate::controller::engine::managed::Pass;
use crate::controller::hydra::client::adoption::own_mark;
use crate::controller::hydra::failure::failure;
use crate::error::{ClusterFault, Error, Result};

/// Number of rotations without a reply after which the secret in use is sent again. The server keeps five former
/// secrets, so one more could end it.
const ATTEMPTS: u8 = 4;

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
    let mark = remote.and_then(|remote| own_mark(client, ctx, &remote));
    if mark.is_none_or(|mark| !entry.has_revision(&mark.revision)) {
        // The sync of this pass brings the server in line first.
        return ledger::kept(work, found, entry).await;
    }
    if entry.attempts() >= ATTEMPTS {
        return ledger::store(work, Some(found.clone()), entry.sent_again(entry.since())).await;
    }
    let counted = entry.counted();
    let found = ledger::write(client, ctx, plan, Some(found.clone()), &counted).await?;
    let found = found.ok_or(Error::Cluster(ClusterFault::Conflict))?;
    match ask(work, link).await? {
        Answer::Done(rotated) => {
            let updated_at = rotated.client.updated_at.map(String::from);
            let memory = &ctx.kinds.clients.memory;
            memory.wrote_at(&plan.uid, updated_at.clone(), None);
            pass.status.updated_at = updated_at;
            pass.note(
                Happening::SecretRotated,
                "The client has a new secret, because the old one was due. The old one stays valid for the overlap; restart applications that read the Secret only when they start.",
            );
            ledger::store(work, Some(found), entry.followed_by(rotated.secret)).await
        }
        Answer::NoClient => ledger::kept(work, &found, &counted).await, // the sync creates it
        Answer::NoOperation => {
            link.learns_no_rotation(&plan.server);
            let rotation = client.spec.rotation.as_ref();
            match rotation.and_then(|rotation| rotation.without_overlap) {
                Some(WithoutOverlap::Allow) => ledger::replace(work, pass, found).await,
                _ => Err(Error::RotationWithoutOverlap(plan.server.name_any())),
            }
        }
    }
}

async fn ask(work: &Work<'_>, link: &Link) -> Result<Answer<Rotated>> {
    let (memory, uid) = (&work.ctx.kinds.clients.memory, &work.plan.uid);
    memory.writing(uid);
    match link.hydra()?.rotate_secret(&work.plan.client_id).await {
        Ok(answer) => {
            memory.confirmed(uid);
            Ok(answer)
        }
        Err(failed) => {
            memory.ended(uid, failed.is_certain());
            Err(failure("rotate_o_auth2_client_secret", failed))
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
            // The server has made this secret. Only if it rejects it, it must get it again.
            Former::Valid(_) => Ok(self.accepts(found, ledger).await == Some(false)),
            // Another writer may have rotated too; then ours is a former one itself.
            Former::Ends if foreign => Ok(true),
            Former::Ends => {
                let hydra = self.link.hydra()?;
                self.ctx.kinds.clients.memory.writing(&self.plan.uid);
                match hydra.end_former_secrets(&found.client_id).await {
                    Ok(Answer::Done(())) => Ok(self.accepts(found, ledger).await != Some(true)),
                    Ok(Answer::NoClient | Answer::NoOperation) => Ok(true),
                    Err(failed) if failed.is_certain() => Ok(true),
                    Err(failed) => Err(self.failed("delete_rotated_o_auth2_client_secrets", failed)),
                }
            }
        }
    }

    /// Whether the server accepts the secret. None: it cannot be asked.
    async fn accepts(&self, found: &Client, ledger: &Ledger) -> Option<bool> {
        let (public, _) = self.link.connection.public.as_ref()?;
        let sent_in = SentIn::of(&found.token_endpoint_auth_method)?;
        is_secret_of(public, &found.client_id, &ledger.secret, sent_in)
            .await
            .ok()
    }
}
