//! Whether the operator is well: what its parts report, and what follows for the probes.
//!
//! The judgement, [`Vitals`], is pure. [`Health`] keeps it behind a lock that is held for no longer than a look, so that a part that hangs holds up no
//! probe. Times are of the monotonic clock: who slept with the machine has not hung.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a watch may fail before the operator is not ready any more.
pub const FAILING: Duration = Duration::from_secs(30);
/// How often everything that has to turn says that it does.
pub const BEAT: Duration = Duration::from_secs(5);
/// What has not said so for longer than this hangs. Far longer than [`BEAT`]: a slow machine is no reason to start again.
pub const HANG: Duration = Duration::from_secs(60);

/// How far the operator has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Nothing is known yet.
    #[default]
    Starting,
    /// Another instance leads.
    StandingBy,
    /// It leads, and its caches are not filled yet.
    Filling,
    /// It works.
    Working,
}

/// Whether the cluster has what the operator needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Prerequisites {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// Everything is there.
    Met,
    /// What is missing and what to do, in one line.
    Unmet(String),
}

/// What is known of a watch.
#[derive(Clone, Copy, Debug)]
struct Vital {
    alive_at: Instant,
    /// Time of the first error since the last success.
    failing: Option<Instant>,
    has_ended: bool,
}

/// What is known at one moment.
#[derive(Debug)]
pub struct Vitals {
    stage: Stage,
    prerequisites: Prerequisites,
    runtime_alive_at: Instant,
    watches: BTreeMap<&'static str, Vital>,
}

impl Vitals {
    /// Nothing has been heard yet.
    pub fn new(now: Instant) -> Self {
        Vitals {
            stage: Stage::default(),
            prerequisites: Prerequisites::default(),
            runtime_alive_at: now,
            watches: BTreeMap::new(),
        }
    }

    /// The operator has come to a stage.
    pub fn enter(&mut self, stage: Stage) {
        self.stage = stage;
    }

    /// Somebody has looked whether the cluster has what is needed. True if that is new.
    pub fn found(&mut self, prerequisites: Prerequisites) -> bool {
        let is_new = self.prerequisites != prerequisites;
        self.prerequisites = prerequisites;
        is_new
    }

    /// The runtime still runs what is spawned on it.
    pub fn runtime_beats(&mut self, now: Instant) {
        self.runtime_alive_at = now;
    }

    /// A watch begins, for the first time or anew.
    pub fn watch_begins(&mut self, kind: &'static str, now: Instant) {
        self.watches.remove(kind);
        self.watch(kind, now);
    }

    /// The task of a watch still turns.
    pub fn watch_beats(&mut self, kind: &'static str, now: Instant) {
        self.watch(kind, now);
    }

    /// A watch has got what it asked for.
    pub fn watch_went_well(&mut self, kind: &'static str) {
        if let Some(watch) = self.watches.get_mut(kind) {
            watch.failing = None;
        }
    }

    /// A watch has met an error.
    pub fn watch_failed(&mut self, kind: &'static str, now: Instant) {
        let watch = self.watch(kind, now);
        watch.failing.get_or_insert(now);
    }

    /// The task of a watch is no more.
    pub fn watch_ended(&mut self, kind: &'static str, now: Instant) {
        self.watch(kind, now).has_ended = true;
    }

    /// Whether the process is worth keeping.
    ///
    /// # Errors
    /// What hangs, in one line.
    pub fn live(&self, now: Instant) -> Result<(), String> {
        if now.saturating_duration_since(self.runtime_alive_at) > HANG {
            return Err("the operator hangs: its tasks get no turn".to_owned());
        }
        for (kind, watch) in &self.watches {
            if watch.has_ended {
                return Err(format!("the watch of {kind} has ended"));
            }
            if now.saturating_duration_since(watch.alive_at) > HANG {
                return Err(format!("the watch of {kind} hangs"));
            }
        }
        Ok(())
    }

