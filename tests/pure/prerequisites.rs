//! What a cluster must provide before the operator reports that it is ready.

use std::collections::BTreeSet;

use oidc_operator::prerequisites::{Need, Place, RIGHTS, lacks, missing_kinds, needs, not_served};

use crate::reach::run;

fn missing(verb: &'static str, resource: &'static str, namespace: Option<&str>) -> Need {
    Need {
        verb,
        group: "",
        resource,
        namespace: namespace.map(str::to_owned),
        name: None,
        place: Place::Within,
    }
}

#[test]
fn a_missing_right_is_named_with_what_to_do() {
    assert_eq!(lacks(&[]), None);
    let text = lacks(&[
        missing("watch", "secrets", None),
        missing("patch", "scopes/status", None),
    ]);
    assert_eq!(
        text.as_deref(),
        Some(
            "the operator's role lacks watch secrets, patch scopes/status: install the chart with rbac.create, or grant it the permissions of the chart's roles"
        )
    );
    let text = lacks(&[
        missing("get", "secrets", Some("b")),
        missing("list", "scopes", None),
        missing("get", "secrets", Some("a")),
    ]);
    assert_eq!(
        text.as_deref(),
        Some(
            "the operator's role lacks list scopes; in namespace a, b: get secrets: install the chart with rbac.create, or grant it the permissions of the chart's roles"
        )
    );
}

#[test]
fn fewer_rights_are_needed_for_less_reach() {
    let of = |flags: &[&str]| -> BTreeSet<String> {
        let all = needs(&run(flags)).into_iter();
        let narrow = all.filter(|need| need.place != Place::Everywhere);
        let place = |need: &Need| need.namespace.clone().unwrap_or_default();
        narrow
            .map(|need| format!("{} {} {}", need.verb, need.resource, place(&need)))
            .collect()
    };
    let within = |namespace: &str, verbs: &[&str]| -> BTreeSet<String> {
        let secrets = verbs.iter().map(|verb| format!("{verb} secrets {namespace}"));
        let config_maps = ["get", "create", "update", "delete"].map(|verb| format!("{verb} configmaps {namespace}"));
        secrets.chain(config_maps).collect()
    };
    let (all, unwatched) = (
        ["get", "list", "watch", "create", "update", "delete"],
        ["get", "create", "update", "delete"],
    );
    let named = |rights: &[&str]| -> BTreeSet<String> { rights.iter().map(|right| (*right).to_owned()).collect() };
    let election = named(&[
        "create leases kube-system",
        "get leases kube-system",
        "update leases kube-system",
    ]);
    let home = named(&["get secrets oidc-system", "get configmaps oidc-system"]);
    let watch = named(&["list secrets oidc-system", "watch secrets oidc-system"]);
    assert_eq!(of(&[]), &within("", &all) | &election);
    assert_eq!(of(&["--leader-election=false"]), within("", &all));
    assert_eq!(of(&["--watch-secrets=false"]), &within("", &unwatched) | &election);
    let pods = &within("", &all) | &named(&["list pods "]);
    assert_eq!(of(&["--list-pods=true"]), &pods | &election);
    let both = |verbs: &[&str]| &(&within("a", verbs) | &within("b", verbs)) | &(&home | &election);
    assert_eq!(of(&["--watch-namespaces=a,b"]), &both(&all) | &watch);
    assert_eq!(
        of(&["--watch-namespaces=a,b", "--watch-secrets=false"]),
        both(&unwatched)
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
