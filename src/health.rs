//! The health of the operator: what its parts report, and what the probes answer.
//!
//! [`Vitals`] decides and is pure. [`Health`] keeps it behind a lock that is held only briefly, so that a part that
//! hangs does not block a probe. Times are from the monotonic clock: a part that slept with the machine has not hung.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a watch may fail before the operator is no longer ready.
pub const FAILING: Duration = Duration::from_secs(30);
/// How often the runtime and each watch report that they still run.
pub const BEAT: Duration = Duration::from_secs(5);
/// A part that has not reported for longer than this hangs. Far longer than [`BEAT`]: a slow machine is no reason to
/// restart.
pub const HANG: Duration = Duration::from_secs(60);

/// Stage of the operator's startup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Nothing is known yet.
    #[default]
    Starting,
    /// Another instance leads.
    StandingBy,
    /// This instance leads; its caches are not filled yet.
    Filling,
    /// The caches are filled, and passes run.
    Working,
}

/// Whether the cluster has what the operator needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Prerequisites {
    /// Not checked yet.
    #[default]
    Unknown,
    /// Nothing is missing.
    Met,
    /// What is missing and what to do, in one line.
    Unmet(String),
}

/// What a watch shows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    kind: &'static str,
    /// None: all namespaces.
    namespace: Option<String>,
}

impl Part {
    /// The objects of a kind, in one namespace or in all.
    pub fn of(kind: &'static str, namespace: Option<&str>) -> Self {
        Part {
            kind,
            namespace: namespace.map(str::to_owned),
        }
    }
}

impl From<&'static str> for Part {
    fn from(kind: &'static str) -> Self {
        Part::of(kind, None)
    }
}

impl From<&&'static str> for Part {
    fn from(kind: &&'static str) -> Self {
        Part::of(kind, None)
    }
}

impl From<&Part> for Part {
    fn from(part: &Part) -> Self {
        part.clone()
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} in namespace {namespace}", self.kind),
            None => f.write_str(self.kind),
        }
    }
}

/// State of a watch.
#[derive(Clone, Copy, Debug)]
struct Vital {
    alive_at: Instant,
    /// Time of the first error since the last success.
    failing: Option<Instant>,
    has_ended: bool,
}

/// State of all parts at one moment.
#[derive(Debug)]
pub struct Vitals {
    stage: Stage,
    prerequisites: Prerequisites,
    runtime_alive_at: Instant,
    watches: BTreeMap<Part, Vital>,
}

impl Vitals {
    /// No part has reported yet.
    pub fn new(now: Instant) -> Self {
        Vitals {
            stage: Stage::default(),
            prerequisites: Prerequisites::default(),
            runtime_alive_at: now,
            watches: BTreeMap::new(),
        }
    }

    /// The operator has reached a stage.
    pub fn enter(&mut self, stage: Stage) {
        self.stage = stage;
    }

    /// Stores the result of a check of the prerequisites. True if it differs from the last one.
    pub fn found(&mut self, prerequisites: Prerequisites) -> bool {
        let is_new = self.prerequisites != prerequisites;
        self.prerequisites = prerequisites;
        is_new
    }

    /// The runtime still runs the tasks that are spawned on it.
    pub fn runtime_beats(&mut self, now: Instant) {
        self.runtime_alive_at = now;
    }

    /// A watch starts or restarts.
    pub fn watch_begins(&mut self, part: impl Into<Part>, now: Instant) {
        let part = part.into();
        self.watches.remove(&part);
        self.watch(part, now);
    }

    /// The task of a watch still runs.
    pub fn watch_beats(&mut self, part: impl Into<Part>, now: Instant) {
        self.watch(part, now);
    }

    /// A request of a watch succeeded.
    pub fn watch_went_well(&mut self, part: impl Into<Part>) {
        if let Some(watch) = self.watches.get_mut(&part.into()) {
            watch.failing = None;
        }
    }

    /// A request of a watch failed.
    pub fn watch_failed(&mut self, part: impl Into<Part>, now: Instant) {
        let watch = self.watch(part, now);
        watch.failing.get_or_insert(now);
    }

    /// The task of a watch has ended.
    pub fn watch_ended(&mut self, part: impl Into<Part>, now: Instant) {
        self.watch(part, now).has_ended = true;
    }

