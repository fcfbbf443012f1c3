//! One pass over one resource: finalizer, deadline, status, event, retry. The same code serves every kind.
//!
//! A kind implements `apply` and `cleanup`. Only the engine writes status and events.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use rand::RngExt;
use tracing::Span;

use crate::api::annotation;
use crate::api::condition::{self, SYNCED};
use crate::api::event::Happening;
use crate::api::status::Standing;
use crate::controller::engine::context::Context;
use crate::controller::engine::events::publish;
use crate::controller::engine::hold::release;
use crate::controller::engine::kind::Kind;
use crate::controller::engine::lifecycle::{is_abandoned, is_deleting, is_held};
use crate::controller::engine::managed::{Managed, Pass};
use crate::controller::engine::memory::Memory;
use crate::controller::engine::publisher::Told;
use crate::controller::engine::queue::Ended;
use crate::controller::engine::report::{Stored, store};
use crate::controller::engine::request::Request;
use crate::controller::engine::secrets;
use crate::controller::engine::verdict::Done;
use crate::decode;
use crate::error::{ClusterFault, Error, Result, Retry};
use crate::metrics::SUCCESS;
use crate::spans;

/// Runs one pass over a resource that the queue has returned.
pub async fn reconcile<K: Managed>(cached: Arc<K>, ctx: Arc<Context>) -> Ended {
    let (begun, began_at) = (Instant::now(), Timestamp::now());
    let kind = K::kind_of(&ctx);
    let memory = &kind.memory;
    let object = kind.newest(cached);
    let uid = object.uid().unwrap_or_default();
    if is_over(&*object, kind) || !is_ours(&*object, &ctx) {
        return Ended::default();
    }
    let before = object.status().cloned().unwrap_or_default();
    let mut pass = Pass {
        status: before.clone(),
        notes: Vec::new(),
        must_read: false,
    };
    let request = Request::of(&*object, &mut pass.status, memory);
    let mark = memory.marked(&uid);
    pass.must_read = memory.begins(&uid) || mark.is_some() || matches!(request, Request::Now(_));
    let result = run(&*object, &ctx, &mut pass).await;
    measure::<K>(&ctx, result.as_ref().err(), begun.elapsed());
    if !is_ours(&*object, &ctx) {
        return Ended::default(); // handed over during the pass; the other operator reports what it finds
    }
    if is_deleting(&*object) && result.is_ok() {
        tell(&*object, &ctx, &mut pass).await;
        return finish(&*object, &ctx).await;
    }
    if matches!(result, Err(Error::Cluster(ClusterFault::Gone))) {
        return vanish(&*object, &ctx);
    }
    let is_told = match &result {
        Err(error) => error.treatment().report.is_due(memory.failing_for(&uid)),
        Ok(_) => true,
    };
    if is_told && has_read(&result) {
        request.answer(&mut pass.status, memory, &uid);
    }
    let reported = is_told.then_some(result.as_ref());
    let reported = store(&*object, &ctx, &before, pass.status.clone(), reported).await;
    tell(&*object, &ctx, &mut pass).await;
    if matches!(reported, Ok(Stored::There)) {
        count(&*object, &ctx, &before, &pass.status, &result, began_at);
    }
    if matches!(reported, Ok(Stored::Gone)) {
        if object.server().is_some() && !is_deleting(&*object) && is_first(&before, &pass) {
            bury(&*object, &ctx, &mut pass).await;
        }
        return vanish(&*object, &ctx);
    }
    if let Err(error) = &reported {
        tell_unwritten(error, memory.is_failing(&uid));
    }
    let outcome = reported.map(drop).and(result);
    tracing::debug!(?outcome, "pass");
    let mut ended = next::<K>(outcome, memory, &uid, mark);
    ended.again = ended.again.into_iter().chain(request.wait()).min();
    ended
}

/// Whether the resource was deleted since it was queued. Then the cache no longer shows it, or its memory says that it was
/// released or is gone.
fn is_over<K: Managed>(object: &K, kind: &Kind<K>) -> bool {
    // Memory first: the watch removes the resource from the cache, then from memory.
    let memory = &kind.memory;
    let is_done = is_deleting(object) && (!is_held(object) || memory.is_released(object));
    let is_gone = object.meta().uid.as_ref().is_some_and(|uid| memory.is_gone(uid));
    is_done || is_gone || !kind.shows(object)
}

/// Publishes the events of a pass, the most important ones first: a resource has a limited number of events.
async fn tell<K: Managed>(object: &K, ctx: &Context, pass: &mut Pass<K::Status>) {
    let (memory, uid) = (&K::kind_of(ctx).memory, object.uid().unwrap_or_default());
    pass.notes.sort_by_key(|(happening, _)| *happening);
    for (happening, note) in &pass.notes {
        match happening {
            Happening::Released | Happening::Deleted if !memory.ends(&uid) => continue,
            Happening::Registered => memory.lives(&uid),
            _ => {}
        }
        publish(ctx, object, Told::Did(*happening, note)).await;
    }
}

