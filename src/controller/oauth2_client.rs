//! `OAuth2Client`: refs → access → desired → finalizer → ledger → server → credentials Secret → status.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, Client, ResourceExt};
use serde_json::{Map, Value, json};

use super::context::OwnSecret;
use super::failure::{outage, unread};
use super::on_server::{OnServer, is_revoked, lives_on_vault, server_of};
use super::schedule::{Schedule, WAITS, wait_until};
use super::verdict::Done;
use super::{Context, Kind, Managed, Pass, hold, release};
use crate::access::Denied;
use crate::admin::hydra;
use crate::admin::hydra::client::{Catalogue, Marker};
use crate::admin::sync::is_later;
use crate::api::access::ManagedKind;
use crate::api::authorization_server::Endpoints;
use crate::api::oauth2_client::{Effective, OAuth2ClientStatus};
use crate::api::refs::ServerRef;
use crate::api::{AuthorizationServer, JsonWebKeySet, OAuth2Client};
use crate::decode::Item;
use crate::error::{Error, Result};

mod adoption;
mod catalogue;
mod checks;
mod cleanup;
mod inputs;
mod ledger;
mod output;
mod reference;
mod remote;
mod vault;

pub(in crate::controller) use adoption::deletion_policy;
pub(in crate::controller) use vault::wanted as wanted_on_vault;

use checks::{check_access, check_fields, check_size, is_held_back, rotation, since};
use inputs::Inputs;
use ledger::{Ledger, Secrecy};
use output::Layout;
use reference::Reference;
use remote::Remote;

/// How soon a referenced Secret without our watch label is looked at again.
const UNWATCHED: Duration = Duration::from_secs(45);

/// Everything that follows from spec and server, before anything is read or written.
pub(super) struct Plan {
    server: Arc<AuthorizationServer>,
    effective: Effective,
    catalogue: Catalogue,
    /// The JsonWebKeySet that the spec refers to.
    key_set: Option<Arc<JsonWebKeySet>>,
    /// What applications talk to.
    endpoints: Option<Endpoints>,
    /// When the secret is replaced.
    schedule: Schedule,
    /// What the spec refers to and is not there (yet).
    missing: Option<Error>,
    client_id: String,
    marker: Marker,
    namespace: String,
    name: String,
    uid: String,
}

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
            return vault::apply(self, ctx, pass).await;
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
        let reference = reference::look(self, ctx, &plan).await?;
        let wanted = plan.desired(self);
        check_size(&wanted.body(None))?;
        let version = reference.as_ref().map(|reference| reference.version.as_str());
        let inputs = Inputs::observe(ctx, &plan, inputs::of_client(&wanted), &layout, version);
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
            return vault::cleanup(self, ctx, pass).await;
        }
        cleanup::run(self, ctx, pass).await
    }
}

impl OnServer for OAuth2Client {
    const ACCESS: ManagedKind = ManagedKind::OAuth2Client;

    fn server_ref(&self) -> Option<&ServerRef> {
        self.spec.server_ref.as_ref()
    }
}

/// What is to be done when the inputs are not those of the last success.
struct Work<'a> {
    client: &'a OAuth2Client,
    ctx: &'a Context,
    plan: &'a Plan,
    layout: &'a Layout,
    reference: Option<&'a Reference>,
    last: Option<Inputs>,
    /// Whether the time of the secret in force is over.
    is_due: bool,
}

impl Work<'_> {
    /// Finalizer → ledger → server → credentials Secret. Each step is skipped if its own inputs have not changed.
    async fn run(&self, pass: &mut Pass<OAuth2ClientStatus>, wanted: hydra::Client, mut inputs: Inputs) -> Result<()> {
        let Work {
            client,
            ctx,
            plan,
            layout,
            reference,
            ref last,
            ..
        } = *self;
        let same_ledger = last.as_ref().is_some_and(|last| inputs.same_ledger(last));
        let same_client = last.as_ref().is_some_and(|last| inputs.same_client(last));
        let settled = same_client && same_ledger;
        let mut link = match pass.must_read || !settled || self.must_look(&pass.status, settled) {
            true => Some(ctx.links.usable(&plan.server).map_err(|error| unread(error, settled))?),
            false => None,
        };
        let fresh = hold(client, ctx).await?;
        let failed = |error| outage(ctx, &plan.server.name_any(), unread(error, settled));
        let may_replace = self.is_due || !same_ledger || reference.is_some();
        if let Some(link) = link
            .as_ref()
            .filter(|_| may_replace && !same_client && pass.status.updated_at.is_some())
        {
            self.check_cluster(&pass.status, link).await.map_err(failed)?;
        }
        let secrecy = self.secrecy(&pass.status, link.as_ref()).await.map_err(failed)?;
        if secrecy != Secrecy::Ours {
            // Before a secret that works is replaced, it is known that the new one can be handed out.
            output::check_free(client, ctx, plan, layout).await?;
        }
        let ledger = ledger::settle(self, pass, fresh, secrecy).await?;
        let rewritten = ledger.as_ref().is_some_and(|ledger| ledger.rewritten);
        if link.is_none() && rewritten {
            link = Some(ctx.links.usable(&plan.server)?);
        }
        if let Some(link) = link {
            let drift = settled && !rewritten;
            let remote = Remote {
                client,
                ctx,
                plan,
                link: &link,
                ledger: ledger.as_ref(),
                may_tell: reference.is_some() || secrecy == Secrecy::Replaced,
                had_ledger: self.had_ledger(),
                drift,
            };
            let synced = remote.sync(pass, wanted, fresh).await;
            synced.map_err(|error| outage(ctx, &plan.server.name_any(), error))?;
        }
        let same_secret = last.as_ref().is_some_and(|last| inputs.same_secret(last));
        let is_complete = ledger.is_some() || !plan.effective.has_secret();
        if is_complete && (!same_secret || !same_ledger || rewritten) {
            let strict = last.as_ref().is_some_and(|last| !inputs.same_layout(last));
            let written = output::write(
                client,
                ctx,
                plan,
                layout,
                ledger.as_ref().map(Ledger::held),
                fresh,
                strict,
            )
            .await?;
            inputs.wrote_secret(written);
        }
        if !fresh {
            output::drop_others(ctx, plan, pass, &layout.name, ledger.is_some()).await?;
        }
        let made = ledger.as_ref().filter(|_| reference.is_none());
        pass.status.rotated_at = match secrecy {
            Secrecy::Others => pass
                .status
                .rotated_at
                .take()
                .or_else(|| Some(Timestamp::now().to_string())),
            Secrecy::Ours | Secrecy::Replaced => made.and_then(|ledger| ledger.since).map(|since| since.to_string()),
        };
        inputs.wrote_ledger(ledger.map(|ledger| ledger.version));
        pass.status.inputs = Some(inputs.to_string());
        pass.status.cluster_id = Some(ctx.settings.cluster.clone());
        Ok(())
    }
}

