//! `JsonWebKeySet` on a Hydra: access → finalizer → ledger → server → Secret → status, and the rotation steps that are
//! due.
//!
//! Hydra cannot list key sets, so each is read once per interval of its server.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use serde_json::json;

use self::keys::Carried;
use crate::api::JsonWebKeySet;
use crate::api::event::Happening;
use crate::api::json_web_key_set::JsonWebKeySetStatus;
use crate::clock::told;
use crate::controller::common::adoption::note_adoption;
use crate::controller::common::claim::{Claiming, accept_policy, take_claim_over};
use crate::controller::common::digest::digest;
use crate::controller::common::failure::unread;
use crate::controller::common::key_set::since;
use crate::controller::common::note::note_registered;
use crate::controller::common::revoke;
use crate::controller::common::schedule::wait_until;
use crate::controller::engine::context::Context;
use crate::controller::engine::hold::{hold, record};
use crate::controller::engine::managed::{Pass, SecretKey};
use crate::controller::engine::verdict::Done;
use crate::controller::hydra::key_set::keys::Seen;
use crate::controller::hydra::key_set::ledger::Ledger;
use crate::controller::hydra::key_set::plan::{KeySetPlan, RemoteSet};
use crate::controller::hydra::key_set::remote::Remote;
use crate::controller::hydra::key_set::rotation::Stage;
use crate::error::{Error, Result};

pub(crate) mod adoption;
pub(crate) mod cleanup;
pub(crate) mod keys;
pub(crate) mod kid;
pub(crate) mod ledger;
pub(crate) mod output;
pub(crate) mod plan;
pub(crate) mod remote;
pub(crate) mod restore;
pub(crate) mod rotation;

/// Interval between checks of the Secret of an imported key without our watch label.
pub(crate) const UNWATCHED: Duration = Duration::from_secs(45);

/// Brings keys, ledger and Secrets in step with the spec, and continues the rotation.
///
/// # Errors
/// What is wrong with the spec, or blocks the pass.
pub(crate) async fn apply(set: &JsonWebKeySet, ctx: &Context, pass: &mut Pass<JsonWebKeySetStatus>) -> Result<Done> {
    let plan = match KeySetPlan::of(set, ctx, &pass.status) {
        Err(Error::NotAllowed { denied, .. }) => {
            return revoke::deny(set, ctx, pass, denied, async |pass| {
                cleanup::remove(set, ctx, pass).await
            })
            .await;
        }
        plan => plan?,
    };
    take_claim_over(set, ctx, pass).await?;
    accept_policy(set, pass);
    if set.consent().leaves_alone() {
        pass.status.next_rotation_at = None;
    }
    if set.consent().is_suspended() {
        return Ok(adoption::suspended(set, ctx, &plan, &pass.status).await);
    }
    if set.consent().observes() {
        return adoption::observe(set, ctx, &plan, &pass.status).await;
    }
    let import = keys::look(set, ctx, &plan).await?;
    let carried = Carried::look(set, ctx);
    let seen = Seen {
        import: import.as_ref(),
        carried: &carried,
    };
    let terms = &plan.terms;
    let by_age = since(&pass.status).and_then(|since| terms.schedule.by_age(since, terms.pre_publish));
    let turn = ctx.kinds.key_sets.turn(&plan.target.uid, by_age);
    let is_due = turn.is_none() && due_at(&pass.status).is_some_and(|at| at <= Timestamp::now());
    let is_settled = pass.status.inputs.as_ref() == Some(&inputs(set, ctx, &plan, &pass.status, seen));
    let is_worked = pass.must_read || is_due || !is_settled;
    if is_worked {
        work(set, ctx, &plan, pass, seen, is_settled).await?;
        pass.status.inputs = Some(inputs(set, ctx, &plan, &pass.status, seen));
    }
    let waits = turn.filter(|_| !is_worked);
    let step = waits.or_else(|| due_at(&pass.status)).map(wait_until);
    let look = import.filter(|import| !import.watched).map(|_| UNWATCHED);
    Ok(Done {
        message: keys::said(set, ctx, &plan.terms.schedule, &pass.status),
        again: step.into_iter().chain(look).min(),
        ..Done::default()
    })
}

