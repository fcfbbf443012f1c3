//! What a scrape finds in the caches. It is counted at the scrape, so that nothing has to be kept up to date, and a
//! series goes with the resource or server that it is about. Pure.

use std::collections::HashMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;

use super::labels::ConditionLabels;
use crate::api::oauth2_client::RotationWait;

/// Everything that a scrape finds in the caches.
#[derive(Default)]
pub struct Snapshot {
    /// Number of resources with each condition.
    pub conditions: Vec<(ConditionLabels, i64)>,
    /// The resources of each kind.
    pub kinds: Vec<(&'static str, Tally)>,
    /// Number of objects in each cache.
    pub cached: Vec<(&'static str, usize)>,
    /// The servers.
    pub servers: Vec<ServerState>,
    /// Number of passes that are due and have not started.
    pub waiting: usize,
    /// Time since the oldest of them was due.
    pub oldest: Duration,
    /// Number of passes that are running.
    pub running: usize,
    /// Each resource. Empty without `--metrics-per-resource`.
    pub resources: Vec<ResourceState>,
}

/// What a resource adds to the figures of its kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stand {
    /// When the deletion was requested, if the operator's finalizer is still there.
    pub leaving: Option<Timestamp>,
    /// Its rotations.
    pub rotation: Rotation,
}

/// When the secret or the key of a resource was replaced, and when it will be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// When what is in use came into use.
    pub last: Option<Timestamp>,
    /// When it is to be replaced.
    pub next: Option<Timestamp>,
    /// What a rotation that is due waits for.
    pub waits_for: Option<RotationWait>,
}

/// Figures of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Number of resources that are being deleted and still have the operator's finalizer.
    pub leaving: usize,
    /// When the deletion of the first of them was requested.
    pub leaving_since: Option<Timestamp>,
    /// The earliest rotation that is scheduled, also one that is late.
    pub next_rotation: Option<Timestamp>,
    /// Number of resources whose rotation is late and waits for nothing.
    pub overdue: usize,
    /// Number of resources whose rotation waits, in the order of [`RotationWait::ALL`].
    pub waits: [usize; RotationWait::ALL.len()],
}

/// A server.
pub struct ServerState {
    /// Name of the server.
    pub name: String,
    /// Whether its circuit breaker is open.
    pub is_open: bool,
    /// Requests a second that the operator sends at most, while the server limits them.
    pub pace: Option<f64>,
}

/// A resource.
pub struct ResourceState {
    /// Kind of the resource.
    pub kind: &'static str,
    /// Namespace; empty for an AuthorizationServer.
    pub namespace: String,
    /// Name of the resource.
    pub name: String,
    /// Status of its condition Ready.
    pub ready: Option<String>,
    /// Its rotations.
    pub rotation: Rotation,
}

impl Tally {
    /// Adds a resource.
    pub fn add(&mut self, stand: Stand, now: Timestamp) {
        let Stand { leaving, rotation } = stand;
        self.leaving += usize::from(leaving.is_some());
        self.leaving_since = self.leaving_since.into_iter().chain(leaving).min();
        self.next_rotation = self.next_rotation.into_iter().chain(rotation.next).min();
        let is_late = rotation.next.is_some_and(|at| at < now);
        self.overdue += usize::from(is_late && rotation.waits_for.is_none());
        for (count, wait) in self.waits.iter_mut().zip(RotationWait::ALL) {
            *count += usize::from(rotation.waits_for == Some(wait));
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
