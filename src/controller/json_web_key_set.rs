//! `JsonWebKeySet`: access → finalizer → ledger → server → Secret → status, and on with the rotation when its time has come.
//!
//! Hydra cannot list key sets: each is read once per interval of its server. On a Vault, which makes and rotates keys itself, a set is a named key.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use super::digest::digest;
use super::failure::{outage, unread};
use super::object::{Claiming, settle_claim};
use super::on_server::{OnServer, is_revoked, lives_on_vault, server_of};
use super::referable::{Referable, let_go};
use super::schedule::{past, wait_until};
use super::vault::object;
use super::verdict::Done;
use super::{Context, Kind, Managed, Pass, hold, record, release};
use crate::access::Denied;
use crate::api::access::ManagedKind;
use crate::api::condition::{self, READY};
use crate::api::json_web_key_set::JsonWebKeySetStatus;
use crate::api::refs::ServerRef;
use crate::api::{JsonWebKeySet, OAuth2Client};
use crate::decode::Item;
use crate::error::{Error, Result};

mod cleanup;
mod keys;
mod kid;
mod ledger;
mod output;
mod plan;
mod remote;
mod rotation;
mod vault;

pub(in crate::controller) use output::{JWK, KID, PEM};
pub(in crate::controller) use vault::overlap;

use keys::{Carried, Seen};
use ledger::Ledger;
use plan::{Plan, Target};
use remote::Remote;
use rotation::Stage;

/// How soon an imported key's Secret without our watch label is looked at again.
const UNWATCHED: Duration = Duration::from_secs(45);

impl Managed for JsonWebKeySet {
    type Status = JsonWebKeySetStatus;
    const KIND: &'static str = "JsonWebKeySet";

    fn api(&self, client: Client) -> Api<Item<Self>> {
        Api::namespaced(client, &self.namespace().unwrap_or_default())
    }

    fn kind_of(ctx: &Context) -> &Kind<Self> {
        &ctx.key_sets
    }

    fn status(&self) -> Option<&Self::Status> {
        self.status.as_ref()
    }

    fn common(status: &mut Self::Status) -> (&mut Option<i64>, &mut Vec<Condition>) {
        (&mut status.observed_generation, &mut status.conditions)
    }

