//! Takes the [`steps`] of a pass.

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::ledger::{self, Former, Ledger, Settled};
use super::overlap;
use super::remote::Remote;
use super::rotation::overlap_ends;
use super::steps::{self, AfterLedger, Cause, Compared, Extras, Seen, Step};
use super::work::{Secrecy, Work};
use crate::admin::hydra;
use crate::api::event::Happening;
use crate::api::oauth2_client::{OAuth2ClientStatus, TokenEndpointAuthMethod};
use crate::clock::told;
use crate::controller::common::client::free::check_free;
use crate::controller::common::client::inputs::Inputs;
use crate::controller::common::client::output;
use crate::controller::common::client::plan::Way;
use crate::controller::common::failure::unread;
use crate::controller::common::note::{note_registered, note_secret_adopted};
use crate::controller::engine::hold::hold;
use crate::controller::engine::links::Link;
use crate::controller::engine::managed::Pass;
use crate::error::{Error, Result};
use crate::secret::is_form_safe;

/// A pass with the results of its steps so far.
struct Run<'a> {
    work: &'a Work<'a>,
    pass: &'a mut Pass<OAuth2ClientStatus>,
    wanted: hydra::Client,
    inputs: Inputs,
    link: Option<Link>,
    is_new: bool,
    secrecy: Secrecy,
    ledger: Option<Ledger>,
}

/// Takes all steps, and stores in the status what the success was made from. `inputs`: before the first step.
///
/// # Errors
/// What blocks a step; the steps after it are not taken.
pub(super) async fn run(
    work: &Work<'_>,
    pass: &mut Pass<OAuth2ClientStatus>,
    wanted: hydra::Client,
    inputs: Inputs,
) -> Result<()> {
    let seen = seen(work, pass, &inputs);
    let mut run = Run {
        work,
        pass,
        wanted,
        inputs,
        link: None,
        is_new: false,
        secrecy: Secrecy::Ours,
        ledger: None,
    };
    for step in steps::opening(&seen) {
        run.take(step).await?;
    }
    for step in steps::closing(&seen, run.after_ledger()) {
        run.take(step).await?;
    }
    run.finish();
    Ok(())
}

fn seen(work: &Work<'_>, pass: &Pass<OAuth2ClientStatus>, inputs: &Inputs) -> Seen {
    let last = work.last.as_ref();
    let compared = |is_same: fn(&Inputs, &Inputs) -> bool| match last.is_some_and(|last| is_same(inputs, last)) {
        true => Compared::Same,
        false => Compared::Changed,
    };
    Seen {
        must_read: pass.must_read,
        is_due: work.is_due,
        is_made_there: work.is_due && work.plan.way == Some(Way::Overlap),
        was_registered: pass.status.updated_at.is_some(),
        had_ledger: work.had_ledger(),
        source: work.source(&pass.status),
        adopts_secret: work.adopts_secret(&pass.status),
        client: compared(Inputs::same_client),
        ledger: compared(Inputs::same_ledger),
        secret: compared(Inputs::same_secret),
        layout: match last {
            Some(_) => compared(Inputs::same_layout),
            None => Compared::Same,
        },
    }
}

