//! What the steps of a pass share.

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use crate::admin::hydra;
use crate::api::OAuth2Client;
use crate::api::oauth2_client::OAuth2ClientStatus;
use crate::controller::common::client::inputs::Inputs;
use crate::controller::common::client::output;
use crate::controller::common::client::output::Layout;
use crate::controller::common::client::plan::Plan;
use crate::controller::common::failure::{outage, unread};
use crate::controller::engine::context::Context;
use crate::controller::engine::hold::hold;
use crate::controller::engine::managed::Pass;
use crate::controller::hydra::client::ledger;
use crate::controller::hydra::client::ledger::{Ledger, Secrecy};
use crate::controller::hydra::client::reference::Reference;
use crate::controller::hydra::client::remote::Remote;
use crate::error::Result;

/// What is to be done when the inputs are not those of the last success.
pub(crate) struct Work<'a> {
    pub(crate) client: &'a OAuth2Client,
    pub(crate) ctx: &'a Context,
    pub(crate) plan: &'a Plan,
    pub(crate) layout: &'a Layout,
    pub(crate) reference: Option<&'a Reference>,
    pub(crate) last: Option<Inputs>,
    /// Whether the time of the secret in force is over.
    pub(crate) is_due: bool,
}

impl Work<'_> {
    /// Finalizer → ledger → server → credentials Secret. Each step is skipped if its own inputs have not changed.
    pub(crate) async fn run(
        &self,
        pass: &mut Pass<OAuth2ClientStatus>,
        wanted: hydra::Client,
        mut inputs: Inputs,
    ) -> Result<()> {
        let Work {
            client,
            ctx,
            plan,
            layout,
            reference,
            ref last,
            ..
        } = *self;
        let same_ledger = last.as_ref().is_some_and(|last| inputs.same_ledger(last));
        let same_client = last.as_ref().is_some_and(|last| inputs.same_client(last));
        let settled = same_client && same_ledger;
        let mut link = match pass.must_read || !settled || self.must_look(&pass.status, settled) {
            true => Some(ctx.links.usable(&plan.server).map_err(|error| unread(error, settled))?),
            false => None,
        };
        let fresh = hold(client, ctx).await?;
        let failed = |error| outage(ctx, &plan.server.name_any(), unread(error, settled));
        let may_replace = self.is_due || !same_ledger || reference.is_some();
        if let Some(link) = link
            .as_ref()
            .filter(|_| may_replace && !same_client && pass.status.updated_at.is_some())
        {
            self.check_cluster(&pass.status, link).await.map_err(failed)?;
        }
        let secrecy = self.secrecy(&pass.status, link.as_ref()).await.map_err(failed)?;
        if secrecy != Secrecy::Ours {
            // Before a secret that works is replaced, it is known that the new one can be handed out.
            output::check_free(client, ctx, plan, layout).await?;
        }
        let ledger = ledger::settle(self, pass, fresh, secrecy).await?;
        let rewritten = ledger.as_ref().is_some_and(|ledger| ledger.rewritten);
        if link.is_none() && rewritten {
            link = Some(ctx.links.usable(&plan.server)?);
        }
        if let Some(link) = link {
            let drift = settled && !rewritten;
            let remote = Remote {
                client,
                ctx,
                plan,
                link: &link,
                ledger: ledger.as_ref(),
                may_tell: reference.is_some() || secrecy == Secrecy::Replaced,
                had_ledger: self.had_ledger(),
                drift,
            };
            let synced = remote.sync(pass, wanted, fresh).await;
            synced.map_err(|error| outage(ctx, &plan.server.name_any(), error))?;
        }
        let same_secret = last.as_ref().is_some_and(|last| inputs.same_secret(last));
        let is_complete = ledger.is_some() || !plan.effective.has_secret();
        if is_complete && (!same_secret || !same_ledger || rewritten) {
            let strict = last.as_ref().is_some_and(|last| !inputs.same_layout(last));
            let written = output::write(
                client,
                ctx,
                plan,
                layout,
                ledger.as_ref().map(Ledger::held),
                fresh,
                strict,
            )
            .await?;
            inputs.wrote_secret(written);
        }
        if !fresh {
            output::drop_others(ctx, plan, pass, &layout.name, ledger.is_some()).await?;
        }
        let made = ledger.as_ref().filter(|_| reference.is_none());
        pass.status.rotated_at = match secrecy {
            Secrecy::Others => pass
                .status
                .rotated_at
                .take()
                .or_else(|| Some(Timestamp::now().to_string())),
            Secrecy::Ours | Secrecy::Replaced => made.and_then(|ledger| ledger.since).map(|since| since.to_string()),
        };
        inputs.wrote_ledger(ledger.map(|ledger| ledger.version));
        pass.status.inputs = Some(inputs.to_string());
        pass.status.cluster_id = Some(ctx.settings.cluster.clone());
        Ok(())
    }
}
