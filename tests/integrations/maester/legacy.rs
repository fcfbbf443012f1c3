//! What a cluster has that hydra-maester has managed for years: clients of all its sorts, and some that never worked.

use anyhow::{Context, Result, ensure};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use testbed::hydra::Hydra;
use testbed::wait;
use url::Url;

use super::Secrets;
use super::probe::Login;
use crate::stage::{LIMIT, Stage};

/// Where the clients are.
pub const NAMESPACES: [&str; 2] = ["bank", "shop"];
/// Clients that can move.
pub const CLIENTS: usize = 200;
/// Resources that cannot move, with a part of the reason.
pub const STAYS: [(&str, &str); 5] = [
    ("no-secret", "has no key `CLIENT_SECRET`"),
    ("shared-again", "has the client of shop/app-1"),
    ("elsewhere", "no AuthorizationServer has this adminUrl"),
    ("fragment", "must not have a fragment"),
    ("no-redirect", "need at least one"),
];

/// The resources, as they were made.
pub struct Legacy {
    /// Namespace, name, name of the Secret and whether its client may use the client credentials grant with a secret.
    made: Vec<(String, String, String, bool)>,
}

pub fn api(client: &Client, namespace: Option<&str>) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("hydra.ory.sh", "v1alpha1", "OAuth2Client");
    let kind = ApiResource::from_gvk(&kind);
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind),
        None => Api::all_with(client.clone(), &kind),
    }
}

impl Legacy {
    /// Makes them and waits until hydra-maester has registered all that can be registered.
    pub async fn make(stage: &Stage, hydra: &Hydra) -> Result<Self> {
        let mut made = Vec::new();
        let mut manifests: Vec<Value> = Vec::new();
        for index in 0..CLIENTS {
            let namespace = NAMESPACES[index % 2];
            let (name, spec, secret) = client(index, hydra)?;
            let secret_name = spec["secretName"].as_str().unwrap_or_default().to_owned();
            let has_secret = !matches!(
                spec["tokenEndpointAuthMethod"].as_str(),
                Some("none" | "private_key_jwt" | "client_secret_post")
            );
            let is_machine = spec["grantTypes"]
                .as_array()
                .is_some_and(|all| all.contains(&json!("client_credentials")));
            manifests.extend(secret.map(|data| of_user(namespace, &secret_name, data)));
            manifests.push(resource(namespace, &name, spec));
            made.push((namespace.to_owned(), name, secret_name, has_secret && is_machine));
        }
        let legacy = Self { made };
        apply(stage, &manifests).await?;
        legacy.wait(stage, &[]).await?;
        // After the others: the one that wants a share would otherwise be the owner if hydra-maester sees it first.
        apply(stage, &broken()).await?;
        legacy.registered(stage).await?;
        Ok(legacy)
    }

    /// Waits until hydra-maester says that all are registered.
    async fn registered(&self, stage: &Stage) -> Result<()> {
        self.wait(stage, &[("shop", "no-redirect")]).await // Hydra takes it, but nobody can use it
    }

    async fn wait(&self, stage: &Stage, more: &[(&str, &str)]) -> Result<()> {
        let all = api(&stage.client(), None);
        let made = self
            .made
            .iter()
            .map(|(namespace, name, ..)| (namespace.as_str(), name.as_str()));
        let names: Vec<(&str, &str)> = made.chain(more.iter().copied()).collect();
        let missing = async || -> Result<Vec<String>> {
            let found = all.list(&ListParams::default()).await?.items;
            let is_missing = |key: &&(&str, &str)| {
                let mut ready = found.iter().filter(|found| is_ready(found));
                !ready.any(|found| found.namespace().as_deref() == Some(key.0) && found.name_any() == key.1)
            };
            let missing = names.iter().filter(is_missing);
            Ok(missing.map(|(namespace, name)| format!("{namespace}/{name}")).collect())
        };
        let waited = wait::until("hydra-maester to register all clients", LIMIT, async || {
            Ok(missing().await?.is_empty().then_some(()))
        });
        match waited.await {
            Ok(()) => Ok(()),
            Err(error) => Err(error.context(format!("not registered: {}", missing().await?.join(", ")))),
        }
    }

