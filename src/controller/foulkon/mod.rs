//! Foulkon: the server itself, and OidcProviders, the one kind that it has.

pub mod failure;
pub mod provider;
pub mod server;
