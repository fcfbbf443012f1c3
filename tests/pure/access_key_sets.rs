//! Which names access rules allow for key sets, and how often they let a secret or key rotate.

use std::collections::BTreeMap;
use std::time::Duration;

use oidc_operator::access::{self, Denied, Grant, KeySetRequest, Namespace};
use oidc_operator::api::access::AccessRule;
use oidc_operator::api::oauth2_client::Effective;
use serde_json::{Value, json};

use crate::access::{all, rules, violation};
use crate::{spec, web, with};

fn key_sets(more: Value) -> Vec<AccessRule> {
    let rule = json!({ "namespaces": all(), "kinds": ["JsonWebKeySet", "OAuth2Client"] });
    rules(json!([with(rule, more)]))
}

fn asked(rules: &[AccessRule], request: KeySetRequest<'_>) -> Result<Grant, Denied> {
    let labels = BTreeMap::new();
    let namespace = Namespace {
        name: "team-a",
        labels: Some(&labels),
    };
    access::check_key_set(rules, namespace, request)
}

fn named(name: &str) -> KeySetRequest<'_> {
    KeySetRequest {
        name: Some(name),
        is_reserved: name.starts_with("hydra."),
        ..KeySetRequest::default()
    }
}

/// Hydra trusts the keys of a set that is named after an issuer.
#[test]
fn a_key_set_named_after_an_issuer_needs_a_grant() {
    let cases = [
        (json!({}), "https-issuer", false),
        (json!({}), "team-a.keys", false),
        (json!({ "objectNames": "Generated" }), "team-a.keys", false),
        (json!({ "objectNames": "Prefixed" }), "team-a.keys", true),
        (json!({ "objectNames": "Prefixed" }), "team-b.keys", false),
        (json!({ "objectNames": "Prefixed" }), "team-a", false),
        (json!({ "objectNames": "Prefixed" }), "team-a.", false),
        (json!({ "objectNames": "Prefixed" }), "Team-A.keys", false),
        (json!({ "objectNames": "Prefixed" }), "my-issuer", false),
        (json!({ "objectNames": "Any" }), "my-issuer", true),
        // Neither grant implies the other.
        (json!({ "reservedKeySets": "Allow" }), "my-issuer", false),
        (json!({ "objectNames": "Any" }), "hydra.openid.id-token", false),
        (json!({ "reservedKeySets": "Allow" }), "hydra.openid.id-token", true),
    ];
    for (grant, name, expected) in cases {
        let found = asked(&key_sets(grant.clone()), named(name));
        assert_eq!(found.is_ok(), expected, "{grant} {name}");
        if expected || name.starts_with("hydra.") {
            continue;
        }
        let said = found.expect_err("denied").to_string();
        let expected =
            format!("access[0].objectNames does not allow `{name}` in setName; change it or ask the server's admin.");
        assert_eq!(said, expected);
    }
    assert!(
        asked(&key_sets(json!({})), KeySetRequest::default()).is_ok(),
        "a request without a name"
    );
}

#[test]
fn a_period_below_the_minimum_is_refused_and_the_default_minimum_is_one_hour() {
    let cases = [
        (json!({}), "1s", Some("1h")),
        (json!({}), "59m59s", Some("1h")),
        (json!({}), "60m", None),
        (json!({}), "720h", None),
        (json!({ "minRotationPeriod": "10m" }), "10m", None),
        (json!({ "minRotationPeriod": "10m" }), "9m", Some("10m")),
        (json!({ "minRotationPeriod": "24h" }), "1h", Some("24h")),
        (json!({ "minRotationPeriod": "0s" }), "1s", None),
        (json!({ "minRotationPeriod": "sometimes" }), "1s", Some("1h")), // bypasses the schema
    ];
    for (rule, period, min) in cases {
        let rules = key_sets(rule);
        let client = with(
            web(),
            json!({ "rotation": { "period": period, "withoutOverlap": "Allow" } }),
        );
        let expected = min.map_or(String::new(), |min| format!("minRotationPeriod: {period}: {min}"));
        assert_eq!(violation(&rules, client), expected, "{rules:?}");
        let request = KeySetRequest {
            period: Some(period),
            ..KeySetRequest::default()
        };
        let said = asked(&rules, request).map(drop).map_err(|denied| denied.to_string());
        let expected = min.map_or(Ok(()), |min| {
            Err(format!(
                "access[0].minRotationPeriod does not allow rotation.period `{period}`, which is shorter than {min}; lengthen it or ask the server's admin."
            ))
        });
        assert_eq!(said, expected, "{rules:?}");
    }
}

