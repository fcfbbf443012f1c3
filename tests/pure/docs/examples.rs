//! Every manifest in the documentation, and every sample, has only fields that exist, of the right type, and all that are
//! required. What the validation rules say is tested by the Kubernetes API itself (`manifests` among the cluster tests).

use std::collections::BTreeMap;

use serde_json::Value;

use super::{files, pages, read};

/// Among the schemas, that of the chart's values.
const VALUES: &str = "values of the chart";

/// Schema of each kind, and of the chart's values.
fn schemas() -> BTreeMap<String, Value> {
    let values = serde_json::from_str(&read("charts/oidc-operator/values.schema.json")).expect("JSON");
    let crds = oidc_operator::api::crds().into_iter();
    crds.map(|crd| {
        let kind = crd.spec.names.kind.clone();
        let crd = serde_json::to_value(crd).expect("JSON");
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        (kind, schema.clone())
    })
    .chain([(VALUES.to_owned(), values)])
    .collect()
}

/// How strictly an object is compared with its schema.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// The whole object.
    Whole,
    /// A part of it, in which required fields may be missing.
    Part,
}

/// What in a value does not fit its schema.
fn faults(at: &str, value: &Value, schema: &Value, extent: Extent, found: &mut Vec<String>) {
    let fits = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64(),
        Some("boolean") => value.is_boolean(),
        _ => true,
    };
    if !fits {
        found.push(format!("{at}: {value} is not of type {}", schema["type"]));
        return;
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        found.push(format!("{at}: {value} is none of {}", schema["enum"]));
    }
    let is_open = schema["x-kubernetes-preserve-unknown-fields"] == true;
    if let (Some(members), Some(properties)) = (value.as_object(), schema["properties"].as_object()) {
        for (name, value) in members {
            match properties.get(name) {
                Some(schema) => faults(&format!("{at}.{name}"), value, schema, extent, found),
                None if is_open => {}
                None => found.push(format!("{at}.{name}: there is no such field")),
            }
        }
        let required = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        let missing = required.filter(|name| extent == Extent::Whole && !members.contains_key(*name));
        found.extend(missing.map(|name| format!("{at}.{name} is missing")));
    }
    for item in value.as_array().into_iter().flatten() {
        faults(&format!("{at}[]"), item, &schema["items"], extent, found);
    }
}

/// What is wrong with a document. Parts of manifests must fit at least one kind. Objects of other groups are not examined.
fn of_document(document: &Value, schemas: &BTreeMap<String, Value>) -> Vec<String> {
    let version = document["apiVersion"].as_str();
    if version.is_some_and(|version| !version.starts_with("oidc-operator.dev/")) {
        return Vec::new();
    }
    let kind = document["kind"].as_str().unwrap_or_default();
    let mut found = Vec::new();
    if version.is_some() {
        let Some(schema) = schemas.get(kind) else {
            return vec![format!("there is no kind {kind}")];
        };
        let mut schema = schema.clone();
        for name in ["apiVersion", "kind", "metadata"] {
            schema["properties"][name] = Value::Object(Default::default());
        }
        if document["metadata"]["name"].as_str().is_none() {
            found.push(format!("{kind}: metadata.name is missing"));
        }
        faults(kind, document, &schema, Extent::Whole, &mut found);
        return found;
    }
    // `spec:` of some kind, fields of one such as `access:`, or values of the chart.
    let parts = schemas.iter().flat_map(|(kind, schema)| match kind.as_str() {
        VALUES => vec![(kind, document, schema)],
        _ => {
            let spec = &schema["properties"]["spec"];
            vec![(kind, &document["spec"], spec), (kind, document, spec)]
        }
    });
    let parts = parts.filter(|(_, part, _)| part.is_object());
    let found = parts.map(|(kind, part, schema)| {
        let mut found = Vec::new();
        faults(kind, part, schema, Extent::Part, &mut found);
        found
    });
    // What fits best: the fewest faults, and those that are deepest.
    let depth = |faults: &Vec<String>| faults.iter().map(|fault| fault.matches('.').count()).max();
    found
        .min_by_key(|faults| (faults.len(), std::cmp::Reverse(depth(faults))))
        .unwrap_or_default()
}

