//! What every pass shares: caches, connections, memory.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use kube::core::PartialObjectMeta;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::ObjectRef;

use crate::access;
use crate::api::AuthorizationServer;
use crate::cluster::Cluster;
use crate::controller::engine::cache::Cache;
use crate::controller::engine::children::{Child, Children};
use crate::controller::engine::departures::Departures;
use crate::controller::engine::kinds::Kinds;
use crate::controller::engine::links::Links;
use crate::controller::engine::memory::is_newer;
use crate::controller::engine::watched_secret::WatchedSecret;
use crate::leader::Fence;
use crate::metrics::Metrics;
use crate::origin::Origin;

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

impl Settings {
    /// The cluster of an id in a mark or a claim, as this one sees it.
    pub fn origin(&self, cluster: &str) -> Origin {
        Origin::of(cluster, &self.cluster, &self.former_clusters)
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
    /// The kinds, with their caches.
    pub kinds: Kinds,
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
    pub(crate) fn of(secret: &WatchedSecret) -> Self {
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
        let cached = self.kinds.servers.store.get(&ObjectRef::new(name))?;
        Some(self.kinds.servers.newest(cached))
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