    /// hydra-maester has all of them again.
    pub async fn is_back(&self, stage: &Stage) -> Result<()> {
        self.registered(stage).await?;
        let left: Api<oidc_operator::api::OAuth2Client> = Api::all(stage.client());
        let left = left.list(&ListParams::default()).await?.items.len();
        ensure!(left == 0, "{left} resources of the operator are left");
        Ok(())
    }

    /// Ids and secrets of the machine clients.
    pub fn logins(&self, secrets: &Secrets) -> Result<Vec<Login>> {
        let machines = self.made.iter().filter(|(.., is_machine)| *is_machine);
        machines
            .map(|(namespace, _, secret, _)| {
                let found = secrets
                    .get(&format!("{namespace}/{secret}"))
                    .with_context(|| format!("no Secret {secret}"))?;
                let text = |key: &str| {
                    let value = found
                        .data
                        .as_ref()
                        .and_then(|data| data.get(key))
                        .context("no such key")?;
                    anyhow::Ok(String::from_utf8(value.0.clone())?)
                };
                Ok((text("CLIENT_ID")?, text("CLIENT_SECRET")?))
            })
            .collect()
    }
}

async fn apply(stage: &Stage, manifests: &[Value]) -> Result<()> {
    for namespace in NAMESPACES {
        let is_there = |manifest: &&Value| manifest["metadata"]["namespace"] == namespace;
        let there: Vec<&Value> = manifests.iter().filter(is_there).collect();
        if !there.is_empty() {
            let list = json!({ "apiVersion": "v1", "kind": "List", "items": there });
            stage.apply(namespace, &list.to_string()).await?;
        }
    }
    Ok(())
}

fn is_ready(found: &DynamicObject) -> bool {
    let is_current = found.data["status"]["observedGeneration"].as_i64() == found.metadata.generation;
    let conditions = found.data["status"]["conditions"].as_array().into_iter().flatten();
    is_current
        && conditions
            .into_iter()
            .any(|found| found["type"] == "Ready" && found["status"] == "True")
}

fn resource(namespace: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "hydra.ory.sh/v1alpha1", "kind": "OAuth2Client",
        "metadata": { "name": name, "namespace": namespace, "labels": { "team": namespace } },
        "spec": spec,
    })
}

fn of_user(namespace: &str, name: &str, data: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": name, "namespace": namespace }, "stringData": data,
    })
}

/// One of the clients: its name, its spec and, if a user made it, the content of its Secret.
fn client(index: usize, hydra: &Hydra) -> Result<(String, Value, Option<Value>)> {
    let name = format!("app-{index}");
    let mut spec = json!({
        "grantTypes": ["client_credentials"], "scopeArray": ["read", "write"], "secretName": name,
    });
    let mut secret = None;
    let more = match index % 10 {
        0 => json!({}),
        1 => json!({ "scopeArray": null, "scope": "read write", "secretName": format!("login-of-{name}") }),
        2 => {
            let id = format!("chosen.{name}");
            secret = Some(json!({ "CLIENT_ID": id, "CLIENT_SECRET": format!("secret-of-{name}") }));
            json!({ "secretName": name })
        }
        3 => json!({ "deletionPolicy": "orphan", "audience": ["https://api.example.com"] }),
        4 => json!({ "tokenEndpointAuthMethod": "none", "grantTypes": ["authorization_code", "refresh_token"],
            "responseTypes": ["code"], "redirectUris": ["http://127.0.0.1/callback"] }),
        5 => {
            json!({ "tokenEndpointAuthMethod": "private_key_jwt", "jwksUri": format!("https://keys.example.com/{name}") })
        }
        6 => everything(),
        7 => {
            let admin = Url::parse(&hydra.prefixed_admin_url())?;
            let endpoint = format!("{}/clients", admin.path().trim_end_matches('/'));
            json!({ "hydraAdmin": { "url": "http://127.0.0.1", "port": admin.port(), "endpoint": endpoint } })
        }
        8 => json!({ "scopeArray": null }),
        _ => {
            json!({ "metadata": { "team": "a", "tags": ["b"], "empty": "" }, "tokenEndpointAuthMethod": "client_secret_post" })
        }
    };
    for (field, value) in more.as_object().into_iter().flatten() {
        match value {
            Value::Null => spec.as_object_mut().and_then(|spec| spec.remove(field)),
            value => spec
                .as_object_mut()
                .and_then(|spec| spec.insert(field.clone(), value.clone())),
        };
    }
    Ok((name, spec, secret))
}

