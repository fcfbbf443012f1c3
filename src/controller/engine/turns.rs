//! Runs the passes, one at a time for each resource, in the order of the [queue](super::queue).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use tracing::field::Empty;

use crate::api::{Assignment, AuthorizationServer, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use crate::controller::engine::context::Context;
use crate::controller::engine::key::{Key, Which};
use crate::controller::engine::managed::{Managed, OnServer};
use crate::controller::engine::queue::{Ended, Lane, Place, Taken};
use crate::controller::engine::reconcile::reconcile;
use crate::spans;

/// Time until the next pass of a resource whose pass panicked.
const AFTER_PANIC: Duration = Duration::from_secs(30);

/// Number of passes that have begun, which tells their log lines apart.
static PASSES: AtomicU64 = AtomicU64::new(0);

/// Maximum number of wakes that are handled together.
const TOGETHER: usize = 256;

/// Runs a pass for each woken key until told to stop, then waits for the running passes to end.
pub(crate) async fn run(ctx: Arc<Context>, mut woken: UnboundedReceiver<Key>, stop: CancellationToken) {
    let mut passes: JoinSet<Ended> = JoinSet::new();
    let mut running: HashMap<Id, Key> = HashMap::new();
    let mut keys = Vec::new();
    loop {
        while let Some(Taken { key, waited }) = take(&ctx) {
            ctx.metrics.started(waited);
            // A separate task: all cores are used, and a panic ends only this pass.
            let pass = passes.spawn(pass(key.clone(), ctx.clone()));
            running.insert(pass.id(), key);
        }
        let due = ctx.queue().due();
        tokio::select! {
            () = stop.cancelled() => break,
            _ = woken.recv_many(&mut keys, TOGETHER) => {
                let (mut queue, now) = (ctx.queue(), Instant::now());
                for key in keys.drain(..) {
                    let place = || place(&key, &ctx);
                    queue.wake(key.clone(), now, place);
                }
            }
            Some(ended) = passes.join_next_with_id() => {
                let (id, ended) = after(ended);
                if let Some(key) = running.remove(&id) {
                    ctx.queue().end(&key, ended, Instant::now(), || place(&key, &ctx));
                }
            }
            () = until(due) => {}
        }
    }
    while passes.join_next().await.is_some() {}
}

fn take(ctx: &Context) -> Option<Taken<Key>> {
    ctx.queue().take(Instant::now())
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

fn after(ended: Result<(Id, Ended), JoinError>) -> (Id, Ended) {
    ended.unwrap_or_else(|error| {
        tracing::error!(%error, "a pass panicked; this is a fault of the operator, so please report it");
        let again = Some(AFTER_PANIC);
        (error.id(), Ended { again, was_slow: false })
    })
}

async fn pass(key: Key, ctx: Arc<Context>) -> Ended {
    match key.which {
        Which::AuthorizationServer => pass_of::<AuthorizationServer>(ObjectRef::new(&key.name), ctx).await,
        Which::OAuth2Client => pass_of::<OAuth2Client>(reference(&key), ctx).await,
        Which::Scope => pass_of::<Scope>(reference(&key), ctx).await,
        Which::Assignment => pass_of::<Assignment>(reference(&key), ctx).await,
        Which::JsonWebKeySet => pass_of::<JsonWebKeySet>(reference(&key), ctx).await,
        Which::OidcProvider => pass_of::<OidcProvider>(reference(&key), ctx).await,
    }
}

async fn pass_of<K: Managed>(reference: ObjectRef<K>, ctx: Arc<Context>) -> Ended {
    match K::kind_of(&ctx).store.get(&reference) {
        Some(object) => {
            let id = PASSES.fetch_add(1, Ordering::Relaxed) + 1;
            // Of the highest level, so that no filter takes these keys off the lines of a pass.
            let span = tracing::error_span!(
                "pass",
                kind = K::KIND,
                namespace = object.namespace(),
                name = Empty,
                generation = object.meta().generation,
                reconcile_id = id,
                trace_id = Empty
            );
            // The JSON lines put the name of the span there unless it is set afterwards.
            span.record("name", object.name_any());
            if let Some(trace) = spans::trace_id(&span) {
                span.record("trace_id", trace);
            }
            reconcile(object, ctx).instrument(span).await
        }
        None => Ended::default(), // deleted since it was queued
    }
}

fn place(key: &Key, ctx: &Context) -> Place {
    let lane = match key.which {
        Which::AuthorizationServer => Lane::Server(key.name.clone()),
        Which::OAuth2Client => lane_of::<OAuth2Client>(key, ctx),
        Which::Scope => lane_of::<Scope>(key, ctx),
        Which::Assignment => lane_of::<Assignment>(key, ctx),
        Which::JsonWebKeySet => lane_of::<JsonWebKeySet>(key, ctx),
        Which::OidcProvider => lane_of::<OidcProvider>(key, ctx),
    };
    Place {
        lane,
        namespace: key.namespace.clone(),
    }
}

fn lane_of<K: OnServer>(key: &Key, ctx: &Context) -> Lane {
    let found = K::kind_of(ctx).store.get(&reference(key));
    let server = found.map(|resource| Arc::<str>::from(resource.server_name()));
    match server.filter(|server| ctx.server(server).is_some()) {
        Some(server) => Lane::On(server),
        None => Lane::Nowhere,
    }
}

fn reference<K: OnServer>(key: &Key) -> ObjectRef<K> {
    ObjectRef::new(&key.name).within(&key.namespace)
}
