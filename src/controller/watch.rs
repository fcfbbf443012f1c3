//! Watches: they fill the caches and say who is to be woken.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::Context;
use super::referable::Referable;
use crate::api::{Assignment, AuthorizationServer, JsonWebKeySet, OAuth2Client, OidcProvider, Scope, WATCH_LABEL};

mod wake;

/// Where kubectl keeps a copy of what was applied, the data of Secrets included. It has no place in our memory.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

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
    pub secrets: Writer<PartialObjectMeta<Secret>>,
}

/// Starts all watches.
pub fn start(ctx: &Arc<Context>, writers: Writers, stop: &CancellationToken) {
    let client = ctx.cluster.client();
    let all = watcher::Config::default;
    let (c, mut gate) = (ctx.clone(), Gate::default());
    spawn(Api::all(client.clone()), all(), writers.servers, stop, move |seen| {
        wake::server(&c, &mut gate, seen)
    });
    let (c, mut gates) = (ctx.clone(), Gates::default());
    spawn(Api::all(client.clone()), all(), writers.clients, stop, move |seen| {
        wake::resource(
            &c,
            &mut gates,
            seen,
            wake::standing_of_client,
            wake::what_waits_for_client,
        )
    });
    let (c, mut gates) = (ctx.clone(), Gates::default());
    spawn(Api::all(client.clone()), all(), writers.scopes, stop, move |seen| {
        wake::resource(&c, &mut gates, seen, Referable::standing, wake::what_names_scope)
    });
    let (c, mut gates) = (ctx.clone(), Gates::default());
    spawn(
        Api::all(client.clone()),
        all(),
        writers.assignments,
        stop,
        move |seen| wake::resource(&c, &mut gates, seen, Referable::standing, wake::clients_that_name),
    );
    let (c, mut gates) = (ctx.clone(), Gates::default());
    spawn(Api::all(client.clone()), all(), writers.key_sets, stop, move |seen| {
        wake::resource(&c, &mut gates, seen, Referable::standing, wake::clients_that_name)
    });
    let (c, mut gates) = (ctx.clone(), Gates::default());
    spawn(Api::all(client.clone()), all(), writers.providers, stop, move |seen| {
        let standing = wake::standing_of_provider;
        wake::resource(&c, &mut gates, seen, standing, wake::what_waits_for_provider)
    });
    let (c, mut gate) = (ctx.clone(), Gate::default());
    spawn(Api::all(client.clone()), all(), writers.namespaces, stop, move |seen| {
        wake::namespace(&c, &mut gate, seen)
    });
    let c = ctx.clone();
    let ours = watcher::Config::default().labels(&format!("{WATCH_LABEL}=true"));
    spawn(
        Api::<PartialObjectMeta<Secret>>::all(client),
        ours,
        writers.secrets,
        stop,
        move |seen| wake::secret(&c, seen),
    );
}

/// An object as a watch shows it.
enum Seen<K> {
    Applied(K),
    Deleted(K),
    /// Everything was listed afresh; all that is there is shown next. What was deleted meanwhile is not named.
    Relisted,
}

/// Lets an object pass only when what interests us of it has changed.
#[derive(Default)]
struct Gate(HashMap<String, u64>);

impl Gate {
    fn passes(&mut self, object: &impl Resource, interest: impl Hash) -> bool {
        let Some(uid) = object.meta().uid.clone() else {
            return true;
        };
        let mut hasher = DefaultHasher::new();
        interest.hash(&mut hasher);
        let hash = hasher.finish();
        self.0.insert(uid, hash) != Some(hash)
    }

    /// Lets everything pass once more.
    fn open(&mut self) {
        self.0.clear();
    }

    fn forget(&mut self, object: &impl Resource) {
        if let Some(uid) = &object.meta().uid {
            self.0.remove(uid);
        }
    }
}

/// Two gates for one resource: what concerns itself, and what concerns others.
#[derive(Default)]
struct Gates {
    own: Gate,
    others: Gate,
}

fn spawn<K>(
    api: Api<K>,
    config: watcher::Config,
    writer: Writer<K>,
    stop: &CancellationToken,
    mut on: impl FnMut(Seen<K>) + Send + 'static,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let stop = stop.clone().cancelled_owned();
    let store = writer.as_reader();
    tokio::spawn(async move {
        let events = watcher(api, config)
            .default_backoff()
            .modify(|object| {
                object.managed_fields_mut().clear();
                object.annotations_mut().remove(LAST_APPLIED);
            })
            .reflect(writer)
            .take_until(stop);
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(object)) => on(Seen::Applied(object)),
                Ok(Event::Delete(object)) => on(Seen::Deleted(object)),
                // The cache shows a new list only when it is complete: nobody is woken before.
                Ok(Event::Init | Event::InitApply(_)) => {}
                Ok(Event::InitDone) => {
                    on(Seen::Relisted);
                    store
                        .state()
                        .iter()
                        .for_each(|object| on(Seen::Applied((**object).clone())));
                }
                Err(error) => tracing::warn!(kind = %K::kind(&()), %error, "a watch failed; it is tried again"),
            }
        }
    });
}
