//! The CRDs accept every object that was valid with the CRDs of a released version: `tests/states` holds those.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

/// Beginnings of rules and patterns that were added although stored objects could break them.
const HARMLESS: [&str; 9] = [
    // clientId: all that the earlier pattern allows, and more.
    r#"self.matches(r"^[\x21-\x7E]([\x20-\x7E]*[\x21-\x7E])?$")"#,
    "!self.matches('(^|/)[.][.]?(/|$)')", // the earlier pattern allowed no slash and no dot at the start
    "!has(self.data) || self.data.all(k, self.data[k].matches(", // it has more variables and encodings
    // New fields: no stored object has them, and they only loosen the rules of others.
    "!has(self.spec.clientIdFrom) ||",
    "!has(self.clientId) || !has(self.clientIdFrom)",
    "!has(self.adoption) || self.adoption == 'Never' || has(self.clientId) || has(self.clientIdFrom)",
    "!has(self.keys) || has(self.preset) ||",
    "!has(self.longestOverlap) ||",
    "!has(self.data) || self.data.all(k, k.matches('^[-._a-zA-Z0-9]+$') && (has(self.preset) ||",
];

fn is_harmless(limit: &str) -> bool {
    // A transition rule compares the new object with the stored one.
    limit.contains("oldSelf") || HARMLESS.iter().any(|known| limit.starts_with(known))
}

#[test]
fn no_released_object_becomes_invalid() {
    let states = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/states");
    let mut compared = 0;
    for state in std::fs::read_dir(states).expect("states").flatten() {
        let Ok(text) = std::fs::read_to_string(state.path().join("crds.yaml")) else {
            continue;
        };
        let old: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
        for old in &old {
            let name = &old["metadata"]["name"];
            let new = oidc_operator::api::crds()
                .into_iter()
                .map(|crd| serde_json::to_value(crd).expect("JSON"));
            let new = new.into_iter().find(|new| new["metadata"]["name"] == *name);
            let new = new.unwrap_or_else(|| panic!("{name} is gone"));
            assert_eq!(old["spec"]["scope"], new["spec"]["scope"], "{name}");
            for version in old["spec"]["versions"].as_array().expect("versions") {
                let same = |new: &&Value| new["name"] == version["name"];
                let versions = new["spec"]["versions"].as_array().expect("versions");
                let new = versions
                    .iter()
                    .find(same)
                    .unwrap_or_else(|| panic!("{name}: {} is gone", version["name"]));
                assert_eq!(version["storage"], new["storage"], "{name}");
                assert!(new["served"] == true, "{name} is not served");
                let path = format!("{} of {}", name.as_str().unwrap_or_default(), state.path().display());
                let found = breaks(&path, schema(version), schema(new));
                assert!(found.is_empty(), "{found:#?}");
                compared += 1;
            }
        }
    }
    assert!(compared >= 6, "{compared} kinds were compared");
}

fn schema(version: &Value) -> &Value {
    &version["schema"]["openAPIV3Schema"]
}

