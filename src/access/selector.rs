//! Label selectors: kube matches them, after a check that Kubernetes would accept them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1 as kubernetes;
use kube::core::{Selector, SelectorExt};

use crate::api::access::{LabelSelector, LabelSelectorRequirement};

/// Whether a label selector matches these labels. `labels` is None if the namespace is unknown. A selector that
/// Kubernetes would refuse matches nothing.
pub fn matches(selector: &LabelSelector, labels: Option<&BTreeMap<String, String>>) -> bool {
    let Some(labels) = labels else { return false };
    read(selector).is_some_and(|selector| selector.matches(labels))
}

/// The selector in kube's form. kube does not check for missing or surplus values, or for invalid labels.
fn read(selector: &LabelSelector) -> Option<Selector> {
    let are_labels = selector
        .match_labels
        .iter()
        .all(|(key, value)| is_key(key) && is_value(value));
    if !are_labels || !selector.match_expressions.iter().all(is_requirement) {
        return None;
    }
    let requirement = |r: &LabelSelectorRequirement| kubernetes::LabelSelectorRequirement {
        key: r.key.clone(),
        operator: r.operator.clone(),
        values: r.values.clone().or_else(|| Some(Vec::new())),
    };
    let selector = kubernetes::LabelSelector {
        match_labels: Some(selector.match_labels.clone()),
        match_expressions: Some(selector.match_expressions.iter().map(requirement).collect()),
    };
    selector.try_into().ok()
}

fn is_requirement(requirement: &LabelSelectorRequirement) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let has_its_values = match requirement.operator.as_str() {
        "In" | "NotIn" => !values.is_empty(),
        "Exists" | "DoesNotExist" => values.is_empty(),
        _ => false,
    };
    has_its_values && is_key(&requirement.key) && values.iter().all(|value| is_value(value))
}

/// A qualified name: a name, optionally with a DNS subdomain and a slash before it.
fn is_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((domain, name)) => is_domain(domain) && is_name(name),
        None => is_name(key),
    }
}

fn is_value(value: &str) -> bool {
    value.is_empty() || is_name(value)
}

fn is_name(name: &str) -> bool {
    let is_end = |c: char| c.is_ascii_alphanumeric();
    (1..=63).contains(&name.len())
        && name.starts_with(is_end)
        && name.ends_with(is_end)
        && name.chars().all(|c| is_end(c) || matches!(c, '-' | '_' | '.'))
}

/// A DNS subdomain (RFC 1123), in lower case.
fn is_domain(domain: &str) -> bool {
    let is_end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_label = |label: &str| {
        label.starts_with(is_end) && label.ends_with(is_end) && label.chars().all(|c| is_end(c) || c == '-')
    };
    domain.len() <= 253 && domain.split('.').all(is_label)
}
