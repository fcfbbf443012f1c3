//! What every pass shares: caches, connections, memory.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::ResourceExt;
use kube::core::PartialObjectMeta;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::mpsc::UnboundedSender;

use super::links::Links;
use super::memory::{Child, Memory, is_newer};
use crate::api::{AuthorizationServer, DEFAULT_SERVER, OAuth2Client, UID_LABEL};
use crate::cluster::Cluster;
use crate::leader::Fence;
use crate::metrics::Metrics;

/// Settings of the process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The operator's own namespace: where references of an AuthorizationServer resolve.
    pub namespace: String,
    /// Id of this cluster in ownership markers.
    pub cluster: String,
}

/// Caches kept by watches. Filled before the first pass.
pub struct Stores {
    /// All AuthorizationServers.
    pub servers: Store<AuthorizationServer>,
    /// All OAuth2Clients.
    pub clients: Store<OAuth2Client>,
    /// All namespaces, metadata only.
    pub namespaces: Store<PartialObjectMeta<Namespace>>,
    /// Secrets with our watch label, metadata only.
    pub secrets: Store<PartialObjectMeta<Secret>>,
}

/// Wakes resources.
#[derive(Clone)]
pub struct Wake {
    /// Queue of OAuth2Clients.
    pub clients: UnboundedSender<ObjectRef<OAuth2Client>>,
    /// Queue of AuthorizationServers.
    pub servers: UnboundedSender<ObjectRef<AuthorizationServer>>,
}

// The queues live as long as the process: that nobody takes a message any more means that it is ending.
impl Wake {
    /// Wakes an OAuth2Client.
    pub fn client(&self, client: ObjectRef<OAuth2Client>) {
        let _ = self.clients.send(client);
    }

    /// Wakes an AuthorizationServer.
    pub fn server(&self, server: ObjectRef<AuthorizationServer>) {
        let _ = self.servers.send(server);
    }
}

/// Memories of the kinds.
#[derive(Default)]
pub struct Memories {
    /// Of AuthorizationServers.
    pub servers: Memory<AuthorizationServer>,
    /// Of OAuth2Clients.
    pub clients: Memory<OAuth2Client>,
}

/// What every pass shares.
pub struct Context {
    /// The Kubernetes API.
    pub cluster: Cluster,
    /// Settings of the process.
    pub settings: Settings,
    /// Caches.
    pub stores: Stores,
    /// Wakes resources.
    pub wake: Wake,
    /// What is remembered of resources.
    pub memory: Memories,
    /// Connections to servers.
    pub links: Links,
    /// Publishes events.
    pub recorder: Recorder,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// The fence of writes to servers.
    pub fence: Fence,
}

/// A Secret of ours, by metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnSecret {
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// resourceVersion.
    pub version: String,
}

impl OwnSecret {
    fn of(secret: &PartialObjectMeta<Secret>) -> Option<Self> {
        Some(OwnSecret {
            name: secret.name_any(),
            uid: secret.uid()?,
            version: secret.resource_version()?,
        })
    }
}

impl Context {
    /// The server that a client names, from the cache.
    pub fn server_of(&self, client: &OAuth2Client) -> Option<Arc<AuthorizationServer>> {
        let cached = self.stores.servers.get(&ObjectRef::new(server_name(client)))?;
        Some(self.memory.servers.newest(cached))
    }

    /// The clients that name a server, from the cache.
    pub fn clients_of(&self, server: &str) -> Vec<Arc<OAuth2Client>> {
        self.stores.clients.state_filter(|client| server_name(client) == server)
    }

    /// One of a resource's Secrets, from the cache or from our own last write, whichever is newer.
    pub fn own_secret(&self, namespace: &str, uid: &str, name: &str) -> Option<OwnSecret> {
        let cached = self.stores.secrets.get(&ObjectRef::new(name).within(namespace));
        let cached = cached
            .filter(|secret| is_own(secret, namespace, uid))
            .and_then(|secret| OwnSecret::of(&secret));
        let written = self.memory.clients.child(uid, name);
        match (cached, written) {
            (Some(cached), Some(Child::Deleted(gone))) if gone == cached.uid => None,
            (Some(cached), Some(Child::Written(uid, version))) if is_newer(Some(&version), Some(&cached.version)) => {
                Some(OwnSecret {
                    name: name.to_owned(),
                    uid,
                    version,
                })
            }
            (None, Some(Child::Written(uid, version))) => Some(OwnSecret {
                name: name.to_owned(),
                uid,
                version,
            }),
            (cached, _) => cached,
        }
    }

    /// The names of all Secrets that carry a resource's mark in the cache. Looks at every one of them.
    pub fn marked_secrets(&self, namespace: &str, uid: &str) -> Vec<String> {
        let marked = self
            .stores
            .secrets
            .state_filter(|secret| is_own(secret, namespace, uid));
        marked.iter().map(|secret| secret.name_any()).collect()
    }

    /// resourceVersion of a watched Secret of any owner, from the cache.
    pub fn watched_secret(&self, namespace: &str, name: &str) -> Option<String> {
        self.stores
            .secrets
            .get(&ObjectRef::new(name).within(namespace))?
            .resource_version()
    }
}

/// Name of the server that a client lives on.
pub fn server_name(client: &OAuth2Client) -> &str {
    client
        .spec
        .server_ref
        .as_ref()
        .map_or(DEFAULT_SERVER, |server| server.name.as_str())
}

fn is_own(secret: &PartialObjectMeta<Secret>, namespace: &str, uid: &str) -> bool {
    secret.metadata.namespace.as_deref() == Some(namespace)
        && secret.labels().get(UID_LABEL).is_some_and(|label| label == uid)
        && secret.owner_references().iter().any(|owner| owner.uid == uid)
}
