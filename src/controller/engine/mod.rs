//! The pass over any resource: fair queue, reconcile, report, retry, memory. It knows the kinds, and no server.

pub mod budget;
pub mod cache;
pub mod children;
pub mod context;
pub mod departures;
pub mod events;
pub mod hold;
pub mod key;
pub mod kind;
pub mod kinds;
pub mod lifecycle;
pub mod links;
pub mod managed;
pub mod memory;
pub mod queue;
pub mod reconcile;
pub mod report;
pub mod turns;
pub mod verdict;
pub mod watched_secret;
