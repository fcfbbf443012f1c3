//! Controllers.

pub mod common;
pub mod engine;
pub mod foulkon;
pub mod hydra;
pub mod kind;
pub mod vault;
pub mod watch;
