//! HashiCorp Vault and OpenBao: the server itself, its sweep, and each kind on it.
//!
//! Objects there have no place for a marker. So the status claims a name, after a read showed that it is free and
//! before the first write. The resource with the claim owns the object. Within the cluster, the oldest claim wins.

pub(crate) mod adoption;
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
