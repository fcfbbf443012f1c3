//! Reports the result of a pass: writes the status and publishes the event for a change.

use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, LazyLock};

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::api::condition;
use crate::api::status::Standing;
use crate::clock::told;
use crate::controller::engine::context::Context;
use crate::controller::engine::events::publish;
use crate::controller::engine::managed::Managed;
use crate::controller::engine::publisher::Told;
use crate::controller::engine::verdict::{self, Done, Logged};
use crate::error::{ClusterFault, Error, Result};

/// Result of storing a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// The status is stored, or another resource of this name exists by now.
    There,
    /// No resource of this name exists any more.
    Gone,
}

/// Writes the status if it has changed, and publishes the event for the change. Without a result, the conditions stay.
pub(crate) async fn store<K: Managed>(
    object: &K,
    ctx: &Context,
    before: &K::Status,
    mut status: K::Status,
    result: Option<Result<&Done, &Error>>,
) -> Result<Stored> {
    let old = before.conditions();
    if let Some(result) = result {
        let generation = object.meta().generation.unwrap_or_default();
        let manual = &ctx.settings.manual;
        let wording = verdict::wording(old, generation, has_said(object, ctx, result));
        let wanted = verdict::conditions(result, object.conditions(&status), &manual.plain(old), wording);
        let conditions = condition::merge(old, manual.refer(wanted), generation, Timestamp::now());
        let standing = status.standing_mut();
        *standing.0 = Some(generation);
        *standing.1 = conditions;
        let is_confirmed = result.is_ok_and(|done| !done.suspended && done.unlike.is_none());
        let uid = object.meta().uid.as_deref().unwrap_or_default();
        let is_new = before.standing().0 != Some(generation);
        if is_confirmed && (K::kind_of(ctx).memory.take_write(uid) || is_new) {
            *status.records_mut().last_sync_time = Some(told(Timestamp::now()));
        }
    }
    if !is_news(before, &status) {
        return Ok(Stored::There);
    }
    if let (Some(named), Some(server)) = (status.records_mut().server, object.server()) {
        *named = Some(server.to_owned());
    }
    let new = status.conditions().to_vec();
    let stored = write(object, ctx, before, status, result.is_some()).await?;
    if stored == Stored::There {
        log(verdict::logged(old, &new, object.server().is_some()));
    }
    if let Some(event) = verdict::event(old, &new).filter(|_| stored == Stored::There) {
        publish(ctx, object, Told::Ready(&event)).await;
    }
    Ok(stored)
}

/// Whether the policy that denies something said the same at the last try.
fn has_said<K: Managed>(object: &K, ctx: &Context, result: Result<&Done, &Error>) -> bool {
    let denial = match result {
        Ok(done) => done.lacks.as_ref().and_then(Error::denial),
        Err(error) => error.denial(),
    };
    let uid = object.meta().uid.as_deref().unwrap_or_default();
    denial.is_some_and(|denial| K::kind_of(ctx).memory.repeats(uid, digest(&denial.gist())))
}

/// Logs what has changed. A pass that changes nothing logs nothing, and an error is logged once, not at each retry.
fn log(logged: Option<Logged<'_>>) {
    match logged {
        Some(Logged::Ready(ready)) => tracing::info!(reason = ready.reason, note = ready.message, "Ready"),
        Some(Logged::Failing(ready)) => tracing::warn!(reason = ready.reason, note = ready.message, "not Ready"),
        Some(Logged::Changed(ready)) => tracing::info!(note = ready.message, "changed and still Ready"),
        None => {}
    }
}

/// Whether a status has changed. What an earlier version of the operator did not report is no change, so that an upgrade
/// does not write the status of every resource; it is written with the next change.
fn is_news<S: Standing + Clone + PartialEq>(before: &S, status: &S) -> bool {
    if status == before {
        return false; // the usual case, which copies nothing
    }
    let (mut before, mut status) = (before.clone(), status.clone());
    let (mut old, new) = (before.records_mut(), status.records_mut());
    let is_earlier = old.server.as_ref().is_some_and(|server| server.is_none());
    if let (Some(old), Some(new)) = (&mut old.server, new.server) {
        new.clone_from(old); // it never changes
    }
    if let (Some(old), Some(new)) = (&mut old.next_rotation_at, new.next_rotation_at)
        && is_earlier
    {
        new.clone_from(old);
    }
    status != before
}

/// Returns the newest known version of the object of a pass, because the pass itself may have written it.
pub(crate) fn latest<K: Managed>(object: &K, ctx: &Context) -> Arc<K> {
    K::kind_of(ctx).newest(Arc::new(object.clone()))
}

/// Applies a status. After a conflict, it is applied to the live object, if that is still the same object.
async fn write<K: Managed>(
    object: &K,
    ctx: &Context,
    before: &K::Status,
    mut status: K::Status,
    judged: bool,
) -> Result<Stored> {
    let api = object.api(ctx.cluster.client());
    let uid = object.meta().uid.as_deref().unwrap_or_default();
    let mut target = latest(object, ctx);
    rebase(&*target, before, &mut status, judged);
    for _ in 0..3 {
        let kind = K::kind_of(ctx);
        kind.memory.means(uid, digest(&status));
        match ctx.cluster.apply_status(&api, &*target, &status).await {
            Ok(written) => {
                let foreign = surplus(&status, &written.status());
                let written = match foreign.is_empty() {
                    true => written,
                    false => ctx.cluster.drop_status(&api, &written, &foreign).await?,
                };
                kind.wrote(written);
                return Ok(Stored::There);
            }
            Err(Error::Cluster(ClusterFault::Conflict)) => {}
            Err(Error::Cluster(ClusterFault::Status(404))) => return Ok(Stored::Gone),
            Err(error) => return Err(error),
        }
        match ctx.cluster.live(&api, &object.name_any()).await? {
            None => return Ok(Stored::Gone),
            Some(live) if live.uid() != object.uid() => return Ok(Stored::There), // a new resource with its own status
            Some(live) => {
                rebase(&live, before, &mut status, judged);
                target = Arc::new(live);
            }
        }
    }
    Err(Error::Cluster(ClusterFault::Conflict))
}

