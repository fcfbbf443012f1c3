//! Whether a resource may be on its AuthorizationServer: the server exists, and one of its access rules admits the
//! resource.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace as KubeNamespace;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};

use crate::access::{self, Candidates, Denied, NameRequest, Namespace};
use crate::api::AuthorizationServer;
use crate::api::access::OnRevoked;
use crate::controller::common::adoption::Consent;
use crate::controller::engine::context::Context;
use crate::controller::engine::departures::Known;
use crate::controller::engine::lifecycle::{is_deleting, is_held};
use crate::controller::engine::managed::OnServer;
use crate::decode::{self, Item};
use crate::error::{Error, Result};

/// Returns the server that a resource names, from the cache.
///
/// # Errors
/// [`Error::ServerNotFound`], [`Error::NoDefaultServer`]; [`Error::ServerNotReady`] if the server cannot be decoded
/// completely.
pub(crate) fn server_of<K: OnServer>(resource: &K, ctx: &Context) -> Result<Arc<AuthorizationServer>> {
    let server = ctx
        .server(resource.server_name())
        .ok_or_else(|| match resource.server_ref() {
            None => Error::NoDefaultServer,
            Some(named) => Error::ServerNotFound(named.name.clone()),
        })?;
    // Some access rules may be missing in what was decoded, and a refusal by the others could delete something.
    match decode::flaw(&*server) {
        None => Ok(server),
        Some(_) => Err(Error::ServerNotReady(server.name_any())),
    }
}

/// Refuses a resource whose kind its server does not support. The access rules are evaluated first, so that others
/// learn nothing about the server.
///
/// # Errors
/// As [`admitted`]; [`Error::UnsupportedKind`]; [`Error::ServerNotReady`] for a server whose API only a later operator
/// version knows.
pub(crate) fn unsupported_kind<K: OnServer, T>(resource: &K, ctx: &Context) -> Result<T> {
    let server = admitted(resource, ctx)?;
    let name = server.name_any();
    Err(match server.spec.flavour() {
        Some(_) => Error::UnsupportedKind {
            server: name,
            kind: K::KIND,
        },
        None => Error::ServerNotReady(name),
    })
}

/// Returns the server of a resource whose kind has no limits. The server must exist, and one of its access rules must
/// select namespace and kind.
///
/// # Errors
/// As [`server_of`]; [`Error::NamespacePending`], [`Error::NotAllowed`].
pub(crate) fn admitted<K: OnServer>(resource: &K, ctx: &Context) -> Result<Arc<AuthorizationServer>> {
    let server = server_of(resource, ctx)?;
    let name = resource.namespace().unwrap_or_default();
    let namespace = ctx.stores.namespaces.get(&ObjectRef::new(&name));
    let Some(namespace) = namespace else {
        return Err(Error::NamespacePending(name));
    };
    let seen = Namespace {
        name: &name,
        labels: Some(namespace.labels()),
    };
    match access::admits(&server.spec.access, seen, K::ACCESS) {
        Ok(()) => Ok(server),
        Err(denied) => Err(not_allowed(&server, denied)),
    }
}

/// The access rules of a server that allow what a resource has asked for until now. One of them must allow all of it.
pub(crate) struct Allowing<'a> {
    server: &'a AuthorizationServer,
    candidates: Candidates,
}

impl<'a> Allowing<'a> {
    /// For a resource that has not asked for anything yet.
    ///
    /// # Errors
    /// [`Error::NotAllowed`].
    pub(crate) fn of<K: OnServer>(resource: &K, ctx: &Context, server: &'a AuthorizationServer) -> Result<Self> {
        let candidates = ctx.with_namespace(&resource.namespace().unwrap_or_default(), |namespace| {
            Candidates::of(&server.spec.access, namespace, K::ACCESS)
        });
        match candidates {
            Ok(candidates) => Ok(Self::left(server, candidates)),
            Err(denied) => Err(not_allowed(server, denied)),
        }
    }

    /// For a resource for which these rules of its server are left.
    pub(crate) fn left(server: &'a AuthorizationServer, candidates: Candidates) -> Self {
        Allowing { server, candidates }
    }

    /// The rules that are left.
    pub(crate) fn candidates(self) -> Candidates {
        self.candidates
    }

