//! Fills a cache from a watch, whose objects are decoded one by one.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::core::NamespaceResourceScope;
use kube::runtime::reflector::Lookup;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use tokio_util::sync::CancellationToken;

use crate::controller::engine::cache::Writer;
use crate::controller::engine::context::Context;
use crate::controller::watch::seen::Seen;
use crate::decode;
use crate::decode::{Decode, Item};
use crate::health::{BEAT, Health, Part, Watched};

/// Objects per page, if the Kubernetes API does not send lists one by one. Each object may be larger than a megabyte.
const PAGE: u32 = 25;

/// Name of a kind.
pub(crate) fn kind_of<K: Resource<DynamicType = ()>>() -> &'static str {
    match K::kind(&()) {
        Cow::Borrowed(kind) => kind,
        Cow::Owned(_) => "of an unknown kind", // never for a kind that is known at compile time
    }
}

/// What all watches share.
pub(crate) struct Watch {
    pub(crate) ctx: Arc<Context>,
    pub(crate) health: Arc<Health>,
    pub(crate) stop: CancellationToken,
}

impl Watch {
    /// Watches all objects of a kind. `kept`: returns what the cache keeps of each object; `on`: is called for each
    /// change.
    pub(crate) fn all<K, C>(&self, writer: Writer<C>, kept: fn(K) -> C, on: impl FnMut(Seen<C>) + Send + 'static)
    where
        K: Decode + Send + Sync + 'static,
        C: Lookup<DynamicType = ()> + Clone + Send + Sync + 'static,
    {
        let client = self.ctx.cluster.client();
        self.run(Api::all(client), watcher::Config::default(), writer, kept, on);
    }

    /// Like [`Watch::all`], for the objects that `config` selects in the namespace of the writer, or in all if it has
    /// none.
    pub(crate) fn within<K, C>(
        &self,
        config: watcher::Config,
        writer: Writer<C>,
        kept: fn(K) -> C,
        on: impl FnMut(Seen<C>) + Send + 'static,
    ) where
        K: Decode + Resource<Scope = NamespaceResourceScope> + Send + Sync + 'static,
        C: Lookup<DynamicType = ()> + Clone + Send + Sync + 'static,
    {
        let client = self.ctx.cluster.client();
        let api = match writer.namespace() {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        };
        self.run(api, config, writer, kept, on);
    }

    fn run<K, C>(
        &self,
        api: Api<Item<K>>,
        config: watcher::Config,
        writer: Writer<C>,
        kept: fn(K) -> C,
        on: impl FnMut(Seen<C>) + Send + 'static,
    ) where
        K: Decode + Send + Sync + 'static,
        C: Lookup<DynamicType = ()> + Clone + Send + Sync + 'static,
    {
        let kind = kind_of::<K>();
        let mut feed = Feed {
            kind,
            watched: self.health.watch(Part::of(kind, writer.namespace())),
            flawed: HashSet::new(),
            ctx: self.ctx.clone(),
            writer,
            kept,
            on,
        };
        let stop = self.stop.clone();
        tokio::spawn(async move {
            // Lists are read one by one if the API supports it, so that no long response is held in memory; otherwise
            // in small pages.
            let one_by_one = watcher(api.clone(), config.clone().streaming_lists());
            if feed.fill(one_by_one, Lists::OneByOne, &stop).await == Filled::Refused {
                tracing::info!(
                    kind = feed.kind,
                    "the Kubernetes API does not support streaming lists, so they are read in pages"
                );
                let in_pages = watcher(api, config.page_size(PAGE));
                feed.fill(in_pages, Lists::InPages, &stop).await;
            }
        });
    }
}

/// How lists are requested from the Kubernetes API.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lists {
    /// As events of a watch (WatchList), which not every version supports.
    OneByOne,
    InPages,
}

/// Why a cache is no longer filled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Filled {
    Stopped,
    /// The Kubernetes API does not support this way of sending lists.
    Refused,
}

/// A watch and the cache that it fills.
struct Feed<C: Lookup<DynamicType = ()> + Clone + 'static, K, F> {
    kind: &'static str,
    watched: Watched,
    /// UIDs of the objects that cannot be decoded completely.
    flawed: HashSet<String>,
    ctx: Arc<Context>,
    writer: Writer<C>,
    kept: fn(K) -> C,
    on: F,
}

