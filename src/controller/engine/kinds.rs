//! All kinds in one list.

use tokio::sync::mpsc::UnboundedSender;

use crate::api::{Assignment, AuthorizationServer, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use crate::controller::engine::cache::Writer;
use crate::controller::engine::key::{Key, Which};
use crate::controller::engine::kind::Kind;

/// Cache, memory and queue of each kind.
pub struct Kinds {
    /// AuthorizationServers.
    pub servers: Kind<AuthorizationServer>,
    /// OAuth2Clients.
    pub clients: Kind<OAuth2Client>,
    /// Scopes.
    pub scopes: Kind<Scope>,
    /// Assignments.
    pub assignments: Kind<Assignment>,
    /// JsonWebKeySets.
    pub key_sets: Kind<JsonWebKeySet>,
    /// OidcProviders.
    pub providers: Kind<OidcProvider>,
}

/// Writers of the caches of all kinds.
pub struct Writers {
    /// Writer for AuthorizationServers.
    pub servers: Writer<AuthorizationServer>,
    /// Writer for OAuth2Clients.
    pub clients: Writer<OAuth2Client>,
    /// Writer for Scopes.
    pub scopes: Writer<Scope>,
    /// Writer for Assignments.
    pub assignments: Writer<Assignment>,
    /// Writer for JsonWebKeySets.
    pub key_sets: Writer<JsonWebKeySet>,
    /// Writer for OidcProviders.
    pub providers: Writer<OidcProvider>,
}

impl Kinds {
    /// Creates all kinds with empty caches, and the writers of these caches. `queue`: where woken keys are sent.
    pub fn new(queue: &UnboundedSender<Key>) -> (Self, Writers) {
        let servers = Kind::new(Which::AuthorizationServer, queue);
        let clients = Kind::new(Which::OAuth2Client, queue);
        let scopes = Kind::new(Which::Scope, queue);
        let assignments = Kind::new(Which::Assignment, queue);
        let key_sets = Kind::new(Which::JsonWebKeySet, queue);
        let providers = Kind::new(Which::OidcProvider, queue);
        let kinds = Kinds {
            servers: servers.0,
            clients: clients.0,
            scopes: scopes.0,
            assignments: assignments.0,
            key_sets: key_sets.0,
            providers: providers.0,
        };
        let writers = Writers {
            servers: servers.1,
            clients: clients.1,
            scopes: scopes.1,
            assignments: assignments.1,
            key_sets: key_sets.1,
            providers: providers.1,
        };
        (kinds, writers)
    }

    /// Another process may have written to a server until now ([`Memory::begin_again`]).
    ///
    /// [`Memory::begin_again`]: crate::controller::engine::memory::Memory::begin_again
    pub fn begin_again(&self) {
        self.clients.memory.begin_again();
        self.scopes.memory.begin_again();
        self.assignments.memory.begin_again();
        self.key_sets.memory.begin_again();
        self.providers.memory.begin_again();
    }

    /// Waits until the caches are filled. False if a watch ends before that.
    pub async fn are_filled(&self) -> bool {
        self.servers.store.is_filled().await
            && self.clients.store.is_filled().await
            && self.scopes.store.is_filled().await
            && self.assignments.store.is_filled().await
            && self.key_sets.store.is_filled().await
            && self.providers.store.is_filled().await
    }
}
