//! The list of all metrics, which is made where they are registered, so that it cannot differ from them.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{Metric, Registry, Unit};

use super::labels::Labels;

/// What all names begin with.
const PREFIX: &str = "oidc_operator";

/// A metric of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Full name. The series of a histogram have the suffixes `_bucket`, `_sum` and `_count`.
    pub name: String,
    /// Type in OpenMetrics.
    pub r#type: &'static str,
    /// Names of the labels.
    pub labels: &'static [&'static str],
    /// What it measures, in a sentence without its full stop.
    pub help: &'static str,
    /// Whether it exists only with `--metrics-per-resource`.
    pub per_resource: bool,
}

/// A registry that describes what is registered.
pub(super) struct Book {
    pub(super) registry: Registry,
    pub(super) described: Vec<Described>,
}

impl Default for Book {
    fn default() -> Self {
        Book {
            registry: Registry::with_prefix(PREFIX),
            described: Vec::new(),
        }
    }
}

impl Book {
    /// Registers a metric without labels. `name`: the name in the text without prefix.
    pub(super) fn add<M>(&mut self, name: &'static str, help: &'static str, metric: M) -> M
    where
        M: Metric + TypedMetric + Clone,
    {
        self.register(name, &[], help, metric)
    }

    /// Registers a metric with labels.
    pub(super) fn family<L, M>(&mut self, name: &'static str, help: &'static str) -> Family<L, M>
    where
        L: Labels + Clone + std::hash::Hash + Eq,
        M: Default,
        Family<L, M>: Metric + TypedMetric,
    {
        self.family_of(name, help, M::default)
    }

    /// Registers a metric with labels whose series start as `make` returns them.
    pub(super) fn family_of<L, M>(&mut self, name: &'static str, help: &'static str, make: fn() -> M) -> Family<L, M>
    where
        L: Labels + Clone + std::hash::Hash + Eq,
        Family<L, M>: Metric + TypedMetric,
    {
        self.register(name, L::NAMES, help, Family::new_with_constructor(make))
    }

    /// Registers what only describes the process: a metric of type info, with one series.
    pub(super) fn info<M: Metric>(
        &mut self,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
        info: M,
    ) {
        self.note(name, "info", labels, help);
        let base = name.strip_suffix("_info").unwrap_or(name);
        self.registry.register(base, help, info);
    }

    fn register<M>(&mut self, name: &'static str, labels: &'static [&'static str], help: &'static str, metric: M) -> M
    where
        M: Metric + TypedMetric + Clone,
    {
        self.note(name, type_name(M::TYPE), labels, help);
        // The encoder adds unit and suffix to the name.
        let base = name.strip_suffix("_total").unwrap_or(name);
        match base.strip_suffix("_seconds") {
            Some(base) => self
                .registry
                .register_with_unit(base, help, Unit::Seconds, metric.clone()),
            None => self.registry.register(base, help, metric.clone()),
        }
        metric
    }

    fn note(&mut self, name: &'static str, r#type: &'static str, labels: &'static [&'static str], help: &'static str) {
        self.described.push(Described {
            name: format!("{PREFIX}_{name}"),
            r#type,
            labels,
            help,
            per_resource: name.starts_with("resource_") && labels.contains(&"name"),
        });
    }
}

fn type_name(of: MetricType) -> &'static str {
    match of {
        MetricType::Counter => "counter",
        MetricType::Gauge => "gauge",
        MetricType::Histogram => "histogram",
        MetricType::Info => "info",
        MetricType::Unknown => "unknown",
    }
}
