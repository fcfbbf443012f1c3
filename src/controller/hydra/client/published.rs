//! The secret of a client to adopt, from the Secret that is taken over with it.

use crate::admin::hydra::client::Client;
use crate::api::oauth2_client::OnSecretMismatch;
use crate::controller::common::client::offered::{check_consent, check_offered};
use crate::controller::common::own_secret::is_owned;
use crate::controller::engine::links::Link;
use crate::controller::hydra::client::reference;
use crate::controller::hydra::client::work::{Secrecy, Work};
use crate::error::Result;

impl Work<'_> {
    /// The secret of a client of other owners, if the Secret that the resource takes over has it.
    ///
    /// # Errors
    /// As [`Self::try_secret`], and why the Secret cannot be taken over.
    pub(crate) async fn published(&self, found: Option<&Client>, link: &Link) -> Result<Option<Secrecy>> {
        let Work {
            client,
            ctx,
            plan,
            layout,
            ..
        } = *self;
        let offered = ctx.cluster.secret(&plan.namespace, &layout.name).await?;
        let offered = offered.filter(|offered| !is_owned(offered, &plan.uid));
        let Some(offered) = offered.filter(|offered| check_consent(offered, client).is_ok()) else {
            return Ok(None);
        };
        check_offered(&offered, client, layout, plan)?;
        if !offered.data.iter().any(|data| data.contains_key(&layout.secret_key)) {
            return Ok(None);
        }
        let secret = reference::usable(ctx, plan, &offered, &layout.secret_key).await?;
        if let Some(found) = found.filter(|_| client.spec.on_secret_mismatch != Some(OnSecretMismatch::Replace)) {
            self.compare_secret(found, &secret, link).await?;
        }
        Ok(Some(Secrecy::Published(secret)))
    }
}