/// Whether a pass has done all that a full pass does. One that is suspended or continues at once has not.
fn has_read(result: &Result<Done>) -> bool {
    match result {
        Ok(done) => !done.suspended && done.again != Some(Duration::ZERO),
        Err(_) => true, // told: the conditions say what blocks the pass
    }
}

/// Records how a pass ended and how long it took.
fn measure<K: Managed>(ctx: &Context, error: Option<&Error>, time: Duration) {
    let result = error.map_or(SUCCESS, |error| error.class().1.as_str());
    spans::ended(result, error.is_some());
    let trace = spans::trace_id(&Span::current());
    ctx.metrics.reconciled(K::KIND, result, time, trace);
}

/// Logs why a status was not written, once in a row of failures. An instance that leads no longer writes none.
fn tell_unwritten(error: &Error, is_failing: bool) {
    if !is_failing && !matches!(error, Error::NotLeader) {
        tracing::warn!(%error, "the status cannot be written; the operator tries again");
    }
}

/// Counts what a pass whose status is stored has reached: a rotation, and the first time that the resource is Ready.
fn count<K: Managed>(
    object: &K,
    ctx: &Context,
    before: &K::Status,
    after: &K::Status,
    result: &Result<Done>,
    began_at: Timestamp,
) {
    let memory = &K::kind_of(ctx).memory;
    let uid = object.meta().uid.as_deref().unwrap_or_default();
    if K::is_rotated(before, after) {
        ctx.metrics.rotated(K::KIND);
    }
    let is_new = before.conditions().is_empty();
    match result {
        Ok(done) if done.suspended => {}
        Ok(Done { lacks: None, .. }) => {
            let first = memory.arrived(uid).or(is_new.then_some(began_at));
            let created = object.meta().creation_timestamp.as_ref();
            if let (Some(first), Some(created)) = (first, created) {
                ctx.metrics.ready(K::KIND, age(created.0, first, Timestamp::now()));
            }
        }
        _ if is_new => memory.came(uid, began_at),
        _ => {}
    }
}

