//! Which resources a change wakes.

use std::collections::HashSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};

use crate::api::condition::{self, READY};
use crate::api::oidc_provider::OidcProviderStatus;
use crate::api::{AuthorizationServer, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use crate::controller::common::client::layout::secret_name;
use crate::controller::common::provider::{is_named_by, names};
use crate::controller::common::referable::Referable;
use crate::controller::engine::children::Child;
use crate::controller::engine::context::Context;
use crate::controller::engine::departures::HandOver;
use crate::controller::engine::key::Which;
use crate::controller::engine::kind::Kind;
use crate::controller::engine::lifecycle::{is_deleting, is_held};
use crate::controller::engine::managed::OnServer;
use crate::controller::engine::report;
use crate::controller::engine::version::is_newer;
use crate::controller::engine::watched_secret::WatchedSecret;
use crate::controller::watch::seen::{Gate, Gates, Look, Seen};

pub(crate) fn server(ctx: &Context, gates: &mut Gates, seen: Seen<AuthorizationServer>) {
    let (object, gone) = match seen {
        Seen::Applied(object) => (object, false),
        Seen::Deleted(object) => (object, true),
        Seen::Refused => return,
        Seen::Relisted => {
            gates.open();
            ctx.departures.doubt();
            all(&ctx.kinds.key_sets);
            return all(&ctx.kinds.clients);
        }
    };
    let status = object.status.clone().unwrap_or_default();
    let ready = condition::is_true(&status.conditions, READY);
    let facts =
        serde_json::to_string(&(status.endpoints, status.subject_types, status.capabilities)).unwrap_or_default();
    let interest = (
        is_deleting(&*object),
        object.metadata.generation,
        object.finalizers().to_vec(),
        ready,
        status.observed_generation,
        facts,
        gone,
    );
    let is_requested = gates.own.look(&*object, object.annotations()) == Look::Changed;
    if !gates.others.passes(&*object, interest) {
        if is_requested {
            ctx.kinds.servers.wake(ObjectRef::from_obj(&*object));
        }
        return;
    }
    if gone {
        gates.forget(&*object);
        drop(ctx.links.forget(&object.name_any())); // its cleanup has ended the login
        ctx.kinds.servers.memory.forget(&object.uid().unwrap_or_default());
        ctx.departures.forget(&object.uid().unwrap_or_default());
    } else {
        if !is_held(&*object) {
            ctx.departures.forget(&object.uid().unwrap_or_default());
        }
        ctx.kinds.servers.memory.seen(&object);
        ctx.kinds.servers.wake(ObjectRef::from_obj(&*object));
        hand_over(ctx, &object);
    }
    let name = object.name_any();
    wake(&ctx.kinds.clients, ctx.kinds.clients.on(&name));
    wake(&ctx.kinds.scopes, ctx.kinds.scopes.on(&name));
    wake(&ctx.kinds.assignments, ctx.kinds.assignments.on(&name));
    wake(&ctx.kinds.key_sets, ctx.kinds.key_sets.on(&name));
    wake(&ctx.kinds.providers, ctx.kinds.providers.on(&name));
}

/// Notices when a server begins or ceases to be ours, because its class was changed.
fn hand_over(ctx: &Context, server: &AuthorizationServer) {
    let (name, uid) = (server.name_any(), server.uid().unwrap_or_default());
    match ctx.departures.hand_over(&uid, ctx.settings.reach.has_server(server)) {
        None => {}
        Some(HandOver::Came) => ctx.kinds.begin_again(),
        Some(HandOver::Left) => {
            ctx.departures.forget(&uid);
            ctx.metrics.forget_server(&name);
            if let Some(connection) = ctx.links.forget(&name) {
                tokio::spawn(async move { connection.close().await });
            }
        }
    }
}

/// Handles what a watch shows of a resource. `tell` wakes the resources that depend on it. It is called when the spec
/// changes, or the part of the status that `standing` returns.
pub(crate) fn resource<K: OnServer>(
    ctx: &Context,
    gates: &mut Gates,
    seen: Seen<K>,
    standing: fn(&K) -> String,
    tell: fn(&Context, &K),
) {
    let kind = K::kind_of(ctx);
    match seen {
        Seen::Applied(resource) => applied(ctx, gates, &*resource, standing, tell),
        Seen::Refused => {}
        Seen::Relisted => {
            gates.open();
            let present: HashSet<String> = kind
                .store
                .state()
                .iter()
                .filter_map(|resource| resource.uid())
                .collect();
            kind.memory.retain(&present);
            all(&ctx.kinds.servers);
            // The lists of these may still name clients that were deleted meanwhile.
            all(&ctx.kinds.key_sets);
            all(&ctx.kinds.providers);
        }
        Seen::Deleted(resource) => {
            gates.forget(&*resource);
            kind.memory.forget(&resource.uid().unwrap_or_default());
            ctx.children.forget(&resource.uid().unwrap_or_default());
            tell(ctx, &resource);
            // A server that is being deleted may have waited for this resource.
            let server = ctx.server(resource.server_name());
            if server.is_some_and(|server| is_deleting(&*server)) {
                ctx.kinds.servers.wake(ObjectRef::new(resource.server_name()));
            }
        }
    }
}

/// Handles a resource that exists.
fn applied<K: OnServer>(
    ctx: &Context,
    gates: &mut Gates,
    resource: &K,
    standing: fn(&K) -> String,
    tell: fn(&Context, &K),
) {
    let kind = K::kind_of(ctx);
    let uid = resource.uid().unwrap_or_default();
    let status = report::digest(&resource.status());
    let is_ours = kind.memory.meant(&uid, status);
    kind.memory.seen(resource);
    let generation = resource.meta().generation;
    let deleting = is_deleting(resource);
    let interest = (
        generation,
        deleting,
        resource.finalizers().to_vec(),
        resource.annotations(),
    );
    // A status of another writer is corrected. The pass does not trust it but reads the object on the server.
    let is_changed = gates.status.look(resource, status) == Look::Changed;
    let is_foreign = is_changed && !is_ours && kind.memory.may_repair(&uid);
    if is_foreign {
        kind.memory.mark(&uid);
    }
    if gates.own.passes(resource, interest) || is_foreign {
        kind.wake(ObjectRef::from_obj(resource));
    }
    if gates
        .others
        .passes(resource, (generation, deleting, standing(resource)))
    {
        tell(ctx, resource);
    }
}

/// Wakes what depends on a provider. Clients wait until it lists them and publishes its endpoints. Other providers may
/// trust its issuer. A scope that is being deleted may wait for the last provider that refers to it.
pub(crate) fn what_waits_for_provider(ctx: &Context, provider: &OidcProvider) {
    let status = provider.status.clone().unwrap_or_default();
    let concerns = |client: &OAuth2Client| {
        let own = client.status.clone().unwrap_or_default();
        let is_listed = own.client_id.is_some_and(|id| status.client_ids.contains(&id));
        // A client uses the endpoints of its first provider only.
        let is_first = client
            .spec
            .provider_refs
            .first()
            .is_some_and(|first| Some(&first.name) == provider.metadata.name.as_ref());
        is_named_by(provider, client)
            && (!condition::is_true(&own.conditions, READY)
                || !is_listed
                || is_first && own.endpoints.as_deref() != status.endpoints.as_ref())
    };
    wake(&ctx.kinds.clients, ctx.kinds.clients.store.state_filter(concerns));
    // On a Foulkon, providers of one issuer list each other's clients.
    let is_shared = |other: &OidcProvider| {
        let lists = |other: &OidcProviderStatus| {
            let is_listed = || other.client_ids.iter().any(|id| status.client_ids.contains(id));
            other.id.is_some() && (other.issuer == status.issuer || is_listed())
        };
        status.issuer.is_some()
            && other.metadata.uid != provider.metadata.uid
            && other.server_name() == provider.server_name()
            && other.status.as_ref().is_some_and(lists)
    };
    wake(&ctx.kinds.providers, ctx.kinds.providers.store.state_filter(is_shared));
    let trusts = |other: &OidcProvider| {
        let named = other.spec.issuer_ref.as_ref();
        other.metadata.namespace == provider.metadata.namespace
            && named.is_some_and(|named| provider.metadata.name.as_ref() == Some(&named.name))
    };
    wake(&ctx.kinds.providers, ctx.kinds.providers.store.state_filter(trusts));
    let leaving = |scope: &Scope| is_deleting(scope) && scope.metadata.namespace == provider.metadata.namespace;
    wake(&ctx.kinds.scopes, ctx.kinds.scopes.store.state_filter(leaving));
}

/// Wakes the clients and providers that refer to a scope.
pub(crate) fn what_names_scope(ctx: &Context, scope: &Scope) {
    clients_that_name(ctx, scope);
    let names = |provider: &OidcProvider| {
        let mut named = provider.spec.scope_refs.iter();
        provider.metadata.namespace == scope.metadata.namespace
            && named.any(|reference| scope.metadata.name.as_ref() == Some(&reference.name))
    };
    wake(&ctx.kinds.providers, ctx.kinds.providers.store.state_filter(names));
}

/// Wakes what depends on a client. A scope or assignment that is being deleted may wait for the last client that refers
/// to it.
pub(crate) fn what_waits_for_client(ctx: &Context, client: &OAuth2Client) {
    fn leaving<K: OnServer>(kind: &Kind<K>, namespace: Option<&String>) {
        let leaving = |resource: &K| is_deleting(resource) && resource.meta().namespace.as_ref() == namespace;
        wake(kind, kind.store.state_filter(leaving));
    }
    leaving(&ctx.kinds.scopes, client.metadata.namespace.as_ref());
    leaving(&ctx.kinds.assignments, client.metadata.namespace.as_ref());
    // A key signs once all clients that refer to its set know it, and this client may have switched to another set.
    let beside = |set: &JsonWebKeySet| set.metadata.namespace == client.metadata.namespace;
    wake(&ctx.kinds.key_sets, ctx.kinds.key_sets.store.state_filter(beside));
    let lists = |provider: &OidcProvider| is_named_by(provider, client) || names(provider, client);
    wake(&ctx.kinds.providers, ctx.kinds.providers.store.state_filter(lists));
}

/// Wakes the clients that refer to a resource, because their registrations contain values of it.
pub(crate) fn clients_that_name<K: Referable>(ctx: &Context, resource: &K) {
    wake(
        &ctx.kinds.clients,
        ctx.kinds
            .clients
            .store
            .state_filter(|client| resource.is_named_by(client) && resource.concerns(client)),
    );
}

pub(crate) fn namespace(ctx: &Context, gate: &mut Gate, seen: Seen<PartialObjectMeta<Namespace>>) {
    let namespace = match seen {
        Seen::Applied(namespace) => namespace,
        Seen::Refused => return,
        Seen::Deleted(namespace) => return gate.forget(&*namespace),
        Seen::Relisted => return gate.open(),
    };
    if !gate.passes(&*namespace, (namespace.labels().clone(), is_deleting(&*namespace))) {
        return;
    }
    fn within<K: OnServer>(kind: &Kind<K>, namespace: &str) {
        let within = |resource: &K| resource.meta().namespace.as_deref() == Some(namespace);
        wake(kind, kind.store.state_filter(within));
    }
    let name = namespace.name_any();
    within(&ctx.kinds.clients, &name);
    within(&ctx.kinds.scopes, &name);
    within(&ctx.kinds.assignments, &name);
    within(&ctx.kinds.key_sets, &name);
    within(&ctx.kinds.providers, &name);
    // The new labels may admit or exclude clients in this namespace.
    let chooses = |provider: &OidcProvider| {
        let allowed = provider.spec.allowed_namespaces.as_ref();
        allowed.is_some_and(|allowed| allowed.selector.is_some())
    };
    wake(&ctx.kinds.providers, ctx.kinds.providers.store.state_filter(chooses));
}

/// Wakes the owner of one of our Secrets, and the resources that refer to a user's Secret. Our own writes do not wake
/// the owner. `part`: the namespace that is watched; None stands for all.
pub(crate) fn secret(ctx: &Context, part: Option<&str>, seen: Seen<WatchedSecret>) {
    let (secret, gone) = match seen {
        Seen::Applied(secret) => (secret, false),
        Seen::Deleted(secret) => (secret, true),
        Seen::Relisted => {
            relisted(ctx, &ctx.kinds.key_sets, part);
            return relisted(ctx, &ctx.kinds.clients, part);
        }
        Seen::Refused => {
            if part.is_some_and(|namespace| ctx.stores.unwatched.refused(namespace)) {
                // From now on, each pass reads their Secrets.
                relisted(ctx, &ctx.kinds.key_sets, part);
                relisted(ctx, &ctx.kinds.clients, part);
            }
            return;
        }
    };
    let (name, namespace, version) = (secret.name(), secret.namespace(), secret.version().to_owned());
    let (is_ours, caught_up) = match ctx.children.get(secret.label(), name) {
        Some(Child::Written(written, at)) if !gone && written == secret.uid() => (
            !is_newer(Some(&version), Some(&at)),
            !is_newer(Some(&at), Some(&version)),
        ),
        Some(Child::Deleted(deleted)) => {
            let is_it = deleted == secret.uid();
            (gone && is_it, gone || !is_it)
        }
        _ => (false, true),
    };
    if caught_up {
        ctx.children.seen(secret.label(), name);
    }
    if !is_ours && namespace == ctx.settings.namespace {
        // It may hold the login for a server.
        all(&ctx.kinds.servers);
    }
    match secret.owner().filter(|_| !is_ours) {
        Some((Which::JsonWebKeySet, owner)) => ctx.kinds.key_sets.wake(ObjectRef::new(owner).within(namespace)),
        Some((_, owner)) => ctx.kinds.clients.wake(ObjectRef::new(owner).within(namespace)),
        None => {}
    }
    if secret.is_left() {
        what_waits_for_left(ctx, &secret);
    }
    let refers = |client: &OAuth2Client| {
        let spec = &client.spec;
        let mut references = [&spec.client_secret_ref, &spec.client_id_from].into_iter().flatten();
        client.metadata.namespace.as_deref() == Some(namespace) && references.any(|reference| reference.name == name)
    };
    wake(&ctx.kinds.clients, ctx.kinds.clients.store.state_filter(refers));
    let imports = |set: &JsonWebKeySet| {
        let import = set.spec.import.as_ref();
        set.metadata.namespace.as_deref() == Some(namespace)
            && import.is_some_and(|import| import.secret_ref.name == name)
    };
    wake(&ctx.kinds.key_sets, ctx.kinds.key_sets.store.state_filter(imports));
}

/// Wakes the clients of whose name an earlier resource left a Secret: it came back from a backup or was deleted, and they
/// may wait for one or the other.
fn what_waits_for_left(ctx: &Context, secret: &WatchedSecret) {
    let concerns = |client: &OAuth2Client| {
        let namespace = secret.namespace();
        client.metadata.namespace.as_deref() == Some(namespace)
            && secret.is_left_by(namespace, &client.name_any(), &secret_name(client))
    };
    wake(&ctx.kinds.clients, ctx.kinds.clients.store.state_filter(concerns));
}

/// The Secrets of a part were listed again. The cache is now newer than our last writes, and wakes their owners.
fn relisted<K: OnServer>(ctx: &Context, kind: &Kind<K>, part: Option<&str>) {
    let within = |resource: &K| part.is_none() || resource.meta().namespace.as_deref() == part;
    for resource in kind.store.state_filter(within) {
        ctx.children.forget(resource.meta().uid.as_deref().unwrap_or_default());
        kind.wake(ObjectRef::from_obj(&*resource));
    }
}

fn wake<K>(kind: &Kind<K>, resources: Vec<Arc<K>>)
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    for resource in resources {
        kind.wake(ObjectRef::from_obj(&*resource));
    }
}

fn all<K>(kind: &Kind<K>)
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    wake(kind, kind.store.state());
}
