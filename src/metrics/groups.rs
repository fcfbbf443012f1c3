//! The metrics by what they are about.

use std::sync::atomic::AtomicU64;

use k8s_openapi::jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use super::catalogue::Book;
use super::labels::{ConditionLabels, Kind, Labels, Login, Reconcile, Request, Resource, ResourceCondition};
use super::labels::{Server, Trace, Waiting};
use super::snapshot::{ResourceState, ServerState, Tally};
use crate::api::condition::READY;
use crate::api::oauth2_client::RotationWait;

/// A rate, or a point in time in seconds since 1970.
pub(super) type Decimal = Gauge<f64, AtomicU64>;

/// Passes and their queue.
pub(super) struct Engine {
    pub(super) reconciles: Family<Reconcile, Counter>,
    pub(super) seconds: Family<Kind, HistogramWithExemplars<Trace>>,
    pub(super) last_success: Family<Kind, Decimal>,
    pub(super) depth: Gauge,
    pub(super) wait: Histogram,
    pub(super) oldest: Decimal,
    pub(super) running: Gauge,
}

/// Servers and the requests to them.
pub(super) struct Servers {
    pub(super) requests: Family<Request, Counter>,
    pub(super) request_seconds: Family<Server, Histogram>,
    pub(super) logins: Family<Login, Counter>,
    pub(super) open: Family<Server, Gauge>,
    pub(super) pace: Family<Server, Decimal>,
    pub(super) sweep_seconds: Family<Server, Histogram>,
    pub(super) last_sweep: Family<Server, Decimal>,
    pub(super) orphans: Family<Server, Gauge>,
    pub(super) orphans_deleted: Family<Server, Counter>,
}

/// Resources, by kind.
pub(super) struct Resources {
    pub(super) conditions: Family<ConditionLabels, Gauge>,
    pub(super) cached: Family<Kind, Gauge>,
    pub(super) unreadable: Family<Kind, Gauge>,
    pub(super) drift: Family<Kind, Counter>,
    pub(super) rotations: Family<Kind, Counter>,
    pub(super) next_rotation: Family<Kind, Decimal>,
    pub(super) overdue: Family<Kind, Gauge>,
    pub(super) waiting: Family<Waiting, Gauge>,
    pub(super) leaving: Family<Kind, Gauge>,
    pub(super) leaving_since: Family<Kind, Decimal>,
    pub(super) time_to_ready: Family<Kind, Histogram>,
}

/// Each resource.
pub(super) struct Each {
    pub(super) condition: Family<ResourceCondition, Gauge>,
    pub(super) last_rotation: Family<Resource, Decimal>,
    pub(super) next_rotation: Family<Resource, Decimal>,
}

/// Duration of requests and passes: 1 ms to 16 s.
fn short() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

/// Duration of sweeps: 10 ms to 11 min.
fn long() -> Histogram {
    Histogram::new(exponential_buckets(0.01, 2.0, 17))
}

/// Time until a resource is ready: 10 ms to 1 h.
fn patient() -> Histogram {
    Histogram::new([
        0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
    ])
}

impl Engine {
    pub(super) fn in_book(book: &mut Book) -> Self {
        Engine {
            reconciles: book.family(
                "reconciles_total",
                "Passes over resources; the result is success or the reason of the failure",
            ),
            seconds: book.family_of("reconcile_duration_seconds", "Duration of a pass", || {
                HistogramWithExemplars::new(exponential_buckets(0.001, 2.0, 15))
            }),
            last_success: book.family(
                "last_success_timestamp_seconds",
                "When the last successful pass over a resource of the kind ended",
            ),
            depth: book.add(
                "queue_depth",
                "Passes that are due and have not started",
                Gauge::default(),
            ),
            wait: book.add(
                "queue_wait_seconds",
                "Time from when a pass is due until it starts",
                short(),
            ),
            oldest: book.add(
                "queue_oldest_seconds",
                "Time since the oldest pass that has not started was due; 0 if none is due",
                Decimal::default(),
            ),
            running: book.add("passes_in_progress", "Passes that are running", Gauge::default()),
        }
    }
}

impl Servers {
    pub(super) fn in_book(book: &mut Book) -> Self {
        Servers {
            requests: book.family(
                "admin_requests_total",
                "Requests to servers, by operation and status code; code 0 means that no reply came",
            ),
            request_seconds: book.family_of(
                "admin_request_duration_seconds",
                "Duration of a request to a server",
                short,
            ),
            logins: book.family(
                "logins_total",
                "Logins at servers whose login takes a request of its own; the result is success or failure",
            ),
            open: book.family(
                "breaker_open",
                "1 while the operator sends a server nothing but probes, because the server does not work",
            ),
            pace: book.family(
                "pace_requests_per_second",
                "Most requests a second that the operator sends to a server; present only while the server limits them",
            ),
            sweep_seconds: book.family_of(
                "sweep_duration_seconds",
                "Duration of a complete comparison of a server with the cluster",
                long,
            ),
            last_sweep: book.family(
                "last_sweep_timestamp_seconds",
                "When the last complete comparison of a server with the cluster ended",
            ),
            orphans: book.family(
                "orphaned_objects",
                "Objects on a server with the operator's marker and without a resource",
            ),
            orphans_deleted: book.family(
                "orphan_deletions_total",
                "Deletions of objects on a server with the operator's marker and without a resource",
            ),
        }
    }

