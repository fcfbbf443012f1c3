//! `Assignment`: calls the floor of its server.

use kube::{Api, Client, ResourceExt};

use crate::api::access::ManagedKind;
use crate::api::authorization_server::Flavour;
use crate::api::refs::ServerRef;
use crate::api::{Assignment, OAuth2Client};
use crate::controller::common::admission::{server_of, unsupported_kind};
use crate::controller::common::referable::{Referable, let_go};
use crate::controller::engine::context::Context;
use crate::controller::engine::kind::Kind;
use crate::controller::engine::managed::{Managed, OnServer, Pass};
use crate::controller::engine::verdict::Done;
use crate::controller::kind::object;
use crate::controller::{hydra, vault};
use crate::decode::Item;
use crate::error::Result;

impl Managed for Assignment {
    const KIND: &'static str = "Assignment";

    fn server(&self) -> Option<&str> {
        Some(self.server_name())
    }

    fn api(&self, client: Client) -> Api<Item<Self>> {
        Api::namespaced(client, &self.namespace().unwrap_or_default())
    }

    fn kind_of(ctx: &Context) -> &Kind<Self> {
        &ctx.kinds.assignments
    }

    async fn apply(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> Result<Done> {
        match server_of(self, ctx)?.spec.flavour() {
            Some(Flavour::Hydra(_)) => hydra::assignment::apply(self, ctx).await,
            Some(Flavour::Vault(_)) => vault::assignment::apply(self, ctx, pass).await,
            Some(Flavour::Foulkon(_)) | None => unsupported_kind(self, ctx),
        }
    }

    async fn cleanup(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> Result<()> {
        let_go(self, ctx)?;
        object::remove(self, ctx, pass).await
    }
}

impl OnServer for Assignment {
    const ACCESS: ManagedKind = ManagedKind::Assignment;

    fn server_ref(&self) -> Option<&ServerRef> {
        self.spec.server_ref.as_ref()
    }
}

impl Referable for Assignment {
    const FIELD: &'static str = "assignmentRefs";

    fn named_by(client: &OAuth2Client) -> impl Iterator<Item = &str> {
        client
            .spec
            .assignment_refs
            .iter()
            .map(|reference| reference.name.as_str())
    }
}
