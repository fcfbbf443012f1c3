//! What kinds share on any server: admission, claims, drift, references, Secrets and ConfigMaps of ours, schedules.

pub mod admission;
pub mod claim;
pub mod cleanup;
pub mod client;
pub mod digest;
pub mod drift;
pub mod failure;
pub mod judge;
pub mod key_set;
pub mod own_config_map;
pub mod own_secret;
pub mod provider;
pub mod referable;
pub mod references;
pub mod refuse;
pub mod revoke;
pub mod rouse;
pub mod schedule;
pub mod scope;
pub mod turn;