    async fn apply(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> Result<Done> {
        if lives_on_vault(self, ctx)? {
            return vault::apply(self, ctx, pass).await;
        }
        let plan = match Plan::of(self, ctx, &pass.status) {
            Err(Error::NotAllowed { denied, .. }) => return revoked(self, ctx, pass, denied).await,
            plan => plan?,
        };
        settle_claim(self, ctx, pass).await?;
        let import = keys::look(self, ctx, &plan).await?;
        let carried = Carried::look(self, ctx);
        let seen = Seen {
            import: import.as_ref(),
            carried: &carried,
        };
        let terms = &plan.terms;
        let by_age = since(&pass.status).and_then(|since| terms.schedule.by_age(since, terms.pre_publish));
        let turn = ctx.key_sets.turn(&plan.target.uid, by_age);
        let is_due = turn.is_none() && due_at(&pass.status).is_some_and(|at| at <= Timestamp::now());
        let is_settled = pass.status.inputs.as_ref() == Some(&inputs(self, ctx, &plan, &pass.status, seen));
        let is_worked = pass.must_read || is_due || !is_settled;
        if is_worked {
            work(self, ctx, &plan, pass, seen, is_settled).await?;
            pass.status.inputs = Some(inputs(self, ctx, &plan, &pass.status, seen));
        }
        let waits = turn.filter(|_| !is_worked);
        let step = waits.or_else(|| due_at(&pass.status)).map(wait_until);
        let look = import.filter(|import| !import.watched).map(|_| UNWATCHED);
        Ok(Done {
            message: keys::said(self, ctx, &plan.terms.schedule, &pass.status),
            again: step.into_iter().chain(look).min(),
            ..Done::default()
        })
    }

    async fn cleanup(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> Result<()> {
        let_go(self, ctx)?;
        let server = ctx.server(self.server_name());
        if server.is_some_and(|server| server.spec.vault.is_some()) {
            return object::remove(self, ctx, pass).await;
        }
        cleanup::run(self, ctx, pass).await
    }
}

impl OnServer for JsonWebKeySet {
    const ACCESS: ManagedKind = ManagedKind::JsonWebKeySet;

    fn server_ref(&self) -> Option<&ServerRef> {
        self.spec.server_ref.as_ref()
    }
}

impl Referable for JsonWebKeySet {
    const FIELD: &'static str = "keySetRef";

    fn named_by(client: &OAuth2Client) -> impl Iterator<Item = &str> {
        client.spec.key_set_ref.iter().map(|reference| reference.name.as_str())
    }

    /// Keys that are published can be relied on, whatever comes next; so can a key that the server keeps to itself, once it is there.
    fn is_reliable(&self) -> bool {
        let status = self.status.as_ref();
        status.is_some_and(|status| !status.keys.is_empty() || status.inputs.is_some())
    }

    /// A client on a list of ids has nothing new to hear when others come and go.
    fn concerns(&self, client: &OAuth2Client) -> bool {
        let status = self.status.clone().unwrap_or_default();
        let own = client.status.clone().unwrap_or_default();
        status.client_ids.is_empty()
            || status.observed_generation != self.metadata.generation
            || !condition::is_true(&own.conditions, READY)
            || !own.client_id.is_some_and(|id| status.client_ids.contains(&id))
    }

    fn standing(&self) -> String {
        let of = |status: &JsonWebKeySetStatus| {
            let is_there = status.inputs.is_some();
            json!([
                status.key_ids(),
                status.current_key_id,
                status.secret_name,
                status.client_ids,
                is_there
            ])
        };
        self.status
            .as_ref()
            .map(|status| of(status).to_string())
            .unwrap_or_default()
    }
}

/// Access is denied. Where the server's admin wants it, what was made before goes.
async fn revoked(
    set: &JsonWebKeySet,
    ctx: &Context,
    pass: &mut Pass<JsonWebKeySetStatus>,
    denied: Denied,
) -> Result<Done> {
    let server = server_of(set, ctx)?;
    if is_revoked(set, ctx, &server, &denied).await? {
        cleanup::remove(set, ctx, pass).await?;
        pass.status = JsonWebKeySetStatus {
            conditions: pass.status.conditions.clone(),
            ..JsonWebKeySetStatus::default()
        };
        release(set, ctx).await?;
    }
    let server = server.name_any();
    Err(Error::NotAllowed { server, denied })
}

/// Ledger → steps that are due → server → Secret → status.
async fn work(
    set: &JsonWebKeySet,
    ctx: &Context,
    plan: &Plan,
    pass: &mut Pass<JsonWebKeySetStatus>,
    seen: Seen<'_>,
    drift: bool,
) -> Result<()> {
    let server = &plan.target.server;
    let link = ctx.links.usable(server).map_err(|error| unread(error, drift))?;
    hold(set, ctx).await?;
    let mut ledger = Ledger::read(set, ctx).await?;
    let remote = Remote {
        ctx,
        target: &plan.target,
        link: &link,
    };
    let failed = |error| outage(ctx, &server.name_any(), error);
    if let Some(cluster) = JsonWebKeySet::claim(&mut pass.status).other_cluster(ctx) {
        let checked = remote.check_cluster(&pass.status, &ledger, cluster).await;
        checked.map_err(|error| failed(unread(error, drift)))?;
        // Nothing of it is there any more: what is made now is made here.
        pass.status.cluster_id = Some(ctx.settings.cluster.clone());
        record(set, ctx, pass).await?;
    }
    let rebuilt = keys::rebuild(&remote, &pass.status, &mut ledger)
        .await
        .map_err(failed)?;
    let changed = keys::settle(set, ctx, plan, pass, &mut ledger, seen).await?;
    if rebuilt || changed || !ledger.is_intact(&plan.target.uid) {
        ledger.write(set, ctx).await?;
    }
    let synced = async {
        if remote.fetch(&pass.status, &mut ledger).await? {
            ledger.write(set, ctx).await?;
        }
        remote.sync(pass, &ledger, drift && !changed).await
    };
    synced.await.map_err(failed)?;
    pass.status.set_name = Some(plan.target.set_name.clone());
    pass.status.cluster_id = Some(ctx.settings.cluster.clone());
    let current = ledger.at(Stage::Current);
    // Verifiers hear of a key before it signs: the status, from which clients take their keys, is no later than the Secret.
    pass.status.keys = keys::public(&ledger);
    output::write(set, ctx, plan, pass, current).await?;
    pass.status.secret_name = plan.secret_name.clone();
    pass.status.current_key_id = current.map(|entry| entry.key.public.kid.clone());
    pass.status.rotated_at = current.map(|entry| plan.terms.schedule.since(entry.since).to_string());
    let now = Timestamp::now();
    let held = ledger.held();
    let progress = keys::progress(&pass.status, &ledger, seen.carried);
    let next = match set.spec.generate.is_some() && rotation::due(&held, &plan.terms, progress, now).is_some() {
        true => Some(now), // what this pass brought about was in the way
        false => rotation::next_at(&held, &plan.terms, now),
    };
    pass.status.next_step_at = next.filter(|at| *at < Timestamp::MAX).map(|at| at.to_string());
    Ok(())
}

/// When time alone brings the next step.
fn due_at(status: &JsonWebKeySetStatus) -> Option<Timestamp> {
    status.next_step_at.as_ref()?.parse().ok()
}

/// Since when the key signs that does, as the status says.
fn since(status: &JsonWebKeySetStatus) -> Option<Timestamp> {
    past(status.rotated_at.as_ref()?, Timestamp::now())
}

/// What a success was made from, in one line: equal inputs need no work.
fn inputs(set: &JsonWebKeySet, ctx: &Context, plan: &Plan, status: &JsonWebKeySetStatus, seen: Seen<'_>) -> String {
    let Target {
        server, namespace, uid, ..
    } = &plan.target;
    let version = |name: &str| ctx.own_secret(namespace, uid, name).map(|secret| secret.version);
    let schedule = &plan.terms.schedule;
    let asked_at = match since(status) {
        Some(since) => schedule.asked(since), // so that one edited while it waits is no news
        None => schedule.asked_at,
    };
    digest(&json!([
        server.uid(),
        set.spec,
        asked_at.map(|at| at.to_string()),
        version(&ledger::name(uid)),
        plan.secret_name.as_ref().map(|name| version(name)),
        plan.public_secret_name.as_ref().map(|name| version(name)),
        seen.import.map(|import| &import.version),
        seen.carried.of(status),
    ]))
}
