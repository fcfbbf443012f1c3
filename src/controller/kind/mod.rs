//! The kinds: what the engine asks of each, and on which server's floor each is answered.

pub mod assignment;
pub mod authorization_server;
pub mod connect;
pub mod json_web_key_set;
pub mod oauth2_client;
pub mod object;
pub mod oidc_provider;
pub mod scope;
