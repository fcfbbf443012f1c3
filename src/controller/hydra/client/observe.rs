//! A client that the operator only observes: it reads and compares, and writes nothing.

use crate::admin::hydra::Client;
use crate::admin::hydra::mapping::fields_of;
use crate::admin::hydra::sync::Ownership;
use crate::api::OAuth2Client;
use crate::api::oauth2_client::OAuth2ClientStatus;
use crate::controller::common::client::plan::ClientPlan;
use crate::controller::common::observe::observed;
use crate::controller::engine::context::Context;
use crate::controller::engine::verdict::Done;
use crate::controller::hydra::client::adoption::{
    differences, kept_grant_types, may_take_over, not_owned, own_mark, owner_of,
};
use crate::controller::hydra::failure::failure;
use crate::error::{Error, Result};

/// Compares the client on the server with the wanted one. Only a client of this resource is compared, or one that it may
/// adopt.
///
/// # Errors
/// [`Error::NotOwned`], [`Error::NotAdopted`], [`Error::OtherCluster`], and why the server cannot be asked.
pub(crate) async fn run(
    client: &OAuth2Client,
    ctx: &Context,
    plan: &ClientPlan,
    mut wanted: Client,
    status: &OAuth2ClientStatus,
) -> Result<Done> {
    const TYPE: &str = "client";
    if plan.client_id.is_empty() {
        return Err(Error::InvalidField {
            field: "managementPolicy",
            problem: "ObserveOnly needs an id; set clientId instead of clientIdFrom, or set Full".to_owned(),
        });
    }
    let again = plan.server.spec.resync_interval();
    let link = ctx.links.usable(&plan.server)?;
    let found = link.hydra()?.get_client(&plan.client_id).await;
    let Some(found) = found.map_err(|failed| failure("get_o_auth2_client", failed))? else {
        return Ok(observed(TYPE, None, again));
    };
    let is_ours = matches!(
        owner_of(client, ctx, status, &found),
        Ownership::Ours | Ownership::Former(_)
    );
    if !is_ours && !may_take_over(client, ctx, status, &found) {
        return Err(not_owned(client, ctx, status, &found));
    }
    if !is_ours || own_mark(client, ctx, &found).is_some_and(|mark| mark.adopted) {
        let asked = client.spec.grant_types.as_deref();
        let before = is_ours.then_some(status.kept_grant_types.as_slice());
        let kept = kept_grant_types(asked, &plan.effective.grant_types, before, &found.grant_types);
        wanted.grant_types.extend(kept);
    }
    Ok(observed(TYPE, Some(&fields_of(&differences(&wanted, &found))), again))
}
