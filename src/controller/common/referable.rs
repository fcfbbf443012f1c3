//! Kinds that clients refer to by name: Scope, Assignment and JsonWebKeySet. The first two live in their clients alone on a server without objects for them.

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

    /// Whether a client that refers to this resource has to hear of its change.
    fn concerns(&self, _: &OAuth2Client) -> bool {
        true
    }

    /// A resource that refers to this one and stays.
    fn user(&self, ctx: &Context) -> Option<User> {
        self.client(ctx)
    }

    /// A client that refers to this resource and stays.
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

/// What refers to a resource.
pub(crate) struct User {
    /// Its kind.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The field in which it does.
    pub field: &'static str,
}

/// A resource that a client refers to: it must be there, on the same server, and accepted.
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

/// Who refers to a resource by name.
#[derive(Clone, Copy)]
pub(crate) struct Referrer<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Name of its server.
    pub server: &'a str,
    /// The field in which it does.
    pub field: &'static str,
}

/// A resource that is referred to: it must be there and on the same server.
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

/// A resource that is referred to: it must be there, on whatever server.
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

/// A resource that is referred to cannot be used yet.
pub(crate) fn not_ready<K: Managed>(found: &K) -> Error {
    Error::ReferenceNotReady {
        kind: K::KIND,
        name: found.name_any(),
        namespace: found.namespace().unwrap_or_default(),
    }
}

/// Whether the spec as it is was looked at and found good.
pub(crate) fn is_accepted<K: Managed>(found: &K) -> bool {
    if decode::flaw(found).is_some() {
        return false; // an earlier version may have read it
    }
    found.status().is_some_and(|status| {
        let (observed, conditions) = status.standing();
        observed == found.meta().generation && condition::is_true(conditions, READY)
    })
}

/// Nothing that is referred to goes, unless its user says so.
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