/// Returns the members of the stored status that are missing in the applied one. Another writer applied them, so our
/// apply does not remove them.
fn surplus(applied: &impl Serialize, stored: &impl Serialize) -> Vec<String> {
    let applied = members(applied).unwrap_or_default();
    let stored = members(stored).unwrap_or_default();
    let foreign = stored.into_iter().filter(|(name, _)| !applied.contains_key(name));
    foreign.map(|(name, _)| name).collect()
}

fn members(status: &impl Serialize) -> Option<Map<String, Value>> {
    match serde_json::to_value(status) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    }
}

/// Digest of a status, comparable only within this process.
pub(crate) fn digest(status: &impl Serialize) -> u64 {
    static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    HASHER.hash_one(serde_json::to_vec(status).unwrap_or_default())
}

/// Merges a status with one that another writer has stored since the pass began: members that the pass did not change
/// take the live value. `judged`: whether the pass has a result, so that the conditions are its own.
fn rebase<K: Managed>(live: &K, before: &K::Status, status: &mut K::Status, judged: bool) {
    let live = live.status().cloned().unwrap_or_default();
    if live == *before {
        return;
    }
    let mut merged = merged(before, status, &live).unwrap_or_else(|| status.clone());
    if judged {
        let (generation, conditions) = status.standing_mut();
        let merged = merged.standing_mut();
        (*merged.0, *merged.1) = (*generation, std::mem::take(conditions));
    }
    K::rebase(&mut merged, before, &live);
    *status = merged;
}

/// Returns `live`, with the members of `status` that differ from `before`.
fn merged<S: Serialize + DeserializeOwned>(before: &S, status: &S, live: &S) -> Option<S> {
    let (before, ours, mut theirs) = (members(before)?, members(status)?, members(live)?);
    let names: BTreeSet<&String> = before.keys().chain(ours.keys()).collect();
    for name in names.into_iter().filter(|name| before.get(*name) != ours.get(*name)) {
        match ours.get(name) {
            Some(value) => theirs.insert(name.clone(), value.clone()),
            None => theirs.remove(name),
        };
    }
    serde_json::from_value(Value::Object(theirs)).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{is_news, merged, surplus};
    use crate::api::oauth2_client::OAuth2ClientStatus;

    #[test]
    fn what_an_earlier_version_did_not_report_is_no_change() {
        let status = |value: Value| -> OAuth2ClientStatus { serde_json::from_value(value).expect("a status") };
        let old = json!({ "observedGeneration": 1, "clientId": "a" });
        let new = json!({ "observedGeneration": 1, "clientId": "a", "server": "default" });
        let with = |base: &Value, more: Value| {
            let mut all = base.clone();
            all.as_object_mut()
                .expect("an object")
                .extend(more.as_object().expect("an object").clone());
            all
        };
        let rotation = json!({ "nextRotationAt": "2026-01-01T00:00:00Z" });
        let table = [
            (&old, old.clone(), false),
            (&old, with(&old, rotation.clone()), false), // the operator was upgraded
            (&new, old.clone(), false),                  // the name of the server is added later
            (&new, with(&new, rotation.clone()), true),
            (
                &old,
                with(&old, json!({ "lastSyncTime": "2026-01-01T00:00:00Z" })),
                true,
            ),
            (&old, with(&old, json!({ "observedGeneration": 2 })), true),
            (&json!({}), with(&new, rotation), true),
        ];
        for (before, after, expected) in table {
            let found = is_news(&status(before.clone()), &status(after.clone()));
            assert_eq!(found, expected, "{before} {after}");
        }
    }

    #[test]
    fn members_that_others_applied_are_found() {
        let applied = json!({ "a": 1, "b": [2] });
        assert_eq!(surplus(&applied, &json!({ "a": 3, "c": 4, "d": null })), ["c", "d"]);
        assert_eq!(surplus(&applied, &applied), [""; 0]);
        assert_eq!(surplus(&applied, &json!(null)), [""; 0]);
    }

    #[test]
    fn members_that_a_pass_did_not_change_keep_the_live_value() {
        let table: [(Value, Value, Value, Value); 5] = [
            (json!({}), json!({}), json!({ "a": 1 }), json!({ "a": 1 })),
            (
                json!({}),
                json!({ "b": 2 }),
                json!({ "a": 1 }),
                json!({ "a": 1, "b": 2 }),
            ),
            (
                json!({ "a": 1 }),
                json!({ "a": 2 }),
                json!({ "a": 3 }),
                json!({ "a": 2 }),
            ),
            (
                json!({ "a": 1 }),
                json!({}),
                json!({ "a": 1, "b": 2 }),
                json!({ "b": 2 }),
            ),
            (json!({ "a": 1 }), json!({ "a": 1 }), json!({}), json!({})),
        ];
        for (before, status, live, expected) in table {
            assert_eq!(
                merged(&before, &status, &live),
                Some(expected),
                "{before} {status} {live}"
            );
        }
    }
}
