//! Resources on HashiCorp Vault and OpenBao, as far as it is the same for every kind: names and claims, an object kept in step, an object removed.
//!
//! Objects there have no place for a mark. So a name is claimed in the status, once a look showed that it is free and before the first write; who has the
//! claim has the object. Within the cluster the oldest claim wins.

pub mod failure;
pub mod name;
pub mod object;
pub mod server;
pub mod sweep;

pub use name::Named;
