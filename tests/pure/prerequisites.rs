//! What a cluster must provide before the operator reports that it is ready.

use std::collections::BTreeSet;

use oidc_operator::prerequisites::{Place, RIGHTS, lacks, missing_kinds, not_served};

#[test]
fn a_missing_right_is_named_with_what_to_do() {
    assert_eq!(lacks(&[]), None);
    let text = lacks(&[("watch", "secrets"), ("patch", "scopes/status")]).expect("something is missing");
    assert_eq!(
        text,
        "the operator's role lacks watch secrets, patch scopes/status: install the chart with rbac.create, or grant it the permissions of the chart's roles"
    );
}

#[test]
fn a_missing_kind_is_named_with_what_to_do() {
    assert_eq!(not_served(&[]), None);
    assert_eq!(
        not_served(&["scopes", "assignments"]).as_deref(),
        Some("the cluster does not serve scopes, assignments of oidc-operator.dev: install the CRDs of this version")
    );
}

/// Plural names of our kinds.
fn kinds() -> BTreeSet<String> {
    let crds = oidc_operator::api::crds().into_iter();
    crds.map(|crd| crd.spec.names.plural).collect()
}

#[test]
fn a_kind_that_is_not_served_is_reported_as_missing() {
    let all: Vec<String> = kinds().into_iter().collect();
    assert_eq!(missing_kinds(&all), [""; 0]);
    for gone in &all {
        let served: Vec<String> = all.iter().filter(|kind| *kind != gone).cloned().collect();
        assert_eq!(missing_kinds(&served), [gone.as_str()]);
    }
    assert_eq!(missing_kinds(&[]).len(), all.len(), "the group does not exist");
}

#[test]
fn the_required_rights_cover_every_kind_and_its_status() {
    let asked: BTreeSet<&str> = RIGHTS
        .iter()
        .filter(|right| right.group == "oidc-operator.dev" && right.place == Place::Everywhere)
        .map(|right| right.resource)
        .collect();
    let kinds = kinds();
    let statuses: Vec<String> = kinds.iter().map(|kind| format!("{kind}/status")).collect();
    assert_eq!(asked, kinds.iter().chain(&statuses).map(String::as_str).collect());
}
