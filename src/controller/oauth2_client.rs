//! `OAuth2Client`: refs → access → desired → finalizer → ledger → server → credentials Secret → status.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, ResourceExt};

use super::context::OwnSecret;
use super::on_server::{OnServer, server_of};
use super::verdict::Done;
use super::{Context, Kind, Managed, Pass, hold, is_deleting, is_held, release};
use crate::access::{self, Denied};
use crate::admin::http::reply::values;
use crate::admin::hydra;
use crate::admin::hydra::client::{Catalogue, Marker};
use crate::admin::sync::is_later;
use crate::api::access::ManagedKind;
use crate::api::access::OnRevoked;
use crate::api::oauth2_client::{Effective, OAuth2ClientStatus};
use crate::api::refs::ServerRef;
use crate::api::{AuthorizationServer, OAuth2Client};
use crate::error::{Error, Outage, Result};

mod catalogue;
mod cleanup;
mod inputs;
mod ledger;
mod output;
mod reference;
mod remote;

pub(in crate::controller) use remote::error as failure;

use inputs::Inputs;
use output::Layout;
use reference::Reference;
use remote::{Remote, unread};

/// How soon a referenced Secret without our watch label is looked at again.
const UNWATCHED: Duration = Duration::from_secs(45);

/// Everything that follows from spec and server, before anything is read or written.
pub(super) struct Plan {
    server: Arc<AuthorizationServer>,
    effective: Effective,
    catalogue: Catalogue,
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
            return Err(revoked(self, ctx, &plan, pass, denied).await);
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
        let layout = output::layout(self, &plan)?;
        let reference = reference::look(self, ctx, &plan).await?;
        let wanted = plan.desired(self);
        check_size(&wanted)?;
        let version = reference.as_ref().map(|reference| reference.version.as_str());
        let inputs = Inputs::observe(ctx, &plan, &wanted, &layout, version);
        let last = pass.status.inputs.as_deref().and_then(Inputs::parse);
        if pass.must_read || last.as_ref() != Some(&inputs) {
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
        Ok(Done {
            message: format!(
                "The client is registered and its credentials are in Secret `{}`.",
                layout.name
            ),
            again: reference
                .is_some_and(|reference| !reference.watched)
                .then_some(UNWATCHED),
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
        hydra::mapping::desired(
            &client.spec,
            &self.effective,
            &self.catalogue,
            &self.client_id,
            &self.marker,
        )
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
    Ok(Plan {
        effective: Effective::of(&client.spec, subject_types, &referred.scopes),
        catalogue: referred.catalogue,
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

/// Access is denied. Where the server's admin wants it, what was made before goes, but only after a look at the live rules and labels.
async fn revoked(
    client: &OAuth2Client,
    ctx: &Context,
    plan: &Plan,
    pass: &mut Pass<OAuth2ClientStatus>,
    denied: Denied,
) -> Error {
    if ctx.stores.namespaces.get(&ObjectRef::new(&plan.namespace)).is_none() {
        return Error::NamespacePending(plan.namespace.clone());
    }
    let no_rule = matches!(denied, Denied::NoRule { .. });
    if no_rule && plan.server.spec.on_revoked == Some(OnRevoked::Delete) && is_held(client) {
        match is_revoked_live(client, ctx, plan).await {
            Ok(true) => {}
            Ok(false) => return Error::ServerPending(plan.server.name_any()),
            Err(error) => return error,
        }
        if let Err(error) = cleanup::remove(client, ctx, pass).await {
            return error;
        }
        pass.status = OAuth2ClientStatus {
            conditions: pass.status.conditions.clone(),
            ..OAuth2ClientStatus::default()
        };
        ctx.clients.memory.wrote_at(&plan.uid, None);
        if let Err(error) = release(client, ctx).await {
            return error;
        }
    }
    Error::NotAllowed {
        server: plan.server.name_any(),
        denied,
    }
}

async fn is_revoked_live(client: &OAuth2Client, ctx: &Context, plan: &Plan) -> Result<bool> {
    let Some(server) = live_server(ctx, plan).await? else {
        return Ok(false);
    };
    let api: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(ctx.cluster.client());
    let Some(namespace) = ctx.cluster.live(&api, &plan.namespace).await? else {
        return Ok(false);
    };
    let namespace = access::Namespace {
        name: &plan.namespace,
        labels: Some(namespace.labels()),
    };
    let verdict = access::check(&server.spec.access, namespace, &client.spec, &plan.effective);
    Ok(server.spec.on_revoked == Some(OnRevoked::Delete) && matches!(verdict, Err(Denied::NoRule { .. })))
}

/// The server as it is now, if it is the one that we planned with.
async fn live_server(ctx: &Context, plan: &Plan) -> Result<Option<AuthorizationServer>> {
    let api: Api<AuthorizationServer> = Api::all(ctx.cluster.client());
    let live = ctx.cluster.live(&api, &plan.server.name_any()).await?;
    Ok(live.filter(|live| live.uid() == plan.server.uid()))
}

/// Nothing is written through a server that lacks our finalizer, and nothing is created through one that is going.
/// Asked live, after our own finalizer is stored: the server's cleanup lists its users live, so neither can miss the other.
async fn may_create(ctx: &Context, plan: &Plan) -> Result<()> {
    let name = plan.server.name_any();
    match live_server(ctx, plan).await? {
        Some(live) if is_deleting(&live) => Err(Error::ServerGoing(name)),
        Some(live) if is_held(&live) => Ok(()),
        Some(_) | None => Err(Error::ServerNotReady(name)),
    }
}

/// An outage is the server's to report and to probe; the resource only says that it waits.
fn outage(ctx: &Context, server: &str, error: Error) -> Error {
    if !error.is_outage() {
        return error;
    }
    ctx.servers.wake(ObjectRef::new(server));
    match error {
        Error::Unavailable(Outage::Status(500, _) | Outage::Busy) | Error::ServerRefused(_) | Error::Unverified(_) => {
            error
        }
        _ => Error::Unavailable(Outage::Known),
    }
}
