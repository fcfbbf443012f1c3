//! Objects of the cluster, and requests to the servers.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::ListParams;
use kube::{Api, Resource};
use oidc_operator::api::{Assignment, AuthorizationServer, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::APPLICATIONS;
use crate::control_plane::{ControlPlane, Stored};
use crate::install::NAMESPACE;
use crate::proxy::Exchange;

/// The namespaces whose objects are kept. The UID of kube-system is the id of the cluster.
const NAMESPACES: [&str; 3] = ["kube-system", NAMESPACE, APPLICATIONS];

/// The objects that the operator has made or uses.
pub(super) async fn of(plane: &ControlPlane) -> Result<Vec<Stored>> {
    let mut all = Vec::new();
    all.extend(kept::<Namespace>(plane, "namespaces").await?);
    all.extend(kept::<Secret>(plane, "secrets").await?);
    all.extend(kept::<ConfigMap>(plane, "configmaps").await?);
    all.extend(kept::<AuthorizationServer>(plane, "oidc-operator.dev/authorizationservers").await?);
    all.extend(kept::<OAuth2Client>(plane, "oidc-operator.dev/oauth2clients").await?);
    all.extend(kept::<JsonWebKeySet>(plane, "oidc-operator.dev/jsonwebkeysets").await?);
    all.extend(kept::<OidcProvider>(plane, "oidc-operator.dev/oidcproviders").await?);
    all.extend(kept::<Scope>(plane, "oidc-operator.dev/scopes").await?);
    all.extend(kept::<Assignment>(plane, "oidc-operator.dev/assignments").await?);
    all.sort_by_key(|stored| stored.revision);
    Ok(all)
}

async fn kept<K>(plane: &ControlPlane, prefix: &str) -> Result<Vec<Stored>>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Serialize,
{
    let found = Api::<K>::all(plane.client()).list(&ListParams::default()).await?;
    let mut kept = Vec::new();
    for object in found {
        let (namespace, name) = (object.meta().namespace.clone(), object.meta().name.clone());
        let name = name.context("an object without a name")?;
        let is_kept = match &namespace {
            Some(namespace) => NAMESPACES.contains(&namespace.as_str()) && name != "kube-root-ca.crt",
            None => K::kind(&()) != "Namespace" || NAMESPACES.contains(&name.as_str()),
        };
        if !is_kept || namespace.as_deref() == Some("kube-system") {
            continue;
        }
        let path: Vec<String> = namespace.into_iter().chain([name]).collect();
        let revision = object.meta().resource_version.clone().unwrap_or_default();
        let mut object = serde_json::to_value(&object)?;
        object["apiVersion"] = K::api_version(&()).into();
        object["kind"] = K::kind(&()).into();
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
        }
        kept.push(Stored {
            key: format!("/registry/{prefix}/{}", path.join("/")),
            revision: revision.parse()?,
            object,
        });
    }
    Ok(kept)
}

/// The Secrets with which the operator logs in.
pub(super) fn logins(secret_id: &str, user: &str, password: &str) -> String {
    let secret = |name: &str, data: Value| {
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": data }).to_string()
    };
    [
        secret("openbao", json!({ "secret-id": secret_id })),
        secret("foulkon", json!({ "username": user, "password": password })),
    ]
    .join("\n---\n")
}

/// How often the operator has listed what is on a server.
pub(super) fn sweeps(exchanges: &[Exchange]) -> usize {
    let is_list = |exchange: &&Exchange| {
        let head = &exchange.head;
        let path = head.path().trim_end_matches('/');
        head.method == "LIST" && path.ends_with("/client")
            || head.method == "GET"
                && (path.ends_with("/clients")
                    || path.ends_with("/providers")
                    || path.ends_with("/client") && head.query().contains("list=true"))
    };
    exchanges.iter().filter(is_list).count()
}

/// The requests that may change something, without logins.
pub fn writes(exchanges: &[Exchange]) -> Vec<String> {
    let is_write = |exchange: &&Exchange| {
        let head = &exchange.head;
        !matches!(head.method.as_str(), "GET" | "LIST" | "HEAD") && !head.path().contains("/auth/")
            || head.path().contains("/auth/oidc/providers") && head.method != "GET"
    };
    let writes = exchanges.iter().filter(is_write);
    writes.map(|exchange| format!("{:?}", exchange.head)).collect()
}
