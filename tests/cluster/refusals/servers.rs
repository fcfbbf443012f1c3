//! What the schema of AuthorizationServer refuses, with the exact messages.

use anyhow::{Result, ensure};
use kube::api::PostParams;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::clients::bare;
use crate::bed::Bed;
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(invalid_servers_are_refused_with_exact_messages),
        side.shared(invalid_access_rules_are_refused),
    ]
}

/// A spec, and the message that refuses it.
const SPECS: &[(&str, &str)] = &[
    (
        "{}",
        "spec: Invalid value: hydra, vault and foulkon select the API of the server; set exactly one of them",
    ),
    ("hydra: {}", "spec.hydra.adminUrl: Required value"),
    (
        "hydra: { adminUrl: 'hydra-admin:4445' }",
        r#"spec.hydra.adminUrl: Invalid value: "hydra-admin:4445": not a URL as needed here; start it with https:// or http://, and use no user name, query, fragment or space"#,
    ),
    (
        "hydra: { adminUrl: 'ftp://hydra-admin' }",
        r#"spec.hydra.adminUrl: Invalid value: "ftp://hydra-admin": not a URL as needed here; start it with https:// or http://, and use no user name, query, fragment or space"#,
    ),
    (
        "hydra: { adminUrl: 'http://user:password@hydra-admin:4445' }",
        r#"spec.hydra.adminUrl: Invalid value: "http://user:password@hydra-admin:4445": not a URL as needed here; start it with https:// or http://, and use no user name, query, fragment or space"#,
    ),
    (
        "hydra: { adminUrl: 'http://hydra-admin:4445/?x=y' }",
        r#"spec.hydra.adminUrl: Invalid value: "http://hydra-admin:4445/?x=y": not a URL as needed here; start it with https:// or http://, and use no user name, query, fragment or space"#,
    ),
    (
        "hydra: { adminUrl: 'http://hydra-admin:4445', publicUrl: 'https://id.example.com#top' }",
        r#"spec.hydra.publicUrl: Invalid value: "https://id.example.com#top": not a URL as needed here; start it with https:// or http://, and use no user name, query, fragment or space"#,
    ),
    (
        "hydra: { adminUrl: 'http://hydra-admin:4445', issuer: 'https://id.example.com' }",
        "spec.hydra.issuer: Invalid value: issuer: needs publicUrl, where the operator reads the issuer; set publicUrl or leave issuer out",
    ),
    (
        "hydra: { adminUrl: 'http://hydra-admin:4445', version: V3 }",
        r#"spec.hydra.version: Unsupported value: "V3": supported values: "Auto", "V1", "V2""#,
    ),
    (
        "hydra: { adminUrl: 'http://hydra-admin:4445', forwardedProto: HTTPS }",
        r#"spec.hydra.forwardedProto: Unsupported value: "HTTPS": supported values: "http", "https""#,
    ),
    (
        "hydra: { adminUrl: 'http://hydra-admin:4445', auth: { bearerToken: { secretRef: { name: a, key: token } }, basic: { secretRef: { name: a } } } }",
        "spec.hydra.auth: Invalid value: auth: set bearerToken or basic, not both",
    ),
    (
        "{ orphans: Delete, foulkon: { workerUrl: 'http://foulkon', auth: { basic: { secretRef: { name: a } } } } }",
        "spec.orphans: Invalid value: orphans: Delete needs hydra, because objects on other servers carry no marker; leave it out",
    ),
    (
        "vault: { address: 'http://vault', auth: { jwt: { role: a } } }",
        "spec.vault.auth.jwt: Invalid value: auth.jwt: set exactly one of serviceAccount and secretRef",
    ),
    (
        "hydra: { adminUrl: 'http://hydra-admin:4445', auth: { bearerToken: { secretRef: { name: ../a, key: token } } } }",
        r#"spec.hydra.auth.bearerToken.secretRef.name: Invalid value: "../a": not a name of a Kubernetes object; use only lowercase letters, digits, dashes and dots, and start and end with a letter or digit"#,
    ),
    (
        "hydra: { adminUrl: 'http://hydra-admin:4445', auth: { headers: [{ name: 'X Key', secretRef: { name: a, key: token } }] } }",
        r#"spec.hydra.auth.headers[0].name: Invalid value: "X Key": not the name of a header; use no spaces, colons or other separators"#,
    ),
    (
        "{ hydra: { adminUrl: 'http://hydra-admin:4445' }, tls: { insecureSkipVerify: true } }",
        "failed to create typed patch object (/refused; oidc-operator.dev/v1alpha1, Kind=AuthorizationServer): .spec.tls.insecureSkipVerify: field not declared in schema",
    ),
    (
        "{ hydra: { adminUrl: 'http://hydra-admin:4445' }, tls: { caRef: { kind: File, name: a, key: ca.crt } } }",
        r#"spec.tls.caRef.kind: Unsupported value: "File": supported values: "ConfigMap", "Secret""#,
    ),
    (
        "{ hydra: { adminUrl: 'http://hydra-admin:4445' }, resyncInterval: 900ms }",
        r#"spec.resyncInterval: Invalid value: "900ms": resyncInterval: must be at least 1s"#,
    ),
    (
        "{ hydra: { adminUrl: 'http://hydra-admin:4445' }, resyncInterval: hourly }",
        r#"spec.resyncInterval: Invalid value: "hourly": not a duration; write a number and a unit of ms, s, m or h, such as 90m; 90 days are 2160h"#,
    ),
    (
        "{ hydra: { adminUrl: 'http://hydra-admin:4445' }, onRevoked: Orphan }",
        r#"spec.onRevoked: Unsupported value: "Orphan": supported values: "Keep", "Delete""#,
    ),
    (
        "{ hydra: { adminUrl: 'http://hydra-admin:4445' }, access: [{ namespaces: { from: All, names: [a] }, kinds: [OAuth2Client] }] }",
        "spec.access[0].namespaces.names: Invalid value: names: set it with from: Names, and only then",
    ),
    (
        "{ hydra: { adminUrl: 'http://hydra-admin:4445' }, access: [{ namespaces: { from: Names }, kinds: [OAuth2Client] }] }",
        "spec.access[0].namespaces.names: Invalid value: names: set it with from: Names, and only then",
    ),
    (
        "{ hydra: { adminUrl: 'http://hydra-admin:4445' }, access: [{ namespaces: { from: Selector }, kinds: [OAuth2Client] }] }",
        "spec.access[0].namespaces.selector: Invalid value: selector: set it with from: Selector, and only then",
    ),
    (
        "{ hydra: { adminUrl: 'http://hydra-admin:4445' }, access: [{ namespaces: { from: Names, names: [a], selector: {} }, kinds: [OAuth2Client] }] }",
        "spec.access[0].namespaces.selector: Invalid value: selector: set it with from: Selector, and only then",
    ),
    (
        "{ hydra: { adminUrl: 'http://hydra-admin:4445' }, access: [{ namespaces: { from: All }, kinds: [OAuth2Clients] }] }",
        r#"spec.access[0].kinds[0]: Unsupported value: "OAuth2Clients": supported values: "OAuth2Client", "Scope", "Assignment", "JsonWebKeySet", "OidcProvider""#,
    ),
    (
        "{ hydra: { adminUrl: 'http://hydra-admin:4445' }, access: [{ namespaces: { from: All }, kinds: [] }] }",
        "spec.access[0].kinds: Invalid value: 0: spec.access[0].kinds in body should have at least 1 items",
    ),
];

