//! One pass over one resource: finalizer, deadline, status, event, retry. Once, for every kind.
//!
//! A kind tells its story in `apply` and `cleanup`; only this writes status and events.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::ResourceExt;
use kube::runtime::events::Event;
use kube::runtime::reflector::ObjectRef;
use rand::RngExt;

use crate::controller::engine::context::Context;
use crate::controller::engine::events::publish;
use crate::controller::engine::hold::release;
use crate::controller::engine::lifecycle::{is_deleting, is_held};
use crate::controller::engine::managed::{Managed, Pass};
use crate::controller::engine::memory::Memory;
use crate::controller::engine::queue::Ended;
use crate::controller::engine::report::{Stored, store};
use crate::controller::engine::verdict::Done;
use crate::decode;
use crate::error::{Error, Result, Retry};

/// One pass over a resource, as the queue asks for it.
pub async fn reconcile<K: Managed>(cached: Arc<K>, ctx: Arc<Context>) -> Ended {
    let begun = Instant::now();
    let kind = K::kind_of(&ctx);
    let memory = &kind.memory;
    let object = kind.newest(cached);
    let uid = object.uid().unwrap_or_default();
    // It may have gone between the queue and here, and what is remembered of it with it: asked for in this order, one of both tells.
    if !kind.shows(&object) || is_deleting(&*object) && (!is_held(&*object) || memory.is_released(&object)) {
        return Ended::default();
    }
    let mark = memory.marked(&uid);
    let before = object.status().cloned().unwrap_or_default();
    let mut pass = Pass {
        status: before.clone(),
        notes: Vec::new(),
        must_read: mark.is_some(),
    };
    let result = run(&*object, &ctx, &mut pass).await;
    let reason = result
        .as_ref()
        .err()
        .map_or("success", |error| error.class().1.as_str());
    ctx.metrics.reconciled(K::KIND, reason, begun.elapsed());
    for (type_, reason, note) in &pass.notes {
        let event = Event {
            type_: *type_,
            reason: (*reason).to_owned(),
            note: Some(note.clone()),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        publish(&ctx, &*object, &event).await;
    }
    if is_deleting(&*object) && result.is_ok() {
        return finish(&*object, &ctx).await;
    }
    let reported = match &result {
        Err(error) if error.is_silent() => store(&*object, &ctx, &before, pass.status.clone(), None).await,
        other => store(&*object, &ctx, &before, pass.status.clone(), Some(other.as_ref())).await,
    };
    if object.server().is_some() && !is_deleting(&*object) && matches!(reported, Ok(Stored::Gone)) {
        return bury(&*object, &ctx, &mut pass).await;
    }
    let outcome = reported.map(drop).and(result);
    tracing::debug!(
        kind = K::KIND,
        namespace = object.namespace(),
        name = object.name_any(),
        ?outcome,
        "pass"
    );
    next::<K>(outcome, memory, &uid, mark)
}

/// When the next pass is due, after one that came to this.
fn next<K: Managed>(outcome: Result<Done>, memory: &Memory<K>, uid: &str, mark: Option<u64>) -> Ended {
    match outcome {
        Ok(done) => {
            memory.succeeded(uid);
            if let Some(mark) = mark {
                memory.clear_mark(uid, mark);
            }
            if memory.marked(uid).is_some() {
                return again(Duration::ZERO); // marked while this pass was under way
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

async fn run<K: Managed>(object: &K, ctx: &Context, pass: &mut Pass<K::Status>) -> Result<Done> {
    let work = async {
        match decode::flaw(object) {
            _ if is_deleting(object) => object.cleanup(ctx, pass).await.map(|()| Done::default()),
            Some(flaw) => Err(Error::Unreadable(flaw.to_owned())),
            None => object.apply(ctx, pass).await,
        }
    };
    let result = tokio::time::timeout(K::PASS, work).await.unwrap_or(Err(Error::TooLong));
    result.map_err(|error| referred(object, ctx, error))
}

/// An error as the resource reports it. Where it may be the server's, it wakes the server's own pass, which looks.
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
            // The memory goes with the cached object: until the watch shows the end, it keeps a late pass from beginning anew.
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

/// The resource has gone in the midst of its pass and without a cleanup: somebody took its finalizer off, or the Kubernetes API, which deletes at once what
/// had no finalizer when it looked, did not see ours. Nobody comes back for what the pass has made.
async fn bury<K: Managed>(object: &K, ctx: &Context, pass: &mut Pass<K::Status>) -> Ended {
    const PATIENCE: Duration = Duration::from_secs(60);
    let begun = Instant::now();
    for failures in 0.. {
        let Err(error) = object.cleanup(ctx, pass).await else {
            break;
        };
        let error = referred(object, ctx, error);
        let pause = error.treatment().retry.wait(failures, K::PATIENCE);
        let Some(pause) = pause.filter(|pause| begun.elapsed() + *pause <= PATIENCE) else {
            let (kind, namespace, name) = (K::KIND, object.namespace(), object.name_any());
            tracing::warn!(kind, namespace, name, %error, "a resource went without its cleanup, and what it had is left behind");
            break;
        };
        tokio::time::sleep(pause).await;
    }
    let uid = object.uid().unwrap_or_default();
    K::kind_of(ctx).memory.forget(&uid);
    ctx.children.forget(&uid);
    Ended::default()
}

fn again(after: Duration) -> Ended {
    Ended {
        again: Some(after),
        was_slow: false,
    }
}

/// Spreads a delay over ± 20 %, so that what failed together does not come back together, but over no more than a minute: what waits for weeks comes on
/// time.
fn jittered(delay: Duration) -> Duration {
    let most = (delay / 5).min(Duration::from_secs(60));
    (delay + most).saturating_sub(2 * most.mul_f64(rand::rng().random_range(0.0..1.0)))
}