impl Run<'_> {
    async fn take(&mut self, step: Step) -> Result<()> {
        let Work {
            client,
            ctx,
            plan,
            layout,
            ..
        } = *self.work;
        match step {
            Step::Connect(cause) => {
                let link = ctx.links.usable(&plan.server);
                self.link = Some(link.map_err(|error| unread(error, cause == Cause::Drift))?);
            }
            Step::Hold => {
                // Whoever took the finalizer off has not made the client new.
                let was_registered = self.pass.status.updated_at.is_some() || self.work.last.is_some();
                self.is_new = hold(client, ctx).await? && !was_registered;
            }
            Step::CheckCluster(cause) => {
                let checked = self.work.check_cluster(&self.pass.status, self.link()?).await;
                checked.map_err(|error| unread(error, cause == Cause::Drift))?;
            }
            Step::LearnWhoseSecret(cause) => {
                let secrecy = self.work.secrecy(&self.pass.status, self.link.as_ref()).await;
                self.secrecy = secrecy.map_err(|error| unread(error, cause == Cause::Drift))?;
            }
            Step::TrySecret => self.work.try_secret(&self.pass.status, self.link()?).await?,
            Step::SettleLedger => {
                if !matches!(self.secrecy, Secrecy::Ours) || self.pass.status.secret_name.is_none() {
                    // Nothing is registered or replaced that cannot be published then.
                    check_free(client, ctx, plan, Some(layout), &BTreeSet::new()).await?;
                }
                self.ledger = match ledger::put_right(self.work, self.pass, self.is_new, &self.secrecy).await? {
                    Settled::Ledger(ledger) => ledger,
                    Settled::Due(due) => {
                        let link = self.link()?.clone();
                        Some(overlap::rotate(self.work, self.pass, &link, &due.0, &due.1).await?)
                    }
                };
            }
            Step::Sync(cause) => self.sync(cause).await?,
            Step::WriteSecret(extras) => {
                let held = self.ledger.as_ref().map(Ledger::held);
                let strict = extras == Extras::Go;
                let written = output::write(client, ctx, plan, layout, held, self.is_new, strict).await?;
                if self.has_known_secret() && !strict {
                    output::note_restored(self.pass, layout, written.wrote);
                }
                note_secret_adopted(self.pass, &layout.name, written.wrote);
                self.inputs.wrote_secret(written.version);
            }
            Step::DropOtherSecrets => {
                output::drop_others(ctx, plan, self.pass, &layout.name, self.ledger.is_some()).await?;
            }
        }
        Ok(())
    }

    async fn sync(&mut self, cause: Cause) -> Result<()> {
        let Work {
            client,
            ctx,
            plan,
            reference,
            ..
        } = *self.work;
        let link = self.link()?.clone();
        let wanted = std::mem::take(&mut self.wanted); // used only once
        let remote = Remote {
            client,
            ctx,
            plan,
            link: &link,
            ledger: self.ledger.as_ref(),
            may_tell: reference.is_some() || self.secrecy.replaces(),
            had_ledger: self.work.had_ledger(),
            drift: cause == Cause::Drift,
        };
        let was_registered = self.pass.status.updated_at.is_some();
        remote.sync(self.pass, wanted, self.is_new).await?;
        let is_told = self
            .pass
            .has_noted(&[Happening::Adopted, Happening::Restored, Happening::SecretReplaced]);
        if !was_registered && !is_told {
            note_registered(self.pass, "client");
        }
        Ok(())
    }

    /// Whether the content of the credentials Secret is that of the last success.
    fn has_known_secret(&self) -> bool {
        let is_same = |last: &Inputs| self.inputs.same_client(last) && self.inputs.same_ledger(last);
        let is_rewritten = self.ledger.as_ref().is_some_and(|ledger| ledger.rewritten);
        self.work.last.as_ref().is_some_and(is_same) && !is_rewritten
    }

    fn after_ledger(&self) -> AfterLedger {
        AfterLedger {
            is_new: self.is_new,
            is_connected: self.link.is_some(),
            is_complete: self.ledger.is_some() || !self.work.plan.effective.has_secret(),
            is_rewritten: self.ledger.as_ref().is_some_and(|ledger| ledger.rewritten),
        }
    }

    fn finish(self) {
        let made = self.ledger.as_ref().filter(|_| self.work.reference.is_none());
        let users = self.ledger.as_ref().filter(|_| self.work.reference.is_some());
        let is_basic =
            self.work.plan.effective.token_endpoint_auth_method == TokenEndpointAuthMethod::ClientSecretBasic;
        let needs_encoding = is_basic && users.is_some_and(|ledger| !is_form_safe(ledger.secret.expose()));
        let status = &mut self.pass.status;
        status.rotated_at = match self.secrecy {
            // Other owners made the secret: it counts from the adoption.
            Secrecy::Others => status.rotated_at.take().or_else(|| Some(Timestamp::now().to_string())),
            Secrecy::Ours | Secrecy::Replaced | Secrecy::Published(_) => {
                let told = status.rotated_at.as_deref();
                made.and_then(|ledger| ledger.in_use_since(told, Timestamp::now()))
                    .map(|since| since.to_string())
            }
        };
        let is_former_valid = made.is_some_and(|ledger| matches!(ledger.former, Former::Valid(..)));
        status.former_secret_until = status.rotated_at.clone().filter(|_| is_former_valid);
        status.former_secret_until = overlap_ends(self.work.client, status).map(told);
        status.secret_needs_encoding = needs_encoding.then_some(true);
        let mut inputs = self.inputs;
        inputs.wrote_ledger(self.ledger.map(|ledger| ledger.version));
        status.inputs = Some(inputs.to_string());
        status.cluster_id = Some(self.work.ctx.settings.cluster.clone());
    }

    fn link(&self) -> Result<&Link> {
        let pending = || Error::ServerPending(self.work.plan.server.name_any());
        self.link.as_ref().ok_or_else(pending)
    }
}