/// Age of a resource. The Kubernetes API cuts the time of creation to whole seconds, so a first pass within that second
/// is closer to it.
fn age(created: Timestamp, first: Timestamp, now: Timestamp) -> Duration {
    const SECOND: SignedDuration = SignedDuration::from_secs(1);
    let is_within = first.duration_since(created).abs() < SECOND;
    let since = if is_within { first } else { created };
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

/// Returns when the next pass is due after one with this outcome.
fn next<K: Managed>(outcome: Result<Done>, memory: &Memory<K>, uid: &str, mark: Option<u64>) -> Ended {
    match outcome {
        Ok(done) => {
            memory.succeeded(uid);
            if let Some(mark) = mark
                && done.again != Some(Duration::ZERO)
            {
                memory.clear_mark(uid, mark);
            }
            if memory.marked(uid).is_some() {
                return again(Duration::ZERO); // marked during this pass
            }
            done.again.map_or_else(Ended::default, |after| again(jittered(after)))
        }
        Err(error) => match error.treatment().retry {
            Retry::Never => Ended::default(),
            retry => Ended {
                was_slow: retry == Retry::Slow,
                again: retry.wait(memory.failed(uid, &error), K::PATIENCE).map(jittered),
            },
        },
    }
}

/// Whether this operator works on a server or its resources, or one of another class does. A resource that is abandoned
/// needs no server: the operator without a class releases it, in case the class has no operator.
pub(crate) fn is_ours<K: Managed>(object: &K, ctx: &Context) -> bool {
    let own = object.name_any();
    let is_left = is_deleting(object) && object.server().is_some() && is_abandoned(object);
    ctx.is_ours(object.server().unwrap_or(&own), is_deleting(object)) || is_left && ctx.settings.reach.class.is_none()
}

async fn run<K: Managed>(object: &K, ctx: &Context, pass: &mut Pass<K::Status>) -> Result<Done> {
    let namespace = object.namespace().unwrap_or_default();
    let is_within = object.server().is_none() || ctx.settings.reach.has_namespace(&namespace);
    let work = async {
        match decode::flaw(object) {
            _ if is_deleting(object) => clean_up(object, ctx, pass).await.map(|()| Done::default()),
            _ if !is_within => Err(Error::NamespaceNotWatched(namespace)),
            Some(flaw) => Err(Error::Unreadable(flaw.to_owned())),
            None => bring_in_line(object, ctx, pass).await,
        }
    };
    let result = tokio::time::timeout(K::PASS, work).await.unwrap_or(Err(Error::TooLong));
    result.map_err(|error| referred(object, ctx, error))
}

async fn bring_in_line<K: Managed>(object: &K, ctx: &Context, pass: &mut Pass<K::Status>) -> Result<Done> {
    look(object, ctx).await?;
    let mut done = object.apply(ctx, pass).await?;
    warn(object, pass, &mut done);
    if !done.suspended {
        done.again = done.again.into_iter().chain(secrets::due(object, ctx)).min();
    }
    Ok(done)
}

/// Adds to the message what is wrong with annotations, and publishes an event when it begins.
fn warn<K: Managed>(object: &K, pass: &mut Pass<K::Status>, done: &mut Done) {
    let conditions = object.status().map(Standing::conditions).unwrap_or_default();
    let said = condition::find(conditions, SYNCED).map_or("", |synced| synced.message.as_str());
    for problem in annotation::problems(K::KIND, object.annotations()) {
        done.message += &format!(" {problem}");
        if !said.contains(&problem) {
            pass.note(Happening::AnnotationIgnored, problem);
        }
    }
}

async fn clean_up<K: Managed>(object: &K, ctx: &Context, pass: &mut Pass<K::Status>) -> Result<()> {
    look(object, ctx).await?;
    object.cleanup(ctx, pass).await
}

/// Reads the resource's Secrets if no watch shows them. Without permission for them, the pass decides what it can do: it
/// still checks access, and it can still clean up.
async fn look<K: Managed>(object: &K, ctx: &Context) -> Result<()> {
    match secrets::look(object, ctx).await {
        Err(Error::Cluster(ClusterFault::Forbidden)) => Ok(()),
        looked => looked,
    }
}

/// Returns the error as the resource reports it. If the server may have caused it, wakes the server, whose own pass
/// then checks.
fn referred<K: Managed>(object: &K, ctx: &Context, error: Error) -> Error {
    let Some(server) = object.server() else {
        return error;
    };
    if error.is_outage() {
        ctx.kinds.servers.wake(ObjectRef::new(server));
    }
    error.for_resource()
}

async fn finish<K: Managed>(object: &K, ctx: &Context) -> Ended {
    let uid = object.uid().unwrap_or_default();
    match release(object, ctx).await {
        Ok(()) => {
            tracing::info!("cleaned up; the resource can go");
            // The memory is kept as long as the cache shows the object: it stops a late pass from starting over.
            if !K::kind_of(ctx).shows(object) {
                K::kind_of(ctx).memory.forget(&uid);
                ctx.children.forget(&uid);
            }
            Ended::default()
        }
        Err(error) => {
            let failures = K::kind_of(ctx).memory.failed(&uid, &error);
            Ended {
                again: error.treatment().retry.wait(failures, K::PATIENCE).map(jittered),
                was_slow: false,
            }
        }
    }
}

/// Whether no status tells of the object on the server that a pass may have made or taken over.
fn is_first<S: Standing>(before: &S, pass: &Pass<S>) -> bool {
    before.conditions().is_empty() || pass.has_noted(&[Happening::Registered, Happening::Adopted])
}

/// Remembers that a resource is gone until the cache tells so.
fn vanish<K: Managed>(object: &K, ctx: &Context) -> Ended {
    let (kind, uid) = (K::kind_of(ctx), object.uid().unwrap_or_default());
    kind.memory.vanished(&uid);
    if !kind.shows(object) {
        kind.memory.forget(&uid);
        ctx.children.forget(&uid);
    }
    Ended::default()
}

/// Cleans up after a resource that disappeared during its first pass without a cleanup. Either another writer removed its
/// finalizer, or the Kubernetes API read the object before our finalizer was stored and then deleted it at once. What an
/// earlier pass made is left to the sweep: a resource that is lost with its Secrets may come back from a backup.
async fn bury<K: Managed>(object: &K, ctx: &Context, pass: &mut Pass<K::Status>) {
    const PATIENCE: Duration = Duration::from_secs(60);
    let begun = Instant::now();
    for failures in 0.. {
        let Err(error) = object.cleanup(ctx, pass).await else {
            break;
        };
        let error = referred(object, ctx, error);
        let pause = error.treatment().retry.wait(failures, K::PATIENCE);
        let Some(pause) = pause.filter(|pause| begun.elapsed() + *pause <= PATIENCE) else {
            tracing::warn!(%error, "a resource disappeared without its cleanup; delete what it left on the server");
            break;
        };
        tokio::time::sleep(pause).await;
    }
}

fn again(after: Duration) -> Ended {
    Ended {
        again: Some(after),
        was_slow: false,
    }
}

/// Spreads a delay by ± 20 %, so that resources that failed together are not retried together. The spread is at most a
/// minute, so that a wait of weeks ends on time.
fn jittered(delay: Duration) -> Duration {
    let most = (delay / 5).min(Duration::from_secs(60));
    (delay + most).saturating_sub(2 * most.mul_f64(rand::rng().random_range(0.0..1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_a_resource_counts_from_the_later_of_two_times_within_a_second() {
        let at = |millis: i64| Timestamp::from_millisecond(millis).expect("a time");
        // created, the first pass, now; the age
        let table = [
            (1_000, 1_700, 1_750, 50),       // cut from 1.7 s
            (1_000, 1_999, 5_999, 4_000),    // Ready after several passes
            (1_000, 2_000, 2_100, 1_100),    // it waited for its first pass
            (1_000, 60_000, 60_100, 59_100), // the operator was down
            (1_000, 900, 950, 50),           // the clocks differ
            (5_000, 1_000, 1_100, 0),
        ];
        for (created, first, now, expected) in table {
            let found = age(at(created), at(first), at(now));
            assert_eq!(found, Duration::from_millis(expected), "{created} {first} {now}");
        }
    }
}
