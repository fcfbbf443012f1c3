//! `JsonWebKeySet`: calls the floor of its server.

use kube::{Api, Client, ResourceExt};
use serde_json::json;

use crate::api::access::ManagedKind;
use crate::api::authorization_server::Flavour;
use crate::api::condition::{self, READY};
use crate::api::json_web_key_set::JsonWebKeySetStatus;
use crate::api::refs::ServerRef;
use crate::api::{JsonWebKeySet, OAuth2Client};
use crate::controller::common::admission::{server_of, unsupported_kind};
use crate::controller::common::referable::{Referable, let_go};
use crate::controller::engine::context::Context;
use crate::controller::engine::kind::Kind;
use crate::controller::engine::managed::{Managed, OnServer, Pass, SecretKey};
use crate::controller::engine::verdict::Done;
use crate::controller::{hydra, vault};
use crate::decode::Item;
use crate::error::Result;

impl Managed for JsonWebKeySet {
    const KIND: &'static str = "JsonWebKeySet";

    fn server(&self) -> Option<&str> {
        Some(self.server_name())
    }

    fn api(&self, client: Client) -> Api<Item<Self>> {
        Api::namespaced(client, &self.namespace().unwrap_or_default())
    }

    fn kind_of(ctx: &Context) -> &Kind<Self> {
        &ctx.kinds.key_sets
    }

    fn secrets(&self, _: &Context) -> Vec<SecretKey> {
        hydra::key_set::secrets(self)
    }

    fn is_rotated(before: &Self::Status, after: &Self::Status) -> bool {
        match (&before.current_key_id, &after.current_key_id) {
            (None, None) => after.rotated_at.is_some() && before.rotated_at != after.rotated_at,
            (before, after) => before.is_some() && after.is_some() && before != after,
        }
    }

    async fn apply(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> Result<Done> {
        match server_of(self, ctx)?.spec.flavour() {
            Some(Flavour::Hydra(_)) => hydra::key_set::apply(self, ctx, pass).await,
            Some(Flavour::Vault(_)) => vault::key::apply(self, ctx, pass).await,
            Some(Flavour::Foulkon(_)) | None => unsupported_kind(self, ctx),
        }
    }

    async fn cleanup(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> Result<()> {
        let_go(self, ctx)?;
        let server = ctx.server(self.server_name());
        match server.as_ref().and_then(|server| server.spec.flavour()) {
            Some(Flavour::Vault(_)) => vault::object::remove(self, ctx, pass).await,
            Some(Flavour::Hydra(_) | Flavour::Foulkon(_)) | None => hydra::key_set::cleanup::run(self, ctx, pass).await,
        }
    }
}

impl OnServer for JsonWebKeySet {
    const ACCESS: ManagedKind = ManagedKind::JsonWebKeySet;

    fn server_ref(&self) -> Option<&ServerRef> {
        self.spec.server_ref.as_ref()
    }
}

impl Referable for JsonWebKeySet {
    const FIELD: &'static str = "keySetRef";

    fn named_by(client: &OAuth2Client) -> impl Iterator<Item = &str> {
        client.spec.key_set_ref.iter().map(|reference| reference.name.as_str())
    }

    /// A client may rely on published keys, even if a later step fails. It may also rely on a key that the server does
    /// not publish, once that key exists.
    fn is_reliable(&self) -> bool {
        let status = self.status.as_ref();
        status.is_some_and(|status| !status.keys.is_empty() || status.inputs.is_some())
    }

    /// A client that is already on the list of ids is not concerned by changes for other clients.
    fn concerns(&self, client: &OAuth2Client) -> bool {
        let status = self.status.clone().unwrap_or_default();
        let own = client.status.clone().unwrap_or_default();
        status.client_ids.is_empty()
            || status.observed_generation != self.metadata.generation
            || !condition::is_true(&own.conditions, READY)
            || !own.client_id.is_some_and(|id| status.client_ids.contains(&id))
    }

    fn standing(&self) -> String {
        let of = |status: &JsonWebKeySetStatus| {
            let is_there = status.inputs.is_some();
            json!([
                status.key_ids(),
                status.current_key_id,
                status.secret_name,
                status.client_ids,
                status.kept_client_ids,
                is_there
            ])
        };
        self.status
            .as_ref()
            .map(|status| of(status).to_string())
            .unwrap_or_default()
    }
}
