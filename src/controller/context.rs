//! What every pass shares: caches, connections, memory.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::jiff::Timestamp;
use kube::core::PartialObjectMeta;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use tokio::sync::mpsc::UnboundedSender;

use super::cache::{Cache, Writer, cache};
use super::departures::Departures;
use super::links::Links;
use super::memory::{Memory, is_newer};
use super::on_server::OnServer;
use super::own_secret::{Child, Children};
use super::schedule::{self, later};
use super::turns::{Key, Which};
use super::watched_secret::WatchedSecret;
use crate::access;
use crate::api::{Assignment, AuthorizationServer, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use crate::cluster::Cluster;
use crate::health::Health;
use crate::leader::Fence;
use crate::metrics::Metrics;

/// Settings of the process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The operator's own namespace: where references of an AuthorizationServer resolve.
    pub namespace: String,
    /// Id of this cluster in ownership markers.
    pub cluster: String,
    /// Ids of clusters whose markers are taken over.
    pub former_clusters: Vec<String>,
}

/// What the process keeps of one kind: its cache, its queue, and what it remembers. The cache is filled before the first pass.
pub struct Kind<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    /// The cache, kept by a watch.
    pub store: Cache<K>,
    /// What is remembered of resources.
    pub memory: Memory<K>,
    which: Which,
    queue: UnboundedSender<Key>,
}

impl<K> Kind<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    /// A kind of which nothing is known yet, and what fills its cache. `queue`: where those are put that are woken.
    pub fn new(which: Which, queue: &UnboundedSender<Key>) -> (Self, Writer<K>) {
        let (store, writer) = cache();
        let kind = Kind {
            store,
            memory: Memory::default(),
            which,
            queue: queue.clone(),
        };
        (kind, writer)
    }

    /// The resources on a server, from the cache.
    pub fn on(&self, server: &str) -> Vec<Arc<K>>
    where
        K: OnServer,
    {
        self.store.state_filter(|resource| resource.server_name() == server)
    }

    /// The newest version known of an object: the one at hand, what our own last write returned, or the cache's. Asked for in this order: the watch fills
    /// the cache before the memory lets go.
    pub fn newest(&self, known: Arc<K>) -> Arc<K> {
        let known = self.memory.newest(known);
        let cached = self.store.get(&ObjectRef::from_obj(&*known));
        let version = |object: &K| object.meta().resource_version.clone();
        let newer = cached.filter(|cached| {
            cached.meta().uid == known.meta().uid && is_newer(version(cached).as_deref(), version(&known).as_deref())
        });
        newer.unwrap_or(known)
    }

    /// When it is the turn of a resource that is late with what was due at this time, as many others may be. None: it waits for no turn. One that fails
    /// waits by its failures already.
    pub fn turn(&self, uid: &str, due_at: Option<Timestamp>) -> Option<Timestamp> {
        let now = Timestamp::now();
        let late = due_at.filter(|at| later(*at, schedule::ON_TIME) < now && !self.memory.is_failing(uid));
        let Some(due_at) = late else {
            self.memory.not_due(uid);
            return None;
        };
        let wait = schedule::turn(uid, self.store.len()).saturating_sub(self.memory.due_for(uid, due_at));
        (!wait.is_zero()).then(|| later(now, wait))
    }

    /// Remembers what our own write returned, unless the cache shows it already.
    pub fn wrote(&self, written: K) {
        let key = ObjectRef::from_obj(&written);
        self.memory.wrote(Arc::new(written));
        if let Some(cached) = self.store.get(&key) {
            self.memory.seen(&cached);
        }
    }

    /// Whether the cache shows this very resource, and not only one of its name.
    pub fn shows(&self, resource: &K) -> bool {
        let cached = self.store.get(&ObjectRef::from_obj(resource));
        cached.is_some_and(|cached| cached.meta().uid == resource.meta().uid)
    }

    /// Wakes a resource: it gets a pass soon.
    pub fn wake(&self, resource: ObjectRef<K>) {
        // The queue lives as long as the process: that nobody takes from it any more means that it is ending.
        let _ = self.queue.send(Key {
            which: self.which,
            namespace: resource.namespace.as_deref().unwrap_or_default().into(),
            name: resource.name.as_str().into(),
        });
    }
}

/// Caches of what is not ours. Filled before the first pass.
pub struct Stores {
    /// All namespaces, metadata only.
    pub namespaces: Cache<PartialObjectMeta<Namespace>>,
    /// Secrets with our watch label.
    pub secrets: Cache<WatchedSecret>,
}

/// What every pass shares.
pub struct Context {
    /// The Kubernetes API.
    pub cluster: Cluster,
    /// Settings of the process.
    pub settings: Settings,
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
    /// Caches of what is not ours.
    pub stores: Stores,
    /// Our own last writes to Secrets.
    pub children: Children,
    /// Connections to servers.
    pub links: Links,
    /// Which servers are going.
    pub departures: Departures,
    /// Publishes events.
    pub recorder: Recorder,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// What the watches report to.
    pub health: Arc<Health>,
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
    fn of(secret: &WatchedSecret) -> Self {
        OwnSecret {
            name: secret.name().to_owned(),
            uid: secret.uid.to_string(),
            version: secret.version.to_string(),
        }
    }
}

impl Context {
    /// A server, from the cache.
    pub fn server(&self, name: &str) -> Option<Arc<AuthorizationServer>> {
        let cached = self.servers.store.get(&ObjectRef::new(name))?;
        Some(self.servers.newest(cached))
    }

    /// Asks the access rules something about a namespace as the cache shows it.
    pub fn with_namespace<T>(&self, name: &str, ask: impl FnOnce(access::Namespace<'_>) -> T) -> T {
        let cached = self.stores.namespaces.get(&ObjectRef::new(name));
        let labels = cached.as_ref().map(|namespace| namespace.labels());
        ask(access::Namespace { name, labels })
    }

    /// One of a resource's Secrets, from the cache or from our own last write, whichever is newer. The write is asked for first: the watch fills the cache
    /// before the write is forgotten.
    pub fn own_secret(&self, namespace: &str, uid: &str, name: &str) -> Option<OwnSecret> {
        let written = self.children.get(uid, name);
        let cached = self.stores.secrets.get(&ObjectRef::new(name).within(namespace));
        let cached = cached
            .filter(|secret| secret.is_of(namespace, uid))
            .map(|secret| OwnSecret::of(&secret));
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
        let marked = self.stores.secrets.state_filter(|secret| secret.is_of(namespace, uid));
        marked.iter().map(|secret| secret.name().to_owned()).collect()
    }

    /// resourceVersion of a watched Secret of any owner, from the cache.
    pub fn watched_secret(&self, namespace: &str, name: &str) -> Option<String> {
        let cached = self.stores.secrets.get(&ObjectRef::new(name).within(namespace))?;
        Some(cached.version.to_string())
    }
}