    /// Asks for the name in a field of the resource.
    ///
    /// # Errors
    /// [`Error::NotAllowed`].
    pub(crate) fn name(&mut self, asked: NameRequest<'_>) -> Result<()> {
        let may = self.candidates.may_name(&self.server.spec.access, asked);
        may.map_err(|denied| not_allowed(self.server, denied))
    }

    /// Asks for the deletion policy of the resource.
    ///
    /// # Errors
    /// [`Error::NotAllowed`].
    pub(crate) fn policy(&mut self, consent: Consent) -> Result<()> {
        if !consent.asks_to_stay() {
            return Ok(());
        }
        let may = self.candidates.may_leave(&self.server.spec.access);
        may.map_err(|denied| not_allowed(self.server, denied))
    }

    /// Asks that a provider may offer a scope of others. `is_own`: as in [`NameRequest`].
    ///
    /// # Errors
    /// [`Error::NotAllowed`].
    pub(crate) fn scope(&mut self, scope: &str, is_own: bool) -> Result<()> {
        let may = self.candidates.may_offer(&self.server.spec.access, scope, is_own);
        may.map_err(|denied| not_allowed(self.server, denied))
    }
}

fn not_allowed(server: &AuthorizationServer, denied: Denied) -> Error {
    Error::NotAllowed {
        server: server.name_any(),
        denied,
    }
}

/// Whether everything that was made for a resource is deleted, because no rule admits it any more and the server has
/// `onRevoked: Delete`. Server and namespace are read live, because a deletion cannot be undone.
///
/// # Errors
/// [`Error::NamespacePending`], [`Error::Cluster`]; [`Error::ServerPending`] while the caches lag behind.
pub(crate) async fn is_revoked<K: OnServer>(
    resource: &K,
    ctx: &Context,
    server: &AuthorizationServer,
    denied: &Denied,
) -> Result<bool> {
    let name = resource.namespace().unwrap_or_default();
    if ctx.stores.namespaces.get(&ObjectRef::new(&name)).is_none() {
        return Err(Error::NamespacePending(name));
    }
    let wants_deletion = |server: &AuthorizationServer| server.spec.on_revoked == Some(OnRevoked::Delete);
    if !matches!(denied, Denied::NoRule { .. }) || !wants_deletion(server) || !is_held(resource) {
        return Ok(false);
    }
    let pending = || Error::ServerPending(server.name_any());
    let live = live_server(ctx, server).await?.ok_or_else(pending)?;
    let namespaces: Api<Item<PartialObjectMeta<KubeNamespace>>> = Api::all(ctx.cluster.client());
    let namespace = ctx.cluster.live(&namespaces, &name).await?.ok_or_else(pending)?;
    let seen = Namespace {
        name: &name,
        labels: Some(namespace.labels()),
    };
    match wants_deletion(&live) && access::admits(&live.spec.access, seen, K::ACCESS).is_err() {
        true => Ok(true),
        false => Err(pending()),
    }
}

/// Reads the server live. None if it is not the one that the pass planned with, or cannot be decoded completely.
async fn live_server(ctx: &Context, server: &AuthorizationServer) -> Result<Option<AuthorizationServer>> {
    let api: Api<Item<AuthorizationServer>> = Api::all(ctx.cluster.client());
    let live = ctx.cluster.live(&api, &server.name_any()).await?;
    Ok(live.filter(|live| live.uid() == server.uid() && decode::flaw(live).is_none()))
}

/// Checks that the server is not being deleted and has our finalizer, before anything is created on it. The resource's
/// own finalizer must be stored before this check ([`Departures`](crate::controller::engine::departures::Departures)).
///
/// # Errors
/// [`Error::ServerGoing`], [`Error::ServerNotReady`]; [`Error::Cluster`].
pub(crate) async fn may_create(ctx: &Context, server: &AuthorizationServer) -> Result<()> {
    let (name, uid) = (server.name_any(), server.uid().unwrap_or_default());
    if !ctx.is_ours(&name, false) {
        return Err(Error::ServerPending(name)); // handed over during this pass
    }
    let known = match ctx.departures.of(&uid) {
        Some(known) => known,
        None => match live_server(ctx, server).await? {
            Some(live) if is_deleting(&live) => Known::Goes,
            Some(live) if is_held(&live) => ctx.departures.stays(&uid),
            Some(_) | None => return Err(Error::ServerNotReady(name)),
        },
    };
    match known {
        Known::Stays => Ok(()),
        Known::Goes => Err(Error::ServerGoing(name)),
    }
}
