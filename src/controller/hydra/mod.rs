//! Ory Hydra: the server itself, its sweep, and each kind as it lives there.

pub mod assignment;
pub mod client;
pub mod failure;
pub mod key_set;
pub mod orphans;
pub mod provider;
pub mod scope;
pub mod server;
pub mod sweep;
