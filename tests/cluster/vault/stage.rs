//! The namespace and the AuthorizationServer for OpenBao of one test, and one resource of each kind in it.

use std::sync::Arc;

use anyhow::Result;
use oidc_operator::api::authorization_server::Capability;
use oidc_operator::api::{Assignment, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use serde_json::{Value, json};
use testbed::proxy::Exchange;

use crate::bed::{Bed, Namespaced, Server, ServerOptions, Space};

/// Redirect URI of the applications.
pub const REDIRECT: &str = "https://app.example.com/callback";

/// The namespace and the server of one test.
pub struct Stage<'a> {
    /// The bed.
    pub bed: &'a Bed,
    /// The namespace.
    pub space: Space<'a>,
    /// The server, with its own proxy.
    pub server: Arc<Server>,
}

impl<'a> Stage<'a> {
    /// Creates a stage on a bed.
    pub async fn new(bed: &'a Bed, options: ServerOptions) -> Result<Self> {
        Ok(Self {
            bed,
            space: bed.space().await?,
            server: bed.own_vault(options).await?,
        })
    }

    /// A stage whose server is compared only on request.
    pub async fn quiet(bed: &'a Bed) -> Result<Self> {
        let options = ServerOptions {
            resync_interval: "1h".to_owned(),
            ..ServerOptions::default()
        };
        Self::new(bed, options).await
    }

    /// A stage whose server is compared every second.
    pub async fn eager(bed: &'a Bed) -> Result<Self> {
        let options = ServerOptions {
            resync_interval: "1s".to_owned(),
            ..ServerOptions::default()
        };
        Self::new(bed, options).await
    }

    /// Whether clients on the server can choose their grants: on OpenBao they can, on HashiCorp Vault they cannot.
    pub async fn chooses_grants(&self) -> Result<bool> {
        let server = self.bed.server_ready(&self.server.name).await?;
        let capabilities = server.status.map(|status| status.capabilities).unwrap_or_default();
        Ok(capabilities.contains(&Capability::ClientCredentials))
    }

    /// A spec that refers to this server.
    pub fn spec(&self, mut spec: Value) -> String {
        spec["serverRef"] = json!({ "name": self.server.name });
        spec.to_string()
    }

    /// Applies a resource on this server.
    pub async fn make<K: Namespaced>(&self, name: &str, spec: Value) -> Result<K> {
        self.space.make(name, &self.spec(spec)).await
    }

    /// Applies a resource on this server and waits until it is ready.
    pub async fn ready<K: Namespaced>(&self, name: &str, spec: Value) -> Result<K> {
        self.space.ready(name, &self.spec(spec)).await
    }

    /// Path of the object of a resource that sets no name.
    pub fn path(&self, type_: &str, name: &str) -> String {
        format!("{type_}/{}.{name}", self.space.name())
    }

    /// Fields of the object of a resource that sets no name.
    pub async fn object(&self, type_: &str, name: &str) -> Result<Value> {
        self.bed.existing(&self.path(type_, name)).await
    }

    /// Requests to OpenBao after `mark` about objects of this namespace.
    pub fn about(&self, mark: u64) -> Vec<Exchange> {
        let mut exchanges = self.server.admin.journal().since(mark);
        let name = format!("/{}.", self.space.name());
        exchanges.retain(|exchange| exchange.head.path().contains(&name));
        exchanges
    }

    /// The requests of [`Stage::about`] that change something.
    pub fn writes(&self, mark: u64) -> Vec<Exchange> {
        let mut exchanges = self.about(mark);
        exchanges.retain(|exchange| exchange.head.method != "GET");
        exchanges
    }

    /// Waits until the server was completely compared once more.
    pub async fn swept(&self) -> Result<()> {
        for _ in 0..2 {
            let mark = self.server.admin.journal().mark();
            let is_list = |exchange: &Exchange| {
                exchange.head.is("GET", "/v1/identity/oidc/provider") && exchange.head.query() == "list=true"
            };
            testbed::wait::until("a sweep", crate::bed::LIMIT, async || {
                Ok(self
                    .server
                    .admin
                    .journal()
                    .since(mark)
                    .iter()
                    .any(is_list)
                    .then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// Applies one resource of each kind, all referring to each other, in reverse order of dependency. Waits until they
    /// are ready.
    pub async fn everything(&self, subject: &str) -> Result<()> {
        self.make::<OAuth2Client>("app", client()).await?;
        self.make::<OidcProvider>("main", json!({ "scopeRefs": [{ "name": "groups" }] }))
            .await?;
        self.make::<Scope>("groups", scope()).await?;
        self.make::<Assignment>("staff", json!({ "subjects": [subject] }))
            .await?;
        self.make::<JsonWebKeySet>("signing", json!({ "generate": { "algorithm": "ES256" } }))
            .await?;
        self.all_ready().await
    }

    /// Waits until the resources of [`Stage::everything`] are ready.
    pub async fn all_ready(&self) -> Result<()> {
        self.space.until_ready::<OAuth2Client>("app").await?;
        self.space.until_ready::<OidcProvider>("main").await?;
        self.space.until_ready::<Scope>("groups").await?;
        self.space.until_ready::<Assignment>("staff").await?;
        self.space.until_ready::<JsonWebKeySet>("signing").await?;
        Ok(())
    }
}

/// The client of [`Stage::everything`].
pub fn client() -> Value {
    json!({
        "redirectUris": [REDIRECT], "keySetRef": { "name": "signing" }, "assignmentRefs": [{ "name": "staff" }],
        "providerRefs": [{ "name": "main" }], "credentials": { "data": { "ISSUER": "$(issuer)" } },
    })
}

/// The scope of [`Stage::everything`].
pub fn scope() -> Value {
    json!({ "description": "Groups", "template": r#"{"groups": {{identity.entity.groups.names}}}"# })
}

/// An id that no entity has.
pub const NOBODY: &str = "00000000-0000-0000-0000-000000000000";
