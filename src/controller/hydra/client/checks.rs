//! What of a plan a Hydra cannot do, and when the secret is due.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use crate::admin::hydra;
use crate::api::OAuth2Client;
use crate::api::oauth2_client::{OAuth2ClientStatus, WithoutOverlap};
use crate::controller::common::client::checks::since;
use crate::controller::common::client::plan::ClientPlan;
use crate::controller::common::refuse::refuse_by_version;
use crate::controller::common::schedule::Schedule;
use crate::error::{Error, Result};

/// What the server's version cannot do is refused: it would take the field without a word and drop it.
pub(crate) fn check_fields(client: &OAuth2Client, plan: &ClientPlan) -> Result<()> {
    let status = plan.server.status.clone().unwrap_or_default();
    let fields = hydra::mapping::unsupported(&client.spec, &status.capabilities);
    let of_others = [
        ("providerRefs", !client.spec.provider_refs.is_empty()),
        ("vault", client.spec.vault.is_some()),
    ];
    let of_others = of_others
        .into_iter()
        .filter(|(_, asked)| *asked)
        .map(|(field, _)| field);
    let fields = fields.into_iter().chain(of_others).map(Into::into).collect();
    refuse_by_version(&plan.server, fields)
}

/// When the secret is to be replaced, if it is.
///
/// # Errors
/// [`Error::RotationWithoutOverlap`] unless the spec consents to what Hydra does.
pub(crate) fn rotation(
    client: &OAuth2Client,
    plan: &ClientPlan,
    status: &OAuth2ClientStatus,
) -> Result<Option<Timestamp>> {
    if !plan.effective.has_secret() || client.spec.client_secret_ref.is_some() {
        return Ok(None);
    }
    let schedule = schedule(plan, status);
    let next = since(client, status).and_then(|since| schedule.next(since, Duration::ZERO));
    let consent = client
        .spec
        .rotation
        .as_ref()
        .and_then(|rotation| rotation.without_overlap);
    match next {
        Some(_) if consent != Some(WithoutOverlap::Allow) => Err(Error::RotationWithoutOverlap(plan.server.name_any())),
        next => Ok(next.filter(|at| *at < Timestamp::MAX)),
    }
}

/// Whether another secret is asked for too soon after the last.
pub(crate) fn is_held_back(client: &OAuth2Client, plan: &ClientPlan, status: &OAuth2ClientStatus) -> bool {
    let held = |since| schedule(plan, status).is_held_back(since, Timestamp::now());
    let is_ours = plan.effective.has_secret() && client.spec.client_secret_ref.is_none();
    is_ours && since(client, status).is_some_and(held)
}

/// A secret that is still others' was never replaced, so that the first time is not too soon.
fn schedule(plan: &ClientPlan, status: &OAuth2ClientStatus) -> Schedule {
    let min = match status.adopted == Some(true) && status.secret_name.is_none() {
        true => Duration::ZERO,
        false => plan.schedule.min,
    };
    Schedule {
        min,
        ..plan.schedule.clone()
    }
}
