//! When the secret of a client was replaced, and when it will be, as far as the caches show it.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::plan::plan;
use crate::api::oauth2_client::WithoutOverlap;
use crate::api::{OAuth2Client, ROTATE_AT_ANNOTATION};
use crate::controller::common::client::plan::check_access;
use crate::controller::common::schedule::{Schedule, past};
use crate::controller::engine::context::Context;
use crate::controller::engine::lifecycle::is_deleting;
use crate::metrics::Rotation;

/// The rotations of a client. Only for one whose rotation was requested by annotation, this evaluates access rules.
pub(crate) fn rotation(client: &OAuth2Client, ctx: &Context) -> Rotation {
    let status = client.status.as_ref();
    let since = status.and_then(|status| past(status.rotated_at.as_ref()?, Timestamp::now()));
    let next = since.filter(|_| is_scheduled(client));
    Rotation {
        last: since,
        next: next.and_then(|since| due_at(client, ctx, since)),
    }
}

/// Whether the operator replaces the secret at all.
fn is_scheduled(client: &OAuth2Client) -> bool {
    let rotation = client.spec.rotation.as_ref();
    rotation.is_some_and(|rotation| rotation.without_overlap == Some(WithoutOverlap::Allow))
        && client.spec.client_secret_ref.is_none()
        && client.spec.suspend != Some(true)
        && !is_deleting(client)
}

fn due_at(client: &OAuth2Client, ctx: &Context, since: Timestamp) -> Option<Timestamp> {
    let period = client.spec.rotation.as_ref()?.period.as_deref();
    let is_asked = client.annotations().contains_key(ROTATE_AT_ANNOTATION);
    if period.is_none() && !is_asked {
        return None;
    }
    let mut schedule = Schedule::of(client, period);
    if schedule.asked(since).is_some() {
        let (plan, _) = plan(client, ctx).ok()?;
        schedule.min = check_access(client, ctx, &plan).ok()?.min_rotation_period;
    }
    let next = schedule.next(since, Duration::ZERO);
    next.filter(|at| *at < Timestamp::MAX)
}
