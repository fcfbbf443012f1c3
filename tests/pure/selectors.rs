//! Label selectors of access rules match as in Kubernetes; a selector that Kubernetes refuses matches nothing.

use std::collections::BTreeMap;

use oidc_operator::access::matches;
use oidc_operator::api::access::LabelSelector;
use serde_json::{Value, json};

fn selects(selector: Value) -> bool {
    let selector: LabelSelector = serde_json::from_value(selector).expect("any selector can be read");
    let labels = [
        ("team", "a"),
        ("oidc", "true"),
        ("example.com/tier", "1"),
        ("empty", ""),
    ];
    let labels: BTreeMap<String, String> = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    matches(&selector, Some(&labels))
}

fn expression(key: &str, operator: &str, values: Value) -> Value {
    json!({ "matchExpressions": [{ "key": key, "operator": operator, "values": values }] })
}

/// Each selector would match this namespace if it were not refused.
#[test]
fn a_selector_that_kubernetes_would_refuse_selects_nothing() {
    let long = "x".repeat(64);
    let refused = [
        expression("stage", "NotIn", json!([])),
        json!({ "matchExpressions": [{ "key": "stage", "operator": "NotIn" }] }),
        expression("stage", "DoesNotExist", json!(["prod"])),
        expression("team", "Exists", json!(["a"])),
        expression("stage", "NotIn", json!([long])),
        expression("stage", "NotIn", json!(["-prod"])),
        expression("stage", "NotIn", json!(["a b"])),
        expression("stage", "NotIn", json!(["ü"])),
        expression("", "DoesNotExist", json!([])),
        expression("a b", "DoesNotExist", json!([])),
        expression("-a", "DoesNotExist", json!([])),
        expression("/a", "DoesNotExist", json!([])),
        expression("example.com/", "DoesNotExist", json!([])),
        expression("example..com/a", "DoesNotExist", json!([])),
        expression("Example.com/a", "DoesNotExist", json!([])),
        expression("example.com/a/b", "DoesNotExist", json!([])),
        expression(&long, "DoesNotExist", json!([])),
        expression(&format!("{}/a", "x".repeat(254)), "DoesNotExist", json!([])),
        expression("team", "Equals", json!(["a"])),
        expression("team", "in", json!(["a"])),
        expression("team", "Gt", json!(["0"])),
        expression("team", "", json!([])),
    ];
    for selector in refused {
        assert!(!selects(selector.clone()), "{selector}");
        // Nor together with a valid part.
        let mut both = selector;
        both["matchLabels"] = json!({ "team": "a" });
        assert!(!selects(both.clone()), "{both}");
    }
}

#[test]
fn a_selector_that_kubernetes_accepts_matches_as_in_kubernetes() {
    let cases = [
        (json!({}), true),
        (json!({ "matchLabels": { "example.com/tier": "1" } }), true),
        (json!({ "matchLabels": { "empty": "" } }), true),
        (json!({ "matchLabels": { "missing": "" } }), false),
        (expression("example.com/tier", "In", json!(["0", "1"])), true),
        (expression("empty", "In", json!([""])), true),
        (expression("missing", "In", json!([""])), false),
        (expression("missing", "NotIn", json!([""])), true),
        (expression("team", "NotIn", json!(["a", "b"])), false),
        (expression("team", "Exists", json!([])), true),
        (expression("missing", "DoesNotExist", json!([])), true),
        (expression("A.b_c-d", "DoesNotExist", json!([])), true),
        (expression(&"x".repeat(63), "DoesNotExist", json!([])), true),
    ];
    for (selector, expected) in cases {
        assert_eq!(selects(selector.clone()), expected, "{selector}");
    }
}
