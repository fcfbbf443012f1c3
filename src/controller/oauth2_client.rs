//! `OAuth2Client`: refs → access → desired → finalizer → ledger → server → credentials Secret → status.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, ResourceExt};
use serde_json::{Map, Value, json};

use super::context::OwnSecret;
use super::failure::{outage, unread};
use super::on_server::{OnServer, is_revoked, server_of};
use super::schedule::{Schedule, wait_until};
use super::verdict::Done;
use super::{Context, Kind, Managed, Pass, hold, release};
use crate::access::{self, Denied};
use crate::admin::http::reply::values;
use crate::admin::hydra;
use crate::admin::hydra::client::{Catalogue, Marker};
use crate::admin::sync::is_later;
use crate::api::access::ManagedKind;
use crate::api::oauth2_client::{Effective, OAuth2ClientStatus, WithoutOverlap};
use crate::api::refs::ServerRef;
use crate::api::{AuthorizationServer, OAuth2Client};
use crate::error::{Error, Result};

mod catalogue;
mod cleanup;
mod inputs;
mod ledger;
mod output;
mod reference;
mod remote;

use inputs::Inputs;
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
    /// The public keys of the JsonWebKeySet that the spec refers to.
    keys: Vec<Map<String, Value>>,
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

    fn api(&self, client: Client) -> Api<Self> {
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
        let mut plan = plan(self, ctx)?;
        if let Err(denied) = check_access(self, ctx, &plan) {
            return revoked(self, ctx, &plan, pass, denied).await;
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
        let rotation = rotation(self, &plan, &pass.status)?;
        let layout = output::layout(self, &plan)?;
        let reference = reference::look(self, ctx, &plan).await?;
        let wanted = plan.desired(self);
        check_size(&wanted)?;
        let version = reference.as_ref().map(|reference| reference.version.as_str());
        let inputs = Inputs::observe(ctx, &plan, &wanted, &layout, version);
        let last = pass.status.inputs.as_deref().and_then(Inputs::parse);
        let is_due = rotation.is_some_and(|at| at <= Timestamp::now());
        if pass.must_read || is_due || last.as_ref() != Some(&inputs) {
            let work = Work {
                client: self,
                ctx,
                plan: &plan,
                layout: &layout,
                reference: reference.as_ref(),
                last,
            };
            work.run(pass, wanted, inputs).await?;
        }
        pass.status.client_id = Some(plan.client_id.clone());
        pass.status.secret_name = Some(layout.name.clone());
        pass.status.endpoints = plan.server.status.as_ref().and_then(|status| status.endpoints.clone());
        pass.status.effective = Some(plan.effective.clone());
        let ids = plan.keys.iter().filter_map(|key| key.get("kid")?.as_str());
        pass.status.key_ids = ids.map(str::to_owned).collect();
        Ok(Done {
            message: format!(
                "The client is registered and its credentials are in Secret `{}`.",
                layout.name
            ),
            again: reference
                .filter(|reference| !reference.watched)
                .map(|_| UNWATCHED)
                .into_iter()
                .chain(self::rotation(self, &plan, &pass.status)?.map(wait_until))
                .min(),
            ..Done::default()
        })
    }

    async fn cleanup(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> Result<()> {
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
        } = *self;
        let same_ledger = last.as_ref().is_some_and(|last| inputs.same_ledger(last));
        let same_client = last.as_ref().is_some_and(|last| inputs.same_client(last));
        let settled = same_client && same_ledger;
        let mut link = match pass.must_read || !settled {
            true => Some(ctx.links.usable(&plan.server).map_err(|error| unread(error, settled))?),
            false => None,
        };
        let fresh = hold(client, ctx).await?;
        let ledger = ledger::settle(client, ctx, plan, pass, reference, fresh).await?;
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
                drift,
            };
            let synced = remote.sync(pass, wanted, fresh).await;
            synced.map_err(|error| outage(ctx, &plan.server.name_any(), error))?;
        }
        let same_secret = last.as_ref().is_some_and(|last| inputs.same_secret(last));
        if !same_secret || !same_ledger || rewritten {
            let strict = last.as_ref().is_some_and(|last| !inputs.same_layout(last));
            let written = output::write(client, ctx, plan, layout, ledger.as_ref(), fresh, strict).await?;
            inputs.wrote_secret(written);
        }
        if !fresh {
            output::drop_others(ctx, plan, pass, &layout.name, ledger.is_some()).await?;
        }
        let made = ledger.as_ref().filter(|_| reference.is_none());
        pass.status.rotated_at = made.and_then(|ledger| ledger.since).map(|since| since.to_string());
        inputs.wrote_ledger(ledger.map(|ledger| ledger.version));
        pass.status.inputs = Some(inputs.to_string());
        Ok(())
    }
}