/// What an access rule has besides namespaces and kinds, and the start of the message that refuses it.
const RULES: &[(&str, &str)] = &[
    (
        "clients: { uriHosts: ['https://x'] }",
        r#"clients.uriHosts[0]: Invalid value: "https://x": spec.access[0].clients.uriHosts[0] in body should match"#,
    ),
    (
        "clients: { uriHosts: ['javascript:'] }",
        r#"clients.uriHosts[0]: Invalid value: "javascript:""#,
    ),
    (
        "clients: { uriHosts: ['data:'] }",
        r#"clients.uriHosts[0]: Invalid value: "data:""#,
    ),
    (
        "clients: { uriHosts: ['http:'] }",
        r#"clients.uriHosts[0]: Invalid value: "http:""#,
    ),
    (
        "clients: { uriHosts: ['https:'] }",
        r#"clients.uriHosts[0]: Invalid value: "https:""#,
    ),
    (
        "clients: { uriHosts: ['localhost:0'] }",
        r#"clients.uriHosts[0]: Invalid value: "localhost:0""#,
    ),
    (
        "clients: { uriHosts: ['me@localhost'] }",
        r#"clients.uriHosts[0]: Invalid value: "me@localhost""#,
    ),
    (
        "clients: { serverUriHosts: ['com.example.app:'] }",
        r#"clients.serverUriHosts[0]: Invalid value: "com.example.app:""#,
    ),
    (
        "clients: { serverUriHosts: ['https://x'] }",
        r#"clients.serverUriHosts[0]: Invalid value: "https://x""#,
    ),
    (
        "minRotationPeriod: hourly",
        r#"minRotationPeriod: Invalid value: "hourly""#,
    ),
    (
        "minRotationPeriod: 99999999999h",
        r#"minRotationPeriod: Invalid value: "string": type conversion error from 'string' to 'google.protobuf.Duration' evaluating rule: minRotationPeriod: the duration is too long; set a shorter one"#,
    ),
];

