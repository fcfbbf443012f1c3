//! `OAuth2Client`.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, Client, ResourceExt};

use crate::admin::sync::is_later;
use crate::api::OAuth2Client;
use crate::api::access::ManagedKind;
use crate::api::oauth2_client::{Effective, OAuth2ClientStatus};
use crate::api::refs::ServerRef;
use crate::controller::common::admission::lives_on_vault;
use crate::controller::common::client::checks::{check_access, check_size, since};
use crate::controller::common::client::inputs::Inputs;
use crate::controller::common::client::outcome::deletion_policy;
use crate::controller::common::client::output;
use crate::controller::common::schedule::{Schedule, WAITS, wait_until};
use crate::controller::engine::context::Context;
use crate::controller::engine::kind::Kind;
use crate::controller::engine::managed::{Managed, OnServer, Pass};
use crate::controller::engine::verdict::Done;
use crate::controller::hydra::client::checks::{check_fields, is_held_back, rotation};
use crate::controller::hydra::client::plan::plan;
use crate::controller::hydra::client::work::Work;
use crate::controller::hydra::client::{UNWATCHED, revoked};
use crate::controller::{hydra, vault};
use crate::decode::Item;
use crate::error::{Error, Result};

impl Managed for OAuth2Client {
    type Status = OAuth2ClientStatus;
    const KIND: &'static str = "OAuth2Client";

    fn api(&self, client: Client) -> Api<Item<Self>> {
        Api::namespaced(client, &self.namespace().unwrap_or_default())
    }

    fn kind_of(ctx: &Context) -> &Kind<Self> {
        &ctx.clients
    }

    fn status(&self) -> Option<&Self::Status> {
        self.status.as_ref()
    }

    fn common(status: &mut Self::Status) -> (&mut Option<i64>, &mut Vec<Condition>) {
        (&mut status.observed_generation, &mut status.conditions)
    }

    fn rebase(status: &mut Self::Status, before: &Self::Status, live: &Self::Status) {
        // Another instance may have written meanwhile: what the server stored last is what counts.
        if status.updated_at == before.updated_at || is_later(live.updated_at.as_deref(), status.updated_at.as_deref())
        {
            status.updated_at = live.updated_at.clone();
        }
    }

    async fn apply(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> Result<Done> {
        if lives_on_vault(self, ctx)? {
            return vault::client::apply(self, ctx, pass).await;
        }
        let mut plan = plan(self, ctx)?;
        match check_access(self, ctx, &plan) {
            Err(denied) => return revoked(self, ctx, &plan, pass, denied).await,
            Ok(grant) => {
                let rotated_at = pass.status.rotated_at.as_deref();
                let schedule = plan
                    .schedule
                    .bounded(grant.min_rotation_period, rotated_at, Timestamp::now());
                let by_age = since(self, &pass.status).and_then(|since| schedule.by_age(since, Duration::ZERO));
                let turn = ctx.clients.turn(&plan.uid, by_age);
                plan.schedule = Schedule { turn, ..schedule };
            }
        }
        if self.spec.suspend == Some(true) {
            return Ok(Done {
                message: "Reconciliation is suspended by spec.suspend.".to_owned(),
                suspended: true,
                ..Done::default()
            });
        }
        if let Some(missing) = plan.missing.take() {
            return Err(missing);
        }
        check_fields(self, &plan)?;
        let due_at = rotation(self, &plan, &pass.status)?;
        let layout = output::layout(self, ctx, &plan)?;
        let reference = hydra::client::reference::look(self, ctx, &plan).await?;
        let wanted = plan.desired(self);
        check_size(&wanted.body(None))?;
        let version = reference.as_ref().map(|reference| reference.version.as_str());
        let inputs = Inputs::observe(ctx, &plan, hydra::client::plan::of_client(&wanted), &layout, version);
        let last = pass.status.inputs.as_deref().and_then(Inputs::parse);
        let is_due = due_at.is_some_and(|at| at <= Timestamp::now());
        if pass.must_read || is_due || last.as_ref() != Some(&inputs) {
            let work = Work {
                client: self,
                ctx,
                plan: &plan,
                layout: &layout,
                reference: reference.as_ref(),
                last,
                is_due,
            };
            work.run(pass, wanted, inputs).await?;
        }
        pass.status.client_id = Some(plan.client_id.clone());
        pass.status.endpoints = None; // they are the server's, whose status says them once for all
        pass.status.effective = Some(Effective {
            deletion_policy: deletion_policy(self, &pass.status),
            ..plan.effective.clone()
        });
        let ids = plan.keys().iter().filter_map(|key| key.get("kid")?.as_str());
        pass.status.key_ids = ids.map(str::to_owned).collect();
        let inputs = pass.status.inputs.as_deref().and_then(Inputs::parse);
        let is_unknown = plan.effective.has_secret() && inputs.is_some_and(|inputs| !inputs.had_ledger());
        pass.status.secret_name = Some(layout.name).filter(|_| !is_unknown);
        let waits = match is_held_back(self, &plan, &pass.status) {
            true => format!("; {WAITS}"),
            false => String::new(),
        };
        let message = match &pass.status.secret_name {
            Some(name) => format!("The client is registered and its credentials are in Secret `{name}`{waits}."),
            None => "The client is registered as it should be.".to_owned(),
        };
        let look = reference.filter(|reference| !reference.watched).map(|_| UNWATCHED);
        let next = rotation(self, &plan, &pass.status)?.map(wait_until);
        Ok(Done {
            message,
            lacks: is_unknown.then_some(Error::SecretUnknown),
            again: look.into_iter().chain(next).min(),
            ..Done::default()
        })
    }

    async fn cleanup(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> Result<()> {
        let server = ctx.server(self.server_name());
        if server.is_some_and(|server| server.spec.vault.is_some()) {
            return vault::client::cleanup(self, ctx, pass).await;
        }
        hydra::client::cleanup::run(self, ctx, pass).await
    }
}

impl OnServer for OAuth2Client {
    const ACCESS: ManagedKind = ManagedKind::OAuth2Client;

    fn server_ref(&self) -> Option<&ServerRef> {
        self.spec.server_ref.as_ref()
    }
}
