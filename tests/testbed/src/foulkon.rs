//! A Foulkon worker. Foulkon is archived and not available as a package, so this is a stand-in: it answers as a real
//! worker was recorded to answer, with its peculiarities, and keeps its providers in memory.
//!
//! It covers OIDC providers and who may manage them. It has no users, groups and policies.

mod api;
mod auth;
mod body;
mod providers;
#[cfg(test)]
mod replay_tests;
mod reply;
mod request_uri;
mod route;
mod server;
mod table;
#[cfg(test)]
mod tests;
mod token;
#[cfg(test)]
mod token_tests;
mod validate;

use std::env;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rand::distr::{Alphanumeric, SampleString};
use serde_json::Value;
use tokio::net::TcpListener;

pub use self::api::Api;
use self::server::{Running, Worker};
use self::table::Database;
use crate::wait;

/// Variable with the URL of a real worker, which replaces the stand-in.
pub const URL_VARIABLE: &str = "FOULKON_URL";
/// Variable with the name and the password of its administrator: `USER:PASSWORD`.
pub const ADMIN_VARIABLE: &str = "FOULKON_ADMIN";
/// Longest wait for a port that another process holds.
const PORT_LIMIT: Duration = Duration::from_secs(90);
/// Name of the administrator.
const ADMIN: &str = "admin";
/// Length of the administrator's password.
const PASSWORD_LENGTH: usize = 24;
/// Providers read at once: the maximum of the worker.
const PAGE: usize = 1000;

/// A running worker, or a stopped one that can be started again. The stand-in stops and loses its data when this value
/// is dropped.
pub struct Foulkon {
    address: String,
    user: String,
    password: String,
    api: Api,
    /// None: the worker is a real one.
    stand_in: Option<StandIn>,
}

struct StandIn {
    listen: SocketAddr,
    database: Arc<Database>,
    running: Option<Running>,
}

impl Foulkon {
    /// Starts a stand-in on a free port of 127.0.0.1, with a random password for its administrator and without any
    /// provider. If the variables `FOULKON_URL` and `FOULKON_ADMIN` are set, it uses the real worker there instead,
    /// with that worker's providers.
    ///
    /// # Errors
    /// When no port is free, or only one of the variables is set.
    pub async fn start() -> Result<Self> {
        if Self::is_real() {
            return Self::real();
        }
        let password = Alphanumeric.sample_string(&mut rand::rng(), PASSWORD_LENGTH);
        Self::at((Ipv4Addr::LOCALHOST, 0).into(), &format!("{ADMIN}:{password}")).await
    }

