//! Everything that follows from the spec of an OAuth2Client and its server, before anything is read or written.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::api::authorization_server::Endpoints;
use crate::api::oauth2_client::Effective;
use crate::api::{AuthorizationServer, JsonWebKeySet};
use crate::controller::common::schedule::Schedule;
use crate::controller::engine::context::{Context, OwnSecret};
use crate::error::Error;

/// Everything that follows from spec and server, before anything is read or written.
pub(crate) struct ClientPlan {
    pub(crate) server: Arc<AuthorizationServer>,
    pub(crate) effective: Effective,
    /// The JsonWebKeySet that the spec refers to.
    pub(crate) key_set: Option<Arc<JsonWebKeySet>>,
    /// What applications talk to.
    pub(crate) endpoints: Option<Endpoints>,
    /// When the secret is replaced.
    pub(crate) schedule: Schedule,
    /// What the spec refers to and is not there (yet).
    pub(crate) missing: Option<Error>,
    pub(crate) client_id: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl ClientPlan {
    pub(crate) fn own_secret(&self, ctx: &Context, name: &str) -> Option<OwnSecret> {
        ctx.own_secret(&self.namespace, &self.uid, name)
    }

    /// The public keys that the client proves itself with.
    pub(crate) fn keys(&self) -> &[Map<String, Value>] {
        let status = self.key_set.as_ref().and_then(|set| set.status.as_ref());
        status.map(|status| status.keys.as_slice()).unwrap_or_default()
    }
}

/// Name of the Secret that holds id, secret and revision of the client with this UID, on servers that do not show secrets.
pub(crate) fn ledger_name(uid: &str) -> String {
    format!("oac-{uid}")
}
