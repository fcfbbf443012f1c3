//! `Scope`: on Ory Hydra an entry of the catalogue that clients carry.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Api, Client, ResourceExt};

use super::on_server::{OnServer, admitted};
use super::referable::{Referable, let_go};
use super::verdict::Done;
use super::{Context, Kind, Managed, Pass, hold};
use crate::api::access::ManagedKind;
use crate::api::refs::ServerRef;
use crate::api::scope::{ScopeStatus, check_template};
use crate::api::{OAuth2Client, Scope};
use crate::error::{Error, Result};

impl Managed for Scope {
    type Status = ScopeStatus;
    const KIND: &'static str = "Scope";

    fn api(&self, client: Client) -> Api<Self> {
        Api::namespaced(client, &self.namespace().unwrap_or_default())
    }

    fn kind_of(ctx: &Context) -> &Kind<Self> {
        &ctx.scopes
    }

    fn status(&self) -> Option<&Self::Status> {
        self.status.as_ref()
    }

    fn common(status: &mut Self::Status) -> (&mut Option<i64>, &mut Vec<Condition>) {
        (&mut status.observed_generation, &mut status.conditions)
    }

    async fn apply(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> Result<Done> {
        admitted(self, ctx)?;
        if let Some(template) = &self.spec.template {
            check_template(template).map_err(|problem| Error::InvalidField {
                field: "template",
                problem: problem.to_owned(),
            })?;
        }
        hold(self, ctx).await?;
        pass.status.name = Some(self.scope_name());
        Ok(Done {
            message:
                "OAuth2Clients can refer to the scope; they carry it in their metadata, for the login and consent app."
                    .to_owned(),
            ..Done::default()
        })
    }

    async fn cleanup(&self, ctx: &Context, _: &mut Pass<Self::Status>) -> Result<()> {
        let_go(self, ctx)
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
}
