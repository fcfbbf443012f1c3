//! `Scope`: calls the floor of its server.

use kube::{Api, Client, ResourceExt};

use crate::api::access::ManagedKind;
use crate::api::authorization_server::Flavour;
use crate::api::refs::ServerRef;
use crate::api::{OAuth2Client, OidcProvider, Scope};
use crate::controller::common::admission::{server_of, unsupported_kind};
use crate::controller::common::referable::{Referable, User, let_go};
use crate::controller::engine::context::Context;
use crate::controller::engine::kind::Kind;
use crate::controller::engine::lifecycle::is_deleting;
use crate::controller::engine::managed::{Managed, OnServer, Pass};
use crate::controller::engine::verdict::Done;
use crate::controller::kind::object;
use crate::controller::{hydra, vault};
use crate::decode::Item;
use crate::error::Result;

impl Managed for Scope {
    const KIND: &'static str = "Scope";

    fn server(&self) -> Option<&str> {
        Some(self.server_name())
    }

    fn api(&self, client: Client) -> Api<Item<Self>> {
        Api::namespaced(client, &self.namespace().unwrap_or_default())
    }

    fn kind_of(ctx: &Context) -> &Kind<Self> {
        &ctx.kinds.scopes
    }

    async fn apply(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> Result<Done> {
        match server_of(self, ctx)?.spec.flavour() {
            Some(Flavour::Hydra(_)) => hydra::scope::apply(self, ctx, pass).await,
            Some(Flavour::Vault(_)) => vault::scope::apply(self, ctx, pass).await,
            Some(Flavour::Foulkon(_)) | None => unsupported_kind(self, ctx),
        }
    }

    async fn cleanup(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> Result<()> {
        let_go(self, ctx)?;
        object::remove(self, ctx, pass).await
    }
}

impl OnServer for Scope {
    const ACCESS: ManagedKind = ManagedKind::Scope;

    fn server_ref(&self) -> Option<&ServerRef> {
        self.spec.server_ref.as_ref()
    }
}

impl Referable for Scope {
    const FIELD: &'static str = "scopeRefs";

    fn named_by(client: &OAuth2Client) -> impl Iterator<Item = &str> {
        client.spec.scope_refs.iter().map(|reference| reference.name.as_str())
    }

    fn user(&self, ctx: &Context) -> Option<User> {
        let names = |provider: &OidcProvider| {
            let mut named = provider.spec.scope_refs.iter();
            provider.metadata.namespace == self.metadata.namespace
                && named.any(|reference| self.metadata.name.as_ref() == Some(&reference.name))
                && !is_deleting(provider)
        };
        let provider = || ctx.kinds.providers.store.find(names);
        self.client(ctx).or_else(|| {
            provider().map(|provider| User {
                kind: OidcProvider::KIND,
                name: provider.name_any(),
                field: "scopeRefs",
            })
        })
    }
}
