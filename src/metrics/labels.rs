//! Labels. Apart from those of [`Resource`] and [`ResourceCondition`], which are off by default, no label is the name of
//! a resource other than a server: the number of series would be unbounded.

use prometheus_client::encoding::EncodeLabelSet;

/// A set of labels with known names.
pub(super) trait Labels {
    /// The names, in the order in which the text has them.
    const NAMES: &'static [&'static str];
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Reconcile {
    pub(super) kind: &'static str,
    pub(super) result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Kind {
    pub(super) kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Waiting {
    pub(super) kind: &'static str,
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Request {
    pub(super) server: String,
    pub(super) operation: &'static str,
    pub(super) code: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Server {
    pub(super) server: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Login {
    pub(super) server: String,
    pub(super) result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Resource {
    pub(super) kind: &'static str,
    pub(super) namespace: String,
    pub(super) name: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct ResourceCondition {
    pub(super) kind: &'static str,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) r#type: &'static str,
    pub(super) status: String,
}

/// The exemplar of an observation.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Trace {
    pub(super) trace_id: String,
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

impl Labels for Reconcile {
    const NAMES: &'static [&'static str] = &["kind", "result"];
}

impl Labels for Waiting {
    const NAMES: &'static [&'static str] = &["kind", "reason"];
}

impl Labels for Kind {
    const NAMES: &'static [&'static str] = &["kind"];
}

impl Labels for Request {
    const NAMES: &'static [&'static str] = &["server", "operation", "code"];
}

impl Labels for Server {
    const NAMES: &'static [&'static str] = &["server"];
}

impl Labels for Login {
    const NAMES: &'static [&'static str] = &["server", "result"];
}

impl Labels for Resource {
    const NAMES: &'static [&'static str] = &["kind", "namespace", "name"];
}

impl Labels for ResourceCondition {
    const NAMES: &'static [&'static str] = &["kind", "namespace", "name", "type", "status"];
}

impl Labels for ConditionLabels {
    const NAMES: &'static [&'static str] = &["kind", "type", "status", "reason"];
}
