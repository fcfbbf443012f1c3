//! A namespace, a Foulkon and its AuthorizationServer for one test.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use oidc_operator::api::OidcProvider;
use serde_json::{Value, json};
use testbed::proxy::Exchange;
use testbed::{Foulkon, wait};

use crate::bed::{Bed, LIMIT, Namespaced, PROVIDERS, Server, ServerOptions, Space};

/// An issuer that nobody asks.
pub const ISSUER: &str = "https://id.example.com";

/// A namespace, a Foulkon and its AuthorizationServer. Without a real worker every test has a Foulkon of its own.
pub struct Stage<'a> {
    /// The bed.
    pub bed: &'a Bed,
    /// The namespace.
    pub space: Space<'a>,
    /// The server, with a proxy of its own.
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

    /// A stage whose server is compared only when it is asked for.
    pub async fn quiet(bed: &'a Bed) -> Result<Self> {
        Self::every(bed, "1h").await
    }

    /// A stage whose server is compared every second.
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

    /// A spec on this server.
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

    /// Name of the entry of a provider that asks for none.
    pub fn name(&self, provider: &str) -> String {
        format!("{}--{provider}", self.space.name())
    }

    /// What the paths of entries of this namespace begin with. Those of providers that ask for none go on with the UID of the provider.
    pub fn path(&self) -> String {
        format!("/oidc-operator/{}/", self.space.name())
    }

    /// The entry of a name; none if there is no such entry.
    pub async fn found(&self, name: &str) -> Result<Option<Value>> {
        match self.foulkon.call("GET", &format!("/{name}"), None).await? {
            (404, _) => Ok(None),
            (200, entry) => Ok(Some(entry)),
            (status, answer) => anyhow::bail!("GET of {name}: {status} {answer}"),
        }
    }

    /// The entry of a name, which must be there.
    pub async fn entry(&self, name: &str) -> Result<Value> {
        let found = self.found(name).await?.with_context(|| format!("there is no {name}"))?;
        ensure!(found["name"] == name, "{found}");
        Ok(found)
    }

    /// Waits until the entry of a name is as wanted, and returns it.
    pub async fn until(&self, what: &str, name: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let what = format!("{name} to have {what}");
        wait::until(&what, LIMIT, async || Ok(self.found(name).await?.filter(&wanted)))
            .await
            .with_context(|| format!("of {name}"))
    }

    /// Waits until there is no entry of a name.
    pub async fn until_none(&self, name: &str) -> Result<()> {
        let what = format!("{name} to be gone");
        wait::until(&what, LIMIT, async || {
            Ok(self.found(name).await?.is_none().then_some(()))
        })
        .await
    }

    /// Writes an entry as somebody else would: all its fields, with this change.
    pub async fn meddle(&self, name: &str, change: Value) -> Result<Value> {
        let mut entry = self.entry(name).await?;
        entry["clients"] = clients(&entry);
        let members = entry.as_object_mut().context("an object")?;
        members.extend(change.as_object().cloned().unwrap_or_default());
        self.foulkon.must("PUT", &format!("/{name}"), Some(entry)).await
    }

    /// Requests to the worker after `mark`, but for those about the server as a whole.
    pub fn about(&self, mark: u64) -> Vec<Exchange> {
        let mut exchanges = self.server.admin.journal().since(mark);
        exchanges.retain(|exchange| exchange.head.path() != "/about" && !exchange.head.is("GET", PROVIDERS));
        exchanges
    }

    /// Those of [`Stage::about`] that change something.
    pub fn writes(&self, mark: u64) -> Vec<Exchange> {
        let mut exchanges = self.about(mark);
        exchanges.retain(|exchange| exchange.head.method != "GET");
        exchanges
    }

    /// Waits until a provider's entry was read once more by its own pass.
    pub async fn read_again(&self, name: &str) -> Result<()> {
        let mark = self.server.admin.journal().mark();
        let path = format!("{PROVIDERS}/{name}");
        wait::until("a look at the provider", LIMIT, async || {
            let since = self.server.admin.journal().since(mark);
            Ok(since
                .iter()
                .any(|exchange| exchange.head.is("GET", &path))
                .then_some(()))
        })
        .await
    }
}

/// What every entry needs, with clients by id.
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
