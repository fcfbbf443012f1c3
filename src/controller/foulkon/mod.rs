//! Foulkon: the server itself, and OidcProviders, the only kind on it.

pub mod failure;
pub(crate) mod provider;
pub(crate) mod server;
