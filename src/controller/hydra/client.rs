//! `OAuth2Client` on a Hydra: refs → access → desired → finalizer → ledger → server → credentials Secret → status.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use self::plan::{check_fields, check_values, desired, plan};
use self::reference::Reference;
use self::rotation::{bounded, ends_unused, look_ahead, overlap_ends, planned, spaced, waiting};
use self::work::Work;
use crate::admin::hydra;
use crate::admin::hydra::client::Catalogue;
use crate::admin::hydra::sync::is_later;
use crate::api::OAuth2Client;
use crate::api::oauth2_client::{Effective, OAuth2ClientStatus};
use crate::clock::told;
use crate::controller::common::claim::Claiming;
use crate::controller::common::client::inputs::Inputs;
use crate::controller::common::client::layout;
use crate::controller::common::client::outcome::deletion_policy;
use crate::controller::common::client::plan::{ClientPlan, check_access, check_size};
use crate::controller::common::revoke;
use crate::controller::common::schedule::wait_until;
use crate::controller::engine::context::Context;
use crate::controller::engine::managed::Pass;
use crate::controller::engine::verdict::Done;
use crate::error::wording::shown;
use crate::error::{Error, Result};

pub(crate) mod adoption;
pub(crate) mod catalogue;
pub(crate) mod cleanup;
pub(crate) mod id;
pub(crate) mod kept;
pub(crate) mod kin;
pub(crate) mod ledger;
pub(crate) mod observe;
pub(crate) mod overlap;
pub(crate) mod plan;
pub(crate) mod published;
pub(crate) mod reference;
pub(crate) mod remote;
pub(crate) mod restore;
pub(crate) mod rotation;
pub(crate) mod run;
pub mod steps;
pub(crate) mod traces;
pub(crate) mod unused;
pub(crate) mod work;

/// Interval between checks of a referenced Secret without our watch label.
pub(crate) const UNWATCHED: Duration = Duration::from_secs(45);

/// Brings client, ledger and credentials Secret in step with the spec.
///
/// # Errors
/// What is wrong with the spec, or blocks the pass.
pub(crate) async fn apply(client: &OAuth2Client, ctx: &Context, pass: &mut Pass<OAuth2ClientStatus>) -> Result<Done> {
    let named = plan::named(client);
    let client = &*named;
    let (mut plan, catalogue) = plan(client, ctx)?;
    match check_access(client, ctx, &plan) {
        Ok(grant) => {
            plan.way = rotation::way(client, ctx, &plan, &pass.status);
            plan.schedule = bounded(client, ctx, &plan, grant, &pass.status);
        }
        Err(denied) => {
            let remove = async |pass: &mut Pass<OAuth2ClientStatus>| {
                cleanup::remove(client, ctx, pass).await?;
                ctx.kinds.clients.memory.wrote_at(&plan.uid, None, None);
                Ok(())
            };
            return revoke::deny(client, ctx, pass, denied, remove).await;
        }
    }
    if client.consent().leaves_alone() {
        pass.status.next_rotation_at = None;
        pass.status.rotation_waits_for = None;
    }
    if client.spec.suspend == Some(true) {
        let wanted = desired(client, ctx, &plan, &catalogue);
        return Ok(suspended(client, ctx, &plan, &wanted, &pass.status).await);
    }
    check_fields(client, &plan)?;
    check_values(client)?;
    unused::check(client, ctx)?;
    if let Some(missing) = plan.missing.take() {
        return Err(missing);
    }
    if client.consent().observes() {
        let wanted = desired(client, ctx, &plan, &catalogue);
        return observe::run(client, ctx, &plan, wanted, &pass.status).await;
    }
    manage(client, ctx, plan, &catalogue, pass).await
}

/// Brings client, ledger and credentials Secret in step with a spec that is in order.
async fn manage(
    client: &OAuth2Client,
    ctx: &Context,
    mut plan: ClientPlan,
    catalogue: &Catalogue,
    pass: &mut Pass<OAuth2ClientStatus>,
) -> Result<Done> {
    plan.schedule.space = spaced(client, ctx, &plan, &pass.status);
    pass.status.next_rotation_at = planned(client, &plan, &pass.status).map(told);
    let has_come = |at: Option<Timestamp>| at.is_some_and(|at| at <= Timestamp::now());
    let ends_former =
        has_come(overlap_ends(client, &pass.status)) || unused::is_unused(client, ctx, &pass.status).await?;
    let due_at = match rotation::due_at(client, &plan, &pass.status) {
        Err(_) if ends_former => None, // it is reported once the former secret has ended
        due_at => due_at?,
    };
    restore::wait(client, ctx, &plan, &pass.status)?;
    let reference = reference::look(client, ctx, &plan).await?;
    let id = id::look(client, ctx, &plan).await?;
    let earlier = restore::begin(client, ctx, &mut plan, pass).await?;
    let layout = layout::layout(client, ctx, &plan)?;
    let wanted = desired(client, ctx, &plan, catalogue);
    check_size(&wanted.body(None))?;
    if let Some(earlier) = earlier {
        earlier.keep(client, ctx, &plan, pass).await?;
    }
    let references: Vec<&Reference> = reference.iter().chain(&id).collect();
    let inputs = Inputs::observe(ctx, &plan, plan::of_client(&wanted), &layout, &versions(&references));
    let last = pass.status.inputs.as_deref().and_then(Inputs::parse);
    let is_due = has_come(due_at);
    if pass.must_read || is_due || ends_former || last.as_ref() != Some(&inputs) {
        if let Some(id) = &id
            && let Some(named) = id::learn(client, ctx, &plan, pass, id).await?
        {
            return Box::pin(apply(&named, ctx, pass)).await;
        }
        let work = Work {
            client,
            ctx,
            plan: &plan,
            layout: &layout,
            reference: reference.as_ref(),
            last,
            is_due,
            ends_former,
        };
        run::run(&work, pass, wanted, inputs).await?;
    }
    done(client, &plan, pass, layout.name, &references)
}

