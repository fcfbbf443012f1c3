//! What the queue knows of a resource.

use std::sync::Arc;

/// A kind of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each is the kind of that name
pub enum Which {
    AuthorizationServer,
    OAuth2Client,
    Scope,
    Assignment,
    JsonWebKeySet,
    OidcProvider,
}

/// A resource that wants a pass.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Its kind.
    pub which: Which,
    /// Its namespace; empty of a server.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}
