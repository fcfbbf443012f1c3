//! Watches: they fill the caches and say who is to be woken.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Resource;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;
use tokio_util::sync::CancellationToken;

use super::Context;
use super::cache::Writer;
use super::referable::Referable;
use super::watched_secret::WatchedSecret;
use crate::api::{Assignment, AuthorizationServer, JsonWebKeySet, OAuth2Client, OidcProvider, Scope, WATCH_LABEL};
use feed::Watch;

pub mod accepted;
mod feed;
mod wake;

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

/// What a gate sees.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// It has not seen this object, or everything was listed afresh.
    New,
    Same,
    Changed,
}

/// Lets an object pass only when what interests us of it has changed. Keeps a hash of its UID and one of what interests.
#[derive(Default)]
struct Gate {
    seen: HashMap<u64, u64>,
    hasher: RandomState,
}

impl Gate {
    fn passes(&mut self, object: &impl Resource, interest: impl Hash) -> bool {
        self.look(object, interest) != Look::Same
    }

    /// How what interests compares to what was seen last.
    fn look(&mut self, object: &impl Resource, interest: impl Hash) -> Look {
        let Some(uid) = &object.meta().uid else {
            return Look::New;
        };
        let hash = self.hasher.hash_one(interest);
        match self.seen.insert(self.hasher.hash_one(uid), hash) {
            None => Look::New,
            Some(before) if before == hash => Look::Same,
            Some(_) => Look::Changed,
        }
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

/// The gates of one kind: one for what makes a resource itself work again, one for its status, and one for what others depend on.
#[derive(Default)]
struct Gates {
    own: Gate,
    status: Gate,
    others: Gate,
}

impl Gates {
    fn open(&mut self) {
        self.own.open();
        self.status.open();
        self.others.open();
    }

    fn forget(&mut self, object: &impl Resource) {
        self.own.forget(object);
        self.status.forget(object);
        self.others.forget(object);
    }
}
