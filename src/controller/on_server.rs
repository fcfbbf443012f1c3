//! What all namespaced kinds have in common: each resource lives on an AuthorizationServer, whose access rules have to admit it.

use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::{Context, Managed};
use crate::access::{self, Namespace};
use crate::api::access::ManagedKind;
use crate::api::refs::ServerRef;
use crate::api::{AuthorizationServer, DEFAULT_SERVER};
use crate::error::{Error, Result};

/// A kind whose resources live on an AuthorizationServer.
pub trait OnServer: Managed {
    /// The kind as access rules name it.
    const ACCESS: ManagedKind;

    /// The server that the spec names, if it does.
    fn server_ref(&self) -> Option<&ServerRef>;

    /// Name of the server that it lives on.
    fn server_name(&self) -> &str {
        self.server_ref().map_or(DEFAULT_SERVER, |server| server.name.as_str())
    }
}

/// The server that a resource names, from the cache.
///
/// # Errors
/// [`Error::ServerNotFound`], [`Error::NoDefaultServer`].
pub fn server_of<K: OnServer>(resource: &K, ctx: &Context) -> Result<Arc<AuthorizationServer>> {
    ctx.server(resource.server_name())
        .ok_or_else(|| match resource.server_ref() {
            None => Error::NoDefaultServer,
            Some(named) => Error::ServerNotFound(named.name.clone()),
        })
}

/// The server of a resource that has no limits to be held to: it exists, and one of its access rules names namespace and kind.
///
/// # Errors
/// As [`server_of`]; [`Error::NamespacePending`], [`Error::NotAllowed`].
pub fn admitted<K: OnServer>(resource: &K, ctx: &Context) -> Result<Arc<AuthorizationServer>> {
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
        Err(denied) => Err(Error::NotAllowed {
            server: server.name_any(),
            denied,
        }),
    }
}
