//! Prometheus metrics. Apart from `server`, no label is the name of a resource: the number of series would be
//! unbounded.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reconcile {
    kind: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Request {
    server: String,
    operation: &'static str,
    code: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Server {
    server: String,
}

/// Kind, condition type, status and reason.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ConditionLabels {
    /// Kind of the resources.
    pub kind: &'static str,
    /// Type of the condition.
    pub r#type: String,
    /// Status of the condition.
    pub status: String,
    /// Reason of the condition.
    pub reason: String,
}

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    reconciles: Family<Reconcile, Counter>,
    reconcile_seconds: Family<Kind, Histogram>,
    requests: Family<Request, Counter>,
    request_seconds: Family<Server, Histogram>,
    drift: Family<Kind, Counter>,
    conditions: Family<ConditionLabels, Gauge>,
    orphans: Family<Server, Gauge>,
    unreadable: Family<Kind, Gauge>,
    orphans_deleted: Family<Server, Counter>,
    leader: Gauge,
    renderings: Counter,
    rendering: Mutex<()>,
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds = || Histogram::new(exponential_buckets(0.001, 2.0, 15));
        let mut metrics = Metrics {
            registry: Registry::with_prefix("oidc_operator"),
            reconciles: Family::default(),
            reconcile_seconds: Family::new_with_constructor(seconds),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
            drift: Family::default(),
            conditions: Family::default(),
            orphans: Family::default(),
            unreadable: Family::default(),
            orphans_deleted: Family::default(),
            leader: Gauge::default(),
            renderings: Counter::default(),
            rendering: Mutex::default(),
        };
        metrics.register();
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        metrics.registry.register("build", "Version of the operator", build);
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let r = &mut self.registry;
        r.register(
            "reconciles",
            "Passes over resources, by kind and result",
            self.reconciles.clone(),
        );
        r.register_with_unit(
            "reconcile_duration",
            "Duration of a pass",
            Unit::Seconds,
            self.reconcile_seconds.clone(),
        );
        r.register(
            "admin_requests",
            "Requests to servers, by operation and status code; 0: no reply",
            self.requests.clone(),
        );
        r.register_with_unit(
            "admin_request_duration",
            "Duration of a request to a server",
            Unit::Seconds,
            self.request_seconds.clone(),
        );
        r.register(
            "drift_corrections",
            "Corrections of remote objects that another writer had changed",
            self.drift.clone(),
        );
        r.register(
            "resource_conditions",
            "Resources by condition and reason",
            self.conditions.clone(),
        );
        r.register(
            "orphaned_objects",
            "Remote objects with the operator's marker but without a resource",
            self.orphans.clone(),
        );
        r.register(
            "unreadable_objects",
            "Objects that cannot be decoded completely, by kind",
            self.unreadable.clone(),
        );
        r.register(
            "orphan_deletions",
            "Deletions of remote objects with the operator's marker but without a resource",
            self.orphans_deleted.clone(),
        );
        r.register("leader", "1 while this instance leads", self.leader.clone());
        r.register(
            "metrics_renderings",
            "Renderings of this text; requests within --metrics-max-age share one",
            self.renderings.clone(),
        );
    }
}

impl Metrics {
    /// Counts a pass. `result` is a reason or `success`.
    pub fn reconciled(&self, kind: &'static str, result: &'static str, time: Duration) {
        self.reconciles.get_or_create(&Reconcile { kind, result }).inc();
        self.reconcile_seconds
            .get_or_create(&Kind { kind })
            .observe(time.as_secs_f64());
    }

    /// Counts a request to a server; `code` 0 means that no reply came.
    pub fn admin_request(&self, server: &str, operation: &'static str, code: u16, time: Duration) {
        let server = server.to_owned();
        self.requests
            .get_or_create(&Request {
                server: server.clone(),
                operation,
                code,
            })
            .inc();
        self.request_seconds
            .get_or_create(&Server { server })
            .observe(time.as_secs_f64());
    }

    /// Counts a correction of drift.
    pub fn drift_corrected(&self, kind: &'static str) {
        self.drift.get_or_create(&Kind { kind }).inc();
    }

    /// Sets the number of orphans of a server.
    pub fn orphans(&self, server: &str, count: i64) {
        self.orphans
            .get_or_create(&Server {
                server: server.to_owned(),
            })
            .set(count);
    }

    /// Counts an orphan that was deleted on a server.
    pub fn orphan_deleted(&self, server: &str) {
        let server = server.to_owned();
        self.orphans_deleted.get_or_create(&Server { server }).inc();
    }

    /// Removes the gauge and the histogram of a deleted server. Its counters stay, as counters do.
    pub fn forget_server(&self, server: &str) {
        let server = Server {
            server: server.to_owned(),
        };
        self.orphans.remove(&server);
        self.request_seconds.remove(&server);
    }

    /// Sets the number of objects of a kind that cannot be decoded completely.
    pub fn unreadable(&self, kind: &'static str, count: usize) {
        self.unreadable
            .get_or_create(&Kind { kind })
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Sets whether this instance leads.
    pub fn leading(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// The text of `/metrics`. `conditions`: all labels with the number of their resources; other labels are dropped.
    pub fn render(&self, conditions: impl IntoIterator<Item = (ConditionLabels, i64)>) -> String {
        let _one_at_a_time = self.rendering.lock().unwrap_or_else(PoisonError::into_inner);
        self.renderings.inc();
        self.conditions.clear();
        for (labels, count) in conditions {
            self.conditions.get_or_create(&labels).set(count);
        }
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(std::fmt::Error) => String::new(),
        }
    }
}

/// Counts the conditions of a kind's resources by their labels. Thousands are equal, so only distinct labels are
/// copied.
pub fn tally<'a>(
    kind: &'static str,
    conditions: impl IntoIterator<Item = &'a Condition>,
) -> Vec<(ConditionLabels, i64)> {
    let mut counts: HashMap<[&str; 3], i64> = HashMap::new();
    for condition in conditions {
        let labels = [&*condition.type_, &*condition.status, &*condition.reason];
        *counts.entry(labels).or_default() += 1;
    }
    let counted = counts.into_iter().map(|([r#type, status, reason], count)| {
        let labels = ConditionLabels {
            kind,
            r#type: r#type.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
        };
        (labels, count)
    });
    counted.collect()
}
