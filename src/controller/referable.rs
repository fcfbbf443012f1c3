//! Kinds that clients refer to by name: Scope, Assignment and JsonWebKeySet. The first two live in their clients alone on a server without objects for them.

use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::on_server::OnServer;
use super::{Context, Managed, is_abandoned, is_deleting};
use crate::api::OAuth2Client;
use crate::api::condition::{self, READY};
use crate::error::{Error, Result};

/// A kind that OAuth2Clients refer to.
pub trait Referable: OnServer {
    /// The field of an OAuth2Client that does.
    const FIELD: &'static str;

    /// Names of the resources of this kind that a client refers to.
    fn named_by(client: &OAuth2Client) -> impl Iterator<Item = &str>;

    /// Whether a client may carry what it says.
    fn is_reliable(&self) -> bool {
        is_accepted(self)
    }

    /// What of it concerns the clients that refer to it, besides its spec.
    fn standing(&self) -> String {
        self.is_reliable().to_string()
    }

    /// Whether a client refers to this resource.
    fn is_named_by(&self, client: &OAuth2Client) -> bool {
        client.metadata.namespace == self.meta().namespace
            && Self::named_by(client).any(|name| self.meta().name.as_deref() == Some(name))
    }
}

/// A resource that a client refers to: it must be there, on the same server, and accepted.
///
/// # Errors
/// [`Error::ReferenceNotFound`], [`Error::ReferenceElsewhere`], [`Error::ReferenceNotReady`].
pub fn lookup<K: Referable>(client: &OAuth2Client, ctx: &Context, name: &str) -> Result<Arc<K>> {
    let namespace = client.namespace().unwrap_or_default();
    let kind = K::kind_of(ctx);
    let cached = kind.store.get(&ObjectRef::new(name).within(&namespace));
    let Some(found) = cached.map(|cached| kind.newest(cached)) else {
        return Err(Error::ReferenceNotFound {
            kind: K::KIND,
            name: name.to_owned(),
            key: None,
            namespace: None,
        });
    };
    if found.server_name() != client.server_name() {
        return Err(Error::ReferenceElsewhere {
            field: K::FIELD,
            kind: K::KIND,
            name: name.to_owned(),
            there: found.server_name().to_owned(),
            here: client.server_name().to_owned(),
        });
    }
    if !found.is_reliable() {
        return Err(Error::ReferenceNotReady {
            kind: K::KIND,
            name: name.to_owned(),
            namespace,
        });
    }
    Ok(found)
}

/// Whether the spec as it is was looked at and found good.
pub fn is_accepted<K: Managed>(found: &K) -> bool {
    let mut status = found.status().cloned().unwrap_or_default();
    let (observed, conditions) = K::common(&mut status);
    *observed == found.meta().generation && condition::is_true(conditions, READY)
}

/// Nothing that is referred to goes, unless its user says so.
///
/// # Errors
/// [`Error::InUseByClient`].
pub fn let_go<K: Referable>(resource: &K, ctx: &Context) -> Result<()> {
    if is_abandoned(resource) {
        return Ok(());
    }
    let refers = |client: &OAuth2Client| resource.is_named_by(client) && !is_deleting(client);
    match ctx.clients.store.find(refers) {
        None => Ok(()),
        Some(client) => Err(Error::InUseByClient {
            kind: K::KIND,
            field: K::FIELD,
            client: client.name_any(),
        }),
    }
}
