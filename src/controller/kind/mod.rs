//! The kinds: each implements the traits of the engine and calls the floor of its server.

pub(crate) mod assignment;
pub(crate) mod authorization_server;
pub(crate) mod connect;
pub(crate) mod json_web_key_set;
pub(crate) mod oauth2_client;
pub(crate) mod object;
pub(crate) mod oidc_provider;
pub(crate) mod scope;
