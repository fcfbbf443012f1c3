//! The driver: one pass over one resource. Finalizer, deadline, status, event, retry: once, for every kind.
//!
//! Data flows one way: watch → queue → driver → kind → admin → outputs → status. A kind tells its story in `apply` and `cleanup`;
//! only the driver writes status and events.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType};
use kube::{Api, Client, Resource, ResourceExt};
use rand::RngExt;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::admin::http::DEADLINE;
use crate::api::condition::Wanted;
use crate::api::{ABANDON_ANNOTATION, FINALIZER};
use crate::decode::{self, Decode, Item};
use crate::error::{ClusterFault, Error, Result};

pub mod assignment;
pub mod authorization_server;
pub mod budget;
pub mod cache;
pub mod cleanup;
pub mod context;
pub mod departures;
pub mod digest;
pub mod failure;
pub mod foulkon;
pub mod json_web_key_set;
pub mod links;
pub mod memory;
pub mod oauth2_client;
pub mod object;
pub mod oidc_provider;
pub mod on_server;
pub mod own_config_map;
pub mod own_secret;
pub mod queue;
pub mod referable;
mod report;
pub mod schedule;
pub mod scope;
pub mod turns;
pub mod vault;
pub mod verdict;
pub mod watch;
pub mod watched_secret;

pub use context::{Context, Kind};
use memory::Memory;
use queue::Ended;
use report::{Stored, latest, store};
pub use verdict::Done;

