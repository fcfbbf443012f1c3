//! What the process keeps of one kind.

use std::sync::Arc;

use kube::Resource;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc::UnboundedSender;

use crate::controller::engine::cache::{Cache, Writer, cache};
use crate::controller::engine::key::{Key, Which};
use crate::controller::engine::memory::{Memory, is_newer};

/// What the process keeps of one kind: its cache, its queue, and what it remembers. The cache is filled before the first pass.
pub struct Kind<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    /// The cache, kept by a watch.
    pub store: Cache<K>,
    /// What is remembered of resources.
    pub memory: Memory<K>,
    pub(crate) which: Which,
    pub(crate) queue: UnboundedSender<Key>,
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