    /// Starts a stand-in that listens there (port 0: a free one), and whose administrator is `admin`: `USER:PASSWORD`.
    ///
    /// # Errors
    /// When `admin` has no colon, or something else listens there.
    pub async fn at(listen: SocketAddr, admin: &str) -> Result<Self> {
        let (user, password) = split(admin)?;
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("listening at {listen}"))?;
        let listen = listener.local_addr()?;
        let database = Arc::new(Database::default());
        let running = Running::start(listener, Worker::new(admin, &database));
        Ok(Self::new(
            &format!("http://{listen}"),
            user,
            password,
            Some(StandIn {
                listen,
                database,
                running: Some(running),
            }),
        ))
    }

    /// Gives a stand-in these providers, with their ids and times, as [`Self::providers`] returns them.
    ///
    /// # Errors
    /// When the worker is a real one, or a provider is incomplete or clashes with another one.
    pub fn restore(&self, providers: Vec<Value>) -> Result<()> {
        let stand_in = self.stand_in.as_ref().context("a real worker cannot be restored")?;
        for provider in providers {
            let provider = serde_json::from_value(provider)?;
            let inserted = stand_in.database.table().insert(provider);
            inserted.map_err(|refused| anyhow!("{refused}"))?;
        }
        Ok(())
    }

    /// Whether tests run against a real worker: `FOULKON_URL` is set. Then tests must skip what only a stand-in can do.
    #[must_use]
    pub fn is_real() -> bool {
        env::var_os(URL_VARIABLE).is_some()
    }

    fn real() -> Result<Self> {
        let address = env::var(URL_VARIABLE).context(URL_VARIABLE)?;
        let admin = env::var(ADMIN_VARIABLE).with_context(|| format!("{URL_VARIABLE} needs {ADMIN_VARIABLE}"))?;
        let (user, password) = split(&admin)?;
        Ok(Self::new(address.trim_end_matches('/'), user, password, None))
    }

    fn new(address: &str, user: &str, password: &str, stand_in: Option<StandIn>) -> Self {
        Self {
            address: address.to_owned(),
            user: user.to_owned(),
            password: password.to_owned(),
            api: Api::new(address, user, password),
            stand_in,
        }
    }

    /// URL of the worker, without a trailing slash. It stays the same when the worker is started again.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Name and password of the administrator.
    #[must_use]
    pub fn admin(&self) -> (&str, &str) {
        (&self.user, &self.password)
    }

    /// The API as the administrator.
    #[must_use]
    pub fn api(&self) -> Api {
        self.api.clone()
    }

    /// [`Api::call`] as the administrator.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Result<(u16, Value)> {
        self.api.call(method, path, body).await
    }

    /// [`Api::call_as`] with any `Authorization` header, or with none.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn call_as(
        &self,
        authorization: Option<&str>,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<(u16, Value)> {
        self.api.call_as(authorization, method, path, body).await
    }

    /// [`Api::must`] as the administrator.
    ///
    /// # Errors
    /// When there is no answer or no success status; the message quotes the worker.
    pub async fn must(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value> {
        self.api.must(method, path, body).await
    }

    /// All providers, as the API returns them. A stand-in returns them even while it is stopped. A real worker is asked
    /// for each by name: of two whose names match each other, one can be missing and the other be returned twice.
    ///
    /// # Errors
    /// When a real worker does not answer.
    pub async fn providers(&self) -> Result<Vec<Value>> {
        if let Some(stand_in) = &self.stand_in {
            let providers = stand_in.database.table().all();
            let providers = providers.iter().map(serde_json::to_value);
            return Ok(providers.collect::<Result<_, _>>()?);
        }
        let mut providers = Vec::new();
        for name in self.names().await? {
            match self.call("GET", &format!("/{name}"), None).await? {
                (200, provider) => providers.push(provider),
                (404, _) => {} // it was deleted meanwhile
                (status, body) => bail!("GET of {name} was answered {status}: {body}"),
            }
        }
        Ok(providers)
    }

    /// Removes all providers.
    ///
    /// # Errors
    /// When a real worker does not answer, or refuses.
    pub async fn remove_all(&self) -> Result<()> {
        // Repeated until none is left: a name can match another provider too.
        loop {
            let names = self.names().await?;
            if names.is_empty() {
                return Ok(());
            }
            for name in names {
                match self.call("DELETE", &format!("/{name}"), None).await? {
                    (204 | 404, _) => {}
                    (status, body) => bail!("removing {name} was answered {status}: {body}"),
                }
            }
        }
    }

    async fn names(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        loop {
            let query = format!("?Limit={PAGE}&Offset={}&OrderBy=urn-asc", names.len());
            let page = self.must("GET", &query, None).await?;
            let found = page["providers"].as_array().into_iter().flatten();
            let before = names.len();
            names.extend(found.filter_map(Value::as_str).map(ToOwned::to_owned));
            if names.len() - before < PAGE {
                return Ok(names);
            }
        }
    }

    /// Lets the user with this subject (`sub` of its tokens) manage providers.
    ///
    /// # Errors
    /// When the worker is a real one.
    pub fn allow(&self, subject: &str) -> Result<()> {
        let Some(stand_in) = &self.stand_in else {
            bail!(
                "only a stand-in can let a user manage providers: the worker at {} is a real one",
                self.address
            );
        };
        stand_in.database.managers().insert(subject.to_owned());
        Ok(())
    }

    /// Stops the worker at once, as if it were killed; its port and providers are kept. Does nothing if it is stopped.
    ///
    /// # Errors
    /// When the worker is a real one.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(running) = self.stand_in("stopped")?.running.take() {
            running.stop().await;
        }
        Ok(())
    }

    /// Starts the worker again on the same port, with the same providers, which it loads now. Does nothing if it runs.
    ///
    /// # Errors
    /// When the worker is a real one, or another process holds its port for a minute and a half.
    pub async fn start_again(&mut self) -> Result<()> {
        let admin = format!("{}:{}", self.user, self.password);
        let stand_in = self.stand_in("started")?;
        if stand_in.running.is_some() {
            return Ok(());
        }
        let listener = wait::until(
            "the worker's port to be free",
            PORT_LIMIT,
            async || match TcpListener::bind(stand_in.listen).await {
                Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(None),
                result => Ok(Some(result?)),
            },
        )
        .await?;
        let worker = Worker::new(&admin, &stand_in.database);
        stand_in.running = Some(Running::start(listener, worker));
        Ok(())
    }

    /// Stops the worker and starts it again.
    ///
    /// # Errors
    /// As [`Self::start_again`].
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.start_again().await
    }

    fn stand_in(&mut self, what: &str) -> Result<&mut StandIn> {
        let address = &self.address;
        let stand_in = self.stand_in.as_mut();
        stand_in.with_context(|| format!("only a stand-in can be {what}: the worker at {address} is a real one"))
    }
}

fn split(admin: &str) -> Result<(&str, &str)> {
    let pair = admin.split_once(':').filter(|(user, _)| !user.is_empty());
    pair.context("an administrator is written as USER:PASSWORD")
}