/// A client that uses every field.
fn everything() -> Value {
    let lifespans = [
        "authorization_code_grant_access_token_lifespan",
        "authorization_code_grant_id_token_lifespan",
        "authorization_code_grant_refresh_token_lifespan",
        "client_credentials_grant_access_token_lifespan",
        "implicit_grant_access_token_lifespan",
        "implicit_grant_id_token_lifespan",
        "jwt_bearer_grant_access_token_lifespan",
        "refresh_token_grant_access_token_lifespan",
        "refresh_token_grant_id_token_lifespan",
        "refresh_token_grant_refresh_token_lifespan",
    ];
    let lifespans: serde_json::Map<String, Value> = lifespans
        .iter()
        .zip(1..)
        .map(|(name, hours)| ((*name).to_owned(), json!(format!("{hours}h0m0s"))))
        .collect();
    json!({
        "clientName": "An application", "grantTypes": ["authorization_code", "refresh_token", "implicit", "client_credentials"],
        "responseTypes": ["code", "id_token", "id_token token"],
        "redirectUris": ["https://app.example.com/callback", "com.example.app:/callback"],
        "postLogoutRedirectUris": ["https://app.example.com/bye"], "requestUris": ["https://app.example.com/request"],
        "allowedCorsOrigins": ["https://app.example.com"], "audience": ["https://api.example.com"],
        "scope": "offline_access", "scopeArray": ["openid", "profile"], "skipConsent": true, "skipLogoutConsent": true,
        "tokenEndpointAuthMethod": "client_secret_basic", "tokenLifespans": lifespans,
        "metadata": { "first_party": true, "limit": 3 },
        "frontChannelLogoutURI": "https://app.example.com/front", "frontChannelLogoutSessionRequired": true,
        "backChannelLogoutURI": "https://app.example.com/back", "backChannelLogoutSessionRequired": true,
        "logoUri": "https://app.example.com/logo.png", "clientUri": "https://app.example.com/",
        "policyUri": "https://app.example.com/policy", "tosUri": "https://app.example.com/tos",
        "contacts": ["team@example.com"], "accessTokenStrategy": "opaque", "subjectType": "public",
        "requestObjectSigningAlg": "RS256", "userinfoSignedResponseAlg": "RS256", "clientSecretExpiresAt": 0,
        "deletionPolicy": "delete",
    })
}

/// What stays, as in [`STAYS`], and the client of which one wants a share.
fn broken() -> Vec<Value> {
    let machine = |secret: &str| json!({ "grantTypes": ["client_credentials"], "scope": "read", "secretName": secret });
    let mut elsewhere = machine("elsewhere");
    elsewhere["hydraAdmin"] = json!({ "url": "http://127.0.0.1", "port": 1, "endpoint": "/admin/clients" });
    let web = |secret: &str, more: Value| {
        let mut spec = json!({ "grantTypes": ["authorization_code"], "scope": "openid", "secretName": secret });
        for (name, value) in more.as_object().into_iter().flatten() {
            spec[name] = value.clone();
        }
        spec
    };
    let login = |id: &str| json!({ "CLIENT_ID": id, "CLIENT_SECRET": "a-secret-of-a-user" });
    vec![
        of_user("shop", "no-secret", json!({ "CLIENT_ID": "no-secret" })),
        resource("shop", "no-secret", machine("no-secret")),
        of_user("shop", "app-1", json!({ "unused": "x" })),
        resource("shop", "shared-again", machine("login-of-app-1")),
        of_user("shop", "elsewhere", login("elsewhere")),
        resource("shop", "elsewhere", elsewhere),
        of_user("shop", "fragment", login("fragment")),
        resource(
            "shop",
            "fragment",
            web(
                "fragment",
                json!({ "redirectUris": ["https://app.example.com/#there"] }),
            ),
        ),
        of_user("shop", "no-redirect", login("no-redirect")),
        resource("shop", "no-redirect", web("no-redirect", json!({}))),
    ]
}
