//! Connections to servers. A server's own passes make them, and the passes of its resources use them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::ResourceExt;
use tokio::sync::OnceCell;

use crate::admin::foulkon::worker::Worker;
use crate::admin::http::Http;
use crate::admin::hydra::Hydra;
use crate::admin::vault::Vault;
use crate::api::AuthorizationServer;
use crate::api::authorization_server::Facts;
use crate::api::condition::Wanted;
use crate::controller::engine::census::{Census, Former};
use crate::controller::engine::lifecycle::{is_deleting, is_held};
use crate::error::{Error, Listing, Outage, Result};
use crate::metrics::ServerState;

/// A server as a pass may use it: its connection, and the API detected on it.
#[derive(Clone)]
pub struct Link {
    /// The connection to the server.
    pub connection: Arc<Connection>,
    admin: Admin,
    server: String,
}

/// The API detected on a server.
#[derive(Clone)]
pub enum Admin {
    /// The admin API of Ory Hydra.
    Hydra(Hydra),
    /// The API of HashiCorp Vault and OpenBao.
    Vault(Vault),
    /// The API of a Foulkon worker.
    Foulkon(Worker),
}

impl Link {
    /// Whether this server was asked to rotate a secret and has no such operation. Another version or another issuer may
    /// have it, and after an hour the server is asked again.
    pub fn cannot_rotate(&self, server: &AuthorizationServer) -> bool {
        const VALID: Duration = Duration::from_secs(3600);
        let known = self.connection.cannot_rotate.lock();
        let known = known.unwrap_or_else(PoisonError::into_inner);
        let is_valid = |(of, at): &(String, Instant)| at.elapsed() < VALID && *of == version_and_issuer(server);
        known.as_ref().is_some_and(is_valid)
    }

    /// Remembers that this server has no operation to rotate a secret.
    pub fn learns_no_rotation(&self, server: &AuthorizationServer) {
        let known = self.connection.cannot_rotate.lock();
        *known.unwrap_or_else(PoisonError::into_inner) = Some((version_and_issuer(server), Instant::now()));
    }

    /// Returns the admin API of an Ory Hydra.
    ///
    /// # Errors
    /// [`Error::ServerPending`] if the API of the server has changed since the pass was planned.
    pub fn hydra(&self) -> Result<&Hydra> {
        match &self.admin {
            Admin::Hydra(hydra) => Ok(hydra),
            Admin::Vault(_) | Admin::Foulkon(_) => Err(Error::ServerPending(self.server.clone())),
        }
    }

    /// Returns the API of a Vault or an OpenBao.
    ///
    /// # Errors
    /// As [`Link::hydra`].
    pub fn vault(&self) -> Result<&Vault> {
        match &self.admin {
            Admin::Vault(vault) => Ok(vault),
            Admin::Hydra(_) | Admin::Foulkon(_) => Err(Error::ServerPending(self.server.clone())),
        }
    }

    /// Returns the API of a Foulkon worker.
    ///
    /// # Errors
    /// As [`Link::hydra`].
    pub fn foulkon(&self) -> Result<&Worker> {
        match &self.admin {
            Admin::Foulkon(worker) => Ok(worker),
            Admin::Hydra(_) | Admin::Vault(_) => Err(Error::ServerPending(self.server.clone())),
        }
    }
}

fn version_and_issuer(server: &AuthorizationServer) -> String {
    let status = server.status.as_ref();
    let version = status.and_then(|status| status.version.as_deref());
    let issuer = status.and_then(|status| Some(status.endpoints.as_ref()?.issuer.as_str()));
    format!("{} {}", version.unwrap_or_default(), issuer.unwrap_or_default())
}

/// A connection to a server, made from its spec and the Secrets and ConfigMaps that the spec refers to.
pub struct Connection {
    /// The endpoint of the admin API.
    pub admin: Arc<Http>,
    /// The admin API as an endpoint of its own, for what its reply is a hint only. None if nothing is.
    pub hints: Option<Http>,
    /// The endpoint and URL of the public API, if the server has one.
    pub public: Option<(Http, String)>,
    /// The server with its login, if a login takes more than a header.
    pub vault: Option<Vault>,
    /// What the connection was made from: UID and generation of the server, and versions of the objects that its spec
    /// refers to.
    pub made_from: String,
    /// Held while a pass takes a new name, on a server that does not prevent two requests from taking the same name.
    pub naming: tokio::sync::Mutex<()>,
    /// Set once the key set was read for the first time. Hydra 2 generates missing keys then, once for each concurrent
    /// request.
    pub keys_made: OnceCell<()>,
    /// The server, by version and issuer, that was asked to rotate a secret and has no such operation.
    pub cannot_rotate: Mutex<Option<(String, Instant)>>,
    /// Result of the last sweep.
    pub swept: Mutex<Option<Swept>>,
    /// Clients without a resource at the last sweep of this connection. Empty after a failed sweep, so that an orphan
    /// is one of two sweeps in a row.
    pub strangers: Mutex<Arc<Former>>,
    /// Clients without a resource at the last complete sweep of the server, also by an earlier connection.
    pub census: Arc<Census>,
}

/// Result of a sweep.
#[derive(Clone)]
pub struct Swept {
    /// When it ended.
    pub at: Instant,
    /// Why it failed, if it failed.
    pub failed: Option<Error>,
    /// Number of consecutive failed sweeps, including this one.
    pub failures: u32,
}

