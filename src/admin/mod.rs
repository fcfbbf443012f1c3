//! The admin APIs of authorization servers.

pub mod bounded;
pub mod breaker;
pub mod discovery;
pub mod foulkon;
pub mod http;
pub mod hydra;
pub mod vault;
