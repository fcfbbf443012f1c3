//! `Assignment`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Api, Client, ResourceExt};

use crate::api::access::ManagedKind;
use crate::api::assignment::AssignmentStatus;
use crate::api::refs::ServerRef;
use crate::api::{Assignment, OAuth2Client};
use crate::controller::common::admission::{admitted, lives_on_vault};
use crate::controller::common::referable::{Referable, let_go};
use crate::controller::engine::context::Context;
use crate::controller::engine::hold::hold;
use crate::controller::engine::kind::Kind;
use crate::controller::engine::managed::{Managed, OnServer, Pass};
use crate::controller::engine::verdict::Done;
use crate::controller::vault;
use crate::decode::Item;
use crate::error::{Error, Result};

impl Managed for Assignment {
    type Status = AssignmentStatus;
    const KIND: &'static str = "Assignment";

    fn api(&self, client: Client) -> Api<Item<Self>> {
        Api::namespaced(client, &self.namespace().unwrap_or_default())
    }

    fn kind_of(ctx: &Context) -> &Kind<Self> {
        &ctx.assignments
    }

    fn status(&self) -> Option<&Self::Status> {
        self.status.as_ref()
    }

    fn common(status: &mut Self::Status) -> (&mut Option<i64>, &mut Vec<Condition>) {
        (&mut status.observed_generation, &mut status.conditions)
    }

    async fn apply(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> Result<Done> {
        if lives_on_vault(self, ctx)? {
            return vault::assignment::apply(self, ctx, pass).await;
        }
        let server = admitted(self, ctx)?;
        if self.spec.vault.is_some() {
            return Err(Error::UnsupportedFields {
                server: server.name_any(),
                version: server
                    .status
                    .clone()
                    .and_then(|status| status.version)
                    .unwrap_or_default(),
                fields: vec!["vault"],
            });
        }
        hold(self, ctx).await?;
        Ok(Done {
            message: "OAuth2Clients can refer to the assignment; they carry it in their metadata, and the login and consent app has to enforce it."
                .to_owned(),
            ..Done::default()
        })
    }

    async fn cleanup(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> Result<()> {
        let_go(self, ctx)?;
        match vault::object::is_on_vault(self, ctx) {
            true => vault::object::remove(self, ctx, pass).await,
            false => Ok(()),
        }
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
