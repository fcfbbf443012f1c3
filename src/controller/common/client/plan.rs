//! Everything that follows from the spec of an OAuth2Client and its server, before anything is read or written.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::admin::hydra;
use crate::admin::hydra::client::{Catalogue, Marker};
use crate::api::authorization_server::Endpoints;
use crate::api::oauth2_client::Effective;
use crate::api::{AuthorizationServer, JsonWebKeySet, OAuth2Client};
use crate::controller::common::schedule::Schedule;
use crate::controller::engine::context::{Context, OwnSecret};
use crate::controller::hydra::client::ledger;
use crate::error::Error;

/// Everything that follows from spec and server, before anything is read or written.
pub(crate) struct Plan {
    pub(crate) server: Arc<AuthorizationServer>,
    pub(crate) effective: Effective,
    pub(crate) catalogue: Catalogue,
    /// The JsonWebKeySet that the spec refers to.
    pub(crate) key_set: Option<Arc<JsonWebKeySet>>,
    /// What applications talk to.
    pub(crate) endpoints: Option<Endpoints>,
    /// When the secret is replaced.
    pub(crate) schedule: Schedule,
    /// What the spec refers to and is not there (yet).
    pub(crate) missing: Option<Error>,
    pub(crate) client_id: String,
    pub(crate) marker: Marker,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl Plan {
    pub(crate) fn own_secret(&self, ctx: &Context, name: &str) -> Option<OwnSecret> {
        ctx.own_secret(&self.namespace, &self.uid, name)
    }

    /// The public keys that the client proves itself with.
    pub(crate) fn keys(&self) -> &[Map<String, Value>] {
        let status = self.key_set.as_ref().and_then(|set| set.status.as_ref());
        status.map(|status| status.keys.as_slice()).unwrap_or_default()
    }

    /// The client that the server should have, its revision aside.
    pub(crate) fn desired(&self, client: &OAuth2Client) -> hydra::Client {
        let mut wanted = hydra::mapping::desired(
            &client.spec,
            &self.effective,
            &self.catalogue,
            &self.client_id,
            &self.marker,
        );
        if client.spec.key_set_ref.is_some() {
            wanted.jwks = Map::from_iter([("keys".to_owned(), json!(self.keys()))]);
        }
        wanted
    }

    pub(crate) fn ledger_name(&self) -> String {
        ledger::name(&self.uid)
    }
}
