//! Caches of what the watches show: one table of objects per kind, looked up by namespace and name.
//!
//! kube's own store uses a second copy of each object's namespace, name, UID and version as its key. With three objects
//! per client, these copies take more than a fifth of all memory.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    /// Which objects are rare.
    is_rare: fn(&K) -> bool,
    /// Number of the rare ones. Written under the lock of the objects.
    rare: AtomicUsize,
    hasher: RandomState,
    unfilled: watch::Receiver<usize>,
}

/// Creates an empty cache that one writer fills.
pub fn cache<K>() -> (Cache<K>, Writer<K>) {
    let (cache, parts) = shared(1, |_| false);
    (cache, parts.writer(None))
}

/// Creates an empty cache with a writer for each of these namespaces; None stands for all. Without a writer, the cache
/// stays empty and counts as filled. `is_rare`: which objects [`Cache::rare`] looks for.
pub fn cache_of<K>(namespaces: Vec<Option<String>>, is_rare: fn(&K) -> bool) -> (Cache<K>, Vec<Writer<K>>) {
    let (cache, parts) = shared(namespaces.len(), is_rare);
    let writers = namespaces.into_iter().map(|namespace| parts.writer(namespace));
    (cache, writers.collect())
}

fn shared<K>(writers: usize, is_rare: fn(&K) -> bool) -> (Cache<K>, Parts<K>) {
    let (unfilled, receiver) = watch::channel(writers);
    let shared = Arc::new(Shared {
        objects: RwLock::default(),
        is_rare,
        rare: AtomicUsize::new(0),
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

    /// Like [`Cache::state_filter`], but only among the rare objects. This costs nothing while there are none.
    pub fn rare(&self, is_wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        match self.0.rare.load(Ordering::Relaxed) {
            0 => Vec::new(),
            _ => self.state_filter(|object| (self.0.is_rare)(object) && is_wanted(object)),
        }
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
                let mut objects = self.shared.write();
                let before = put(&mut objects, &self.shared, object.clone());
                self.shared.count(before.as_deref(), Some(&object));
                drop(objects);
                Some(object)
            }
            Event::Delete(object) => {
                let (namespace, name) = key(&object);
                let hash = self.shared.hash(&namespace, &name);
                let mut objects = self.shared.write();
                if let Ok(found) = objects.find_entry(hash, |other| is(&**other, &namespace, &name)) {
                    let (gone, _) = found.remove();
                    self.shared.count(Some(&gone), None);
                }
                drop(objects);
                drop((namespace, name));
                Some(Arc::new(object))
            }
            Event::Init => {
                self.listed = HashTable::new();
                None
            }
            Event::InitApply(object) => {
                drop(put(&mut self.listed, &self.shared, Arc::new(object)));
                None
            }
            Event::InitDone => {
                let mut listed = std::mem::take(&mut self.listed);
                let mut objects = self.shared.write();
                let before = std::mem::take(&mut *objects);
                if self.namespace.is_some() {
                    for object in before.iter().filter(|object| !self.has(object)) {
                        drop(put(&mut listed, &self.shared, object.clone()));
                    }
                }
                let rare = listed.iter().filter(|object| (self.shared.is_rare)(object));
                self.shared.rare.store(rare.count(), Ordering::Relaxed);
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

    /// Counts the rare objects after one took the place of another one.
    fn count(&self, before: Option<&K>, after: Option<&K>) {
        let is_rare = |object: Option<&K>| usize::from(object.is_some_and(self.is_rare));
        self.rare.fetch_add(is_rare(after), Ordering::Relaxed);
        self.rare.fetch_sub(is_rare(before), Ordering::Relaxed);
    }

    fn read(&self) -> RwLockReadGuard<'_, HashTable<Arc<K>>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashTable<Arc<K>>> {
        self.objects.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the object whose place the other one took.
fn put<K: Lookup<DynamicType = ()>>(
    objects: &mut HashTable<Arc<K>>,
    shared: &Shared<K>,
    object: Arc<K>,
) -> Option<Arc<K>> {
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
            Some(std::mem::replace(other, object))
        }
        None => {
            drop((namespace, name));
            objects.insert_unique(hash, object, hash_of);
            None
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

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Secret;
    use kube::runtime::watcher::Event;

    use super::cache_of;

    fn secret(name: &str, kind: &str) -> Secret {
        let mut secret = Secret {
            type_: Some(kind.to_owned()),
            ..Secret::default()
        };
        secret.metadata.name = Some(name.to_owned());
        secret
    }

    #[test]
    fn rare_objects_are_found_whatever_changes() {
        let (cache, mut writers) = cache_of(vec![None], |secret: &Secret| secret.type_.as_deref() == Some("rare"));
        let writer = &mut writers[0];
        let mut found_after = |event: Event<Secret>| {
            writer.apply(event);
            let names = cache
                .rare(|_| true)
                .into_iter()
                .filter_map(|found| found.metadata.name.clone());
            let mut names: Vec<String> = names.collect();
            names.sort_unstable();
            names.join(" ")
        };
        let apply = |name, kind| Event::Apply(secret(name, kind));
        let table = [
            (apply("a", "usual"), ""),
            (apply("b", "rare"), "b"),
            (apply("a", "rare"), "a b"),
            (apply("b", "usual"), "a"),
            (Event::Delete(secret("a", "usual")), ""),
            (Event::Delete(secret("c", "rare")), ""),
            (apply("b", "rare"), "b"),
            (Event::Init, "b"),
            (Event::InitApply(secret("d", "rare")), "b"),
            (Event::InitApply(secret("e", "usual")), "b"),
            (Event::InitDone, "d"),
            (Event::Delete(secret("d", "rare")), ""),
        ];
        for (number, (event, expected)) in table.into_iter().enumerate() {
            assert_eq!(found_after(event), expected, "event {number}");
        }
    }
}
