//! Watches: they fill the caches and say who is to be woken.

use std::borrow::Cow;
use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::Lookup;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use tokio_util::sync::CancellationToken;

use super::Context;
use super::cache::Writer;
use super::referable::Referable;
use super::watched_secret::WatchedSecret;
use crate::api::{Assignment, AuthorizationServer, JsonWebKeySet, OAuth2Client, OidcProvider, Scope, WATCH_LABEL};
use crate::decode::{self, Decode, Item};
use crate::health::{BEAT, Watched};

mod wake;

/// Objects on a page, where the Kubernetes API does not send them one by one. Each may have more than a megabyte.
const PAGE: u32 = 25;

/// The writing ends of the caches.
pub struct Writers {
    /// Of AuthorizationServers.
    pub servers: Writer<AuthorizationServer>,
    /// Of OAuth2Clients.
    pub clients: Writer<OAuth2Client>,
    /// Of Scopes.
    pub scopes: Writer<Scope>,
    /// Of Assignments.
    pub assignments: Writer<Assignment>,
    /// Of JsonWebKeySets.
    pub key_sets: Writer<JsonWebKeySet>,
    /// Of OidcProviders.
    pub providers: Writer<OidcProvider>,
    /// Of namespaces.
    pub namespaces: Writer<PartialObjectMeta<Namespace>>,
    /// Of Secrets with our watch label.
    pub secrets: Writer<WatchedSecret>,
}

/// Starts all watches.
pub fn start(ctx: &Arc<Context>, writers: Writers, stop: &CancellationToken) {
    let watch = Watch {
        ctx: ctx.clone(),
        stop: stop.clone(),
    };
    let (c, mut gate) = (ctx.clone(), Gate::default());
    watch.all(writers.servers, itself, move |seen| wake::server(&c, &mut gate, seen));
    let (c, mut gates) = (ctx.clone(), Gates::default());
    watch.all(writers.clients, itself, move |seen| {
        let standing = wake::standing_of_client;
        wake::resource(&c, &mut gates, seen, standing, wake::what_waits_for_client)
    });
    let (c, mut gates) = (ctx.clone(), Gates::default());
    watch.all(writers.scopes, itself, move |seen| {
        wake::resource(&c, &mut gates, seen, Referable::standing, wake::what_names_scope)
    });
    let (c, mut gates) = (ctx.clone(), Gates::default());
    watch.all(writers.assignments, itself, move |seen| {
        wake::resource(&c, &mut gates, seen, Referable::standing, wake::clients_that_name)
    });
    let (c, mut gates) = (ctx.clone(), Gates::default());
    watch.all(writers.key_sets, itself, move |seen| {
        wake::resource(&c, &mut gates, seen, Referable::standing, wake::clients_that_name)
    });
    let (c, mut gates) = (ctx.clone(), Gates::default());
    watch.all(writers.providers, itself, move |seen| {
        let standing = wake::standing_of_provider;
        wake::resource(&c, &mut gates, seen, standing, wake::what_waits_for_provider)
    });
    let (c, mut gate) = (ctx.clone(), Gate::default());
    watch.all(writers.namespaces, itself, move |seen| {
        wake::namespace(&c, &mut gate, seen)
    });
    let c = ctx.clone();
    let ours = watcher::Config::default().labels(&format!("{WATCH_LABEL}=true"));
    let kept = |secret: PartialObjectMeta<Secret>| WatchedSecret::of(&secret);
    watch.some(ours, writers.secrets, kept, move |seen| wake::secret(&c, seen));
}

/// Name of a kind.
fn kind_of<K: Decode>() -> &'static str {
    match K::kind(&()) {
        Cow::Borrowed(kind) => kind,
        Cow::Owned(_) => "of an unknown kind", // none that is known at compile time
    }
}

/// What is kept of most objects.
fn itself<K>(object: K) -> K {
    object
}

/// An object as a watch shows it.
enum Seen<K> {
    Applied(Arc<K>),
    Deleted(Arc<K>),
    /// Everything was listed afresh; all that is there is shown next. What was deleted meanwhile is not named.
    Relisted,
}

/// Lets an object pass only when what interests us of it has changed. Keeps a hash of its UID and one of what interests.
#[derive(Default)]
struct Gate {
    seen: HashMap<u64, u64>,
    hasher: RandomState,
}

