//! Caches of what the watches show: one table of objects per kind, looked up by namespace and name.
//!
//! kube's own store uses a second copy of each object's namespace, name, UID and version as its key. With three objects
//! per client, these copies take more than a fifth of all memory.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hashbrown::HashTable;
use kube::runtime::reflector::{Lookup, ObjectRef};
use kube::runtime::watcher::Event;
use tokio::sync::watch;

/// Reads a cache.
pub struct Cache<K>(Arc<Shared<K>>);

/// Fills a cache, or the part of it with the objects of one namespace.
pub struct Writer<K> {
    shared: Arc<Shared<K>>,
    /// The namespace whose objects it writes. None: all.
    namespace: Option<String>,
    /// The list that is being received. Readers see it once it is complete.
    listed: HashTable<Arc<K>>,
    is_filled: bool,
    /// Number of writers that have not filled their part yet.
    unfilled: Arc<watch::Sender<usize>>,
}

struct Shared<K> {
    objects: RwLock<HashTable<Arc<K>>>,
    hasher: RandomState,
    unfilled: watch::Receiver<usize>,
}

/// Creates an empty cache that one writer fills.
pub fn cache<K>() -> (Cache<K>, Writer<K>) {
    let (cache, parts) = shared(1);
    (cache, parts.writer(None))
}

/// Creates an empty cache with a writer for each of these namespaces; None stands for all. Without a writer, the cache
/// stays empty and counts as filled.
pub fn cache_of<K>(namespaces: Vec<Option<String>>) -> (Cache<K>, Vec<Writer<K>>) {
    let (cache, parts) = shared(namespaces.len());
    let writers = namespaces.into_iter().map(|namespace| parts.writer(namespace));
    (cache, writers.collect())
}

fn shared<K>(writers: usize) -> (Cache<K>, Parts<K>) {
    let (unfilled, receiver) = watch::channel(writers);
    let shared = Arc::new(Shared {
        objects: RwLock::default(),
        hasher: RandomState::new(),
        unfilled: receiver,
    });
    let unfilled = Arc::new(unfilled);
    (Cache(shared.clone()), Parts { shared, unfilled })
}

/// What the writers of one cache share.
struct Parts<K> {
    shared: Arc<Shared<K>>,
    unfilled: Arc<watch::Sender<usize>>,
}

impl<K> Parts<K> {
    fn writer(&self, namespace: Option<String>) -> Writer<K> {
        Writer {
            shared: self.shared.clone(),
            namespace,
            listed: HashTable::new(),
            is_filled: false,
            unfilled: self.unfilled.clone(),
        }
    }
}

impl<K> Clone for Cache<K> {
    fn clone(&self) -> Self {
        Cache(self.0.clone())
    }
}

impl<K: Lookup<DynamicType = ()>> Cache<K> {
    /// Returns the object with this namespace and name.
    pub fn get(&self, key: &ObjectRef<K>) -> Option<Arc<K>> {
        let (namespace, name) = (key.namespace.as_deref().unwrap_or_default(), key.name.as_str());
        let objects = self.0.read();
        objects
            .find(self.0.hash(namespace, name), |object| is(&**object, namespace, name))
            .cloned()
    }

    /// Returns all objects.
    pub fn state(&self) -> Vec<Arc<K>> {
        self.0.read().iter().cloned().collect()
    }

    /// Returns all objects that `is_wanted` accepts. It runs under the lock, so it must not use this cache.
    pub fn state_filter(&self, is_wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let objects = self.0.read();
        objects.iter().filter(|object| is_wanted(object)).cloned().collect()
    }

    /// Returns one object that `is_wanted` accepts, with the restriction of [`Cache::state_filter`].
    pub fn find(&self, is_wanted: impl Fn(&K) -> bool) -> Option<Arc<K>> {
        self.0.read().iter().find(|object| is_wanted(object)).cloned()
    }

    /// Number of objects.
    pub fn len(&self) -> usize {
        self.0.read().len()
    }

    /// Whether there are no objects.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until every writer has filled its part. False if the writers are dropped before that.
    pub async fn is_filled(&self) -> bool {
        self.0
            .unfilled
            .clone()
            .wait_for(|unfilled| *unfilled == 0)
            .await
            .is_ok()
    }
}

impl<K: Lookup<DynamicType = ()>> Writer<K> {
    /// The namespace whose objects it writes. None: all.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Returns the objects of its part.
    pub fn objects(&self) -> Vec<Arc<K>> {
        Cache(self.shared.clone()).state_filter(|object| self.has(object))
    }

    /// Ends the wait for its part: it is filled, or its objects cannot be listed.
    pub fn mark_filled(&mut self) {
        if !std::mem::replace(&mut self.is_filled, true) {
            self.unfilled.send_modify(|unfilled| *unfilled -= 1);
        }
    }

    fn has(&self, object: &K) -> bool {
        self.namespace
            .as_deref()
            .is_none_or(|namespace| key(object).0 == namespace)
    }

    /// Applies an event of a watch. Returns the object that was changed or deleted; None while a list is being
    /// received.
    pub fn apply(&mut self, event: Event<K>) -> Option<Arc<K>> {
        match event {
            Event::Apply(object) => {
                let object = Arc::new(object);
                put(&mut self.shared.write(), &self.shared, object.clone());
                Some(object)
            }
            Event::Delete(object) => {
                let (namespace, name) = key(&object);
                let hash = self.shared.hash(&namespace, &name);
                if let Ok(found) = self
                    .shared
                    .write()
                    .find_entry(hash, |other| is(&**other, &namespace, &name))
                {
                    found.remove();
                }
                drop((namespace, name));
                Some(Arc::new(object))
            }
            Event::Init => {
                self.listed = HashTable::new();
                None
            }
            Event::InitApply(object) => {
                put(&mut self.listed, &self.shared, Arc::new(object));
                None
            }
            Event::InitDone => {
                let mut listed = std::mem::take(&mut self.listed);
                let mut objects = self.shared.write();
                let before = std::mem::take(&mut *objects);
                if self.namespace.is_some() {
                    for object in before.iter().filter(|object| !self.has(object)) {
                        put(&mut listed, &self.shared, object.clone());
                    }
                }
                *objects = listed;
                drop(objects);
                drop(before); // after the lock is released
                self.mark_filled();
                None
            }
        }
    }
}

impl<K> Shared<K> {
    fn hash(&self, namespace: &str, name: &str) -> u64 {
        self.hasher.hash_one((namespace, name))
    }

    fn read(&self) -> RwLockReadGuard<'_, HashTable<Arc<K>>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashTable<Arc<K>>> {
        self.objects.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn put<K: Lookup<DynamicType = ()>>(objects: &mut HashTable<Arc<K>>, shared: &Shared<K>, object: Arc<K>) {
    let hash_of = |object: &Arc<K>| {
        let (namespace, name) = key(&**object);
        shared.hash(&namespace, &name)
    };
    let hash = hash_of(&object);
    let (namespace, name) = key(&*object);
    let found = objects.find_mut(hash, |other| is(&**other, &namespace, &name));
    match found {
        Some(other) => {
            drop((namespace, name));
            *other = object;
        }
        None => {
            drop((namespace, name));
            objects.insert_unique(hash, object, hash_of);
        }
    }
}

fn key<K: Lookup>(object: &K) -> (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>) {
    (
        object.namespace().unwrap_or_default(),
        object.name().unwrap_or_default(),
    )
}

fn is<K: Lookup>(object: &K, namespace: &str, name: &str) -> bool {
    let (own_namespace, own_name) = key(object);
    own_namespace == namespace && own_name == name
}