#[test]
fn the_shortest_minimum_of_all_rules_that_allow_a_resource_applies() {
    let rule = |more: Value| with(json!({ "namespaces": all(), "kinds": ["OAuth2Client"] }), more);
    let listed = rules(json!([
        rule(json!({ "minRotationPeriod": "2h" })),
        rule(json!({ "minRotationPeriod": "1m", "clients": { "scopes": [] } })), // does not allow this client
        rule(json!({ "minRotationPeriod": "30m" })),
        rule(json!({})),
    ]));
    let (spec, labels) = (spec(web()), BTreeMap::new());
    let namespace = Namespace {
        name: "team-a",
        labels: Some(&labels),
    };
    let grant = access::check(&listed, namespace, &spec, &Effective::of(&spec, &[], &[]));
    let min_rotation_period = Duration::from_secs(30 * 60);
    assert_eq!(grant, Ok(Grant { min_rotation_period }));
}

#[test]
fn one_rule_must_allow_the_whole_key_set() {
    let rule = |more: Value| with(json!({ "namespaces": all(), "kinds": ["JsonWebKeySet"] }), more);
    let listed = rules(json!([
        rule(json!({ "objectNames": "Any" })),
        rule(json!({ "minRotationPeriod": "1m" })),
    ]));
    let request = |name, period| KeySetRequest {
        name,
        period,
        ..KeySetRequest::default()
    };
    assert!(asked(&listed, request(Some("x"), Some("2h"))).is_ok());
    assert!(asked(&listed, request(None, Some("1m"))).is_ok());
    assert!(asked(&listed, request(Some("x"), Some("1m"))).is_err());
}

/// A grant to write the server's own sets, one to choose names and one to adopt are three.
#[test]
fn a_key_set_is_adopted_only_by_its_exact_name() {
    let cases = [
        (json!({ "objectNames": "Any" }), "billing", false, "objectNames"),
        (json!({ "adopt": { "objectNames": ["billing"] } }), "billing", true, ""),
        (
            json!({ "adopt": { "objectNames": ["billing"] } }),
            "Billing",
            false,
            "adopt.objectNames",
        ),
        (
            json!({ "adopt": { "clientIds": ["billing"] } }),
            "billing",
            false,
            "adopt.objectNames",
        ),
        (
            json!({ "adopt": { "objectNames": ["default"] } }),
            "default",
            false,
            "reservedKeySets",
        ),
        (
            json!({ "reservedKeySets": "Allow" }),
            "default",
            false,
            "adopt.objectNames",
        ),
        (
            json!({ "reservedKeySets": "Allow", "adopt": { "objectNames": ["default"] } }),
            "default",
            true,
            "",
        ),
    ];
    for (grant, name, expected, limit) in cases {
        let request = KeySetRequest {
            is_reserved: name == "default",
            adopts: true,
            ..named(name)
        };
        let found = asked(&key_sets(grant.clone()), request);
        assert_eq!(found.is_ok(), expected, "{grant} {name}");
        let denied = found.err().map(|denied| denied.to_string()).unwrap_or_default();
        assert!(denied.contains(limit), "{grant} {name}: {denied}");
    }
}
