//! AuthorizationServers, each with its own proxies in front of the shared Hydra: a test that injects faults or counts
//! requests creates its own and does not disturb other tests.

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use oidc_operator::api::AuthorizationServer;
use serde_json::{Value, json};
use testbed::proxy::{Exchange, Proxy};

use super::paths::is_list;
use super::watching::{has_condition, until_object};
use super::{Bed, HydraUrls, LIMIT, lock};

tokio::task_local! {
    /// Names of the AuthorizationServers that the running test has created.
    static CREATED: Mutex<Vec<String>>;
}

/// Options of an AuthorizationServer.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// `resyncInterval` of the spec.
    pub resync_interval: String,
    /// Whether the admin API uses https, with a certificate of the control plane's CA.
    pub https: bool,
    /// Changes to the spec, as a JSON merge patch.
    pub spec: Value,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            resync_interval: "3s".to_owned(),
            https: false,
            spec: json!({}),
        }
    }
}

/// An AuthorizationServer and the proxies between the operator and Hydra.
pub struct Server {
    /// Name of the AuthorizationServer.
    pub name: String,
    /// Proxy in front of Hydra's admin API.
    pub admin: Proxy,
    /// Proxy in front of Hydra's public API. Only the operator uses it; the issuer is Hydra's own URL.
    pub public: Proxy,
}

impl Server {
    /// Requests to the admin API after `mark`, without those of a sweep: the list and the version.
    pub fn about_clients(&self, mark: u64) -> Vec<Exchange> {
        let mut exchanges = self.admin.journal().since(mark);
        exchanges.retain(|exchange| !is_list(&exchange.head) && !exchange.head.is("GET", "/version"));
        exchanges
    }
}

impl Bed {
    /// Creates an AuthorizationServer that every namespace may use for everything. Does not wait for it.
    pub async fn make_server(&self, name: &str, options: ServerOptions) -> Result<Arc<Server>> {
        self.make_server_at(&self.hydra_urls, name, options).await
    }

    /// Creates an AuthorizationServer for any Hydra, not only the bed's own. Does not wait for it.
    pub(super) async fn make_server_at(
        &self,
        urls: &HydraUrls,
        name: &str,
        options: ServerOptions,
    ) -> Result<Arc<Server>> {
        let server = Server {
            name: name.to_owned(),
            admin: self
                .proxy_to(&format!("admin of {name}"), &urls.admin, options.https)
                .await?,
            public: self.proxy_to(&format!("public of {name}"), &urls.public, false).await?,
        };
        let mut spec = json!({
            "hydra": { "adminUrl": server.admin.url(), "publicUrl": server.public.url() },
            "access": everything(&["*.example.com", "elsewhere.example.org", "127.0.0.1:1"]),
            "resyncInterval": options.resync_interval,
        });
        merge(&mut spec, &options.spec);
        self.with_server(server, spec).await
    }

    /// Creates an AuthorizationServer with this spec, and keeps its proxies running for the whole run.
    pub(super) async fn with_server(&self, server: Server, spec: Value) -> Result<Arc<Server>> {
        self.create_server(&server.name, spec).await?;
        let server = Arc::new(server);
        lock(&self.servers).push(Arc::clone(&server));
        Ok(server)
    }

    /// Runs a test, and then lets the servers that it has created sweep once an hour: the sweeps of a hundred servers
    /// every second would take the time of all tests that follow.
    pub async fn with_servers_at_rest_after<T>(&self, test: impl Future<Output = T>) -> Result<T> {
        let test = async {
            let result = test.await;
            (result, CREATED.with(|created| std::mem::take(&mut *lock(created))))
        };
        let (result, created) = CREATED.scope(Mutex::default(), test).await;
        for name in created {
            let patch = Patch::Merge(json!({ "spec": { "resyncInterval": "1h" } }));
            let patched = self.servers_api().patch(&name, &PatchParams::default(), &patch).await;
            if let Err(error) = patched
                && !matches!(&error, kube::Error::Api(status) if status.is_not_found())
            {
                return Err(error).with_context(|| format!("AuthorizationServer {name} cannot be changed"));
            }
        }
        Ok(result)
    }

