//! The controllers: what happens when a resource, its server, or something that it refers to has changed.
//!
//! Each room imports those below it and no other, and no file leads back to itself; `tests/pure/layers.rs` reads the imports.
//!
//! ```text
//! watch                        fills the caches and wakes whom a change concerns
//!   kind                       what the engine asks of a kind, and one match over the API of the server
//!     hydra   vault   foulkon  one floor for each server: itself, its sweep, and each kind as it lives there
//!       common                 what kinds share on any server
//!         engine               one pass over any resource: queue, finalizer, deadline, status, event, retry
//! ```
//!
//! Start at [`engine::reconcile`], go on to a file in [`kind`], and from there to the floor of a server.
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | pass | one look at one resource, from its turn in the queue to its status |
//! | kind | OAuth2Client, Scope, Assignment, JsonWebKeySet, OidcProvider, AuthorizationServer |
//! | floor | all that lives on one sort of server |
//! | wake | to put a resource into the queue; to *rouse* it is to wake it with the order to read its object |
//! | sweep | one comparison of everything on a server with the cluster; it wakes and never writes |
//! | link | the way to a server's API, as a pass may use it now |
//! | admission | whether the server is there and its access rules let the resource be on it |
//! | marker | what the metadata of a client on a server says of its resource |
//! | claim | what the status says of the object on a server, where a server has no place for a marker |
//! | origin | whether a marker or claim is this cluster's, a former one's, or another's |
//! | ledger | the Secret that holds id, secret and revision of a client, or the keys of a set, before the server hears of them |
//! | credentials Secret | the Secret that applications mount |
//! | inputs | digests and versions that a success was made from: while they are equal there is nothing to do |
//! | settled | as it was left by the last success, with nothing else asked for since |
//! | drift | a difference that only somebody else's write can have caused |
//! | turn | when a resource that is late with a rotation may go on, as many others may be late too |
//! | treatment | what an error means for conditions, events and the next try |

#![warn(unreachable_pub)]

pub mod common;
pub mod engine;
pub mod foulkon;
pub mod hydra;
pub(crate) mod kind;
pub mod vault;
pub(crate) mod watch;
