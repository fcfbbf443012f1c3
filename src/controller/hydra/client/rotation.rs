//! When and how the secret of a client is replaced.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use crate::access::Grant;
use crate::api::oauth2_client::{OAuth2ClientStatus, RotationWait, UNTIL_UNUSED, WithoutOverlap};
use crate::api::{AuthorizationServer, OAuth2Client};
use crate::clock::told;
use crate::controller::common::client::plan::{ClientPlan, Way, since};
use crate::controller::common::schedule::{Schedule, WAITS, later};
use crate::controller::common::windows::Windows;
use crate::controller::engine::context::Context;
use crate::controller::engine::spacing::Candidate;
use crate::error::{Error, Result};

/// When the secret is replaced: within the limits of the access rules, and in the resource's turn.
pub(crate) fn bounded(
    client: &OAuth2Client,
    ctx: &Context,
    plan: &ClientPlan,
    grant: Grant,
    status: &OAuth2ClientStatus,
) -> Schedule {
    let rotated_at = status.rotated_at.as_deref();
    let schedule = plan.schedule.clone();
    // One overlap ends before the next one begins.
    let overlap = status.former_secret_until.as_ref().and(overlap_of(client));
    let min = grant.min_rotation_period.max(overlap.unwrap_or_default());
    let schedule = schedule.bounded(min, rotated_at, Timestamp::now());
    let by_age = |schedule: &Schedule| since(client, status).and_then(|since| schedule.by_age(since, Duration::ZERO));
    let rotation = client.spec.rotation.as_ref();
    let windows = rotation.map(|rotation| Windows::of(&rotation.windows));
    let windows = windows.and_then(Result::ok); // a mistake in them is reported before anything is replaced
    let window = windows.zip(by_age(&schedule));
    let window = window.map(|(windows, due)| windows.first(due, Timestamp::now()));
    let schedule = Schedule { window, ..schedule };
    let turn = ctx.kinds.clients.turn(&plan.uid, by_age(&schedule));
    Schedule { turn, ..schedule }
}

/// Keeps a distance from the rotations of other clients, if the server asks for one.
pub(crate) fn spaced(
    client: &OAuth2Client,
    ctx: &Context,
    plan: &ClientPlan,
    status: &OAuth2ClientStatus,
) -> Option<Timestamp> {
    let spacing = plan.server.spec.min_rotation_spacing.as_deref();
    let spacing = spacing.and_then(crate::duration::parse)?;
    let begins = since(client, status).and_then(|since| plan.schedule.by_age(since, Duration::ZERO))?;
    let now = Timestamp::now();
    if begins > now || plan.way.is_none() || !plan.effective.has_secret() {
        return None;
    }
    let candidate = Candidate {
        server: &plan.server.name_any(),
        namespace: &plan.namespace,
        uid: &plan.uid,
        due: schedule(plan, status).old_at(since(client, status)?)?,
    };
    ctx.spacing.place(candidate, spacing, now)
}

/// Longest overlap of a spec that names none and asks for one until the former secret is unused.
const LONGEST_OVERLAP: Duration = Duration::from_secs(24 * 3600);

/// When the secret is to be replaced. None: it is not to be replaced.
///
/// # Errors
/// [`Error::RotationWithoutOverlap`] unless the spec allows a rotation without overlap.
pub(crate) fn due_at(
    client: &OAuth2Client,
    plan: &ClientPlan,
    status: &OAuth2ClientStatus,
) -> Result<Option<Timestamp>> {
    if !plan.effective.has_secret() || client.spec.client_secret_ref.is_some() {
        return Ok(None);
    }
    let schedule = schedule(plan, status);
    let next = since(client, status).and_then(|since| schedule.next(since, Duration::ZERO));
    match next {
        Some(_) if plan.way.is_none() => Err(Error::RotationWithoutOverlap(plan.server.name_any())),
        next => Ok(next.filter(|at| *at < Timestamp::MAX)),
    }
}

/// How the secret is replaced: with an overlap if the spec asks for one, unless this server is known to have none.
pub(crate) fn way(client: &OAuth2Client, ctx: &Context, plan: &ClientPlan, status: &OAuth2ClientStatus) -> Option<Way> {
    let rotation = client.spec.rotation.as_ref()?;
    let replaces = rotation.without_overlap == Some(WithoutOverlap::Allow);
    let overlap = overlap_of(client).filter(|_| {
        // Nobody here knows the secret that other owners made, so the new one simply takes its place.
        let is_ours = status.adopted != Some(true) || status.secret_name.is_some();
        is_ours && !is_impossible(ctx, &plan.server)
    });
    match overlap {
        Some(_) => Some(Way::Overlap),
        None => replaces.then_some(Way::Replacement),
    }
}

/// Whether this server was asked to rotate a secret and has no such operation.
fn is_impossible(ctx: &Context, server: &AuthorizationServer) -> bool {
    ctx.links.usable(server).is_ok_and(|link| link.cannot_rotate(server))
}

