//! One pass over any resource: fair queue, reconcile, report, retry, memory. The engine knows the kinds but no server.

pub(crate) mod budget;
pub mod cache;
pub mod census;
pub mod children;
pub mod context;
pub mod departures;
mod events;
pub(crate) mod hold;
pub(crate) mod key;
pub mod kind;
pub mod kinds;
pub mod lifecycle;
pub mod links;
pub mod managed;
pub mod memory;
pub mod publisher;
pub mod queue;
pub mod reconcile;
pub(crate) mod report;
pub(crate) mod request;
pub(crate) mod secrets;
pub mod spacing;
pub(crate) mod turns;
pub mod unwatched;
pub mod verdict;
pub mod version;
pub(crate) mod watched_secret;
