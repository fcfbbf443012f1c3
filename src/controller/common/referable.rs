//! Kinds that clients refer to by name: Scope, Assignment and JsonWebKeySet. On a server that has no objects for Scopes
//! and Assignments, these exist only as values in their clients.

use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use crate::api::OAuth2Client;
use crate::api::condition::{self, READY};
use crate::api::status::Standing;
use crate::controller::engine::context::Context;
use crate::controller::engine::lifecycle::{is_abandoned, is_deleting};
use crate::controller::engine::managed::{Managed, OnServer};
use crate::decode;
use crate::error::{Error, Result};

/// A kind that OAuth2Clients refer to.
pub(crate) trait Referable: OnServer {
    /// The field of an OAuth2Client with the references.
    const FIELD: &'static str;

    /// Names of the resources of this kind that a client refers to.
    fn named_by(client: &OAuth2Client) -> impl Iterator<Item = &str>;

    /// Whether a client may use the resource.
    fn is_reliable(&self) -> bool {
        is_accepted(self)
    }

    /// The part of the status that concerns the clients that refer to the resource.
    fn standing(&self) -> String {
        self.is_reliable().to_string()
    }

    /// Whether a change of the resource concerns a client that refers to it.
    fn concerns(&self, _: &OAuth2Client) -> bool {
        true
    }

    /// Returns a resource that refers to this one and is not being deleted.
    fn user(&self, ctx: &Context) -> Option<User> {
        self.client(ctx)
    }

    /// Returns a client that refers to this resource and is not being deleted.
    fn client(&self, ctx: &Context) -> Option<User> {
        let refers = |client: &OAuth2Client| self.is_named_by(client) && !is_deleting(client);
        ctx.kinds.clients.store.find(refers).map(|client| User {
            kind: OAuth2Client::KIND,
            name: client.name_any(),
            field: Self::FIELD,
        })
    }

    /// Whether a client refers to this resource.
    fn is_named_by(&self, client: &OAuth2Client) -> bool {
        client.metadata.namespace == self.meta().namespace
            && Self::named_by(client).any(|name| self.meta().name.as_deref() == Some(name))
    }
}

/// A resource that refers to another one.
pub(crate) struct User {
    /// Kind of the referring resource.
    pub kind: &'static str,
    /// Name of the referring resource.
    pub name: String,
    /// The field with the reference.
    pub field: &'static str,
}

/// Finds a resource that a client refers to. It must exist, be on the same server, and be usable.
///
/// # Errors
/// As [`find`]; [`Error::ReferenceNotReady`].
pub(crate) fn lookup<K: Referable>(client: &OAuth2Client, ctx: &Context, name: &str) -> Result<Arc<K>> {
    let namespace = client.namespace().unwrap_or_default();
    let referrer = Referrer {
        namespace: &namespace,
        server: client.server_name(),
        field: K::FIELD,
    };
    let found = find::<K>(ctx, referrer, name)?;
    match found.is_reliable() {
        true => Ok(found),
        false => Err(not_ready(&*found)),
    }
}

/// Where a reference is made.
#[derive(Clone, Copy)]
pub(crate) struct Referrer<'a> {
    /// Namespace of the referring resource.
    pub namespace: &'a str,
    /// Name of the server of the referring resource.
    pub server: &'a str,
    /// The field with the reference.
    pub field: &'static str,
}

/// Finds a resource that is referred to. It must exist and be on the same server.
///
/// # Errors
/// [`Error::ReferenceNotFound`], [`Error::ReferenceElsewhere`].
pub(crate) fn find<K: OnServer>(ctx: &Context, referrer: Referrer<'_>, name: &str) -> Result<Arc<K>> {
    let found = find_anywhere::<K>(ctx, referrer.namespace, name)?;
    if found.server_name() != referrer.server {
        return Err(Error::ReferenceElsewhere {
            field: referrer.field,
            kind: K::KIND,
            name: name.to_owned(),
            there: found.server_name().to_owned(),
            here: referrer.server.to_owned(),
        });
    }
    Ok(found)
}

/// Finds a resource that is referred to, on any server. It must exist.
///
/// # Errors
/// [`Error::ReferenceNotFound`].
pub(crate) fn find_anywhere<K: Managed>(ctx: &Context, namespace: &str, name: &str) -> Result<Arc<K>> {
    let kind = K::kind_of(ctx);
    let cached = kind.store.get(&ObjectRef::new(name).within(namespace));
    cached
        .map(|cached| kind.newest(cached))
        .ok_or_else(|| Error::ReferenceNotFound {
            kind: K::KIND,
            name: name.to_owned(),
        })
}

/// Returns the error for a reference to a resource that cannot be used yet.
pub(crate) fn not_ready<K: Managed>(found: &K) -> Error {
    Error::ReferenceNotReady {
        kind: K::KIND,
        name: found.name_any(),
        namespace: found.namespace().unwrap_or_default(),
    }
}

/// Whether the resource is Ready at its current generation.
pub(crate) fn is_accepted<K: Managed>(found: &K) -> bool {
    if decode::flaw(found).is_some() {
        return false; // its status may be from an operator version that could decode it
    }
    found.status().is_some_and(|status| {
        let (observed, conditions) = status.standing();
        observed == found.meta().generation && condition::is_true(conditions, READY)
    })
}

/// Refuses the deletion of a resource that another one refers to, unless the user abandons it.
///
/// # Errors
/// [`Error::InUseBy`].
pub(crate) fn let_go<K: Referable>(resource: &K, ctx: &Context) -> Result<()> {
    if is_abandoned(resource) {
        return Ok(());
    }
    match resource.user(ctx) {
        None => Ok(()),
        Some(user) => Err(Error::InUseBy {
            kind: K::KIND,
            user: user.kind,
            name: user.name,
            field: user.field,
        }),
    }
}
