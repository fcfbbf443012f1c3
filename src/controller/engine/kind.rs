//! Cache, memory and queue of one kind.

use std::sync::Arc;

use kube::Resource;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc::UnboundedSender;

use crate::controller::engine::cache::{Cache, Writer, cache};
use crate::controller::engine::key::{Key, Which};
use crate::controller::engine::memory::Memory;
use crate::controller::engine::version::is_newer;

/// Cache, memory and queue of one kind. The cache is filled before the first pass.
pub struct Kind<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    /// The cache, filled by a watch.
    pub store: Cache<K>,
    /// What the process remembers about each resource.
    pub memory: Memory<K>,
    pub(crate) which: Which,
    pub(crate) queue: UnboundedSender<Key>,
}

impl<K> Kind<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    /// Creates a kind with an empty cache, and the writer of this cache. `queue`: where woken keys are sent.
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

    /// Returns the newest known version of an object: `known`, the one that our own last write returned, or the cached
    /// one. They are read in this order, because the watch fills the cache before the memory drops its copy.
    pub fn newest(&self, known: Arc<K>) -> Arc<K> {
        let known = self.memory.newest(known);
        let cached = self.store.get(&ObjectRef::from_obj(&*known));
        let version = |object: &K| object.meta().resource_version.clone();
        let newer = cached.filter(|cached| {
            cached.meta().uid == known.meta().uid && is_newer(version(cached).as_deref(), version(&known).as_deref())
        });
        newer.unwrap_or(known)
    }

    /// Remembers the object that our own write returned, unless the cache shows it already.
    pub fn wrote(&self, written: K) {
        let key = ObjectRef::from_obj(&written);
        self.memory.wrote(Arc::new(written));
        if let Some(cached) = self.store.get(&key) {
            self.memory.seen(&cached);
        }
    }

    /// Whether the cache shows this resource, and not another one of the same name.
    pub fn shows(&self, resource: &K) -> bool {
        let cached = self.store.get(&ObjectRef::from_obj(resource));
        cached.is_some_and(|cached| cached.meta().uid == resource.meta().uid)
    }

    /// Puts a resource into the queue, so that it gets a pass soon.
    pub fn wake(&self, resource: ObjectRef<K>) {
        // The receiver lives as long as the process, so a failure to send means that the process is ending.
        let _ = self.queue.send(Key {
            which: self.which,
            namespace: resource.namespace.as_deref().unwrap_or_default().into(),
            name: resource.name.as_str().into(),
        });
    }
}
