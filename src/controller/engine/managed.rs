//! What the engine asks of a kind, and what a kind may ask of the engine.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use kube::core::object::HasStatus;
use kube::runtime::events::EventType;
use kube::{Api, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::DEFAULT_SERVER;
use crate::api::access::ManagedKind;
use crate::api::condition::Wanted;
use crate::api::refs::ServerRef;
use crate::api::status::Standing;
use crate::controller::engine::context::Context;
use crate::controller::engine::kind::Kind;
use crate::controller::engine::verdict::Done;
use crate::decode::{Decode, Item};
use crate::error::Result;

/// A kind whose resources live on an AuthorizationServer.
pub trait OnServer: Managed {
    /// The kind as access rules name it.
    const ACCESS: ManagedKind;

    /// The server that the spec names, if it does.
    fn server_ref(&self) -> Option<&ServerRef>;

    /// Name of the server that it lives on.
    fn server_name(&self) -> &str {
        self.server_ref().map_or(DEFAULT_SERVER, |server| server.name.as_str())
    }
}

/// A kind that the driver can take care of.
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
    /// Longest wait between two tries while something passing is in the way.
    const PATIENCE: Duration = Duration::from_secs(300);
    /// Longest time for one pass.
    const PASS: Duration = Duration::from_secs(120);

    /// Name of the AuthorizationServer that the resource lives on. None for an AuthorizationServer itself.
    fn server(&self) -> Option<&str> {
        None
    }
    /// The Api that holds this object.
    fn api(&self, client: Client) -> Api<Item<Self>>;
    /// What the process keeps of this kind.
    fn kind_of(ctx: &Context) -> &Kind<Self>;
    /// Settles between this pass and somebody else's, who wrote `live` meanwhile. What the pass did not change since `before` is taken over already.
    fn rebase(_status: &mut Self::Status, _before: &Self::Status, _live: &Self::Status) {}

    /// Conditions of this kind's own, which hold however a pass ends. `status`: as it is going to be.
    fn conditions(&self, _status: &Self::Status) -> Vec<Wanted> {
        Vec::new()
    }

    /// Brings the world in step with the spec. What was achieved goes into `pass.status` even if a later step fails.
    fn apply(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> impl Future<Output = Result<Done>> + Send;
    /// Undoes everything; the finalizer goes after it.
    fn cleanup(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> impl Future<Output = Result<()>> + Send;
}

/// What a pass brings about besides its result.
pub struct Pass<S> {
    /// The status to be.
    pub status: S,
    /// Events to publish, with reason and note.
    pub notes: Vec<(EventType, &'static str, String)>,
    /// Whether the remote object has to be read: it may not be as we left it.
    pub must_read: bool,
}

impl<K: OnServer> Kind<K> {
    /// The resources on a server, from the cache.
    pub fn on(&self, server: &str) -> Vec<Arc<K>> {
        self.store.state_filter(|resource| resource.server_name() == server)
    }
}
