//! Whether two AuthorizationServers lead to the same place, where an object can have only one owner.

use super::{AuthorizationServer, Flavour};

impl AuthorizationServer {
    /// Whether the objects of both are in the same place: on the same server and, if it has namespaces, in the same
    /// one.
    pub fn is_same_place(&self, other: &AuthorizationServer) -> bool {
        let is_same_url = |one: &str, other: &str| bare(one) == bare(other);
        match (self.spec.flavour(), other.spec.flavour()) {
            (Some(Flavour::Vault(first)), Some(Flavour::Vault(second))) => {
                namespace(&first.namespace) == namespace(&second.namespace)
                    && (is_same_url(&first.address, &second.address) || is_same(cluster(self), cluster(other)))
            }
            (Some(Flavour::Hydra(first)), Some(Flavour::Hydra(second))) => {
                is_same_url(&first.admin_url, &second.admin_url) || is_same(issuer(self), issuer(other))
            }
            (Some(Flavour::Foulkon(first)), Some(Flavour::Foulkon(second))) => {
                is_same_url(&first.worker_url, &second.worker_url)
            }
            _ => false,
        }
    }
}

fn is_same(one: Option<&str>, other: Option<&str>) -> bool {
    one.is_some() && one == other
}

fn cluster(server: &AuthorizationServer) -> Option<&str> {
    server.status.as_ref()?.cluster_id.as_deref()
}

fn issuer(server: &AuthorizationServer) -> Option<&str> {
    let endpoints = server.status.as_ref()?.endpoints.as_ref()?;
    Some(endpoints.issuer.as_str()).filter(|issuer| !issuer.is_empty())
}

fn namespace(named: &Option<String>) -> &str {
    named.as_deref().unwrap_or_default().trim_matches('/')
}

/// A URL in the form in which two spellings of it are equal.
fn bare(url: &str) -> String {
    url.trim_end_matches('/').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn server(spec: Value, status: Value) -> AuthorizationServer {
        serde_json::from_value(json!({ "metadata": { "name": "s" }, "spec": spec, "status": status }))
            .expect("a server")
    }

    /// `ADDRESS NAMESPACE CLUSTER`; a dash stands for none.
    fn vault(text: &str) -> AuthorizationServer {
        let parts: Vec<Value> = text
            .split(' ')
            .map(|part| if part == "-" { Value::Null } else { json!(part) })
            .collect();
        let auth = json!({ "token": { "secretRef": { "name": "a", "key": "b" } } });
        let spec = json!({ "vault": { "address": parts[0], "namespace": parts[1], "auth": auth } });
        server(spec, json!({ "clusterId": parts[2] }))
    }

    /// `URL ISSUER`.
    fn hydra(text: &str) -> AuthorizationServer {
        let (url, issuer) = text.split_once(' ').expect("two parts");
        let endpoints = json!({ "issuer": issuer.trim_matches('-') });
        server(
            json!({ "hydra": { "adminUrl": url } }),
            json!({ "endpoints": endpoints }),
        )
    }

    #[test]
    fn two_servers_are_the_same_place_by_address_or_by_what_the_server_tells() {
        for (one, other, expected) in [
            ("https://v:8200 - -", "https://V:8200/ - -", true),
            ("https://v:8200 - -", "https://w:8200 - -", false),
            ("https://v:8200 - c", "https://w:8200 - c", true),
            ("https://v:8200 - c", "https://w:8200 - d", false),
            ("https://v:8200 a c", "https://v:8200 b c", false),
            ("https://v:8200 a/ -", "https://v:8200 a -", true),
        ] {
            assert_eq!(vault(one).is_same_place(&vault(other)), expected, "{one} {other}");
        }
        for (one, other, expected) in [
            ("http://h:4445 -", "http://h:4445/ -", true),
            ("http://h:4445 -", "http://i:4445 -", false),
            ("http://h:4445 https://id", "http://i:4445 https://id", true),
        ] {
            assert_eq!(hydra(one).is_same_place(&hydra(other)), expected, "{one} {other}");
        }
        assert!(!hydra("http://h:1 -").is_same_place(&vault("http://h:1 - -")));
    }
}
