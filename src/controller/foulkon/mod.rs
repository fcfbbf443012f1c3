//! Foulkon: the server itself, and OidcProviders, the one kind that it has.

pub mod failure;
pub(crate) mod provider;
pub(crate) mod server;
