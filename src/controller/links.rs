//! Connections to servers: made by the server's own passes, used by those of its resources.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::{is_deleting, is_held};
use crate::admin::http::Http;
use crate::admin::hydra::Hydra;
use crate::api::AuthorizationServer;
use crate::api::authorization_server::Endpoints;
use crate::error::{Error, Outage, Result};
use kube::ResourceExt;

/// A connection to a server, as its spec and the Secrets it refers to say.
pub struct Link {
    /// The admin API.
    pub hydra: Hydra,
    /// The public API and its URL, where the server has one.
    pub public: Option<(Http, String)>,
    /// What the connection was made from: generation and versions of what the spec refers to.
    pub made_from: String,
    /// When the last sweep ended, and whether it ended well.
    pub swept: Mutex<Option<(Instant, bool)>>,
}

/// A server as of its last pass in this process.
#[derive(Clone)]
struct Standing {
    generation: Option<i64>,
    link: Option<Arc<Link>>,
    trouble: Option<Error>,
    endpoints: Option<Endpoints>,
}

/// Connections by name of the server.
#[derive(Default)]
pub struct Links(Mutex<HashMap<String, Standing>>);

impl Links {
    /// The connection that a resource may use now.
    ///
    /// # Errors
    /// [`Error::ServerPending`] before the server's first pass, afterwards what keeps it from being used.
    pub fn usable(&self, server: &AuthorizationServer) -> Result<Arc<Link>> {
        let name = server.name_any();
        if is_deleting(server) && !is_held(server) {
            return Err(Error::ServerGoing(name)); // somebody else's finalizer keeps it
        }
        let standing = self.lock().get(&name).cloned();
        match standing {
            // What passes need of the status must be there too, as of this spec, and nothing is written through a server without our finalizer.
            Some(standing)
                if standing.generation == server.metadata.generation
                    && is_reported(server)
                    && is_held(server)
                    && knows(server, standing.endpoints.as_ref()) =>
            {
                match (standing.link, standing.trouble) {
                    (Some(link), None) => Ok(link),
                    (_, Some(Error::Unavailable(_))) => Err(Error::Unavailable(Outage::Known)),
                    _ => Err(Error::ServerNotReady(name)),
                }
            }
            _ => Err(Error::ServerPending(name)),
        }
    }

    /// The connection of a server's last pass, whatever its standing.
    pub fn last(&self, name: &str) -> Option<Arc<Link>> {
        self.lock().get(name)?.link.clone()
    }

    /// Records how a server's pass ended, and the endpoints that its status is going to name. Returns whether the server can be used and could not
    /// before.
    pub fn stands(
        &self,
        server: &AuthorizationServer,
        link: Option<Arc<Link>>,
        trouble: Option<Error>,
        endpoints: Option<Endpoints>,
    ) -> bool {
        let usable = trouble.is_none();
        let standing = Standing {
            generation: server.metadata.generation,
            link,
            trouble,
            endpoints,
        };
        let before = self.lock().insert(server.name_any(), standing);
        usable && before.is_none_or(|before| before.trouble.is_some())
    }

    /// Forgets a server that is gone.
    pub fn forget(&self, name: &str) {
        self.lock().remove(name);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Standing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the status speaks of the spec as it is.
pub(super) fn is_reported(server: &AuthorizationServer) -> bool {
    server.status.as_ref().and_then(|status| status.observed_generation) == server.metadata.generation
}

/// Whether the status names the endpoints that were found. Defaults and Secrets are made from the status, so they would be wrong before.
fn knows(server: &AuthorizationServer, endpoints: Option<&Endpoints>) -> bool {
    let reported = server.status.as_ref().and_then(|status| status.endpoints.as_ref());
    endpoints.is_none_or(|found| reported == Some(found))
}
