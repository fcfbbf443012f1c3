//! HashiCorp Vault and OpenBao: the server itself, its sweep, and each kind as it lives there.
//!
//! Objects there have no place for a mark. So a name is claimed in the status, once a look showed that it is free and before the first write; who has the
//! claim has the object. Within the cluster the oldest claim wins.

pub mod assignment;
pub mod client;
pub mod failure;
pub mod key;
pub mod name;
pub mod object;
pub mod provider;
pub mod scope;
pub mod server;
pub mod sweep;
