//! Connections to servers: made by the server's own passes, used by those of its resources.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use kube::ResourceExt;
use tokio::sync::OnceCell;

use crate::admin::foulkon::worker::Worker;
use crate::admin::http::Http;
use crate::admin::hydra::Hydra;
use crate::admin::vault::Vault;
use crate::api::AuthorizationServer;
use crate::api::authorization_server::Facts;
use crate::controller::engine::lifecycle::{is_deleting, is_held};
use crate::error::{Error, Outage, Result};

/// A server as a resource may use it: the connection, and the API that the server was found to speak.
#[derive(Clone)]
pub struct Link {
    /// The connection.
    pub connection: Arc<Connection>,
    admin: Admin,
    server: String,
}

/// The API that a server was found to speak.
#[derive(Clone)]
pub enum Admin {
    /// Ory Hydra's.
    Hydra(Hydra),
    /// That of HashiCorp Vault and OpenBao.
    Vault(Vault),
    /// That of a Foulkon's worker.
    Foulkon(Worker),
}

impl Link {
    /// The admin API of an Ory Hydra.
    ///
    /// # Errors
    /// [`Error::ServerPending`] if there is another server now than the one that was planned with.
    pub fn hydra(&self) -> Result<&Hydra> {
        match &self.admin {
            Admin::Hydra(hydra) => Ok(hydra),
            Admin::Vault(_) | Admin::Foulkon(_) => Err(Error::ServerPending(self.server.clone())),
        }
    }

    /// The API of a Vault or an OpenBao.
    ///
    /// # Errors
    /// As [`Link::hydra`].
    pub fn vault(&self) -> Result<&Vault> {
        match &self.admin {
            Admin::Vault(vault) => Ok(vault),
            Admin::Hydra(_) | Admin::Foulkon(_) => Err(Error::ServerPending(self.server.clone())),
        }
    }

    /// The worker of a Foulkon.
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

/// A connection to a server, as its spec and the Secrets it refers to say.
pub struct Connection {
    /// The admin API's endpoint.
    pub admin: Arc<Http>,
    /// The public API and its URL, where the server has one.
    pub public: Option<(Http, String)>,
    /// The server with its login, where a login is more than a header.
    pub vault: Option<Vault>,
    /// What the connection was made from: generation and versions of what the spec refers to.
    pub made_from: String,
    /// Held by whoever takes a new name where the server does not keep others from taking it at the same time.
    pub naming: tokio::sync::Mutex<()>,
    /// Set once the key set was read.
    pub keys_made: OnceCell<()>,
    /// The last sweep.
    pub swept: Mutex<Option<Swept>>,
    /// Clients that no resource had at the last sweep, with the UID of the one that they had. None after one that failed.
    pub strangers: Mutex<BTreeMap<String, String>>,
}

/// How a sweep ended.
#[derive(Clone)]
pub struct Swept {
    /// When.
    pub at: Instant,
    /// Why it failed, if it did.
    pub failed: Option<Error>,
    /// How many failed in a row, with this one.
    pub failures: u32,
}

impl Connection {
    /// The last sweep, if there was one.
    pub fn last_sweep(&self) -> Option<Swept> {
        self.swept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the login, if there is one to end.
    pub async fn close(&self) {
        if let Some(vault) = &self.vault {
            vault.session().close().await;
        }
    }

    /// Remembers the clients that no resource had at a sweep. Returns those of the sweep before.
    pub fn strangers(&self, found: BTreeMap<String, String>) -> BTreeMap<String, String> {
        std::mem::replace(
            &mut *self.strangers.lock().unwrap_or_else(PoisonError::into_inner),
            found,
        )
    }

    /// A sweep has ended.
    pub fn swept(&self, failed: Option<Error>) {
        if failed.is_some() {
            self.strangers(BTreeMap::new());
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

/// A server as of its last pass in this process.
#[derive(Clone)]
struct Standing {
    generation: Option<i64>,
    connection: Option<Arc<Connection>>,
    /// What was found, or what keeps the server from being used.
    found: Result<Found>,
}

/// What a look at a server found.
#[derive(Clone)]
pub struct Found {
    /// The admin API.
    pub admin: Admin,
    /// What the status is going to say of it.
    pub facts: Facts,
}

/// Connections by name of the server.
#[derive(Default)]
pub struct Links(Mutex<HashMap<String, Standing>>);

impl Links {
    /// The connection that a resource may use now.
    ///
    /// # Errors
    /// [`Error::ServerPending`] before the server's first pass, afterwards what keeps it from being used.
    pub fn usable(&self, server: &AuthorizationServer) -> Result<Link> {
        let name = server.name_any();
        if is_deleting(server) && !is_held(server) {
            return Err(Error::ServerGoing(name)); // somebody else's finalizer keeps it
        }
        let standing = self.lock().get(&name).cloned();
        // What is known must be of this spec, and nothing is written through a server without our finalizer.
        let current = |standing: &Standing| {
            standing.generation == server.metadata.generation && is_reported(server) && is_held(server)
        };
        let Some(standing) = standing.filter(current) else {
            return Err(Error::ServerPending(name));
        };
        match (standing.connection, standing.found) {
            // Defaults and Secrets are made from the status, so they would be wrong before it says what was found.
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

    /// The connection of a server's last pass, whatever its standing.
    pub fn last(&self, name: &str) -> Option<Arc<Connection>> {
        self.lock().get(name)?.connection.clone()
    }

    /// Records how a server's pass ended. Returns whether the server can be used and could not before.
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

    /// Ends all logins: the process stops.
    pub async fn close(&self) {
        let standings: Vec<Standing> = self.lock().drain().map(|(_, standing)| standing).collect();
        let connections = standings.iter().filter_map(|standing| standing.connection.as_ref());
        futures::future::join_all(connections.map(|connection| connection.close())).await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Standing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the status speaks of the spec as it is.
pub(crate) fn is_reported(server: &AuthorizationServer) -> bool {
    server.status.as_ref().and_then(|status| status.observed_generation) == server.metadata.generation
}

/// A server that answers well.
pub(crate) struct Checked {
    /// The API that it speaks.
    pub(crate) admin: Admin,
    /// Whether that closed the circuit breaker.
    pub(crate) closed: bool,
}
