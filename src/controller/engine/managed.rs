//! The traits that a kind implements for the engine, and the pass that the engine gives to a kind.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use kube::core::object::HasStatus;
use kube::{Api, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::DEFAULT_SERVER;
use crate::api::access::ManagedKind;
use crate::api::condition::Wanted;
use crate::api::event::Happening;
use crate::api::refs::ServerRef;
use crate::api::status::Standing;
use crate::controller::engine::context::Context;
use crate::controller::engine::kind::Kind;
use crate::controller::engine::verdict::Done;
use crate::decode::{Decode, Item};
use crate::error::Result;

/// A kind whose resources are on an AuthorizationServer.
pub trait OnServer: Managed {
    /// Name of the kind in access rules.
    const ACCESS: ManagedKind;

    /// The server that the spec names, if any.
    fn server_ref(&self) -> Option<&ServerRef>;

    /// Name of the server that the resource is on.
    fn server_name(&self) -> &str {
        self.server_ref().map_or(DEFAULT_SERVER, |server| server.name.as_str())
    }
}

/// A kind that the engine reconciles.
pub trait Managed:
    HasStatus<Status: Standing + Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned + Send + Sync>
    + Decode
    + Debug
    + Send
    + Sync
    + 'static
{
    /// Name of the kind in metrics and logs.
    const KIND: &'static str;
    /// Longest wait between two retries of a transient error.
    const PATIENCE: Duration = Duration::from_secs(300);
    /// Time limit of one pass.
    const PASS: Duration = Duration::from_secs(120);

    /// Name of the AuthorizationServer that the resource is on. None for an AuthorizationServer itself.
    fn server(&self) -> Option<&str> {
        None
    }
    /// The Api through which this object is read and written.
    fn api(&self, client: Client) -> Api<Item<Self>>;
    /// Cache, memory and queue of this kind.
    fn kind_of(ctx: &Context) -> &Kind<Self>;
    /// Resolves conflicts between the status of this pass and `live`, which another writer has stored meanwhile. Fields
    /// that the pass has not changed since `before` already have the value of `live`.
    fn rebase(_status: &mut Self::Status, _before: &Self::Status, _live: &Self::Status) {}

    /// Secrets that the operator has made and that this resource depends on.
    fn secrets(&self, _ctx: &Context) -> Vec<SecretKey> {
        Vec::new()
    }

    /// Whether a pass put a secret or key into use in place of another one.
    fn is_rotated(_before: &Self::Status, _after: &Self::Status) -> bool {
        false
    }

    /// Conditions of this kind that do not depend on the result of the pass. `status`: the status that is about to be
    /// written.
    fn conditions(&self, _status: &Self::Status) -> Vec<Wanted> {
        Vec::new()
    }

    /// Brings server and cluster in line with the spec. Puts what is achieved into `pass.status`, even if a later step
    /// fails.
    fn apply(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> impl Future<Output = Result<Done>> + Send;
    /// Undoes everything. The engine removes the finalizer afterwards.
    fn cleanup(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> impl Future<Output = Result<()>> + Send;
}

/// A Secret that the operator has made, in the namespace of the resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretKey {
    /// UID of the resource that owns it.
    pub owner: String,
    /// Name of the Secret.
    pub name: String,
}

/// What a pass produces besides its result.
pub struct Pass<S> {
    /// The status to write.
    pub status: S,
    /// Events to publish, with their notes.
    pub notes: Vec<(Happening, String)>,
    /// Whether the object on the server must be read, because it may have changed since our last write.
    pub must_read: bool,
}

impl<S> Pass<S> {
    /// Publishes an event after the pass. The note is a full sentence without a value of a secret.
    pub fn note(&mut self, happening: Happening, note: impl Into<String>) {
        self.notes.push((happening, note.into()));
    }

    /// Whether the pass publishes one of these.
    pub fn has_noted(&self, happenings: &[Happening]) -> bool {
        self.notes.iter().any(|(noted, _)| happenings.contains(noted))
    }
}

impl<K: OnServer> Kind<K> {
    /// Returns the resources on a server, from the cache.
    pub fn on(&self, server: &str) -> Vec<Arc<K>> {
        self.store.state_filter(|resource| resource.server_name() == server)
    }
}
