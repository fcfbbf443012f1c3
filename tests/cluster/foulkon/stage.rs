//! A namespace, a Foulkon and its AuthorizationServer for one test.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use oidc_operator::api::OidcProvider;
use serde_json::{Value, json};
use testbed::proxy::Exchange;
use testbed::{Foulkon, wait};

use crate::bed::{Bed, LIMIT, Namespaced, PROVIDERS, Server, ServerOptions, Space};

/// An issuer that is never contacted.
pub const ISSUER: &str = "https://id.example.com";

/// A namespace, a Foulkon and its AuthorizationServer. Without a real worker every test has its own Foulkon.
pub struct Stage<'a> {
    /// The bed.
    pub bed: &'a Bed,
    /// The namespace.
    pub space: Space<'a>,
    /// The AuthorizationServer, with its own proxy.
    pub server: Arc<Server>,
    /// The worker.
    pub foulkon: Foulkon,
}

impl<'a> Stage<'a> {
    /// A stage on a bed. Does not wait for the server.
    pub async fn new(bed: &'a Bed, options: ServerOptions) -> Result<Self> {
        let foulkon = Foulkon::start().await?;
        Ok(Self {
            bed,
            space: bed.space().await?,
            server: bed.make_foulkon(&foulkon, options).await?,
            foulkon,
        })
    }

    /// A stage whose server is swept only on request.
    pub async fn quiet(bed: &'a Bed) -> Result<Self> {
        Self::every(bed, "1h").await
    }

    /// A stage whose server is swept every second.
    pub async fn eager(bed: &'a Bed) -> Result<Self> {
        Self::every(bed, "1s").await
    }

    async fn every(bed: &'a Bed, interval: &str) -> Result<Self> {
        let options = ServerOptions {
            resync_interval: interval.to_owned(),
            ..ServerOptions::default()
        };
        let stage = Self::new(bed, options).await?;
        bed.server_ready(&stage.server.name).await?;
        Ok(stage)
    }

    /// The spec with a reference to this server.
    pub fn spec(&self, mut spec: Value) -> String {
        spec["serverRef"] = json!({ "name": self.server.name });
        spec.to_string()
    }

    /// Applies a resource on this server.
    pub async fn make<K: Namespaced>(&self, name: &str, spec: Value) -> Result<K> {
        self.space.make(name, &self.spec(spec)).await
    }

    /// Applies a provider on this server and waits until it is ready.
    pub async fn ready(&self, name: &str, spec: Value) -> Result<OidcProvider> {
        self.space.ready(name, &self.spec(spec)).await
    }

    /// Name of the entry of a provider whose spec sets none.
    pub fn name(&self, provider: &str) -> String {
        format!("{}--{provider}", self.space.name())
    }

    /// Prefix of the paths of this namespace's entries. If the spec of a provider sets no path, the UID of the provider
    /// follows.
    pub fn path(&self) -> String {
        format!("/oidc-operator/{}/", self.space.name())
    }

    /// The entry with this name, if it exists.
    pub async fn found(&self, name: &str) -> Result<Option<Value>> {
        match self.foulkon.call("GET", &format!("/{name}"), None).await? {
            (404, _) => Ok(None),
            (200, entry) => Ok(Some(entry)),
            (status, answer) => anyhow::bail!("GET of {name}: {status} {answer}"),
        }
    }

    /// The entry with this name, which must exist.
    pub async fn entry(&self, name: &str) -> Result<Value> {
        let found = self
            .found(name)
            .await?
            .with_context(|| format!("{name} does not exist"))?;
        ensure!(found["name"] == name, "{found}");
        Ok(found)
    }

    /// Waits until the entry with this name satisfies `wanted`, and returns it.
    pub async fn until(&self, what: &str, name: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let what = format!("{name} to have {what}");
        wait::until(&what, LIMIT, async || Ok(self.found(name).await?.filter(&wanted)))
            .await
            .with_context(|| format!("of {name}"))
    }

    /// Waits until no entry with this name exists.
    pub async fn until_none(&self, name: &str) -> Result<()> {
        let what = format!("{name} to be gone");
        wait::until(&what, LIMIT, async || {
            Ok(self.found(name).await?.is_none().then_some(()))
        })
        .await
    }

    /// Writes an entry as another writer would: all its fields, with this change.
    pub async fn meddle(&self, name: &str, change: Value) -> Result<Value> {
        let mut entry = self.entry(name).await?;
        entry["clients"] = clients(&entry);
        let members = entry.as_object_mut().context("an object")?;
        members.extend(change.as_object().cloned().unwrap_or_default());
        self.foulkon.must("PUT", &format!("/{name}"), Some(entry)).await
    }

    /// Requests to the worker after `mark`, without those about the whole server.
    pub fn about(&self, mark: u64) -> Vec<Exchange> {
        let mut exchanges = self.server.admin.journal().since(mark);
        exchanges.retain(|exchange| exchange.head.path() != "/about" && !exchange.head.is("GET", PROVIDERS));
        exchanges
    }

    /// The writes among [`Stage::about`].
    pub fn writes(&self, mark: u64) -> Vec<Exchange> {
        let mut exchanges = self.about(mark);
        exchanges.retain(|exchange| exchange.head.method != "GET");
        exchanges
    }

    /// Waits until the provider's own pass has read its entry once more.
    pub async fn read_again(&self, name: &str) -> Result<()> {
        let mark = self.server.admin.journal().mark();
        let path = format!("{PROVIDERS}/{name}");
        wait::until("a read of the provider", LIMIT, async || {
            let since = self.server.admin.journal().since(mark);
            Ok(since
                .iter()
                .any(|exchange| exchange.head.is("GET", &path))
                .then_some(()))
        })
        .await
    }
}

/// The minimal spec of a provider, with clients by id.
pub fn trusting(ids: &[&str]) -> Value {
    let clients: Vec<Value> = ids.iter().map(|id| json!({ "clientId": id })).collect();
    json!({ "issuer": ISSUER, "allowedClients": clients })
}

/// Ids of an entry's clients, in alphabetical order.
pub fn clients(entry: &Value) -> Value {
    let mut ids: Vec<&str> = entry["clients"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|client| client["name"].as_str())
        .collect();
    ids.sort_unstable();
    json!(ids)
}
