//! Resources of all six kinds, on an Ory Hydra and on an OpenBao, as a team keeps them in a repository.

use anyhow::{Context, Result};
use kube::api::{ApiResource, DynamicObject};
use kube::{Api, Client};
use oidc_operator::api::{Assignment, AuthorizationServer, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use serde_json::{Value, json};
use testbed::install::NAMESPACE;
use testbed::servers::{Part, Servers};
use testbed::{http, wait};

use crate::stage::{LIMIT, Stage};

/// The namespace of the team.
pub const TEAM: &str = "team-shop";
/// The AuthorizationServer for Hydra, and the one for OpenBao.
pub const SERVERS: [&str; 2] = ["hydra", "vault"];
/// The namespaced resources of [`on_hydra`] and [`on_vault`], as kind and name.
pub const RESOURCES: [(&str, &str); 11] = [
    ("Scope", "orders"),
    ("Assignment", "staff"),
    ("JsonWebKeySet", "billing-keys"),
    ("OAuth2Client", "web"),
    ("OAuth2Client", "billing"),
    ("OidcProvider", "issuer"),
    ("Scope", "groups"),
    ("Assignment", "crew"),
    ("JsonWebKeySet", "signing"),
    ("OAuth2Client", "wiki"),
    ("OidcProvider", "main"),
];
/// The policy that is shipped with the operator.
const POLICY: &str = include_str!("../../deploy/vault/policy.hcl");

/// A stage with both servers.
pub async fn stage() -> Result<Stage> {
    Stage::start(&[Part::Hydra2, Part::Bao], &[], &[]).await
}

/// A namespace, the AuthorizationServers, and the Secret with which the operator logs in to OpenBao.
pub async fn platform(servers: &Servers) -> Result<String> {
    let hydra = servers.hydra2.as_ref().context("Hydra was not started")?;
    let bao = servers.bao.as_ref().context("OpenBao was not started")?;
    let keys = format!("{}/.well-known/jwks.json", hydra.public_url());
    // Hydra generates them for the first request, and again for every request that arrives meanwhile.
    let generated = wait::until("Hydra's signing keys", LIMIT, async || {
        Ok(http::answers_ok(&keys).await.then_some(()))
    });
    generated.await?;
    bao.root().policy("oidc-operator", POLICY).await?;
    bao.root().group("crew", &[]).await?;
    let wanted = json!({ "policies": ["oidc-operator"], "period": "24h", "no_parent": true });
    let login = bao.must("POST", "auth/token/create", Some(wanted)).await?;
    let token = login["auth"]["client_token"].as_str().context("a token")?;
    Ok(format!(
        "\
apiVersion: v1
kind: Secret
metadata: {{ name: vault-token, namespace: {NAMESPACE} }}
stringData: {{ token: {token} }}
---
apiVersion: oidc-operator.dev/v1alpha1
kind: AuthorizationServer
metadata: {{ name: hydra }}
spec:
  hydra: {{ adminUrl: {admin}, publicUrl: {public} }}
  access:
    - namespaces: {{ from: All }}
      kinds: [OAuth2Client, JsonWebKeySet, Scope, Assignment, OidcProvider]
      minRotationPeriod: 0s
  resyncInterval: 2s
---
apiVersion: oidc-operator.dev/v1alpha1
kind: AuthorizationServer
metadata: {{ name: vault }}
spec:
  vault:
    address: {address}
    auth: {{ token: {{ secretRef: {{ name: vault-token, key: token }} }} }}
  access:
    - namespaces: {{ from: All }}
      kinds: [OAuth2Client, JsonWebKeySet, Scope, Assignment, OidcProvider]
      minRotationPeriod: 0s
  resyncInterval: 2s
",
        admin = hydra.admin_url(),
        public = hydra.public_url(),
        address = bao.address(),
    ))
}

/// Every namespaced kind on Hydra. What refers comes before what it refers to.
pub const ON_HYDRA: &str = "\
apiVersion: oidc-operator.dev/v1alpha1
kind: OAuth2Client
metadata: { name: web, namespace: team-shop }
spec:
  serverRef: { name: hydra }
  redirectUris: [https://shop.example.com/callback]
  scopeRefs: [{ name: orders }]
  assignmentRefs: [{ name: staff }]
  rotation: { withoutOverlap: Allow }
---
apiVersion: oidc-operator.dev/v1alpha1
kind: OAuth2Client
metadata: { name: billing, namespace: team-shop }
spec:
  serverRef: { name: hydra }
  grantTypes: [client_credentials]
  tokenEndpointAuthMethod: private_key_jwt
  tokenEndpointAuthSigningAlg: ES256
  keySetRef: { name: billing-keys }
---
apiVersion: oidc-operator.dev/v1alpha1
kind: OidcProvider
metadata: { name: issuer, namespace: team-shop }
spec:
  serverRef: { name: hydra }
---
apiVersion: oidc-operator.dev/v1alpha1
kind: JsonWebKeySet
metadata: { name: billing-keys, namespace: team-shop }
spec:
  serverRef: { name: hydra }
  generate: { algorithm: ES256 }
  privateKey: {}
  publish: {}
---
apiVersion: oidc-operator.dev/v1alpha1
kind: Assignment
metadata: { name: staff, namespace: team-shop }
spec:
  serverRef: { name: hydra }
  groups: [{ name: staff }]
---
apiVersion: oidc-operator.dev/v1alpha1
kind: Scope
metadata: { name: orders, namespace: team-shop }
spec:
  serverRef: { name: hydra }
  description: See your orders
";

/// Every namespaced kind on OpenBao, in the same order.
pub const ON_VAULT: &str = r#"apiVersion: oidc-operator.dev/v1alpha1
kind: OAuth2Client
metadata: { name: wiki, namespace: team-shop }
spec:
  serverRef: { name: vault }
  redirectUris: [https://wiki.example.com/callback]
  idTokenTtl: 1h
  keySetRef: { name: signing }
  assignmentRefs: [{ name: crew }]
  providerRefs: [{ name: main }]
---
apiVersion: oidc-operator.dev/v1alpha1
kind: OidcProvider
metadata: { name: main, namespace: team-shop }
spec:
  serverRef: { name: vault }
  scopeRefs: [{ name: groups }]
---
apiVersion: oidc-operator.dev/v1alpha1
kind: JsonWebKeySet
metadata: { name: signing, namespace: team-shop }
spec:
  serverRef: { name: vault }
  generate: { algorithm: ES256 }
  rotation: { period: 24h, overlap: 12h }
---
apiVersion: oidc-operator.dev/v1alpha1
kind: Assignment
metadata: { name: crew, namespace: team-shop }
spec:
  serverRef: { name: vault }
  groups: [{ name: crew }]
---
apiVersion: oidc-operator.dev/v1alpha1
kind: Scope
metadata: { name: groups, namespace: team-shop }
spec:
  serverRef: { name: vault }
  description: The groups that you are in
  template: '{"groups": {{identity.entity.groups.names}}}'
"#;

/// The objects of a kind: those of the team, or of the cluster.
pub fn api(client: Client, kind: &str) -> Result<Api<DynamicObject>> {
    let resource = match kind {
        "AuthorizationServer" => {
            return Ok(Api::all_with(client, &ApiResource::erase::<AuthorizationServer>(&())));
        }
        "OAuth2Client" => ApiResource::erase::<OAuth2Client>(&()),
        "JsonWebKeySet" => ApiResource::erase::<JsonWebKeySet>(&()),
        "OidcProvider" => ApiResource::erase::<OidcProvider>(&()),
        "Scope" => ApiResource::erase::<Scope>(&()),
        "Assignment" => ApiResource::erase::<Assignment>(&()),
        other => anyhow::bail!("{other} is no kind of the operator"),
    };
    Ok(Api::namespaced_with(client, TEAM, &resource))
}

/// Kind and name of the AuthorizationServers and of all [`RESOURCES`].
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    let servers = SERVERS.into_iter().map(|name| ("AuthorizationServer", name));
    servers.chain(RESOURCES)
}

/// Waits until an object satisfies `wanted`, and returns it. `what` completes the sentence "waiting for …".
pub async fn until(
    client: &Client,
    (kind, name): (&str, &str),
    what: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let api = api(client.clone(), kind)?;
    let mut last = Value::Null;
    let found = wait::until(&format!("{kind} {name} {what}"), LIMIT, async || {
        last = serde_json::to_value(api.get_opt(name).await?)?;
        Ok(wanted(&last).then(|| last.clone()))
    })
    .await;
    found.with_context(|| format!("it is {:#}", last["status"]))
}

/// Status and message of a condition for the current generation.
pub fn condition<'a>(object: &'a Value, type_: &str) -> Option<(&'a str, &'a str)> {
    let of_now = |condition: &&Value| {
        condition["type"] == type_ && condition["observedGeneration"] == object["metadata"]["generation"]
    };
    let found = object["status"]["conditions"].as_array()?.iter().find(of_now)?;
    Some((found["status"].as_str()?, found["message"].as_str()?))
}

/// Whether a condition of the current generation is True.
pub fn is_true(object: &Value, type_: &str) -> bool {
    condition(object, type_).is_some_and(|(status, _)| status == "True")
}

/// Waits until everything is ready.
pub async fn all_ready(client: &Client) -> Result<()> {
    for object in all() {
        until(client, object, "to be ready", |found| is_true(found, "Ready")).await?;
    }
    Ok(())
}