impl Gate {
    fn passes(&mut self, object: &impl Resource, interest: impl Hash) -> bool {
        let Some(uid) = &object.meta().uid else {
            return true;
        };
        let hash = self.hasher.hash_one(interest);
        self.seen.insert(self.hasher.hash_one(uid), hash) != Some(hash)
    }

    /// Lets everything pass once more.
    fn open(&mut self) {
        self.seen.clear();
    }

    fn forget(&mut self, object: &impl Resource) {
        if let Some(uid) = &object.meta().uid {
            self.seen.remove(&self.hasher.hash_one(uid));
        }
    }
}

/// Two gates for one resource: what concerns itself, and what concerns others.
#[derive(Default)]
struct Gates {
    own: Gate,
    others: Gate,
}

/// What all watches share.
struct Watch {
    ctx: Arc<Context>,
    stop: CancellationToken,
}

impl Watch {
    /// Watches all objects of a kind. `kept`: what the cache keeps of each; `on`: who hears of it.
    fn all<K, C>(&self, writer: Writer<C>, kept: fn(K) -> C, on: impl FnMut(Seen<C>) + Send + 'static)
    where
        K: Decode + Send + Sync + 'static,
        C: Lookup<DynamicType = ()> + Clone + Send + Sync + 'static,
    {
        self.some(watcher::Config::default(), writer, kept, on);
    }

    fn some<K, C>(
        &self,
        config: watcher::Config,
        writer: Writer<C>,
        kept: fn(K) -> C,
        on: impl FnMut(Seen<C>) + Send + 'static,
    ) where
        K: Decode + Send + Sync + 'static,
        C: Lookup<DynamicType = ()> + Clone + Send + Sync + 'static,
    {
        let api: Api<Item<K>> = Api::all(self.ctx.cluster.client());
        let kind = kind_of::<K>();
        let mut feed = Feed {
            kind,
            watched: self.ctx.health.watch(kind),
            flawed: HashSet::new(),
            ctx: self.ctx.clone(),
            writer,
            kept,
            on,
        };
        let stop = self.stop.clone();
        tokio::spawn(async move {
            // One by one where that is offered, so that a long list takes no memory; else in small pages.
            let one_by_one = config.clone().streaming_lists();
            if !feed.fill(watcher(api.clone(), one_by_one), &stop).await {
                tracing::info!(
                    kind = feed.kind,
                    "the Kubernetes API does not send lists one by one; they are read in pages"
                );
                feed.fill(watcher(api, config.page_size(PAGE)), &stop).await;
            }
        });
    }
}

/// What fills a cache.
struct Feed<C: Lookup<DynamicType = ()> + Clone + 'static, K, F> {
    kind: &'static str,
    watched: Watched,
    /// UIDs of the objects that cannot be read as they are.
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
    /// Keeps the cache until told to stop. False if the Kubernetes API does not know what it was asked for.
    async fn fill(
        &mut self,
        events: impl Stream<Item = watcher::Result<Event<Item<K>>>> + Send,
        stop: &CancellationToken,
    ) -> bool {
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
            let Some(event) = event else { return true };
            match &event {
                Ok(Event::Init) => {} // a list is about to be asked for
                Ok(_) => self.watched.went_well(),
                Err(_) => self.watched.failed(),
            }
            match event {
                Ok(event) => self.take(event),
                Err(watcher::Error::WatchStartFailed(kube::Error::Api(status))) if matches!(status.code, 400 | 422) => {
                    return false;
                }
                Err(error) => tracing::warn!(kind = self.kind, %error, "a watch failed; it is tried again"),
            }
        }
    }

    fn take(&mut self, event: Event<Item<K>>) {
        match event {
            // Nothing without a name is ever stored.
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
            // The cache shows a new list only when it is complete: nobody is woken before.
            Event::InitApply(Item(object)) => {
                self.look(&object);
                self.writer.apply(Event::InitApply((self.kept)(object)));
            }
            Event::InitDone => {
                self.writer.apply(Event::InitDone);
                self.count();
                (self.on)(Seen::Relisted);
                for object in self.writer.reader().state() {
                    (self.on)(Seen::Applied(object));
                }
            }
        }
    }

    /// Looks whether an object can be read as it is.
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
                "an object cannot be read as it is"
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
