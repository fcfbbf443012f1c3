//! `OidcProvider`: calls the floor of its server.

use std::time::Duration;

use kube::{Api, Client, ResourceExt};

use crate::api::OidcProvider;
use crate::api::access::ManagedKind;
use crate::api::authorization_server::Flavour;
use crate::api::condition::Wanted;
use crate::api::refs::ServerRef;
use crate::controller::common::admission::{server_of, unsupported_kind};
use crate::controller::common::own_config_map;
use crate::controller::engine::context::Context;
use crate::controller::engine::kind::Kind;
use crate::controller::engine::managed::{Managed, OnServer, Pass};
use crate::controller::engine::verdict::Done;
use crate::controller::kind::object;
use crate::controller::{foulkon, hydra, vault};
use crate::decode::Item;
use crate::error::Result;

impl Managed for OidcProvider {
    const KIND: &'static str = "OidcProvider";
    /// Nothing announces that the public API is back.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn server(&self) -> Option<&str> {
        Some(self.server_name())
    }

    fn api(&self, client: Client) -> Api<Item<Self>> {
        Api::namespaced(client, &self.namespace().unwrap_or_default())
    }

    fn kind_of(ctx: &Context) -> &Kind<Self> {
        &ctx.kinds.providers
    }

    fn conditions(&self, status: &Self::Status) -> Vec<Wanted> {
        foulkon::provider::outdated(status).into_iter().collect()
    }

    async fn apply(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> Result<Done> {
        match server_of(self, ctx)?.spec.flavour() {
            Some(Flavour::Hydra(_)) => hydra::provider::apply(self, ctx, pass).await,
            Some(Flavour::Vault(_)) => vault::provider::apply(self, ctx, pass).await,
            Some(Flavour::Foulkon(_)) => foulkon::provider::apply(self, ctx, pass).await,
            None => unsupported_kind(self, ctx),
        }
    }

    async fn cleanup(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> Result<()> {
        let server = ctx.server(self.server_name());
        match server.as_ref().and_then(|server| server.spec.flavour()) {
            Some(Flavour::Foulkon(_)) => foulkon::provider::entry::remove(self, ctx, pass).await?,
            Some(Flavour::Hydra(_) | Flavour::Vault(_)) | None => object::remove(self, ctx, pass).await?,
        }
        own_config_map::rename(self, ctx, &mut pass.status.config_map_name, None).await?;
        own_config_map::remove(self, ctx, &self.config_map_name()).await
    }
}

impl OnServer for OidcProvider {
    const ACCESS: ManagedKind = ManagedKind::OidcProvider;

    fn server_ref(&self) -> Option<&ServerRef> {
        self.spec.server_ref.as_ref()
    }
}
