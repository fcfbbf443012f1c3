//! What OAuth2Clients share on every server that has them.

pub(crate) mod free;
pub(crate) mod inputs;
pub(crate) mod layout;
pub(crate) mod offered;
pub(crate) mod outcome;
pub(crate) mod output;
pub(crate) mod plan;
pub mod template;