impl Connection {
    /// Returns the result of the last sweep, if there was one.
    pub fn last_sweep(&self) -> Option<Swept> {
        self.swept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the login, if there is one.
    pub async fn close(&self) {
        if let Some(vault) = &self.vault {
            vault.session().close().await;
        }
    }

    /// Remembers the clients without a resource at a sweep. Returns those of the sweep before.
    pub fn strangers(&self, found: Arc<Former>) -> Arc<Former> {
        let mut last = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *last, found)
    }

    /// Returns why it is not known which clients are on the server. None: there was a complete sweep.
    pub fn unlisted(&self) -> Option<Listing> {
        let failed = self.last_sweep().and_then(|last| last.failed);
        (!self.census.is_taken()).then(|| Listing::after(failed.as_ref()))
    }

    /// Records the result of a sweep.
    pub fn swept(&self, failed: Option<Error>) {
        if failed.is_some() {
            self.strangers(Arc::default());
        }
        let mut last = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.as_ref().map_or(0, |last| last.failures);
        *last = Some(Swept {
            at: Instant::now(),
            failures: if failed.is_some() { before.saturating_add(1) } else { 0 },
            failed,
        });
    }
}

/// State of a server after its last pass in this process.
#[derive(Clone)]
struct Standing {
    generation: Option<i64>,
    connection: Option<Arc<Connection>>,
    /// What the pass found, or why the server cannot be used.
    found: Result<Found>,
}

/// What a check of a server found.
#[derive(Clone)]
pub struct Found {
    /// The API of the server.
    pub admin: Admin,
    /// What the status will report about the server.
    pub facts: Facts,
}

/// Connections, by name of the server.
#[derive(Default)]
pub struct Links(Mutex<HashMap<String, Standing>>);

impl Links {
    /// Returns the link that a resource may use now.
    ///
    /// # Errors
    /// [`Error::ServerPending`] before the server's first pass, afterwards why the server cannot be used.
    pub fn usable(&self, server: &AuthorizationServer) -> Result<Link> {
        let name = server.name_any();
        if is_deleting(server) && !is_held(server) {
            return Err(Error::ServerGoing(name)); // only finalizers of others are left
        }
        let standing = self.lock().get(&name).cloned();
        // The state must be that of this spec, and nothing is written through a server without our finalizer.
        let current = |standing: &Standing| {
            standing.generation == server.metadata.generation && is_reported(server) && is_held(server)
        };
        let Some(standing) = standing.filter(current) else {
            return Err(Error::ServerPending(name));
        };
        match (standing.connection, standing.found) {
            // Defaults and Secrets are computed from the status, so they would be wrong until it reports what was
            // found.
            (Some(_), Ok(found)) if server.status.as_ref().map(Facts::of) != Some(found.facts.clone()) => {
                Err(Error::ServerPending(name))
            }
            (Some(connection), Ok(found)) => Ok(Link {
                connection,
                admin: found.admin,
                server: name,
            }),
            (_, Err(Error::Unavailable(_))) => Err(Error::Unavailable(Outage::Reported)),
            _ => Err(Error::ServerNotReady(name)),
        }
    }

    /// Returns the connection of a server's last pass, even if the server cannot be used.
    pub fn last(&self, name: &str) -> Option<Arc<Connection>> {
        self.lock().get(name)?.connection.clone()
    }

    /// Returns the breaker and the pace of each server.
    pub fn states(&self) -> Vec<ServerState> {
        let links = self.lock();
        let states = links.iter().filter_map(|(name, standing)| {
            let admin = &standing.connection.as_ref()?.admin;
            Some(ServerState {
                name: name.clone(),
                is_open: admin.breaker().is_open(),
                pace: admin.limit(),
            })
        });
        states.collect()
    }

    /// Records the result of a server's check. True if the server can be used now and could not before.
    pub fn stands(
        &self,
        server: &AuthorizationServer,
        connection: Option<Arc<Connection>>,
        found: Result<Found>,
    ) -> bool {
        let usable = found.is_ok();
        let standing = Standing {
            generation: server.metadata.generation,
            connection,
            found,
        };
        let before = self.lock().insert(server.name_any(), standing);
        usable && before.is_none_or(|before| before.found.is_err())
    }

    /// Forgets a server that is gone. Returns its connection, whose login may have to be ended.
    pub fn forget(&self, name: &str) -> Option<Arc<Connection>> {
        self.lock().remove(name)?.connection
    }

    /// Ends all logins, because the process stops.
    pub async fn close(&self) {
        let standings: Vec<Standing> = self.lock().drain().map(|(_, standing)| standing).collect();
        let connections = standings.iter().filter_map(|standing| standing.connection.as_ref());
        futures::future::join_all(connections.map(|connection| connection.close())).await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Standing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the status reports on the current generation of the spec.
pub(crate) fn is_reported(server: &AuthorizationServer) -> bool {
    server.status.as_ref().and_then(|status| status.observed_generation) == server.metadata.generation
}

/// Result of a successful check of a server.
pub(crate) struct Checked {
    /// The API detected on it.
    pub(crate) admin: Admin,
    /// Whether the check closed the circuit breaker.
    pub(crate) closed: bool,
    /// What does not work although the server can be used, and what to do, in full sentences.
    pub(crate) remarks: Vec<String>,
    /// The condition for a discovery document that cannot be read.
    pub(crate) undiscovered: Option<Wanted>,
}
