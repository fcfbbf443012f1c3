//! What OAuth2Clients share on every server that has them.

pub mod inputs;
pub mod outcome;
pub mod output;
pub mod plan;