/// What in a schema refuses values that the old schema accepts, or reads them differently.
fn breaks(at: &str, old: &Value, new: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut broken = |what: String| found.push(format!("{at}: {what}"));
    for key in [
        "type",
        "format",
        "pattern",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "default",
    ] {
        let is_new_limit =
            !new[key].is_null() || matches!(key, "default" | "x-kubernetes-list-type" | "x-kubernetes-list-map-keys");
        if is_new_limit && old[key] != new[key] && !new[key].as_str().is_some_and(is_harmless) {
            broken(format!("{key} is {} instead of {}", new[key], old[key]));
        }
    }
    for (key, is_upper) in [
        ("maxLength", true),
        ("maxItems", true),
        ("maxProperties", true),
        ("maximum", true),
        ("minLength", false),
        ("minItems", false),
        ("minProperties", false),
        ("minimum", false),
    ] {
        let is_tighter = match (old[key].as_f64(), new[key].as_f64()) {
            (_, None) => false,
            (None, Some(new)) => is_upper || new > 0.0,
            (Some(old), Some(new)) => {
                if is_upper {
                    new < old
                } else {
                    new > old
                }
            }
        };
        if is_tighter {
            broken(format!("{key} is {} instead of {}", new[key], old[key]));
        }
    }
    for value in texts(&new["required"]).difference(&texts(&old["required"])) {
        broken(format!("{value} became required"));
    }
    if !new["enum"].is_null() {
        if old["enum"].is_null() {
            broken("became an enum".to_owned());
        }
        for value in texts(&old["enum"]).difference(&texts(&new["enum"])) {
            broken(format!("the enum has no {value} any more"));
        }
    }
    if old["nullable"] == true && new["nullable"] != true {
        broken("is not nullable any more".to_owned());
    }
    let open = "x-kubernetes-preserve-unknown-fields";
    if old[open] == true && new[open] != true {
        broken("drops unknown fields".to_owned());
    }
    let rules = |schema: &Value| -> BTreeSet<String> {
        let rules = schema["x-kubernetes-validations"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        rules
            .iter()
            .filter_map(|rule| rule["rule"].as_str().map(str::to_owned))
            .collect()
    };
    let as_pattern = old["pattern"]
        .as_str()
        .map(|pattern| format!("self.matches(r\"{pattern}\")"));
    for rule in rules(new).difference(&rules(old)) {
        if !is_harmless(rule) && Some(rule) != as_pattern.as_ref() {
            broken(format!("a new rule: {rule}"));
        }
    }
    for (name, old) in old["properties"].as_object().into_iter().flatten() {
        match new["properties"].get(name) {
            Some(new) => found.extend(breaks(&format!("{at}.{name}"), old, new)),
            None => found.push(format!("{at}.{name}: is gone")),
        }
    }
    for inner in ["items", "additionalProperties"] {
        if old[inner].is_object() {
            found.extend(breaks(&format!("{at}[]"), &old[inner], &new[inner]));
        }
    }
    found
}

fn texts(list: &Value) -> BTreeSet<String> {
    list.as_array().into_iter().flatten().map(Value::to_string).collect()
}

/// Kubernetes answers with the bare pattern, which tells most people nothing. A rule in a list within a list would cost
/// more than Kubernetes allows.
#[test]
fn only_patterns_within_lists_of_lists_have_no_message() {
    const BARE: [&str; 4] = [
        "access[].clients.serverUriHosts[]",
        "access[].clients.uriHosts[]",
        "access[].namespaces.selector.matchExpressions[].values[]",
        "allowedNamespaces.selector.matchExpressions[].values[]",
    ];
    fn bare(at: &str, schema: &Value, found: &mut BTreeSet<String>) {
        if schema["pattern"].is_string() {
            found.insert(at.to_owned());
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let at = if at.is_empty() {
                name.clone()
            } else {
                format!("{at}.{name}")
            };
            bare(&at, property, found);
        }
        for inner in ["items", "additionalProperties"] {
            if schema[inner].is_object() {
                bare(&format!("{at}[]"), &schema[inner], found);
            }
        }
    }
    let mut found = BTreeSet::new();
    for crd in oidc_operator::api::crds() {
        let crd = serde_json::to_value(crd).expect("JSON");
        for version in crd["spec"]["versions"].as_array().expect("versions") {
            bare("", &schema(version)["properties"]["spec"], &mut found);
        }
    }
    assert_eq!(found, BARE.map(str::to_owned).into());
}

#[test]
fn what_would_break_stored_objects_is_found() {
    let old = json!({ "type": "object", "required": ["a"], "properties": {
        "a": { "type": "string", "enum": ["x", "y"], "maxLength": 5 },
        "b": { "type": "array", "items": { "type": "string" }, "x-kubernetes-list-type": "set" },
        "c": { "type": "object", "additionalProperties": { "type": "string" }, "x-kubernetes-preserve-unknown-fields": true },
        "d": { "type": "integer", "minimum": 1, "nullable": true, "default": 3 },
    } });
    assert_eq!(breaks("", &old, &old), [""; 0]);
    let changed = |pointer: &str, value: Value| {
        let mut new = old.clone();
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        let parent = new
            .pointer_mut(parent)
            .and_then(Value::as_object_mut)
            .expect("a parent");
        match value {
            Value::Null => drop(parent.remove(key)),
            value => drop(parent.insert(key.to_owned(), value)),
        }
        breaks("", &old, &new).len()
    };
    for (pointer, value) in [
        ("/properties/a", json!(null)),
        ("/properties/a/type", json!("integer")),
        ("/properties/a/enum", json!(["x"])),
        ("/properties/a/maxLength", json!(4)),
        ("/properties/a/pattern", json!("^a$")),
        ("/properties/a/minLength", json!(1)),
        ("/properties/b/maxItems", json!(100)),
        ("/properties/b/items", json!({ "type": "string", "format": "uri" })),
        ("/properties/b/x-kubernetes-list-type", json!(null)),
        (
            "/properties/c/additionalProperties",
            json!({ "type": "string", "enum": ["x"] }),
        ),
        ("/properties/c/x-kubernetes-preserve-unknown-fields", json!(null)),
        ("/properties/d/minimum", json!(2)),
        ("/properties/d/nullable", json!(null)),
        ("/properties/d/default", json!(4)),
        ("/required", json!(["a", "b"])),
        ("/x-kubernetes-validations", json!([{ "rule": "self.d > 2" }])),
    ] {
        assert_ne!(changed(pointer, value.clone()), 0, "{pointer}: {value}");
    }
    for (pointer, value) in [
        ("/properties/e", json!({ "type": "string" })),
        ("/properties/a/enum", json!(["x", "y", "z"])),
        ("/properties/a/enum", json!(null)),
        ("/properties/a/maxLength", json!(null)),
        ("/properties/a/description", json!("Other words.")),
        ("/properties/d/minimum", json!(0)),
        ("/required", json!([])),
    ] {
        assert_eq!(changed(pointer, value.clone()), 0, "{pointer}: {value}");
    }
}
