//! Watches: they fill the caches and say who is to be woken.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::context::server_name;
use super::memory::{Child, is_newer};
use super::{Context, is_abandoned, is_deleting};
use crate::api::condition::{self, READY};
use crate::api::{AuthorizationServer, OAuth2Client, UID_LABEL, WATCH_LABEL};

/// Where kubectl keeps a copy of what was applied, the data of Secrets included. It has no place in our memory.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The writing ends of the caches.
pub struct Writers {
    /// Of AuthorizationServers.
    pub servers: Writer<AuthorizationServer>,
    /// Of OAuth2Clients.
    pub clients: Writer<OAuth2Client>,
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
        server(&c, &mut gate, seen)
    });
    let (c, mut gate) = (ctx.clone(), Gate::default());
    spawn(Api::all(client.clone()), all(), writers.clients, stop, move |seen| {
        oauth2_client(&c, &mut gate, seen)
    });
    let (c, mut gate) = (ctx.clone(), Gate::default());
    spawn(Api::all(client.clone()), all(), writers.namespaces, stop, move |seen| {
        namespace(&c, &mut gate, seen)
    });
    let c = ctx.clone();
    let ours = watcher::Config::default().labels(&format!("{WATCH_LABEL}=true"));
    spawn(
        Api::<PartialObjectMeta<Secret>>::all(client),
        ours,
        writers.secrets,
        stop,
        move |seen| secret(&c, seen),
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

fn server(ctx: &Context, gate: &mut Gate, seen: Seen<AuthorizationServer>) {
    let (object, gone) = match seen {
        Seen::Applied(object) => (object, false),
        Seen::Deleted(object) => (object, true),
        Seen::Relisted => {
            gate.open();
            return wake_all(ctx);
        }
    };
    let status = object.status.clone().unwrap_or_default();
    let ready = condition::is_true(&status.conditions, READY);
    let facts =
        serde_json::to_string(&(status.endpoints, status.subject_types, status.capabilities)).unwrap_or_default();
    let interest = (
        is_deleting(&object),
        object.metadata.generation,
        object.finalizers().to_vec(),
        ready,
        facts,
        gone,
    );
    if !gate.passes(&object, interest) {
        return;
    }
    if gone {
        gate.forget(&object);
        ctx.links.forget(&object.name_any());
        ctx.memory.servers.forget(&object.uid().unwrap_or_default());
    } else {
        ctx.memory.servers.seen(&object);
        ctx.wake.server(ObjectRef::from_obj(&object));
    }
    for client in ctx.clients_of(&object.name_any()) {
        ctx.wake.client(ObjectRef::from_obj(&*client));
    }
}

fn oauth2_client(ctx: &Context, gate: &mut Gate, seen: Seen<OAuth2Client>) {
    match seen {
        Seen::Applied(client) => {
            ctx.memory.clients.seen(&client);
            let interest = (
                client.metadata.generation,
                is_deleting(&client),
                client.finalizers().to_vec(),
                is_abandoned(&client),
            );
            if gate.passes(&client, interest) {
                ctx.wake.client(ObjectRef::from_obj(&client));
            }
        }
        Seen::Relisted => {
            gate.open();
            let present: HashSet<String> = ctx
                .stores
                .clients
                .state()
                .iter()
                .filter_map(|client| client.uid())
                .collect();
            ctx.memory.clients.retain(&present);
            wake_servers(ctx);
        }
        Seen::Deleted(client) => {
            gate.forget(&client);
            ctx.memory.clients.forget(&client.uid().unwrap_or_default());
            // A server that is being deleted may have waited for this one.
            if ctx.server_of(&client).is_some_and(|server| is_deleting(&*server)) {
                ctx.wake.server(ObjectRef::new(server_name(&client)));
            }
        }
    }
}

fn namespace(ctx: &Context, gate: &mut Gate, seen: Seen<PartialObjectMeta<Namespace>>) {
    let namespace = match seen {
        Seen::Applied(namespace) => namespace,
        Seen::Deleted(namespace) => return gate.forget(&namespace),
        Seen::Relisted => return gate.open(),
    };
    if !gate.passes(&namespace, (namespace.labels().clone(), is_deleting(&namespace))) {
        return;
    }
    let name = namespace.name_any();
    for client in ctx
        .stores
        .clients
        .state_filter(|client| client.metadata.namespace.as_deref() == Some(&name))
    {
        ctx.wake.client(ObjectRef::from_obj(&*client));
    }
}

/// Wakes the owner of a Secret of ours, and whoever refers to a Secret of a user. Our own writes wake nobody.
fn secret(ctx: &Context, seen: Seen<PartialObjectMeta<Secret>>) {
    let (secret, gone) = match seen {
        Seen::Applied(secret) => (secret, false),
        Seen::Deleted(secret) => (secret, true),
        Seen::Relisted => {
            ctx.memory.clients.children_listed();
            return wake_all(ctx);
        }
    };
    let (name, namespace) = (secret.name_any(), secret.namespace().unwrap_or_default());
    let (uid, version) = (
        secret.uid().unwrap_or_default(),
        secret.resource_version().unwrap_or_default(),
    );
    let owner = secret.labels().get(UID_LABEL).cloned().unwrap_or_default();
    let (is_ours, caught_up) = match ctx.memory.clients.child(&owner, &name) {
        Some(Child::Written(written, at)) if !gone && written == uid => (
            !is_newer(Some(&version), Some(&at)),
            !is_newer(Some(&at), Some(&version)),
        ),
        Some(Child::Deleted(deleted)) => (gone && deleted == uid, gone || deleted != uid),
        _ => (false, true),
    };
    if caught_up {
        ctx.memory.clients.child_seen(&owner, &name);
    }
    if !is_ours && namespace == ctx.settings.namespace {
        // It may be the login of a server.
        wake_servers(ctx);
    }
    let owners = if is_ours { &[] } else { secret.owner_references() };
    for reference in owners.iter().filter(|reference| reference.uid == owner) {
        ctx.wake.client(ObjectRef::new(&reference.name).within(&namespace));
    }
    let refers = |client: &OAuth2Client| {
        client.metadata.namespace.as_deref() == Some(&namespace)
            && client
                .spec
                .client_secret_ref
                .as_ref()
                .is_some_and(|reference| reference.name == name)
    };
    for client in ctx.stores.clients.state_filter(refers) {
        ctx.wake.client(ObjectRef::from_obj(&*client));
    }
}

fn wake_servers(ctx: &Context) {
    for server in ctx.stores.servers.state() {
        ctx.wake.server(ObjectRef::from_obj(&*server));
    }
}

fn wake_all(ctx: &Context) {
    for client in ctx.stores.clients.state() {
        ctx.wake.client(ObjectRef::from_obj(&*client));
    }
}
