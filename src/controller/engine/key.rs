//! Identifies a resource in the queue.

use std::sync::Arc;

/// One of the operator's kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each variant is the kind of that name
pub enum Which {
    AuthorizationServer,
    OAuth2Client,
    Scope,
    Assignment,
    JsonWebKeySet,
    OidcProvider,
}

/// A resource, by kind, namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Kind of the resource.
    pub which: Which,
    /// Namespace of the resource; empty for an AuthorizationServer.
    pub namespace: Arc<str>,
    /// Name of the resource.
    pub name: Arc<str>,
}