    pub(super) fn take(&self, servers: Vec<ServerState>) {
        self.open.clear();
        self.pace.clear();
        for ServerState { name, is_open, pace } in servers {
            let server = Server { server: name };
            self.open.get_or_create(&server).set(i64::from(is_open));
            if let Some(pace) = pace {
                self.pace.get_or_create(&server).set(pace);
            }
        }
    }
}

impl Resources {
    pub(super) fn in_book(book: &mut Book) -> Self {
        Resources {
            conditions: book.family("resource_conditions", "Resources by condition, status and reason"),
            cached: book.family("cached_objects", "Objects of the Kubernetes API in memory"),
            unreadable: book.family(
                "unreadable_objects",
                "Objects that the operator cannot decode completely",
            ),
            drift: book.family(
                "drift_corrections_total",
                "Corrections of objects on a server that another writer had changed",
            ),
            rotations: book.family(
                "secret_rotations_total",
                "Secrets of an OAuth2Client or keys of a JsonWebKeySet that came into use in place of another one",
            ),
            next_rotation: book.family(
                "next_rotation_timestamp_seconds",
                "The earliest scheduled rotation, even if it is late; absent if none is scheduled",
            ),
            overdue: book.family(
                "overdue_rotations",
                "Resources whose scheduled rotation is late and waits for nothing",
            ),
            waiting: book.family(
                "waiting_rotations",
                "Clients whose rotation is due or requested and waits, by what it waits for",
            ),
            leaving: book.family(
                "pending_deletions",
                "Resources that are being deleted and still have the operator's finalizer",
            ),
            leaving_since: book.family(
                "oldest_pending_deletion_timestamp_seconds",
                "When the deletion of the oldest of these resources was requested; absent if there are none",
            ),
            time_to_ready: book.family_of(
                "time_to_ready_seconds",
                "Time from the creation of a resource until it is Ready for the first time",
                patient,
            ),
        }
    }

    pub(super) fn take(
        &self,
        conditions: Vec<(ConditionLabels, i64)>,
        cached: &[(&'static str, usize)],
        kinds: &[(&'static str, Tally)],
    ) {
        self.conditions.clear();
        for (labels, count) in conditions {
            self.conditions.get_or_create(&labels).set(count);
        }
        for (kind, count) in cached {
            self.cached.get_or_create(&Kind { kind }).set(whole(*count));
        }
        self.next_rotation.clear();
        self.leaving_since.clear();
        for (kind, tally) in kinds {
            let kind = Kind { kind };
            self.overdue.get_or_create(&kind).set(whole(tally.overdue));
            for (wait, count) in RotationWait::ALL.iter().zip(tally.waits) {
                let waiting = Waiting {
                    kind: kind.kind,
                    reason: wait.as_str(),
                };
                self.waiting.get_or_create(&waiting).set(whole(count));
            }
            self.leaving.get_or_create(&kind).set(whole(tally.leaving));
            set(&self.next_rotation, &kind, tally.next_rotation);
            set(&self.leaving_since, &kind, tally.leaving_since);
        }
    }
}

impl Each {
    pub(super) fn in_book(book: &mut Book) -> Self {
        Each {
            condition: book.family(
                "resource_condition",
                "1 for the present status of the condition Ready of each resource",
            ),
            last_rotation: book.family(
                "resource_last_rotation_timestamp_seconds",
                "When the secret or the key of each resource came into use",
            ),
            next_rotation: book.family(
                "resource_next_rotation_timestamp_seconds",
                "When the next rotation of each resource is scheduled, even if it is late",
            ),
        }
    }

    pub(super) fn take(&self, resources: Vec<ResourceState>) {
        for state in resources {
            let resource = Resource {
                kind: state.kind,
                namespace: state.namespace,
                name: state.name,
            };
            set(&self.last_rotation, &resource, state.rotation.last);
            set(&self.next_rotation, &resource, state.rotation.next);
            let Some(status) = state.ready else { continue };
            let Resource { kind, namespace, name } = resource;
            let r#type = READY;
            let condition = ResourceCondition {
                kind,
                namespace,
                name,
                r#type,
                status,
            };
            self.condition.get_or_create(&condition).set(1);
        }
    }

    pub(super) fn clear(&self) {
        self.condition.clear();
        self.last_rotation.clear();
        self.next_rotation.clear();
    }
}

/// Sets a point in time; one that is not known has no series.
fn set<L: Labels + Clone + std::hash::Hash + Eq>(family: &Family<L, Decimal>, labels: &L, at: Option<Timestamp>) {
    if let Some(at) = at {
        family.get_or_create(labels).set(seconds(at));
    }
}

/// Seconds since 1970.
pub(super) fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

/// A count as the value of a gauge.
pub(super) fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
