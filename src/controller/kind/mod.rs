//! The kinds: what the engine asks of each, and on which server's floor each is answered.

pub(crate) mod assignment;
pub(crate) mod authorization_server;
pub(crate) mod connect;
pub(crate) mod json_web_key_set;
pub(crate) mod oauth2_client;
pub(crate) mod object;
pub(crate) mod oidc_provider;
pub(crate) mod scope;
