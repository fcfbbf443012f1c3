//! Ory Hydra: the server itself, its sweep, and each kind on it.

pub(crate) mod assignment;
pub mod client;
pub(crate) mod failure;
pub(crate) mod key_set;
pub(crate) mod orphans;
pub(crate) mod provider;
pub(crate) mod scope;
pub(crate) mod server;
pub(crate) mod sweep;
