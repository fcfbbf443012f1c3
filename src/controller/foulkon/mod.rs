//! Foulkon: an AuthorizationServer that trusts the tokens of others. Its one kind is in [`super::oidc_provider`].

pub mod failure;
pub mod server;