/// How long the spec wants two secrets to be valid.
pub(crate) fn overlap_of(client: &OAuth2Client) -> Option<Duration> {
    let rotation = client
        .spec
        .rotation
        .as_ref()
        .filter(|_| client.spec.client_secret_ref.is_none())?;
    match rotation.overlap.as_deref()? {
        UNTIL_UNUSED => {
            let longest = rotation.longest_overlap.as_deref().and_then(crate::duration::parse);
            Some(longest.unwrap_or(LONGEST_OVERLAP))
        }
        text => crate::duration::parse(text),
    }
}

/// Whether the overlap ends as soon as no pod uses the former secret any more.
pub(crate) fn ends_unused(client: &OAuth2Client) -> bool {
    let rotation = client.spec.rotation.as_ref();
    rotation.is_some_and(|rotation| rotation.overlap.as_deref() == Some(UNTIL_UNUSED))
}

/// When the former secret ends, if two are valid. A spec that no longer wants an overlap ends it at once.
pub(crate) fn overlap_ends(client: &OAuth2Client, status: &OAuth2ClientStatus) -> Option<Timestamp> {
    status.former_secret_until.as_ref()?;
    let since = status.rotated_at.as_ref()?.parse().ok()?;
    Some(later(since, overlap_of(client).unwrap_or_default()))
}

/// When the next rotation that the spec consents to is planned: by age or by request, whosever turn it is then.
pub(crate) fn planned(client: &OAuth2Client, plan: &ClientPlan, status: &OAuth2ClientStatus) -> Option<Timestamp> {
    let schedule = Schedule {
        turn: None,
        space: None,
        ..schedule(plan, status)
    };
    let since = replaceable_since(client, plan, status)?;
    schedule.next(since, Duration::ZERO).filter(|at| *at < Timestamp::MAX)
}

/// Since when the secret is in use, if it is one that the operator makes and that the spec lets it replace.
fn replaceable_since(client: &OAuth2Client, plan: &ClientPlan, status: &OAuth2ClientStatus) -> Option<Timestamp> {
    let is_ours = plan.effective.has_secret() && client.spec.client_secret_ref.is_none();
    since(client, status).filter(|_| is_ours && plan.way.is_some())
}

/// What a rotation waits for, and when that has to be looked at again.
#[derive(Default)]
pub(crate) struct Outlook {
    /// What a rotation that is due or requested waits for, besides its turn.
    pub waits_for: Option<RotationWait>,
    /// When a rotation by age becomes due, if that is later than now.
    pub due_at: Option<Timestamp>,
}

/// Both answers are for one moment: with two, a rotation that becomes due in between would be told by nobody.
pub(crate) fn look_ahead(
    client: &OAuth2Client,
    plan: &ClientPlan,
    status: &OAuth2ClientStatus,
    now: Timestamp,
) -> Outlook {
    let Some(since) = replaceable_since(client, plan, status) else {
        return Outlook::default();
    };
    let schedule = schedule(plan, status);
    Outlook {
        waits_for: match schedule.is_held_back(since, now) {
            true if status.former_secret_until.is_some() => Some(RotationWait::Overlap),
            true => Some(RotationWait::MinRotationPeriod),
            false => schedule.waits_for(since, now),
        },
        due_at: schedule.old_at(since).filter(|at| *at > now),
    }
}

/// What the message says about a rotation that waits.
pub(crate) fn waiting(wait: RotationWait, plan: &ClientPlan) -> String {
    match wait {
        RotationWait::Window => {
            let opens = plan.schedule.window.map(told).unwrap_or_default();
            format!("the rotation that is due waits for a window of rotation.windows, which opens at {opens}")
        }
        RotationWait::Spacing => format!(
            "the rotation that is due waits until minRotationSpacing of AuthorizationServer `{}` has passed since that of another client",
            plan.server.name_any()
        ),
        RotationWait::Overlap => {
            "the rotation that rotate-at requests waits until the former secret is no longer valid".to_owned()
        }
        RotationWait::MinRotationPeriod => WAITS.to_owned(),
    }
}

/// A secret of other owners was never replaced here, so its first replacement is never too soon.
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

/// Refuses windows that cannot be read or never open, and an overlap that does not end before the next rotation.
///
/// # Errors
/// [`Error::InvalidField`].
pub(crate) fn check(client: &OAuth2Client) -> Result<()> {
    let Some(rotation) = &client.spec.rotation else {
        return Ok(());
    };
    let parsed = |text: &Option<String>| text.as_deref().and_then(crate::duration::parse);
    let (period, overlap) = (parsed(&rotation.period), overlap_of(client));
    if period.zip(overlap).is_some_and(|(period, overlap)| overlap >= period) {
        return Err(Error::InvalidField {
            field: match ends_unused(client) {
                true => "rotation.longestOverlap",
                false => "rotation.overlap",
            },
            problem: "it must be shorter than rotation.period; shorten it, or lengthen rotation.period".to_owned(),
        });
    }
    let now = Timestamp::now();
    let opens = Windows::of(&rotation.windows).map(|windows| windows.first(now, now));
    let problem = match opens {
        Ok(opens) if opens < Timestamp::MAX => return Ok(()),
        Ok(_) => "no window ever opens; correct the schedules".to_owned(),
        Err(problem) => problem,
    };
    let field = "rotation.windows";
    Err(Error::InvalidField { field, problem })
}
