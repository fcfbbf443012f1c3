//! Kubeconfig files with everything embedded.

use k8s_openapi::ByteString;
use serde_json::{Value, json};

/// A kubeconfig (YAML) that logs in with a client certificate. All certificates and keys are PEM.
#[must_use]
pub fn with_certificate(server_url: &str, ca_pem: &str, cert_pem: &str, key_pem: &str) -> String {
    let user = json!({
        "client-certificate-data": base64(cert_pem),
        "client-key-data": base64(key_pem),
    });
    kubeconfig(server_url, ca_pem, &user)
}

/// A kubeconfig (YAML) that logs in with a bearer token.
#[must_use]
pub fn with_token(server_url: &str, ca_pem: &str, token: &str) -> String {
    kubeconfig(server_url, ca_pem, &json!({ "token": token }))
}

fn kubeconfig(server_url: &str, ca_pem: &str, user: &Value) -> String {
    let cluster = json!({ "server": server_url, "certificate-authority-data": base64(ca_pem) });
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "testbed", "cluster": cluster }],
        "users": [{ "name": "testbed", "user": user }],
        "contexts": [{ "name": "testbed", "context": { "cluster": "testbed", "user": "testbed" } }],
        "current-context": "testbed",
    });
    serde_saphyr::to_string(&config).expect("a tree of strings is valid YAML")
}

/// Kubernetes' byte strings are base64 when serialised.
fn base64(text: &str) -> ByteString {
    ByteString(text.as_bytes().to_vec())
}