/// Parts of manifests of other programs begin with one of these.
const FOREIGN: [&str; 5] = ["containers", "env", "inhibit_rules", "rule_files", "serve"];

fn is_foreign(document: &Value) -> bool {
    let members = document.as_object().into_iter().flat_map(|members| members.keys());
    let mut members = members.peekable();
    members.peek().is_none_or(|first| FOREIGN.contains(&first.as_str()))
}

/// The documents of all pages and samples, each with its place.
fn documents() -> Vec<(String, Value)> {
    let mut texts: Vec<(String, String)> = files("deploy/samples", ".yaml")
        .into_iter()
        .map(|path| (path.clone(), read(&path)))
        .collect();
    for page in pages() {
        let blocks = page.parts().blocks.into_iter().filter(|block| block.language == "yaml");
        texts.extend(blocks.map(|block| (page.path.clone(), block.text)));
    }
    let mut found = Vec::new();
    for (path, text) in texts {
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect(&path);
        found.extend(documents.into_iter().map(|document| (path.clone(), document)));
    }
    found
}

#[test]
fn every_manifest_fits_its_kind() {
    let schemas = schemas();
    let (mut broken, mut examined) = (Vec::new(), 0);
    for (path, document) in documents().iter().filter(|(_, document)| !is_foreign(document)) {
        examined += 1;
        let faults = of_document(document, &schemas);
        broken.extend(faults.into_iter().map(|fault| format!("{path}: {fault}")));
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(examined > 60, "only {examined} manifests were found");
}

#[test]
fn manifests_that_do_not_fit_are_found() {
    let table = [
        (
            "{apiVersion: oidc-operator.dev/v1alpha1, kind: OAuth2Client, metadata: {name: a}, spec: {redirectUris: [a]}}",
            "",
        ),
        (
            "{apiVersion: oidc-operator.dev/v1alpha1, kind: OAuth2Client, metadata: {name: a}, spec: {redirectUri: [a]}}",
            "redirectUri",
        ),
        (
            "{apiVersion: oidc-operator.dev/v1alpha1, kind: OAuth2Client, metadata: {name: a}, spec: {redirectUris: a}}",
            "redirectUris",
        ),
        (
            "{apiVersion: oidc-operator.dev/v1alpha1, kind: OAuth2Client, metadata: {name: a}, spec: {clientType: public}}",
            "clientType",
        ),
        (
            "{apiVersion: oidc-operator.dev/v1alpha1, kind: OAuth2Client, spec: {}}",
            "metadata.name",
        ),
        (
            "{apiVersion: oidc-operator.dev/v1alpha1, kind: AuthorizationServer, metadata: {name: a}, spec: {hydra: {}}}",
            "adminUrl",
        ),
        (
            "{apiVersion: oidc-operator.dev/v1alpha1, kind: Client, metadata: {name: a}}",
            "no kind",
        ),
        ("{spec: {hydra: {version: V2}}}", ""),
        ("{spec: {hydra: {adminUri: x}}}", "adminUri"),
        ("{access: [{kinds: [OAuth2Client]}]}", ""),
        ("{access: [{kind: OAuth2Client}]}", "kind"),
        ("{clusterId: one, log: {level: debug}}", ""),
        ("{clusterUid: one, log: {level: debug}}", "clusterUid"),
        ("{apiVersion: v1, kind: Secret, data: {x: 1}}", ""),
    ];
    let schemas = schemas();
    for (text, expected) in table {
        let document: Value = serde_saphyr::from_str(text).expect("YAML");
        let found = of_document(&document, &schemas).join("\n");
        assert!(
            found.contains(expected) && found.is_empty() == expected.is_empty(),
            "{text}: {found}"
        );
    }
}
