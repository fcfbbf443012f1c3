//! What the schema of AuthorizationServer refuses, word for word.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::clients::bare;
use crate::bed::Bed;
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![side.shared(the_schema_of_servers_refuses_word_for_word)]
}

/// A spec, and what is said to it.
const SPECS: &[(&str, &str)] = &[
    (
        "{}",
        "spec: Invalid value: set exactly one of hydra, vault and foulkon: it says which API the server speaks",
    ),
    ("hydra: {}", "spec.hydra.adminUrl: Required value"),
    (
        "hydra: { adminUrl: 'hydra-admin:4445' }",
        r#"spec.hydra.adminUrl: Invalid value: "hydra-admin:4445": spec.hydra.adminUrl in body should match '^https?://[^/?#@\s]+(/[^?#\s]*)?$'"#,
    ),
    (
        "hydra: { adminUrl: 'ftp://hydra-admin' }",
        r#"spec.hydra.adminUrl: Invalid value: "ftp://hydra-admin": spec.hydra.adminUrl in body should match '^https?://[^/?#@\s]+(/[^?#\s]*)?$'"#,
    ),
    (
        "hydra: { adminUrl: 'http://user:password@hydra-admin:4445' }",
        r#"spec.hydra.adminUrl: Invalid value: "http://user:password@hydra-admin:4445": spec.hydra.adminUrl in body should match '^https?://[^/?#@\s]+(/[^?#\s]*)?$'"#,
    ),
    (
        "hydra: { adminUrl: 'http://hydra-admin:4445/?x=y' }",
        r#"spec.hydra.adminUrl: Invalid value: "http://hydra-admin:4445/?x=y": spec.hydra.adminUrl in body should match '^https?://[^/?#@\s]+(/[^?#\s]*)?$'"#,
    ),
    (
        "hydra: { adminUrl: 'http://hydra-admin:4445', publicUrl: 'https://id.example.com#top' }",
        r#"spec.hydra.publicUrl: Invalid value: "https://id.example.com#top": spec.hydra.publicUrl in body should match '^https?://[^/?#@\s]+(/[^?#\s]*)?$'"#,
    ),
    (
        "hydra: { adminUrl: 'http://hydra-admin:4445', issuer: 'https://id.example.com' }",
        "spec.hydra.issuer: Invalid value: issuer: goes with publicUrl, where the issuer is looked up",
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
        "hydra: { adminUrl: 'http://hydra-admin:4445', auth: { bearerToken: { secretRef: { name: ../a, key: token } } } }",
        r#"spec.hydra.auth.bearerToken.secretRef.name: Invalid value: "../a": spec.hydra.auth.bearerToken.secretRef.name in body should match '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$'"#,
    ),
    (
        "hydra: { adminUrl: 'http://hydra-admin:4445', auth: { headers: [{ name: 'X Key', secretRef: { name: a, key: token } }] } }",
        r#"spec.hydra.auth.headers[0].name: Invalid value: "X Key": spec.hydra.auth.headers[0].name in body should match '^[A-Za-z0-9!#$%&'*+.^_`|~-]+$'"#,
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
        r#"spec.resyncInterval: Invalid value: "900ms": resyncInterval: at least 1s"#,
    ),
    (
        "{ hydra: { adminUrl: 'http://hydra-admin:4445' }, resyncInterval: hourly }",
        r#"spec.resyncInterval: Invalid value: "hourly": spec.resyncInterval in body should match '^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$'"#,
    ),
    (
        "{ hydra: { adminUrl: 'http://hydra-admin:4445' }, onRevoked: Orphan }",
        r#"spec.onRevoked: Unsupported value: "Orphan": supported values: "Keep", "Delete""#,
    ),
    (
        "{ hydra: { adminUrl: 'http://hydra-admin:4445' }, access: [{ namespaces: { from: All, names: [a] }, kinds: [OAuth2Client] }] }",
        "spec.access[0].namespaces.names: Invalid value: names: goes with from: Names, and from: Names needs it",
    ),
    (
        "{ hydra: { adminUrl: 'http://hydra-admin:4445' }, access: [{ namespaces: { from: Names }, kinds: [OAuth2Client] }] }",
        "spec.access[0].namespaces.names: Invalid value: names: goes with from: Names, and from: Names needs it",
    ),
    (
        "{ hydra: { adminUrl: 'http://hydra-admin:4445' }, access: [{ namespaces: { from: Selector }, kinds: [OAuth2Client] }] }",
        "spec.access[0].namespaces.selector: Invalid value: selector: goes with from: Selector, and from: Selector needs it",
    ),
    (
        "{ hydra: { adminUrl: 'http://hydra-admin:4445' }, access: [{ namespaces: { from: Names, names: [a], selector: {} }, kinds: [OAuth2Client] }] }",
        "spec.access[0].namespaces.selector: Invalid value: selector: goes with from: Selector, and from: Selector needs it",
    ),
    (
        "{ hydra: { adminUrl: 'http://hydra-admin:4445' }, access: [{ namespaces: { from: All }, kinds: [OAuth2Clients] }] }",
        r#"spec.access[0].kinds[0]: Unsupported value: "OAuth2Clients": supported values: "OAuth2Client", "Scope", "Assignment", "JsonWebKeySet", "OidcProvider""#,
    ),
    (
        "{ hydra: { adminUrl: 'http://hydra-admin:4445' }, access: [{ namespaces: { from: All }, kinds: [] }] }",
        "spec.access[0].kinds: Invalid value: 0: spec.access[0].kinds in body should have at least 1 items",
    ),
    (
        "{ hydra: { adminUrl: 'http://hydra-admin:4445' }, access: [{ namespaces: { from: All }, kinds: [OAuth2Client], clients: { uriHosts: ['https://x'] } }] }",
        r#"spec.access[0].clients.uriHosts[0]: Invalid value: "https://x": spec.access[0].clients.uriHosts[0] in body should match '^((\*\.)?[a-zA-Z0-9_.-]+|\[[0-9a-fA-F:.]+\])$'"#,
    ),
];

async fn the_schema_of_servers_refuses_word_for_word(bed: &Bed) -> Result<()> {
    let home = bed.home();
    let mut wrong = Vec::new();
    for (spec, expected) in SPECS {
        let spec: Value = serde_yaml_ng::from_str(spec)?;
        let manifest = json!({
            "apiVersion": "oidc-operator.dev/v1alpha1",
            "kind": "AuthorizationServer",
            "metadata": { "name": "refused" },
            "spec": spec,
        });
        let said = home.refusal(&manifest.to_string()).await?;
        let said = bare(&said);
        if said != *expected {
            wrong.push(format!("GIVEN {spec}\nSAID  {said}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(bed.servers_api().get_opt("refused").await?.is_none(), "one was stored");
    Ok(())
}