impl Plan {
    fn own_secret(&self, ctx: &Context, name: &str) -> Option<OwnSecret> {
        ctx.own_secret(&self.namespace, &self.uid, name)
    }

    /// The public keys that the client proves itself with.
    fn keys(&self) -> &[Map<String, Value>] {
        let status = self.key_set.as_ref().and_then(|set| set.status.as_ref());
        status.map(|status| status.keys.as_slice()).unwrap_or_default()
    }

    /// The client that the server should have, its revision aside.
    fn desired(&self, client: &OAuth2Client) -> hydra::Client {
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

    fn ledger_name(&self) -> String {
        ledger::name(&self.uid)
    }
}

/// The id of a client: asked for, or the UID. The same whenever it is worked out, so that nothing stored can mislead.
pub(in crate::controller) fn client_id(client: &OAuth2Client) -> String {
    client
        .spec
        .client_id
        .clone()
        .or_else(|| client.uid())
        .unwrap_or_default()
}

/// Our marker on a client, without revision.
pub(super) fn marker(client: &OAuth2Client, ctx: &Context) -> Marker {
    Marker {
        cluster: ctx.settings.cluster.clone(),
        namespace: client.namespace().unwrap_or_default(),
        name: client.name_any(),
        uid: client.uid().unwrap_or_default(),
        revision: String::new(),
        adopted: false,
    }
}

/// The client that a server should have for this resource, its revision aside. None while something that it refers to is missing.
pub(in crate::controller) fn wanted(client: &OAuth2Client, ctx: &Context) -> Option<hydra::Client> {
    let plan = plan(client, ctx).ok()?;
    plan.missing.is_none().then(|| plan.desired(client))
}

fn plan(client: &OAuth2Client, ctx: &Context) -> Result<Plan> {
    let server = server_of(client, ctx)?;
    let referred = catalogue::resolve(client, ctx);
    let subject_types = server
        .status
        .as_ref()
        .map(|status| status.subject_types.as_slice())
        .unwrap_or_default();
    let rotation = client.spec.rotation.as_ref();
    let period = rotation.and_then(|rotation| rotation.period.as_deref());
    let effective = Effective::of(&client.spec, subject_types, &referred.scopes);
    let status = client.status.clone().unwrap_or_default();
    Ok(Plan {
        effective: Effective {
            deletion_policy: deletion_policy(client, &status),
            ..effective
        },
        catalogue: referred.catalogue,
        key_set: referred.key_set,
        schedule: Schedule::of(client, period)?,
        missing: referred.missing,
        endpoints: server.status.as_ref().and_then(|status| status.endpoints.clone()),
        server,
        client_id: client_id(client),
        marker: marker(client, ctx),
        namespace: client.namespace().unwrap_or_default(),
        name: client.name_any(),
        uid: client.uid().unwrap_or_default(),
    })
}

/// Access is denied. Where the server's admin wants it, what was made before goes.
async fn revoked(
    client: &OAuth2Client,
    ctx: &Context,
    plan: &Plan,
    pass: &mut Pass<OAuth2ClientStatus>,
    denied: Denied,
) -> Result<Done> {
    if is_revoked(client, ctx, &plan.server, &denied).await? {
        cleanup::remove(client, ctx, pass).await?;
        pass.status = OAuth2ClientStatus {
            conditions: pass.status.conditions.clone(),
            ..OAuth2ClientStatus::default()
        };
        ctx.clients.memory.wrote_at(&plan.uid, None);
        release(client, ctx).await?;
    }
    Err(Error::NotAllowed {
        server: plan.server.name_any(),
        denied,
    })
}
