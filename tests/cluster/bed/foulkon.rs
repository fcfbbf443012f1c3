//! AuthorizationServers for a Foulkon, each with its own proxy.

use std::sync::Arc;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use serde_json::{Value, json};
use testbed::Foulkon;

use super::server::merge;
use super::{Bed, Server, ServerOptions};

/// Path of the list of providers.
pub const PROVIDERS: &str = "/api/v1/admin/auth/oidc/providers";

impl Bed {
    /// Creates an AuthorizationServer for a Foulkon that every namespace may use for everything. Does not wait.
    pub async fn make_foulkon(&self, foulkon: &Foulkon, options: ServerOptions) -> Result<Arc<Server>> {
        let name = self.new_name("foulkon");
        let (user, password) = foulkon.admin();
        let login = self
            .beside_operator(json!({ "username": user, "password": password }))
            .await?;
        let server = Server {
            name: name.clone(),
            admin: self
                .proxy_to(&format!("foulkon of {name}"), foulkon.address(), options.https)
                .await?,
            public: self
                .proxy_to(&format!("nothing of {name}"), foulkon.address(), false)
                .await?,
        };
        let mut spec = json!({
            "foulkon": { "workerUrl": server.admin.url(), "auth": { "basic": { "secretRef": { "name": login } } } },
            "access": [{
                "namespaces": { "from": "All" },
                "kinds": ["OAuth2Client", "Scope", "Assignment", "JsonWebKeySet", "OidcProvider"],
                "objectNames": "Any",
            }],
            "resyncInterval": options.resync_interval,
        });
        merge(&mut spec, &options.spec);
        self.with_server(server, spec).await
    }

    /// Creates a Secret in the operator's namespace, whose values must not be visible, and returns its name.
    pub async fn beside_operator(&self, data: Value) -> Result<String> {
        for value in data.as_object().into_iter().flat_map(|data| data.values()) {
            // User names are not secret.
            if let Some(value) = value.as_str().filter(|value| value.len() > 8) {
                self.canary(value);
            }
        }
        let secret: Secret = serde_json::from_value(json!({
            "metadata": { "generateName": "login-" }, "stringData": data,
        }))?;
        let made = self.home().secrets().create(&PostParams::default(), &secret).await?;
        made.metadata.name.context("a name")
    }
}
