//! A provider on a Foulkon: trust in the issuer of another server, for the tokens of some clients.
//!
//! access → name, path, issuer, clients → server → finalizer → claim → write → status. Issuer and clients may be on
//! other servers; their changes are followed. The worker accepts tokens only after it has loaded the provider, which it
//! does when it starts.

use kube::ResourceExt;
use serde_json::json;

use crate::admin::foulkon::Fields;
use crate::api::condition::{RESTART_REQUIRED, Reason, Wanted};
use crate::api::oidc_provider::OidcProviderStatus;
use crate::api::refs::DeletionPolicy;
use crate::api::{AuthorizationServer, OidcProvider};
use crate::controller::common::adoption::kept_in_words;
use crate::controller::common::claim::{Claiming, accept_policy, take_claim_over};
use crate::controller::common::digest::digest;
use crate::controller::common::failure::unread;
use crate::controller::common::revoke;
use crate::controller::engine::context::Context;
use crate::controller::engine::hold::hold;
use crate::controller::engine::managed::{OnServer, Pass};
use crate::controller::engine::verdict::Done;
use crate::controller::foulkon::provider::entry::{Entry, remove};
use crate::controller::foulkon::provider::fields::{fields, keep};
use crate::controller::foulkon::provider::plan::{ProviderPlan, plan};
use crate::error::{Error, FoulkonFault, Result};

pub(crate) mod adoption;
pub(crate) mod entry;
pub(crate) mod fields;
pub(crate) mod lookup;
pub(crate) mod names;
pub(crate) mod plan;

pub(crate) async fn apply(provider: &OidcProvider, ctx: &Context, pass: &mut Pass<OidcProviderStatus>) -> Result<Done> {
    pass.status.loaded = is_loaded(provider, ctx);
    let plan = match plan(provider, ctx) {
        Err(Error::NotAllowed { denied, .. }) => {
            return revoke::deny(provider, ctx, pass, denied, async |pass| {
                remove(provider, ctx, pass).await
            })
            .await;
        }
        plan => plan?,
    };
    let ProviderPlan {
        server,
        mut fields,
        kept_by_others,
        missing,
    } = plan;
    take_claim_over(provider, ctx, pass).await?;
    accept_policy(provider, pass);
    let kept = keep(&mut fields.clients, &pass.status.kept_client_ids, kept_by_others);
    if provider.consent().is_suspended() {
        return Ok(suspended(provider, ctx, &server, pass, fields).await);
    }
    if provider.consent().observes() {
        return observe(provider, ctx, &server, pass, fields).await;
    }
    pass.status.kept_client_ids = kept;
    let is_without = fields.clients.is_empty();
    if is_without && !OidcProvider::claim(&mut pass.status).is_on(&server, &ctx.settings) {
        return Err(missing.unwrap_or(FoulkonFault::NoClients.into()));
    }
    let inputs = digest(&json!([server.uid(), fields]));
    let settled = pass.status.inputs.as_ref() == Some(&inputs);
    let link = ctx.links.usable(&server).map_err(|error| unread(error, settled))?;
    let worker = link.foulkon()?;
    hold(provider, ctx).await?;
    let target = Entry::new(provider, ctx, &server, &link)?;
    if is_without {
        if outlives_its_clients(provider, &pass.status) {
            return Err(FoulkonFault::StillTrusts.into());
        }
        target.take_off(pass).await?;
        return Err(missing.unwrap_or(FoulkonFault::NoClients.into()));
    }
    if pass.must_read || !settled {
        let found = target.sync(pass, &mut fields, settled).await?;
        pass.status.id = Some(found.id.into());
        pass.status.urn = Some(found.urn.into());
        pass.status.issuer = Some(fields.issuer_url.clone());
        pass.status.client_ids = fields.clients.iter().cloned().collect();
        pass.status.inputs = Some(digest(&json!([server.uid(), fields])));
    }
    pass.status.loaded = worker.has_loaded(&fields);
    Ok(Done {
        message: "The provider is on the server and lists its clients.".to_owned()
            + kept_in_words(&pass.status.kept_client_ids),
        lacks: missing,
        ..Done::default()
    })
}

/// Whether the entry stays without clients: only one that others made. A deletion policy alone is about the deletion of
/// the resource, and must not keep trust in clients that are gone.
fn outlives_its_clients(provider: &OidcProvider, status: &OidcProviderStatus) -> bool {
    status.adopted == Some(true) && provider.consent().policy(status.adopted) == DeletionPolicy::Orphan
}

/// Writes nothing, and compares.
async fn observe(
    provider: &OidcProvider,
    ctx: &Context,
    server: &AuthorizationServer,
    pass: &Pass<OidcProviderStatus>,
    fields: Fields,
) -> Result<Done> {
    let link = ctx.links.usable(server)?;
    let entry = Entry::new(provider, ctx, server, &link)?;
    entry.observe(&pass.status, fields).await
}

/// Writes nothing, and tells what an adoption would change.
async fn suspended(
    provider: &OidcProvider,
    ctx: &Context,
    server: &AuthorizationServer,
    pass: &Pass<OidcProviderStatus>,
    fields: Fields,
) -> Done {
    let preview = async || {
        let link = ctx.links.usable(server).ok()?;
        let target = Entry::new(provider, ctx, server, &link).ok()?;
        target.preview(&pass.status, fields).await
    };
    let mut done = Done::suspended();
    if let Some(preview) = preview().await {
        done.message += &format!(" {preview}");
    }
    done
}

/// Whether the worker has loaded the provider as it was left.
fn is_loaded(provider: &OidcProvider, ctx: &Context) -> Option<bool> {
    let link = ctx.links.usable(&*ctx.server(provider.server_name())?).ok()?;
    link.foulkon().ok()?.has_loaded(&fields(provider)?)
}

/// The condition while the worker still uses what it read when it started.
pub(crate) fn outdated(status: &OidcProviderStatus) -> Option<Wanted> {
    (status.loaded == Some(false)).then(|| Wanted {
        type_: RESTART_REQUIRED,
        status: "True",
        reason: Reason::RestartRequired,
        message: "The worker has not loaded the current provider. Restart the worker.".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_adopted_entry_outlives_its_clients() {
        for (policy, adopted, expected) in [
            (None, None, false),
            (Some("Orphan"), None, false),
            (None, Some(true), true),
            (Some("Orphan"), Some(true), true),
            (Some("Delete"), Some(true), false),
        ] {
            let provider: OidcProvider = serde_json::from_value(json!({
                "metadata": { "name": "provider" }, "spec": { "serverRef": { "name": "foulkon" }, "deletionPolicy": policy },
            }))
            .expect("a provider");
            let status = OidcProviderStatus {
                adopted,
                ..OidcProviderStatus::default()
            };
            assert_eq!(
                outlives_its_clients(&provider, &status),
                expected,
                "{policy:?} {adopted:?}"
            );
        }
    }
}
