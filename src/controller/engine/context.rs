//! What all passes share: caches, connections, memory.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::ObjectRef;

use crate::access;
use crate::api::AuthorizationServer;
use crate::cluster::Cluster;
use crate::controller::engine::cache::Cache;
use crate::controller::engine::children::{Child, Children};
use crate::controller::engine::departures::Departures;
use crate::controller::engine::key::Key;
use crate::controller::engine::kinds::Kinds;
use crate::controller::engine::links::Links;
use crate::controller::engine::publisher::Events;
use crate::controller::engine::queue::Queue;
use crate::controller::engine::spacing::Spacing;
use crate::controller::engine::unwatched::Unwatched;
use crate::controller::engine::version::is_newer;
use crate::controller::engine::watched_secret::WatchedSecret;
use crate::labels::Labels;
use crate::leader::Fence;
use crate::manual::Manual;
use crate::metrics::Metrics;
use crate::origin::Origin;
use crate::proxies::Proxies;
use crate::reach::{Reach, SecretAccess};

/// Settings of the process.
#[derive(Clone)]
pub struct Settings {
    /// The operator's own namespace, in which references of an AuthorizationServer are resolved.
    pub namespace: String,
    /// Id of this cluster in markers and claims.
    pub cluster: String,
    /// Ids of former clusters, whose markers and claims this cluster takes over.
    pub former_clusters: Vec<String>,
    /// Which resources the operator works on.
    pub reach: Reach,
    /// The proxies of the environment.
    pub proxies: Proxies,
    /// Labels of every Secret and ConfigMap, in addition to ours.
    pub output_labels: Labels,
    /// The published documentation, to which messages refer.
    pub manual: Manual,
}

impl Settings {
    /// Returns whether the cluster id in a marker or claim is that of this cluster, a former one or another one.
    pub fn origin(&self, cluster: &str) -> Origin {
        Origin::of(cluster, &self.cluster, &self.former_clusters)
    }
}

/// Caches of namespaces and Secrets. They are filled before the first pass.
pub struct Stores {
    /// All namespaces, metadata only.
    pub namespaces: Cache<PartialObjectMeta<Namespace>>,
    /// Secrets with the watch label.
    pub secrets: Cache<WatchedSecret>,
    /// Namespaces whose Secrets the cache does not show.
    pub unwatched: Unwatched,
}

/// What all passes share.
pub struct Context {
    /// The Kubernetes API.
    pub cluster: Cluster,
    /// Settings of the process.
    pub settings: Settings,
    /// All kinds, with their caches.
    pub kinds: Kinds,
    /// Caches of namespaces and Secrets.
    pub stores: Stores,
    /// Which resources wait for a pass.
    pub queue: Mutex<Queue<Key>>,
    /// Our own last writes to Secrets.
    pub children: Children,
    /// Connections to servers.
    pub links: Links,
    /// Which servers are being cleaned up.
    pub departures: Departures,
    /// The last rotations on each server.
    pub spacing: Spacing,
    /// Publishes events.
    pub events: Events,
    /// Metrics of the process.
    pub metrics: Arc<Metrics>,
    /// The fence for writes to servers: only the leader may write.
    pub fence: Fence,
}

/// One of our Secrets, by its metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnSecret {
    /// Name of the Secret.
    pub name: String,
    /// UID of the Secret.
    pub uid: String,
    /// resourceVersion of the Secret.
    pub version: String,
}

impl OwnSecret {
    pub(crate) fn of(secret: &WatchedSecret) -> Self {
        OwnSecret {
            name: secret.name().to_owned(),
            uid: secret.uid().to_owned(),
            version: secret.version().to_owned(),
        }
    }
}

impl Context {
    /// The queue, for a moment: a pass that holds it stops all others.
    pub fn queue(&self) -> MutexGuard<'_, Queue<Key>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the newest known version of an AuthorizationServer.
    pub fn server(&self, name: &str) -> Option<Arc<AuthorizationServer>> {
        let cached = self.kinds.servers.store.get(&ObjectRef::new(name))?;
        Some(self.kinds.servers.newest(cached))
    }

    /// Whether this operator works on a resource, and not one of another class. `server`: name of its server.
    pub fn is_ours(&self, server: &str, is_deleting: bool) -> bool {
        let server = self.server(server);
        self.settings.reach.has_resource_on(server.as_deref(), is_deleting)
    }

    /// Evaluates access rules for a namespace as the cache shows it.
    pub fn with_namespace<T>(&self, name: &str, ask: impl FnOnce(access::Namespace<'_>) -> T) -> T {
        let cached = self.stores.namespaces.get(&ObjectRef::new(name));
        let labels = cached.as_ref().map(|namespace| namespace.labels());
        ask(access::Namespace { name, labels })
    }

    /// Whether a namespace is being deleted, or is gone.
    pub fn is_going(&self, namespace: &str) -> bool {
        let cached = self.stores.namespaces.get(&ObjectRef::new(namespace));
        cached.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some())
    }

    /// Returns one of a resource's Secrets, from the cache or from our own last write, whichever is newer. The write is
    /// read first, because the watch fills the cache before it forgets the write.
    pub fn own_secret(&self, namespace: &str, uid: &str, name: &str) -> Option<OwnSecret> {
        let written = self.children.get(uid, name);
        let cached = self.cached_secret(namespace, name);
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

    /// Returns the names of all known Secrets that belong to a resource. This scans the whole cache.
    pub fn marked_secrets(&self, namespace: &str, uid: &str) -> Vec<String> {
        if !self.shows_secrets(namespace) {
            return self.children.names(uid);
        }
        let marked = self.stores.secrets.state_filter(|secret| secret.is_of(namespace, uid));
        marked.iter().map(|secret| secret.name().to_owned()).collect()
    }

    /// Returns the UIDs of earlier resources with this name, by the labels of Secrets that they left without an owner.
    /// `credentials`: name of the credentials Secret. This scans the whole cache if there is any such Secret.
    pub fn left_by(&self, namespace: &str, name: &str, credentials: &str) -> BTreeSet<String> {
        let is_left = |secret: &WatchedSecret| secret.is_left_by(namespace, name, credentials);
        let left = self.stores.secrets.rare(is_left);
        left.iter().map(|secret| secret.label().to_owned()).collect()
    }

    /// Returns the resourceVersion of a watched Secret of any owner, from the cache.
    pub fn watched_secret(&self, namespace: &str, name: &str) -> Option<String> {
        Some(self.cached_secret(namespace, name)?.version().to_owned())
    }

    fn cached_secret(&self, namespace: &str, name: &str) -> Option<Arc<WatchedSecret>> {
        let cached = self.stores.secrets.get(&ObjectRef::new(name).within(namespace));
        cached.filter(|_| self.shows_secrets(namespace))
    }

    /// Whether the cache shows the Secrets of a namespace. If not, each pass reads those of its resource.
    pub fn shows_secrets(&self, namespace: &str) -> bool {
        self.settings.reach.secrets == SecretAccess::Watched && !self.stores.unwatched.has(namespace)
    }
}