/// The state of a suspended resource, and what an adoption would change.
async fn suspended(
    client: &OAuth2Client,
    ctx: &Context,
    plan: &ClientPlan,
    wanted: &hydra::Client,
    status: &OAuth2ClientStatus,
) -> Done {
    let mut suspended = Done::suspended();
    if let Some(preview) = adoption::preview(client, ctx, plan, wanted, status).await {
        suspended.message += &format!(" {preview}");
    }
    suspended
}

fn versions<'a>(references: &'a [&Reference]) -> Vec<&'a str> {
    references.iter().map(|reference| reference.version.as_str()).collect()
}

/// Merges the time of the last write when another instance wrote the status meanwhile: the later write on the server
/// counts.
pub(crate) fn rebase(status: &mut OAuth2ClientStatus, before: &OAuth2ClientStatus, live: &OAuth2ClientStatus) {
    if status.updated_at == before.updated_at || is_later(live.updated_at.as_deref(), status.updated_at.as_deref()) {
        status.updated_at = live.updated_at.clone();
    }
}

fn kept_in_words(kept: &[String]) -> String {
    let names: Vec<String> = kept.iter().map(|name| format!("`{}`", shown(name))).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!(
            " It keeps grant types that it had before its adoption: {}.",
            names.join(", ")
        ),
    }
}

/// What is said of a client that is in sync. `more`: further sentences.
fn message(client: &OAuth2Client, plan: &ClientPlan, status: &OAuth2ClientStatus, more: &str) -> String {
    let Some(name) = &status.secret_name else {
        return format!("The client is registered.{more}");
    };
    let waits = status
        .rotation_waits_for
        .map(|wait| format!("; {}", waiting(wait, plan)));
    let until = status.former_secret_until.as_ref();
    let unused = match ends_unused(client) {
        true => "no pod uses it any more, at the latest until ",
        false => "",
    };
    let former = until.map(|until| format!(" The former secret is valid until {unused}{until}."));
    let (waits, former) = (waits.unwrap_or_default(), former.unwrap_or_default());
    format!("The client is registered and its credentials are in Secret `{name}`{waits}.{former}{more}")
}

/// Completes status and message once everything is in sync. `secret_name`: of the credentials Secret that the spec asks
/// for.
fn done(
    client: &OAuth2Client,
    plan: &ClientPlan,
    pass: &mut Pass<OAuth2ClientStatus>,
    secret_name: String,
    references: &[&Reference],
) -> Result<Done> {
    let status = &mut pass.status;
    status.client_id = Some(plan.client_id.clone());
    status.endpoints = None; // the status of the AuthorizationServer has them
    status.effective = Some(Effective {
        deletion_policy: deletion_policy(client, status),
        ..plan.effective.clone()
    });
    let ids = plan.keys().iter().filter_map(|key| key.get("kid")?.as_str());
    status.key_ids = ids.map(str::to_owned).collect();
    let inputs = status.inputs.as_deref().and_then(Inputs::parse);
    let is_unknown = plan.effective.has_secret() && inputs.is_some_and(|inputs| !inputs.had_ledger());
    status.secret_name = Some(secret_name).filter(|_| !is_unknown);
    status.binding = layout::binding(client, status.secret_name.as_ref());
    let mut more = kept_in_words(&status.kept_grant_types);
    if !status.not_kept.is_empty() {
        more += &format!(
            " The server stores another value than requested in {}; write the value in the form that the server stores, or leave it out.",
            status.not_kept.join(", ")
        );
    }
    if status.secret_needs_encoding == Some(true) {
        more += " Applications must form-encode its secret before HTTP Basic authentication (RFC 6749, section 2.3.1); a secret of letters and digits needs no encoding.";
    }
    let ends = overlap_ends(client, status);
    status.former_secret_until = ends.map(told);
    let ahead = look_ahead(client, plan, status, Timestamp::now());
    status.rotation_waits_for = ahead.waits_for;
    let message = message(client, plan, status, &more);
    let is_unwatched = references.iter().any(|reference| !reference.watched);
    let look = is_unwatched.then_some(UNWATCHED);
    let next = rotation::due_at(client, plan, status)?
        .into_iter()
        .chain(ends)
        .chain(ahead.due_at)
        .min()
        .map(wait_until);
    status.next_rotation_at = planned(client, plan, status).map(told);
    Ok(Done {
        message,
        lacks: is_unknown.then_some(Error::SecretUnknown),
        again: look
            .into_iter()
            .chain(next)
            .chain(unused::next_look(client, status))
            .min(),
        ..Done::default()
    })
}
