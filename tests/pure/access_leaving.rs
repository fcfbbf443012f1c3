//! When access rules let a client stay on its server after its resource is deleted.

use std::collections::BTreeMap;

use oidc_operator::access::{self, Candidates, Namespace};
use oidc_operator::api::access::ManagedKind;
use oidc_operator::api::oauth2_client::Effective;
use oidc_operator::api::refs::DeletionPolicy;
use serde_json::{Value, json};

use crate::access::{all, limited, rules};
use crate::{spec, web, with};

#[test]
fn a_default_orphan_policy_is_allowed_and_an_explicit_one_needs_a_rule() {
    let only_delete = limited(json!({ "deletionPolicies": ["Delete"], "clientIds": "Any" }));
    let denied = |value: Value| {
        let spec = spec(value);
        let mut effective = Effective::of(&spec, &[], &[]);
        effective.deletion_policy = DeletionPolicy::Orphan;
        let labels = BTreeMap::new();
        let namespace = Namespace {
            name: "team-a",
            labels: Some(&labels),
        };
        access::check(&only_delete, namespace, &spec, &effective).is_err()
    };
    assert!(!denied(web()), "the default for an adopted client");
    assert!(
        denied(with(web(), json!({ "deletionPolicy": "Orphan" }))),
        "set in the spec"
    );
}

#[test]
fn a_client_may_be_orphaned_if_a_rule_for_its_namespace_allows_it() {
    let cases = [
        (json!([]), false),
        (json!([{ "namespaces": all(), "kinds": ["OAuth2Client"] }]), true),
        (
            json!([{ "namespaces": all(), "kinds": ["OAuth2Client"], "clients": {} }]),
            true,
        ),
        (
            json!([{ "namespaces": all(), "kinds": ["OAuth2Client"], "clients": { "deletionPolicies": ["Delete"] } }]),
            false,
        ),
        (
            json!([{ "namespaces": all(), "kinds": ["OAuth2Client"], "clients": { "deletionPolicies": [] } }]),
            false,
        ),
        (
            json!([{ "namespaces": all(), "kinds": ["OAuth2Client"], "clients": { "deletionPolicies": ["Orphan"] } }]),
            true,
        ),
        (
            // The rule that allows it is for another namespace.
            json!([
                { "namespaces": all(), "kinds": ["OAuth2Client"], "clients": { "deletionPolicies": ["Delete"] } },
                { "namespaces": { "from": "Names", "names": ["other"] }, "kinds": ["OAuth2Client"] },
            ]),
            false,
        ),
        (
            json!([
                { "namespaces": all(), "kinds": ["OAuth2Client"], "clients": { "deletionPolicies": ["Delete"] } },
                { "namespaces": { "from": "Names", "names": ["team-a"] }, "kinds": ["OAuth2Client"] },
            ]),
            true,
        ),
    ];
    let none = BTreeMap::new();
    let namespace = Namespace {
        name: "team-a",
        labels: Some(&none),
    };
    for (listed, expected) in cases {
        assert_eq!(
            access::may_orphan(&rules(listed.clone()), namespace, ManagedKind::OAuth2Client),
            expected,
            "{listed}"
        );
        let listed = rules(listed);
        let candidates = Candidates::of(&listed, namespace, ManagedKind::OAuth2Client);
        let may_set = candidates.and_then(|mut candidates| candidates.may_leave(&listed));
        assert_eq!(may_set.is_ok(), expected, "{listed:?}");
    }
}

#[test]
fn a_client_may_stay_only_if_the_rule_that_allows_it_says_so() {
    let narrow = |policy: &str| {
        let limits = json!({ "grantTypes": ["client_credentials"], "deletionPolicies": [policy] });
        json!({ "namespaces": all(), "kinds": ["OAuth2Client"], "clients": limits })
    };
    let wide = |policy: &str| {
        let limits = json!({ "deletionPolicies": [policy] });
        json!({ "namespaces": all(), "kinds": ["OAuth2Client"], "clients": limits })
    };
    let none = BTreeMap::new();
    let namespace = Namespace {
        name: "team-a",
        labels: Some(&none),
    };
    let machine = json!({ "grantTypes": ["client_credentials"] });
    for (listed, client, expected) in [
        (vec![wide("Delete"), narrow("Orphan")], web(), false),
        (vec![narrow("Orphan"), wide("Delete")], web(), false),
        (vec![wide("Delete"), narrow("Orphan")], machine.clone(), true),
        (vec![narrow("Delete"), wide("Orphan")], web(), true),
        (vec![narrow("Delete"), narrow("Orphan")], web(), false),
        (vec![wide("Delete")], machine, false),
        (vec![], web(), false),
    ] {
        let (listed, spec) = (rules(json!(listed)), spec(client.clone()));
        let effective = Effective::of(&spec, &[], &[]);
        let may = access::may_leave_client(&listed, namespace, &spec, &effective);
        assert_eq!(may, expected, "{listed:?} {client}");
    }
}