/// A kind that the driver can take care of.
pub trait Managed: Decode + Debug + Send + Sync + 'static {
    /// Its status.
    type Status: Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned + Send + Sync;
    /// Name of the kind in metrics and logs.
    const KIND: &'static str;
    /// Longest wait between two tries while something passing is in the way.
    const PATIENCE: Duration = Duration::from_secs(300);
    /// Longest time for one pass.
    const PASS: Duration = Duration::from_secs(120);

    /// The Api that holds this object.
    fn api(&self, client: Client) -> Api<Item<Self>>;
    /// What the process keeps of this kind.
    fn kind_of(ctx: &Context) -> &Kind<Self>;
    /// The status as it stands.
    fn status(&self) -> Option<&Self::Status>;
    /// The parts of a status that every kind has.
    fn common(status: &mut Self::Status) -> (&mut Option<i64>, &mut Vec<Condition>);
    /// Settles between this pass and somebody else's, who wrote `live` meanwhile. What the pass did not change since `before` is taken over already.
    fn rebase(_status: &mut Self::Status, _before: &Self::Status, _live: &Self::Status) {}

    /// Conditions of this kind's own, which hold however a pass ends. `status`: as it is going to be.
    fn conditions(&self, _status: &Self::Status) -> Vec<Wanted> {
        Vec::new()
    }

    /// Brings the world in step with the spec. What was achieved goes into `pass.status` even if a later step fails.
    fn apply(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> impl Future<Output = Result<Done>> + Send;
    /// Undoes everything; the finalizer goes after it.
    fn cleanup(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> impl Future<Output = Result<()>> + Send;
}

/// What a pass brings about besides its result.
pub struct Pass<S> {
    /// The status to be.
    pub status: S,
    /// Events to publish, with reason and note.
    pub notes: Vec<(EventType, &'static str, String)>,
    /// Whether the remote object has to be read: it may not be as we left it.
    pub must_read: bool,
}

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
    let is_on_a_server = object.meta().namespace.is_some();
    if is_on_a_server && !is_deleting(&*object) && matches!(reported, Ok(Stored::Gone)) {
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
        Err(error) if error.is_final() => Ended::default(),
        Err(error) => Ended {
            was_slow: error.is_own_delay(),
            again: Some(jittered(verdict::retry(
                &error,
                memory.failed(uid, &error),
                K::PATIENCE,
            ))),
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
    tokio::time::timeout(K::PASS, work).await.unwrap_or(Err(Error::TooLong))
}

/// Stores what the status says so far, since what is done next must not be forgotten.
///
/// # Errors
/// [`Error::Cluster`], [`Error::NotLeader`].
pub async fn record<K: Managed>(object: &K, ctx: &Context, pass: &Pass<K::Status>) -> Result<()> {
    let newest = latest(object, ctx);
    let before = newest.status().cloned().unwrap_or_default();
    store(&*newest, ctx, &before, pass.status.clone(), None).await.map(drop)
}

/// Stores our finalizer before anything else is written anywhere. Returns whether it was not there before.
///
/// # Errors
/// [`Error::Cluster`], [`Error::NotLeader`].
pub async fn hold<K: Managed>(object: &K, ctx: &Context) -> Result<bool> {
    if is_held(object) {
        return Ok(false);
    }
    let held = ctx.cluster.hold(&object.api(ctx.cluster.client()), object).await?;
    K::kind_of(ctx).wrote(held);
    Ok(true)
}

/// Takes our finalizer off; fine if the object has gone.
///
/// # Errors
/// [`Error::Cluster`], [`Error::NotLeader`].
pub async fn release<K: Managed>(object: &K, ctx: &Context) -> Result<()> {
    let api = object.api(ctx.cluster.client());
    let latest = latest(object, ctx);
    let released = match ctx.cluster.release(&api, &*latest).await {
        Err(Error::Cluster(ClusterFault::Conflict)) => {
            let live = ctx.cluster.live(&api, &object.name_any()).await?;
            match live.filter(|live| live.uid() == object.uid()) {
                Some(live) if is_held(&live) => ctx.cluster.release(&api, &live).await?,
                _ => return Ok(()),
            }
        }
        other => other?,
    };
    let kind = K::kind_of(ctx);
    kind.memory.released(&released);
    kind.wrote(released);
    Ok(())
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
        Err(error) => again(jittered(verdict::retry(
            &error,
            K::kind_of(ctx).memory.failed(&uid, &error),
            K::PATIENCE,
        ))),
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
        let pause = verdict::retry(&error, failures, K::PATIENCE);
        if begun.elapsed() + pause > PATIENCE {
            let (kind, namespace, name) = (K::KIND, object.namespace(), object.name_any());
            tracing::warn!(kind, namespace, name, %error, "a resource went without its cleanup, and what it had is left behind");
            break;
        }
        tokio::time::sleep(pause).await;
    }
    let uid = object.uid().unwrap_or_default();
    K::kind_of(ctx).memory.forget(&uid);
    ctx.children.forget(&uid);
    Ended::default()
}

/// Events are a courtesy: a failure to publish one fails nothing.
async fn publish<K: Managed>(ctx: &Context, object: &K, event: &Event) {
    let uid = object.meta().uid.as_deref().unwrap_or_default();
    if !ctx.fence.allows_write() || !K::kind_of(ctx).memory.may_publish(uid) {
        return;
    }
    let reference = object.object_ref(&());
    let published = tokio::time::timeout(DEADLINE, ctx.recorder.publish(event, &reference)).await;
    if !matches!(published, Ok(Ok(()))) {
        tracing::debug!(
            kind = K::KIND,
            name = object.name_any(),
            reason = event.reason,
            "an event could not be published"
        );
    }
}

/// Whether the object carries our finalizer.
pub fn is_held<K: Resource>(object: &K) -> bool {
    object.finalizers().iter().any(|finalizer| finalizer == FINALIZER)
}

/// Whether the object is being deleted.
pub fn is_deleting<K: Resource>(object: &K) -> bool {
    object.meta().deletion_timestamp.is_some()
}

/// Whether the user asked to let the object go without its remote side.
pub fn is_abandoned<K: Resource>(object: &K) -> bool {
    object
        .annotations()
        .get(ABANDON_ANNOTATION)
        .is_some_and(|value| value == "true")
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
