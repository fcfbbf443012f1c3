//! `OAuth2Client`: calls the floor of its server.

use kube::{Api, Client, ResourceExt};

use crate::api::OAuth2Client;
use crate::api::access::ManagedKind;
use crate::api::authorization_server::Flavour;
use crate::api::refs::ServerRef;
use crate::controller::common::admission::{server_of, unsupported_kind};
use crate::controller::common::client::outcome;
use crate::controller::engine::context::Context;
use crate::controller::engine::kind::Kind;
use crate::controller::engine::managed::{Managed, OnServer, Pass, SecretKey};
use crate::controller::engine::verdict::Done;
use crate::controller::{hydra, vault};
use crate::decode::Item;
use crate::error::Result;

impl Managed for OAuth2Client {
    const KIND: &'static str = "OAuth2Client";

    fn server(&self) -> Option<&str> {
        Some(self.server_name())
    }

    fn api(&self, client: Client) -> Api<Item<Self>> {
        Api::namespaced(client, &self.namespace().unwrap_or_default())
    }

    fn kind_of(ctx: &Context) -> &Kind<Self> {
        &ctx.kinds.clients
    }

    fn rebase(status: &mut Self::Status, before: &Self::Status, live: &Self::Status) {
        hydra::client::rebase(status, before, live);
    }

    fn secrets(&self, ctx: &Context) -> Vec<SecretKey> {
        outcome::secrets(self, ctx)
    }

    fn is_rotated(before: &Self::Status, after: &Self::Status) -> bool {
        before.rotated_at.is_some() && after.rotated_at.is_some() && before.rotated_at != after.rotated_at
    }

    async fn apply(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> Result<Done> {
        match server_of(self, ctx)?.spec.flavour() {
            Some(Flavour::Hydra(_)) => hydra::client::apply(self, ctx, pass).await,
            Some(Flavour::Vault(_)) => vault::client::apply(self, ctx, pass).await,
            Some(Flavour::Foulkon(_)) | None => unsupported_kind(self, ctx),
        }
    }

    async fn cleanup(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> Result<()> {
        let server = ctx.server(self.server_name());
        match server.as_ref().and_then(|server| server.spec.flavour()) {
            Some(Flavour::Vault(_)) => vault::client::cleanup(self, ctx, pass).await,
            Some(Flavour::Hydra(_) | Flavour::Foulkon(_)) | None => hydra::client::cleanup::run(self, ctx, pass).await,
        }
    }
}

impl OnServer for OAuth2Client {
    const ACCESS: ManagedKind = ManagedKind::OAuth2Client;

    fn server_ref(&self) -> Option<&ServerRef> {
        self.spec.server_ref.as_ref()
    }
}