impl<C, K, F> Feed<C, K, F>
where
    C: Lookup<DynamicType = ()> + Clone + Send + Sync + 'static,
    K: Decode + Send + Sync + 'static,
    F: FnMut(Seen<C>),
{
    /// Fills the cache until told to stop, or until the Kubernetes API refuses to send lists in this way.
    async fn fill(
        &mut self,
        events: impl Stream<Item = watcher::Result<Event<Item<K>>>> + Send,
        lists: Lists,
        stop: &CancellationToken,
    ) -> Filled {
        let events = events.default_backoff().take_until(stop.cancelled());
        let mut events = std::pin::pin!(events);
        let mut beats = tokio::time::interval(BEAT);
        loop {
            let event = tokio::select! {
                _ = beats.tick() => {
                    self.watched.beat();
                    continue;
                }
                event = events.next() => event,
            };
            let Some(event) = event else { return Filled::Stopped };
            match &event {
                Ok(Event::Init) => {} // a list is about to be requested
                Ok(_) => self.watched.went_well(),
                // In one of several namespaces, its users may have taken the operator's role away. That must not stop
                // the work in the others.
                Err(error) if self.writer.namespace().is_some() && is_forbidden(error) => {
                    self.watched.went_well();
                    self.writer.mark_filled();
                    (self.on)(Seen::Refused);
                }
                Err(_) => self.watched.failed(),
            }
            match event {
                Ok(event) => self.take(event),
                Err(watcher::Error::WatchStartFailed(kube::Error::Api(status)))
                    if lists == Lists::OneByOne && matches!(status.code, 400 | 422) =>
                {
                    return Filled::Refused;
                }
                Err(error) => {
                    let namespace = self.writer.namespace();
                    tracing::warn!(kind = self.kind, namespace, %error, "a watch failed; it is retried");
                }
            }
        }
    }

    fn take(&mut self, event: Event<Item<K>>) {
        match event {
            // The Kubernetes API stores no object without a name.
            Event::Apply(Item(object)) | Event::Delete(Item(object)) | Event::InitApply(Item(object))
                if object.meta().name.is_none() => {}
            Event::Apply(Item(object)) => {
                self.look(&object);
                let shown = self.writer.apply(Event::Apply((self.kept)(object)));
                shown.into_iter().for_each(|object| (self.on)(Seen::Applied(object)));
            }
            Event::Delete(Item(object)) => {
                self.forget(&object);
                let gone = self.writer.apply(Event::Delete((self.kept)(object)));
                gone.into_iter().for_each(|object| (self.on)(Seen::Deleted(object)));
            }
            Event::Init => {
                self.flawed.clear();
                self.writer.apply(Event::Init);
            }
            // The cache shows a new list only when it is complete, so nothing is woken before.
            Event::InitApply(Item(object)) => {
                self.look(&object);
                self.writer.apply(Event::InitApply((self.kept)(object)));
            }
            Event::InitDone => {
                self.writer.apply(Event::InitDone);
                self.count();
                if let Some(namespace) = self.writer.namespace() {
                    self.ctx.stores.unwatched.shown(namespace);
                }
                (self.on)(Seen::Relisted);
                for object in self.writer.objects() {
                    (self.on)(Seen::Applied(object));
                }
            }
        }
    }

    /// Checks whether an object could be decoded completely.
    fn look(&mut self, object: &K) {
        let Some(flaw) = decode::flaw(object) else {
            return self.forget(object);
        };
        if self.flawed.insert(object.meta().uid.clone().unwrap_or_default()) {
            let (namespace, name) = (&object.meta().namespace, object.name_any());
            tracing::warn!(
                kind = self.kind,
                namespace,
                name,
                flaw,
                "an object cannot be decoded completely; correct what `flaw` names"
            );
            self.count();
        }
    }

    fn forget(&mut self, object: &K) {
        if !self.flawed.is_empty() && self.flawed.remove(object.meta().uid.as_deref().unwrap_or_default()) {
            self.count();
        }
    }

    fn count(&self) {
        self.ctx.metrics.unreadable(self.kind, self.flawed.len());
    }
}

fn is_forbidden(error: &watcher::Error) -> bool {
    let (watcher::Error::InitialListFailed(error)
    | watcher::Error::WatchStartFailed(error)
    | watcher::Error::WatchFailed(error)) = error
    else {
        return matches!(error, watcher::Error::WatchError(status) if status.is_forbidden());
    };
    matches!(error, kube::Error::Api(status) if status.is_forbidden())
}