impl Plan {
    fn own_secret(&self, ctx: &Context, name: &str) -> Option<OwnSecret> {
        ctx.own_secret(&self.namespace, &self.uid, name)
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
            wanted.jwks = Map::from_iter([("keys".to_owned(), json!(self.keys))]);
        }
        wanted
    }

    fn ledger_name(&self) -> String {
        ledger::name(&self.uid)
    }
}

/// When the secret is to be replaced, if it is.
///
/// # Errors
/// [`Error::RotationWithoutOverlap`] unless the spec consents to what Hydra does.
fn rotation(client: &OAuth2Client, plan: &Plan, status: &OAuth2ClientStatus) -> Result<Option<Timestamp>> {
    if !plan.effective.has_secret() || client.spec.client_secret_ref.is_some() {
        return Ok(None);
    }
    let rotated_at = status.rotated_at.as_ref().and_then(|at| at.parse().ok());
    let since = rotated_at.or_else(|| client.creation_timestamp().map(|at| at.0));
    let next = since.and_then(|since| plan.schedule.next(since, Duration::ZERO));
    let consent = client
        .spec
        .rotation
        .as_ref()
        .and_then(|rotation| rotation.without_overlap);
    match next {
        Some(_) if consent != Some(WithoutOverlap::Allow) => Err(Error::RotationWithoutOverlap(plan.server.name_any())),
        next => Ok(next.filter(|at| *at < Timestamp::MAX)),
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
    Ok(Plan {
        effective: Effective::of(&client.spec, subject_types, &referred.scopes),
        catalogue: referred.catalogue,
        keys: referred.keys,
        schedule: Schedule::of(client, period)?,
        missing: referred.missing,
        server,
        client_id: client_id(client),
        marker: marker(client, ctx),
        namespace: client.namespace().unwrap_or_default(),
        name: client.name_any(),
        uid: client.uid().unwrap_or_default(),
    })
}

fn check_access(client: &OAuth2Client, ctx: &Context, plan: &Plan) -> Result<(), Denied> {
    let namespace = ctx.stores.namespaces.get(&ObjectRef::new(&plan.namespace));
    let labels = namespace.as_ref().map(|namespace| namespace.labels());
    let namespace = access::Namespace {
        name: &plan.namespace,
        labels,
    };
    access::check(&plan.server.spec.access, namespace, &client.spec, &plan.effective)
}

/// What the server's version cannot do is refused: it would take the field without a word and drop it.
fn check_fields(client: &OAuth2Client, plan: &Plan) -> Result<()> {
    let status = plan.server.status.clone().unwrap_or_default();
    let fields = hydra::mapping::unsupported(&client.spec, &status.capabilities);
    match status.version {
        _ if fields.is_empty() => Ok(()),
        None => Err(Error::ServerPending(plan.server.name_any())),
        Some(version) => Err(Error::UnsupportedFields {
            server: plan.server.name_any(),
            version,
            fields,
        }),
    }
}

/// A client must fit into a page of a listing together with all others: one that does not would hide them from the sweep.
fn check_size(wanted: &hydra::Client) -> Result<()> {
    const BYTES: usize = 64 << 10;
    const VALUES: usize = 900;
    let body = wanted.body(None);
    if body.len() <= BYTES && values(&body) <= VALUES {
        return Ok(());
    }
    let problem =
        "the client is larger than 64 KiB or has more than 900 values; shorten its lists or its metadata".to_owned();
    Err(Error::InvalidField { field: "spec", problem })
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