/// Ledger → steps that are due → server → Secret → status.
async fn work(
    set: &JsonWebKeySet,
    ctx: &Context,
    plan: &KeySetPlan,
    pass: &mut Pass<JsonWebKeySetStatus>,
    seen: Seen<'_>,
    drift: bool,
) -> Result<()> {
    let server = &plan.target.server;
    let link = ctx.links.usable(server).map_err(|error| unread(error, drift))?;
    hold(set, ctx).await?;
    let mut ledger = Ledger::read(set, ctx).await?;
    restore::inherit(set, ctx, plan, pass, &mut ledger).await?;
    let remote = Remote {
        ctx,
        target: &plan.target,
        link: &link,
    };
    if let Some(cluster) = JsonWebKeySet::claim(&mut pass.status).other_cluster(&ctx.settings) {
        let checked = remote.check_cluster(&pass.status, &ledger, cluster).await;
        checked.map_err(|error| unread(error, drift))?;
        // The other cluster's keys do not exist any more: from now on, this cluster owns the set.
        pass.status.cluster_id = Some(ctx.settings.cluster.clone());
        record(set, ctx, pass).await?;
    }
    let rebuilt = keys::rebuild(&remote, &pass.status, &mut ledger).await?;
    let adopted = adoption::adopt(set, &remote, pass, &mut ledger).await?;
    let changed = keys::advance(set, ctx, plan, pass, &mut ledger, seen).await?;
    if rebuilt || adopted || changed || !ledger.is_intact(ctx, &plan.target.uid) {
        ledger.write(set, ctx).await?;
    }
    if remote.fetch(&pass.status, &mut ledger).await? {
        ledger.write(set, ctx).await?;
    }
    remote.sync(set, pass, &ledger, drift && !changed).await?;
    if adopted {
        note_adoption(pass, "key set", adoption::changes(set));
    }
    pass.status.set_name = Some(plan.target.set_name.clone());
    pass.status.cluster_id = Some(ctx.settings.cluster.clone());
    let current = ledger.at(Stage::Current);
    // Verifiers must know a key before it signs. Clients take their keys from the status, so it gets the keys even if
    // the Secret cannot be written.
    pass.status.keys = keys::public(&ledger);
    let kid = current.map(|entry| entry.key.public.kid.clone());
    note_key(pass, kid.as_ref());
    output::write(set, ctx, plan, pass, current).await?;
    pass.status.secret_name = plan.secret_name.clone();
    pass.status.current_key_id = kid;
    pass.status.rotated_at = current.map(|entry| plan.terms.schedule.since(entry.since).to_string());
    plan_ahead(set, plan, &mut pass.status, &ledger, seen);
    Ok(())
}

/// Records when the next step and the next rotation are due.
fn plan_ahead(
    set: &JsonWebKeySet,
    plan: &KeySetPlan,
    status: &mut JsonWebKeySetStatus,
    ledger: &Ledger,
    seen: Seen<'_>,
) {
    let now = Timestamp::now();
    let held = ledger.held();
    let progress = keys::progress(status, ledger, seen.carried);
    let next = match set.spec.generate.is_some() && rotation::due(&held, &plan.terms, progress, now).is_some() {
        true => Some(now), // this pass made the next step possible
        false => rotation::next_at(&held, &plan.terms, now),
    };
    status.next_rotation_at = rotation::planned_at(&held, &plan.terms).map(told);
    status.next_step_at = next.filter(|at| *at < Timestamp::MAX).map(|at| at.to_string());
}

/// Reports that the set is on the server, or that another key signs. `current`: the key that signs now.
fn note_key(pass: &mut Pass<JsonWebKeySetStatus>, current: Option<&String>) {
    let is_told = pass.has_noted(&[Happening::Adopted, Happening::Restored, Happening::KeysReplaced]);
    let former = pass.status.current_key_id.clone();
    match (former.as_ref(), current) {
        _ if is_told => {}
        (None, _) if pass.status.inputs.is_none() => note_registered(pass, "key set"),
        (Some(former), Some(current)) if former != current => pass.note(
            Happening::KeyRotated,
            "Another key signs now. Verifiers need the former one until the overlap is over.",
        ),
        _ => {}
    }
}

/// The Secrets of a key set whose names follow from spec and status. On a Vault there are none.
pub(crate) fn secrets(set: &JsonWebKeySet) -> Vec<SecretKey> {
    let uid = set.uid().unwrap_or_default();
    let published = set
        .spec
        .publish
        .as_ref()
        .and_then(|publish| publish.secret_name.clone());
    let former = set.status.as_ref().and_then(|status| status.secret_name.clone());
    let outputs = [set.private_key_secret_name(), published, former];
    let names: BTreeSet<String> = outputs.into_iter().flatten().chain([ledger::name(&uid)]).collect();
    let own = |name| SecretKey {
        owner: uid.clone(),
        name,
    };
    names.into_iter().map(own).collect()
}

/// When time alone makes the next step due.
fn due_at(status: &JsonWebKeySetStatus) -> Option<Timestamp> {
    status.next_step_at.as_ref()?.parse().ok()
}

/// What a success was made from, in one line: with equal inputs there is nothing to do.
fn inputs(
    set: &JsonWebKeySet,
    ctx: &Context,
    plan: &KeySetPlan,
    status: &JsonWebKeySetStatus,
    seen: Seen<'_>,
) -> String {
    let RemoteSet {
        server, namespace, uid, ..
    } = &plan.target;
    let version = |name: &str| ctx.own_secret(namespace, uid, name).map(|secret| secret.version);
    let schedule = &plan.terms.schedule;
    let asked_at = match since(status) {
        Some(since) => schedule.asked(since), // so an edit while the request waits changes nothing
        None => schedule.asked_at,
    };
    let version_of = |name: &Option<String>| name.as_ref().map(|name| version(name));
    let mut inputs = vec![
        json!(server.uid()),
        json!(set.spec),
        json!(asked_at.map(|at| at.to_string())),
        json!(version(&ledger::name(uid))),
        json!(version_of(&plan.secret_name)),
        json!(version_of(&plan.public_secret_name)),
        json!(seen.import.map(|import| &import.version)),
        json!(seen.carried.of(status)),
    ];
    let labels = &ctx.settings.output_labels;
    inputs.extend((!labels.is_empty()).then(|| json!(labels)));
    digest(&json!(inputs))
}
