//! HashiCorp Vault and OpenBao: the server itself, its sweep, and each kind as it lives there.
//!
//! Objects there have no place for a mark. So a name is claimed in the status, once a look showed that it is free and before the first write; who has the
//! claim has the object. Within the cluster the oldest claim wins.

pub(crate) mod assignment;
pub(crate) mod client;
pub mod failure;
pub(crate) mod key;
pub(crate) mod name;
pub(crate) mod object;
pub(crate) mod provider;
pub(crate) mod scope;
pub(crate) mod server;
pub(crate) mod sweep;
