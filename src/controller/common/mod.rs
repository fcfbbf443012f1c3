//! What kinds share on any server: admission, claims, drift, references, the operator's Secrets and ConfigMaps,
//! schedules.

pub(crate) mod admission;
pub mod adoption;
pub mod claim;
pub(crate) mod cleanup;
pub mod client;
pub(crate) mod digest;
pub mod drift;
pub(crate) mod failure;
pub mod judge;
pub(crate) mod key_set;
pub(crate) mod note;
pub(crate) mod observe;
pub(crate) mod own_config_map;
pub(crate) mod own_secret;
pub(crate) mod provider;
pub(crate) mod referable;
pub(crate) mod references;
pub(crate) mod refuse;
pub(crate) mod revoke;
pub(crate) mod rouse;
pub(crate) mod schedule;
pub(crate) mod scope;
pub(crate) mod turn;
pub(crate) mod windows;
