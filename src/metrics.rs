//! Prometheus metrics.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

mod catalogue;
mod groups;
mod labels;
mod snapshot;

pub use catalogue::Described;
pub use labels::ConditionLabels;
pub use snapshot::{ResourceState, Rotation, ServerState, Snapshot, Stand, Tally, tally};

use catalogue::Book;
use groups::{Each, Engine, Resources, Servers, seconds, whole};
use labels::{Kind, Login, Reconcile, Request, Server, Trace};

/// The result of a pass or a login that succeeded.
pub const SUCCESS: &str = "success";

/// Whether there are series for each resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PerResource {
    /// None: their number would be unbounded.
    #[default]
    No,
    /// For each resource.
    Yes,
}

/// How a login at a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginResult {
    /// The server accepted it.
    Success,
    /// It failed.
    Failure,
}

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    described: Vec<Described>,
    per_resource: PerResource,
    engine: Engine,
    servers: Servers,
    resources: Resources,
    each: Each,
    leader: Gauge,
    renderings: Counter,
    rendering: Mutex<()>,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new(PerResource::default())
    }
}

impl Metrics {
    /// All metrics, without values.
    pub fn new(per_resource: PerResource) -> Self {
        let mut book = Book::default();
        let (engine, servers) = (Engine::in_book(&mut book), Servers::in_book(&mut book));
        let (resources, each) = (Resources::in_book(&mut book), Each::in_book(&mut book));
        let leader = book.add(
            "leader",
            "1 while this instance works, 0 while it stands by",
            Gauge::default(),
        );
        let renderings = book.add(
            "metrics_renderings_total",
            "Renderings of this text; requests within --metrics-max-age share one",
            Counter::default(),
        );
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        book.info("build_info", &["version"], "Version of the operator", build);
        Metrics {
            registry: book.registry,
            described: book.described,
            per_resource,
            engine,
            servers,
            resources,
            each,
            leader,
            renderings,
            rendering: Mutex::default(),
        }
    }

    /// Whether there are series for each resource.
    pub fn per_resource(&self) -> PerResource {
        self.per_resource
    }

    /// Sets whether this instance leads.
    pub fn leading(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// The text of `/metrics`. Series that are counted at the scrape are those of the snapshot; others of them go.
    pub fn render(&self, snapshot: Snapshot) -> String {
        let _one_at_a_time = self.rendering.lock().unwrap_or_else(PoisonError::into_inner);
        self.renderings.inc();
        self.take(snapshot);
        let mut text = String::new();
        let encoded = encode(&mut text, &self.registry);
        self.each.clear(); // nothing is kept for each resource
        match encoded {
            Ok(()) => text,
            Err(std::fmt::Error) => String::new(),
        }
    }

    fn take(&self, snapshot: Snapshot) {
        self.engine.depth.set(whole(snapshot.waiting));
        self.engine.oldest.set(snapshot.oldest.as_secs_f64());
        self.engine.running.set(whole(snapshot.running));
        self.resources
            .take(snapshot.conditions, &snapshot.cached, &snapshot.kinds);
        self.servers.take(snapshot.servers);
        self.each.take(snapshot.resources);
    }
}

impl Metrics {
    /// Records a pass. `result` is a reason or [`SUCCESS`]; `trace`: id of its trace, if it is recorded.
    pub fn reconciled(&self, kind: &'static str, result: &'static str, time: Duration, trace: Option<String>) {
        let engine = &self.engine;
        engine.reconciles.get_or_create(&Reconcile { kind, result }).inc();
        let kind = Kind { kind };
        let exemplar = trace.map(|trace_id| Trace { trace_id });
        engine
            .seconds
            .get_or_create(&kind)
            .observe(time.as_secs_f64(), exemplar, None);
        if result == SUCCESS {
            engine.last_success.get_or_create(&kind).set(seconds(Timestamp::now()));
        }
    }

    /// Records that a pass starts. `waited`: time since it was due.
    pub fn started(&self, waited: Duration) {
        self.engine.wait.observe(waited.as_secs_f64());
    }

    /// Records that a resource became Ready for the first time.
    pub fn ready(&self, kind: &'static str, after: Duration) {
        let ready = self.resources.time_to_ready.get_or_create(&Kind { kind });
        ready.observe(after.as_secs_f64());
    }

    /// Counts a rotation.
    pub fn rotated(&self, kind: &'static str) {
        self.resources.rotations.get_or_create(&Kind { kind }).inc();
    }

    /// Counts a correction of drift.
    pub fn drift_corrected(&self, kind: &'static str) {
        self.resources.drift.get_or_create(&Kind { kind }).inc();
    }

    /// Sets the number of objects of a kind that cannot be decoded completely.
    pub fn unreadable(&self, kind: &'static str, count: usize) {
        self.resources
            .unreadable
            .get_or_create(&Kind { kind })
            .set(whole(count));
    }

    /// Records a request to a server; `code` 0 means that no reply came.
    pub fn admin_request(&self, server: &str, operation: &'static str, code: u16, time: Duration) {
        let server = server.to_owned();
        let request = Request {
            server: server.clone(),
            operation,
            code,
        };
        self.servers.requests.get_or_create(&request).inc();
        let taken = self.servers.request_seconds.get_or_create(&Server { server });
        taken.observe(time.as_secs_f64());
    }

    /// Counts a login at a server.
    pub fn logged_in(&self, server: &str, result: LoginResult) {
        let login = Login {
            server: server.to_owned(),
            result: match result {
                LoginResult::Success => SUCCESS,
                LoginResult::Failure => "failure",
            },
        };
        self.servers.logins.get_or_create(&login).inc();
    }

    /// Records a complete sweep of a server.
    pub fn swept(&self, server: &str, time: Duration) {
        let server = server_of(server);
        let taken = self.servers.sweep_seconds.get_or_create(&server);
        taken.observe(time.as_secs_f64());
        let last = self.servers.last_sweep.get_or_create(&server);
        last.set(seconds(Timestamp::now()));
    }

    /// Sets the number of orphans of a server.
    pub fn orphans(&self, server: &str, count: i64) {
        self.servers.orphans.get_or_create(&server_of(server)).set(count);
    }

    /// Counts an orphan that was deleted on a server.
    pub fn orphan_deleted(&self, server: &str) {
        self.servers.orphans_deleted.get_or_create(&server_of(server)).inc();
    }

    /// Removes the gauges and histograms of a deleted server. Its counters stay, as counters do.
    pub fn forget_server(&self, server: &str) {
        let server = server_of(server);
        self.servers.orphans.remove(&server);
        self.servers.request_seconds.remove(&server);
        self.servers.sweep_seconds.remove(&server);
        self.servers.last_sweep.remove(&server);
    }
}

fn server_of(name: &str) -> Server {
    Server {
        server: name.to_owned(),
    }
}

/// All metrics that the operator can have, in the order of the text.
pub fn catalogue() -> Vec<Described> {
    Metrics::default().described
}