/// A label selector, and the start of the message that refuses it.
const SELECTORS: &[(&str, &str)] = &[
    (
        "matchExpressions: [{ key: a, operator: NotIn }]",
        "matchExpressions[0].values: Invalid value: values: In and NotIn need at least one value, Exists and DoesNotExist take none",
    ),
    (
        "matchExpressions: [{ key: a, operator: In, values: [] }]",
        "matchExpressions[0].values: Invalid value: values: In and NotIn need at least one value, Exists and DoesNotExist take none",
    ),
    (
        "matchExpressions: [{ key: a, operator: Exists, values: [b] }]",
        "matchExpressions[0].values: Invalid value: values: In and NotIn need at least one value, Exists and DoesNotExist take none",
    ),
    (
        "matchExpressions: [{ key: a, operator: Equals, values: [b] }]",
        r#"matchExpressions[0].operator: Unsupported value: "Equals": supported values: "In", "NotIn", "Exists", "DoesNotExist""#,
    ),
    (
        "matchExpressions: [{ key: a b, operator: Exists }]",
        "matchExpressions[0].key: Invalid value: key: not a valid Kubernetes label key; it must be a name of up to 63 letters, digits, dashes, dots and underscores, optionally with a DNS name and a slash before it",
    ),
    (
        "matchExpressions: [{ key: a, operator: In, values: [b c] }]",
        r#"matchExpressions[0].values[0]: Invalid value: "b c""#,
    ),
    (
        "matchLabels: { a b: c }",
        "matchLabels: Invalid value: matchLabels: not valid Kubernetes labels; a key must be a name of up to 63 letters, digits, dashes, dots and underscores, optionally with a DNS name and a slash before it, and a value must be such a name or empty",
    ),
    (
        "matchLabels: { example.com/a: b c }",
        "matchLabels: Invalid value: matchLabels: not valid Kubernetes labels;",
    ),
];

async fn invalid_servers_are_refused_with_exact_messages(bed: &Bed) -> Result<()> {
    let mut wrong = Vec::new();
    for (spec, expected) in SPECS {
        let spec: Value = serde_saphyr::from_str(spec)?;
        let said = refusal(bed, "AuthorizationServer", &spec).await?;
        if said != *expected {
            wrong.push(format!("GIVEN {spec}\nSAID  {said}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(
        bed.servers_api().get_opt("refused").await?.is_none(),
        "an invalid server was stored"
    );
    Ok(())
}

async fn refusal(bed: &Bed, kind: &str, spec: &Value) -> Result<String> {
    let manifest = json!({
        "apiVersion": "oidc-operator.dev/v1alpha1", "kind": kind, "metadata": { "name": "refused" }, "spec": spec,
    });
    Ok(bare(&bed.home().refusal(&manifest.to_string()).await?).to_owned())
}

/// A spec with one access rule that has these members besides namespaces and kinds.
fn with_rule(rule: Value) -> Value {
    let mut whole = json!({ "namespaces": { "from": "All" }, "kinds": ["OAuth2Client"] });
    let members = whole.as_object_mut().into_iter();
    members.for_each(|members| members.extend(rule.as_object().cloned().unwrap_or_default()));
    json!({ "hydra": { "adminUrl": "http://hydra-admin:4445" }, "access": [whole] })
}

async fn invalid_access_rules_are_refused(bed: &Bed) -> Result<()> {
    let mut wrong = Vec::new();
    for (rule, expected) in RULES {
        let spec = with_rule(serde_saphyr::from_str(rule)?);
        let said = refusal(bed, "AuthorizationServer", &spec).await?;
        if !said.starts_with(&format!("spec.access[0].{expected}")) {
            wrong.push(format!("GIVEN {rule}\nSAID  {said}"));
        }
    }
    for (selector, expected) in SELECTORS {
        let selector: Value = serde_saphyr::from_str(selector)?;
        let choice = json!({ "from": "Selector", "selector": selector });
        let server = with_rule(json!({ "namespaces": choice }));
        let provider = json!({ "allowedNamespaces": choice });
        for (kind, spec, path) in [
            ("AuthorizationServer", server, "spec.access[0].namespaces.selector"),
            ("OidcProvider", provider, "spec.allowedNamespaces.selector"),
        ] {
            let said = refusal(bed, kind, &spec).await?;
            if !said.starts_with(&format!("{path}.{expected}")) {
                wrong.push(format!("GIVEN {kind} {selector}\nSAID  {said}"));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The schema accepts what Kubernetes accepts.
    let selector = json!({ "matchLabels": { "example.com/a": "", "b_c.D": "x" }, "matchExpressions": [
        { "key": "a", "operator": "NotIn", "values": ["", "b"] }, { "key": "c", "operator": "DoesNotExist" },
    ] });
    let rule = with_rule(
        json!({ "namespaces": { "from": "Selector", "selector": selector }, "minRotationPeriod": "15m",
        "clients": { "uriHosts": ["localhost:8080", "[::1]:3000", "*.example.com:8443", "com.example.app:"],
            "serverUriHosts": ["*.example.com", "app.shop.svc:8443", "http://app.shop.svc:8080"] } }),
    );
    let server = serde_json::from_value(json!({ "metadata": { "name": "accepted" }, "spec": rule }))?;
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    bed.servers_api().create(&dry, &server).await?;
    Ok(())
}