    /// Creates an AuthorizationServer with this spec.
    pub async fn create_server(&self, name: &str, spec: Value) -> Result<AuthorizationServer> {
        let _ = CREATED.try_with(|created| lock(created).push(name.to_owned())); // outside of a test nobody asks
        let object = serde_json::from_value(json!({ "metadata": { "name": name }, "spec": spec }))?;
        Ok(self.servers_api().create(&PostParams::default(), &object).await?)
    }

    /// Creates an AuthorizationServer for one test, with a unique name, and waits until it is ready.
    pub async fn own_server(&self, options: ServerOptions) -> Result<Arc<Server>> {
        let name = self.new_name("server");
        let server = self.make_server(&name, options).await?;
        self.server_known(&name).await?;
        Ok(server)
    }

    /// Waits until an AuthorizationServer is ready and its discovery document was read, so that nothing derived from it
    /// changes any more.
    pub(super) async fn server_known(&self, name: &str) -> Result<()> {
        self.server_ready(name).await?;
        let is_known = |server: &AuthorizationServer| {
            let endpoints = server.status.as_ref().and_then(|status| status.endpoints.as_ref());
            server
                .spec
                .hydra
                .as_ref()
                .is_none_or(|hydra| hydra.public_url.is_none())
                || endpoints.is_some()
        };
        self.wait_server("its endpoints", name, is_known).await.map(drop)
    }

    /// Waits until an AuthorizationServer is ready.
    pub async fn server_ready(&self, name: &str) -> Result<AuthorizationServer> {
        self.server_condition(name, "Ready", "True", "").await
    }

    /// Waits until an AuthorizationServer has a condition for its current generation. An empty reason matches any.
    pub async fn server_condition(
        &self,
        name: &str,
        type_: &str,
        status: &str,
        reason: &str,
    ) -> Result<AuthorizationServer> {
        let what = format!("AuthorizationServer {name} to have {type_}={status} {reason}");
        let found = |server: &AuthorizationServer| {
            let conditions = server.status.iter().flat_map(|known| &known.conditions);
            has_condition(server, conditions, (type_, status, reason))
        };
        self.wait_server(&what, name, found).await
    }

    /// Waits until an AuthorizationServer satisfies `wanted`; `what` completes the sentence "waiting for …".
    pub async fn wait_server(
        &self,
        what: &str,
        name: &str,
        wanted: impl Fn(&AuthorizationServer) -> bool,
    ) -> Result<AuthorizationServer> {
        until_object(self, what, self.servers_api(), name, wanted).await
    }

    /// Changes the spec of an AuthorizationServer with a JSON merge patch.
    pub async fn change_server(&self, name: &str, spec: Value) -> Result<AuthorizationServer> {
        let are_rules = spec.get("access").is_some();
        let patch = Patch::Merge(json!({ "spec": spec }));
        let changed = self.servers_api().patch(name, &PatchParams::default(), &patch).await?;
        if are_rules {
            // What comes next must meet the new rules, but a watch of another kind may be ahead of this one.
            testbed::wait::until("the operator to observe the rules", LIMIT, async || {
                let now = self.servers_api().get(name).await?;
                let observed = now.status.and_then(|status| status.observed_generation);
                Ok((observed >= changed.metadata.generation).then_some(()))
            })
            .await?;
        }
        Ok(changed)
    }

    /// The AuthorizationServers of the cluster.
    pub fn servers_api(&self) -> Api<AuthorizationServer> {
        Api::all(self.client())
    }
}

/// Access rules that allow every namespace everything except the server's own key sets, and any rotation period.
pub fn everything(server_uri_hosts: &[&str]) -> Value {
    json!([{
        "namespaces": { "from": "All" },
        "kinds": ["OAuth2Client", "Scope", "Assignment", "JsonWebKeySet", "OidcProvider"],
        "clients": { "clientIds": "Any", "skipConsent": "Allow", "serverUriHosts": server_uri_hosts },
        "objectNames": "Any",
        "minRotationPeriod": "0s",
    }])
}

/// Applies a JSON merge patch (RFC 7396).
pub fn merge(target: &mut Value, patch: &Value) {
    let (Value::Object(members), Value::Object(changes)) = (&mut *target, patch) else {
        *target = patch.clone();
        return;
    };
    for (name, change) in changes {
        if change.is_null() {
            members.remove(name);
        } else {
            merge(members.entry(name).or_insert(Value::Null), change);
        }
    }
}
