//! The closing trials must be able to fail: these tests check that they find what they look for.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::closing::canary::no_secret_was_seen;
use crate::closing::rbac::{every_right_was_used, grants, nothing_was_forbidden, request_of};
use crate::evidence::Evidence;
use crate::fields::the_table_knows_every_field;
use crate::run::pure;

/// The tests of this module.
pub fn trials() -> Vec<Trial> {
    vec![
        pure("fields::the_table_knows_every_field", the_table_knows_every_field),
        pure(
            "harness::a_canary_is_found_in_every_form",
            a_canary_is_found_in_every_form,
        ),
        pure("harness::an_unused_right_is_found", an_unused_right_is_found),
        pure(
            "harness::requests_are_read_as_the_authorizer_reads_them",
            requests_are_read_as_the_authorizer_reads_them,
        ),
    ]
}

/// `s3cret/+value ä` in all its forms, in base64 also after one and two other bytes.
fn a_canary_is_found_in_every_form() -> Result<()> {
    let seen = [
        "it is s3cret/+value ä!",
        "7333637265742f2b76616c756520c3a4",
        "7333637265742F2B76616C756520C3A4",
        "x=s3cret%2F%2Bvalue+%C3%A4&y",
        "czNjcmV0Lyt2YWx1ZSDDpA==",
        "OnMzY3JldC8rdmFsdWUgw6Q=",
        "YTpzM2NyZXQvK3ZhbHVlIMOk",
        "OnMzY3JldC8rdmFsdWUgw6Q-".trim_end_matches('-'),
    ];
    for text in seen {
        ensure!(no_secret_was_seen(&evidence(text)).is_err(), "overlooked in {text}");
    }
    no_secret_was_seen(&evidence("czNjcmV0Lyt2 s3cret value"))
}

fn evidence(text: &str) -> Evidence {
    Evidence {
        canaries: ["s3cret/+value ä".to_owned(), "another canary".to_owned()].into(),
        texts: vec![("somewhere".to_owned(), text.to_owned())],
        ..Evidence::default()
    }
}

fn an_unused_right_is_found() -> Result<()> {
    let role = json!({ "kind": "Role", "metadata": { "name": "r", "namespace": "home" }, "rules": [
        { "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": ["ours"], "verbs": ["get", "update"] },
    ] });
    let binding = json!({ "kind": "RoleBinding", "metadata": { "namespace": "home" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r" },
        "subjects": [{ "kind": "ServiceAccount", "name": "robot" }] });
    let manifests: [Value; 2] = [role, binding];
    ensure!(grants(&manifests, "nobody")?.is_empty());
    let mut evidence = Evidence {
        grants: grants(&manifests, "robot")?,
        ..Evidence::default()
    };
    let lease = |namespace: &str| format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/ours");
    evidence.requests.extend(request_of("GET", &lease("home")));
    evidence.requests.extend(request_of("PUT", &lease("elsewhere")));
    let error = every_right_was_used(&evidence)
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    ensure!(
        error.contains("update leases") && !error.contains("get leases"),
        "{error}"
    );
    evidence.requests.extend(request_of("PUT", &lease("home")));
    every_right_was_used(&evidence)?;
    evidence.forbidden.push("GET /api/v1/nodes".to_owned());
    ensure!(nothing_was_forbidden(&evidence).is_err());
    Ok(())
}

fn requests_are_read_as_the_authorizer_reads_them() -> Result<()> {
    let table = [
        ("GET", "/api/v1/namespaces/kube-system", "get//namespaces//kube-system"),
        ("GET", "/api/v1/namespaces?watch=true&limit=1", "watch//namespaces//"),
        ("PATCH", "/api/v1/namespaces/a/status", "patch//namespaces/status//a"),
        (
            "POST",
            "/api/v1/namespaces/a/secrets?fieldManager=x",
            "create//secrets/a/",
        ),
        ("DELETE", "/api/v1/namespaces/a/secrets/b", "delete//secrets/a/b"),
        ("DELETE", "/api/v1/namespaces/a/secrets", "deletecollection//secrets/a/"),
        ("GET", "/apis/g.dev/v1/things", "list/g.dev/things//"),
        (
            "PATCH",
            "/apis/g.dev/v1/namespaces/a/things/b/status",
            "patch/g.dev/things/status/a/b",
        ),
    ];
    for (method, target, expected) in table {
        let Some(request) = request_of(method, target) else {
            anyhow::bail!("{target} is not about a resource");
        };
        let [namespace, name] = [&request.namespace, &request.name].map(|part| part.clone().unwrap_or_default());
        let read = format!(
            "{}/{}/{}/{namespace}/{name}",
            request.verb, request.group, request.resource
        );
        ensure!(read == expected, "{read} instead of {expected}");
    }
    ensure!(request_of("GET", "/version").is_none());
    Ok(())
}
