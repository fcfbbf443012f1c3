//! Evaluates access rules: a pure function of the rules, the namespace with its labels, and what the resource requests.

mod candidates;
mod client;
mod denied;
mod key_set;
mod rotation;
mod rules;
mod selector;
mod uris;

pub use candidates::Candidates;
pub use client::{KeptId, check, may_keep_id, may_leave_client};
pub use denied::{Broken, Denied};
pub use key_set::{KeySetRequest, check_key_set};
pub use rotation::Grant;
pub use rules::{NameRequest, Namespace, admits, is_prefixed, may_orphan};
pub use selector::matches;