    /// Whether the process should keep running.
    ///
    /// # Errors
    /// What hangs or has ended, in one line.
    pub fn live(&self, now: Instant) -> Result<(), String> {
        if now.saturating_duration_since(self.runtime_alive_at) > HANG {
            return Err("the operator hangs: its tasks do not run".to_owned());
        }
        for (part, watch) in &self.watches {
            if watch.has_ended {
                return Err(format!("the watch of {part} has ended"));
            }
            if now.saturating_duration_since(watch.alive_at) > HANG {
                return Err(format!("the watch of {part} hangs"));
            }
        }
        Ok(())
    }

    /// Whether the operator does its work, or could take it over.
    ///
    /// # Errors
    /// What is wrong and, where possible, what to do, in one line.
    pub fn ready(&self, now: Instant) -> Result<(), String> {
        self.live(now)?;
        match &self.prerequisites {
            Prerequisites::Unknown => {
                return Err("the operator is starting: it is checking its CRDs and permissions".to_owned());
            }
            Prerequisites::Unmet(what) => return Err(what.clone()),
            Prerequisites::Met => {}
        }
        let is_failing = |watch: &Vital| {
            let since = watch.failing;
            since.is_some_and(|since| now.saturating_duration_since(since) > FAILING)
        };
        if let Some((part, _)) = self.watches.iter().find(|(_, watch)| is_failing(watch)) {
            return Err(format!(
                "the watch of {part} fails, so the operator misses changes; the log says why"
            ));
        }
        match self.stage {
            Stage::Starting => Err("the operator is starting: it has not read its Lease yet".to_owned()),
            Stage::Filling => Err("the caches are not filled yet".to_owned()),
            Stage::StandingBy | Stage::Working => Ok(()),
        }
    }

    fn watch(&mut self, part: impl Into<Part>, now: Instant) -> &mut Vital {
        let watch = self.watches.entry(part.into()).or_insert(Vital {
            alive_at: now,
            failing: None,
            has_ended: false,
        });
        watch.alive_at = now;
        watch
    }
}

/// Receives the reports of the parts of the process and answers the probes.
pub struct Health(Mutex<Vitals>);

impl Default for Health {
    fn default() -> Self {
        Health(Mutex::new(Vitals::new(Instant::now())))
    }
}

impl Health {
    /// The operator has reached a stage.
    pub fn enter(&self, stage: Stage) {
        self.vitals().enter(stage);
    }

    /// Stores the result of a check of the prerequisites. True if it differs from the last one.
    pub fn found(&self, prerequisites: Prerequisites) -> bool {
        self.vitals().found(prerequisites)
    }

    /// Reports periodically that the runtime on which it is spawned still runs.
    pub async fn beat(self: Arc<Self>) {
        loop {
            self.vitals().runtime_beats(Instant::now());
            tokio::time::sleep(BEAT).await;
        }
    }

    /// A watch starts. Its task owns the returned value: when that is dropped, the watch has ended. At most one of a
    /// part at a time.
    pub fn watch(self: &Arc<Self>, part: impl Into<Part>) -> Watched {
        let part = part.into();
        self.vitals().watch_begins(&part, Instant::now());
        Watched {
            health: self.clone(),
            part,
        }
    }

    /// The Kubernetes API has accepted the watch of a part.
    pub fn accepted(&self, part: &Part) {
        self.vitals().watch_went_well(part);
    }

    /// [`Vitals::live`] now.
    ///
    /// # Errors
    /// What hangs or has ended, in one line.
    pub fn live(&self) -> Result<(), String> {
        self.vitals().live(Instant::now())
    }

    /// [`Vitals::ready`] now.
    ///
    /// # Errors
    /// What is wrong, in one line.
    pub fn ready(&self) -> Result<(), String> {
        self.vitals().ready(Instant::now())
    }

    fn vitals(&self) -> MutexGuard<'_, Vitals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A watch that reports its health.
pub struct Watched {
    health: Arc<Health>,
    part: Part,
}

impl Watched {
    /// The task still runs. Call it every [`BEAT`], even if nothing happens.
    pub fn beat(&self) {
        self.health.vitals().watch_beats(&self.part, Instant::now());
    }

    /// Data has arrived: a page of a list, an object or a bookmark. `Event::Init` of kube is no success: it only
    /// announces a list request.
    pub fn went_well(&self) {
        self.health.vitals().watch_went_well(&self.part);
    }

    /// An error has occurred.
    pub fn failed(&self) {
        self.health.vitals().watch_failed(&self.part, Instant::now());
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.health.vitals().watch_ended(&self.part, Instant::now());
    }
}