    /// Whether the operator does its work, or could take it over.
    ///
    /// # Errors
    /// What is in the way, and what to do where somebody can do something, in one line.
    pub fn ready(&self, now: Instant) -> Result<(), String> {
        self.live(now)?;
        match &self.prerequisites {
            Prerequisites::Unknown => return Err("the operator starts: its CRDs and rights are looked for".to_owned()),
            Prerequisites::Unmet(what) => return Err(what.clone()),
            Prerequisites::Met => {}
        }
        let is_failing = |watch: &Vital| {
            let since = watch.failing;
            since.is_some_and(|since| now.saturating_duration_since(since) > FAILING)
        };
        if let Some((kind, _)) = self.watches.iter().find(|(_, watch)| is_failing(watch)) {
            return Err(format!(
                "the watch of {kind} fails, so that changes are not seen: the log says why"
            ));
        }
        match self.stage {
            Stage::Starting => Err("the operator starts: its Lease has not been looked at yet".to_owned()),
            Stage::Filling => Err("the caches are not filled yet".to_owned()),
            Stage::StandingBy | Stage::Working => Ok(()),
        }
    }

    fn watch(&mut self, kind: &'static str, now: Instant) -> &mut Vital {
        let watch = self.watches.entry(kind).or_insert(Vital {
            alive_at: now,
            failing: None,
            has_ended: false,
        });
        watch.alive_at = now;
        watch
    }
}

/// What the parts of the process report to, and the probes ask.
pub struct Health(Mutex<Vitals>);

impl Default for Health {
    fn default() -> Self {
        Health(Mutex::new(Vitals::new(Instant::now())))
    }
}

impl Health {
    /// The operator has come to a stage.
    pub fn enter(&self, stage: Stage) {
        self.vitals().enter(stage);
    }

    /// Somebody has looked whether the cluster has what is needed. True if that is new.
    pub fn found(&self, prerequisites: Prerequisites) -> bool {
        self.vitals().found(prerequisites)
    }

    /// Says for ever that the runtime that this is spawned on gives turns.
    pub async fn beat(self: Arc<Self>) {
        loop {
            self.vitals().runtime_beats(Instant::now());
            tokio::time::sleep(BEAT).await;
        }
    }

    /// A watch begins. What is returned belongs to its task: when it is dropped, the watch has ended. One at a time for each kind.
    pub fn watch(self: &Arc<Self>, kind: &'static str) -> Watched {
        self.vitals().watch_begins(kind, Instant::now());
        Watched {
            health: self.clone(),
            kind,
        }
    }

    /// The Kubernetes API has accepted the watch of a kind.
    pub fn accepted(&self, kind: &'static str) {
        self.vitals().watch_went_well(kind);
    }

    /// [`Vitals::live`] now.
    ///
    /// # Errors
    /// What hangs, in one line.
    pub fn live(&self) -> Result<(), String> {
        self.vitals().live(Instant::now())
    }

    /// [`Vitals::ready`] now.
    ///
    /// # Errors
    /// What is in the way, in one line.
    pub fn ready(&self) -> Result<(), String> {
        self.vitals().ready(Instant::now())
    }

    fn vitals(&self) -> MutexGuard<'_, Vitals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A watch that says how it is.
pub struct Watched {
    health: Arc<Health>,
    kind: &'static str,
}

impl Watched {
    /// The task still turns. To be said every [`BEAT`], whether or not something happens.
    pub fn beat(&self) {
        self.health.vitals().watch_beats(self.kind, Instant::now());
    }

    /// Something has come: a page of a list, an object or a bookmark. That a list is about to be asked for (`Event::Init` of kube) is no success.
    pub fn went_well(&self) {
        self.health.vitals().watch_went_well(self.kind);
    }

    /// An error has come.
    pub fn failed(&self) {
        self.health.vitals().watch_failed(self.kind, Instant::now());
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.health.vitals().watch_ended(self.kind, Instant::now());
    }
}
