//! The controllers: what happens when a resource, its server, or something that it refers to has changed.
//!
//! A module imports only the modules below it in this diagram, and files do not import each other in cycles.
//! `tests/pure/layers.rs` checks both.
//!
//! ```text
//! watch                        fills the caches and wakes the resources that a change concerns
//!   kind                       implements the engine's traits for each kind, with one match over the server's API
//!     hydra   vault   foulkon  one floor for each type of server: the server, its sweep, and each kind on it
//!       common                 what kinds share on any server
//!         engine               one pass over any resource: queue, finalizer, deadline, status, event, retry
//! ```
//!
//! Start with [`engine::reconcile`], continue with a file in `kind`, and from there go to the floor of a server.
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | pass | one run over one resource, from its turn in the queue until its status is written |
//! | kind | OAuth2Client, Scope, Assignment, JsonWebKeySet, OidcProvider, AuthorizationServer |
//! | floor | all code for one type of server: `hydra`, `vault` or `foulkon` |
//! | wake | to put a resource into the queue, so that it gets a pass |
//! | rouse | to wake a resource and mark it, so that its next pass reads its object on the server |
//! | sweep | one comparison of everything on a server with the cluster; it wakes resources and never writes |
//! | link | the connection to a server and the API detected on it, as a pass may use them now |
//! | admission | the check that the server exists and that its access rules allow the resource |
//! | marker | the metadata of a client on a server that name its resource and its cluster |
//! | claim | the fields of a status that make an object on a server ours, where the server has no place for a marker |
//! | origin | whether a marker or claim names this cluster, a former one that it replaces, or another one |
//! | ledger | Secret with a client's id, secret and revision, or a set's keys, stored before the server gets them |
//! | credentials Secret | the Secret that applications mount |
//! | inputs | digests and versions of all that a success was made from; while they are equal, nothing has to be done |
//! | settled | unchanged since the last success, with nothing new requested |
//! | drift | a difference that only another writer can have caused |
//! | turn | the time at which a late rotation may start, chosen so that many late rotations are spread over time |
//! | lane | the keys in the queue that share a limit of running passes, such as the resources on one server |
//! | breaker | the circuit breaker of a server: while it is open, only the server's own passes send requests |
//! | treatment | what an error means for conditions, events and the next retry |

#![warn(unreachable_pub)]

pub mod common;
pub mod engine;
pub mod foulkon;
pub mod hydra;
pub(crate) mod kind;
pub mod vault;
pub(crate) mod watch;
