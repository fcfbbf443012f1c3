//! `AuthorizationServer`: login → version → issuer → sweep → status.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, ResourceExt};

use crate::api::authorization_server::{AuthorizationServerStatus, Facts, Flavour};
use crate::api::condition::{INSECURE, RESTART_REQUIRED, Reason, Wanted};
use crate::api::refs::DeletionPolicy;
use crate::api::{Assignment, AuthorizationServer, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use crate::controller::common::claim::Claiming;
use crate::controller::common::rouse::read_each;
use crate::controller::engine::context::Context;
use crate::controller::engine::hold::hold;
use crate::controller::engine::kind::Kind;
use crate::controller::engine::lifecycle::is_held;
use crate::controller::engine::links::{Admin, Connection, Found, is_reported};
use crate::controller::engine::managed::{Managed, OnServer, Pass};
use crate::controller::engine::verdict::Done;
use crate::controller::hydra::failure::failure;
use crate::controller::kind::connect;
use crate::controller::{foulkon, hydra, vault};
use crate::decode::Item;
use crate::error::{Error, Outage, Result};

/// Number of resources that name a server.
fn resources(ctx: &Context, server: &str) -> i64 {
    let resources = [
        ctx.kinds.clients.on(server).len(),
        ctx.kinds.scopes.on(server).len(),
        ctx.kinds.assignments.on(server).len(),
        ctx.kinds.key_sets.on(server).len(),
        ctx.kinds.providers.on(server).len(),
    ];
    i64::try_from(resources.iter().sum::<usize>()).unwrap_or(i64::MAX)
}

/// Longest wait before a failed sweep or discovery is retried.
const AGAIN: Duration = Duration::from_secs(30);

impl Managed for AuthorizationServer {
    const KIND: &'static str = "AuthorizationServer";
    /// These passes are the probes: what waits for the server should not wait long once it is back.
    const PATIENCE: Duration = Duration::from_secs(5);
    /// A sweep of a large server has many pages; each request has its own deadline.
    const PASS: Duration = Duration::from_secs(3600);

    fn api(&self, client: Client) -> Api<Item<Self>> {
        Api::all(client)
    }

    fn kind_of(ctx: &Context) -> &Kind<Self> {
        &ctx.kinds.servers
    }

    fn conditions(&self, status: &Self::Status) -> Vec<Wanted> {
        insecure(self).into_iter().chain(outdated(status)).collect()
    }

    async fn apply(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> Result<Done> {
        hold(self, ctx).await?;
        let looked = look(self, ctx, pass).await?;
        // Resources may wait for the endpoints, so a failed discovery is retried before the interval has passed.
        let has_endpoints = match self.spec.flavour() {
            Some(Flavour::Hydra(hydra)) => hydra.public_url.is_some(),
            Some(Flavour::Vault(_) | Flavour::Foulkon(_)) | None => false,
        };
        let interval = self.spec.resync_interval();
        // Nothing announces a restart of the worker, so the operator checks for one as often.
        let incomplete = has_endpoints && pass.status.endpoints.is_none() || pass.status.loaded == Some(false);
        let again = if incomplete { interval.min(AGAIN) } else { interval };
        Ok(Done {
            message: available(&looked.remarks),
            standing: looked.undiscovered.into_iter().collect(),
            again: looked.due.into_iter().chain([again]).min(),
            ..Done::default()
        })
    }

    /// Keeps the server as long as something on it would be left behind. The server stays usable, because its resources
    /// are cleaned up through it.
    async fn cleanup(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> Result<()> {
        let name = self.name_any();
        ctx.departures.goes(&self.uid().unwrap_or_default());
        let user = match self.spec.flavour() {
            // Also clients that are to stay carry our mark, which must come off before they can be left alone.
            Some(Flavour::Hydra(_)) | None => match user_of::<OAuth2Client>(ctx, &name, |_| true).await? {
                None => user_of(ctx, &name, deletes::<JsonWebKeySet>).await?,
                user => user,
            },
            Some(Flavour::Vault(_)) => object_of(ctx, &name).await?,
            Some(Flavour::Foulkon(_)) => user_of(ctx, &name, deletes::<OidcProvider>).await?,
        };
        if let Some(user) = user {
            // If the server cannot be used, the resources that wait for it report that.
            if let Err(error) = look(self, ctx, pass).await {
                tracing::debug!(%error, "a server that is being deleted cannot be used");
            }
            return Err(Error::InUse(user));
        }
        if let Some(connection) = ctx.links.forget(&name) {
            connection.close().await;
        }
        ctx.metrics.forget_server(&name);
        Ok(())
    }
}

/// Whether a resource may have something on a server.
fn uses<K: OnServer>(resource: &K, server: &str) -> bool {
    resource.server_name() == server && is_held(resource)
}

/// Whether the deletion of a resource deletes its object.
fn deletes<K: Claiming>(resource: &K) -> bool {
    let mut status = resource.status().cloned().unwrap_or_default();
    resource.consent().policy(*K::claim(&mut status).adopted) == DeletionPolicy::Delete
}

/// Finds a resource of a kind that may have something on a server and holds it, by a live list.
async fn user_of<K: OnServer>(ctx: &Context, server: &str, holds: fn(&K) -> bool) -> Result<Option<String>> {
    let resources = ctx.cluster.list(&Api::<Item<K>>::all(ctx.cluster.client())).await?;
    let mut users = resources.iter().filter(|resource| uses(*resource, server));
    Ok(users.find(|resource| holds(resource)).map(described))
}

/// Finds a resource with an object on a Vault that its deletion deletes. What stays there carries no mark.
async fn object_of(ctx: &Context, server: &str) -> Result<Option<String>> {
    if let Some(user) = user_of(ctx, server, deletes::<OAuth2Client>).await? {
        return Ok(Some(user));
    }
    if let Some(user) = user_of(ctx, server, deletes::<JsonWebKeySet>).await? {
        return Ok(Some(user));
    }
    if let Some(user) = user_of(ctx, server, deletes::<OidcProvider>).await? {
        return Ok(Some(user));
    }
    if let Some(user) = user_of(ctx, server, deletes::<Assignment>).await? {
        return Ok(Some(user));
    }
    user_of(ctx, server, deletes::<Scope>).await
}

fn described<K: OnServer>(resource: &K) -> String {
    format!("{}/{}", resource.namespace().unwrap_or_default(), resource.name_any())
}

/// The message of a server that can be used.
fn available(remarks: &[String]) -> String {
    let all = ["The admin API is available."]
        .into_iter()
        .chain(remarks.iter().map(String::as_str));
    all.collect::<Vec<_>>().join(" ")
}

/// What a look at a server found.
struct Looked {
    /// Time until its login must be renewed or its sweep repeated, if there is one.
    due: Option<Duration>,
    /// As in [`Checked::remarks`].
    remarks: Vec<String>,
    /// As in [`Checked::undiscovered`].
    undiscovered: Option<Wanted>,
}

/// Connects to the server, checks it, sweeps it if that is due, and records whether it can be used.
async fn look(
    server: &AuthorizationServer,
    ctx: &Context,
    pass: &mut Pass<AuthorizationServerStatus>,
) -> Result<Looked> {
    let Some(flavour) = server.spec.flavour() else {
        return Err(Error::InvalidField {
            field: "spec",
            problem: "it names no API that this operator knows; set hydra, vault or foulkon".to_owned(),
        });
    };
    let connection = connect::connected(server, flavour, ctx).await?;
    let checked = connect::check(server, flavour, ctx, &connection, pass).await;
    if let Err(limited @ Error::Unavailable(Outage::Limited(_))) = checked {
        return Err(limited); // the server works, so what was found before still holds
    }
    let closed = checked.as_ref().is_ok_and(|checked| checked.closed);
    let (mut remarks, mut undiscovered) = (Vec::new(), None);
    let found = checked.map(|checked| {
        remarks = checked.remarks;
        undiscovered = checked.undiscovered;
        Found {
            admin: checked.admin,
            facts: Facts::of(&pass.status),
        }
    });
    let back = ctx.links.stands(server, Some(connection.clone()), found.clone());
    let admin = found?.admin;
    if closed || back {
        wake_failing(server, ctx);
    }
    if let Admin::Foulkon(worker) = &admin {
        foulkon::server::wake_reloaded(server, ctx, worker);
    }
    let login_ends = vault::server::login_ends(&connection).await?;
    let again = sweep(server, ctx, &connection, &admin, pass).await?;
    Ok(Looked {
        due: login_ends.into_iter().chain(again).min(),
        remarks,
        undiscovered,
    })
}

/// Sweeps the server if that is due. Returns the time until the next attempt, if it must come before the interval has
/// passed.
async fn sweep(
    server: &AuthorizationServer,
    ctx: &Context,
    connection: &Arc<Connection>,
    admin: &Admin,
    pass: &mut Pass<AuthorizationServerStatus>,
) -> Result<Option<Duration>> {
    let was_taken = connection.census.is_taken();
    // Resources wait until the status reports on the spec. After a change, this does not take as long as a listing.
    if was_taken && !is_reported(server) {
        return Ok(Some(Duration::ZERO));
    }
    // A request does not shorten the pause after a failure.
    let is_asked = pass.must_read && connection.last_sweep().is_none_or(|last| last.failures == 0);
    let swept = if is_asked || is_due(connection, server.spec.resync_interval()) {
        compare(server, ctx, connection, admin, pass).await
    } else {
        let failed = connection.last_sweep().and_then(|last| last.failed);
        failed.map_or(Ok(()), Err)
    };
    if !was_taken && connection.census.is_taken() {
        wake_failing(server, ctx); // new clients wait for the first listing
    }
    match swept {
        Ok(()) => Ok(None),
        Err(Error::Unavailable(Outage::Limited(_))) => {
            tracing::info!("the server limits the rate of requests, so its objects are compared later");
            Ok(Some(AGAIN))
        }
        // A failed sweep blocks only new clients, but drift is not noticed meanwhile, so the failure is reported.
        Err(failed) => Err(failed),
    }
}

/// Sweeps: compares everything on the server with the cluster, and wakes the resources whose objects have changed.
async fn compare(
    server: &AuthorizationServer,
    ctx: &Context,
    connection: &Arc<Connection>,
    admin: &Admin,
    pass: &mut Pass<AuthorizationServerStatus>,
) -> Result<()> {
    let (name, begun) = (server.name_any(), Instant::now());
    let found = match admin {
        Admin::Hydra(hydra) => match hydra::sweep::run(server, ctx, hydra).await {
            Ok(found) => Ok(Some(
                hydra::orphans::clear(server, ctx, hydra, connection, pass, found).await,
            )),
            Err(failed) => Err(failure("list_o_auth2_clients", failed)),
        },
        Admin::Vault(vault) => vault::sweep::run(server, ctx, vault).await,
        // The list contains only names, so each provider is read once per interval, by its own pass.
        Admin::Foulkon(_) => {
            read_each(&ctx.kinds.providers, &name);
            Ok(pass.status.orphans)
        }
    };
    connection.swept(found.as_ref().err().cloned());
    let orphans = found.inspect_err(|error| {
        if connection.admin.breaker().is_open() {
            ctx.links.stands(server, Some(connection.clone()), Err(error.clone()));
        }
    })?;
    ctx.metrics.swept(&name, begun.elapsed());
    if let Some(orphans) = orphans {
        ctx.metrics.orphans(&name, orphans);
    }
    pass.status.resources = Some(resources(ctx, &name));
    pass.status.orphans = orphans;
    Ok(())
}

/// Wakes the resources that failed while the server could not be used, so that they do not wait for their next retry.
fn wake_failing(server: &AuthorizationServer, ctx: &Context) {
    fn of<K: OnServer>(kind: &Kind<K>, server: &str) {
        for resource in kind.on(server) {
            let uid = resource.uid().unwrap_or_default();
            if kind.memory.start_anew(&uid) {
                kind.wake(ObjectRef::from_obj(&*resource));
            }
        }
    }
    let server = server.name_any();
    of(&ctx.kinds.clients, &server);
    of(&ctx.kinds.key_sets, &server);
    of(&ctx.kinds.scopes, &server);
    of(&ctx.kinds.assignments, &server);
    of(&ctx.kinds.providers, &server);
}

fn is_due(connection: &Connection, interval: Duration) -> bool {
    connection.last_sweep().is_none_or(|last| match last.failures {
        // Jitter may start a pass a little early.
        0 => last.at.elapsed() >= interval.mul_f64(0.7),
        // A sweep that failed starts again from the first page, so it is not repeated at every probe.
        failures => {
            let pause = Duration::from_secs(1) * 2u32.saturating_pow(failures.min(8) - 1);
            last.at.elapsed() >= interval.min(AGAIN).min(pause)
        }
    })
}

fn insecure(server: &AuthorizationServer) -> Option<Wanted> {
    let url = match server.spec.flavour()? {
        Flavour::Hydra(hydra) => &hydra.admin_url,
        Flavour::Vault(vault) => &vault.address,
        Flavour::Foulkon(foulkon) => &foulkon.worker_url,
    };
    let seen = match server.spec.foulkon {
        Some(_) => "the operator's login",
        None => "client secrets",
    };
    url.starts_with("http://").then(|| Wanted {
        type_: INSECURE,
        status: "True",
        reason: Reason::PlainHttp,
        message: format!(
            "The operator reaches the admin API over plain http: anyone on the network path can read {seen}; use https or a network policy."
        ),
    })
}

fn outdated(status: &AuthorizationServerStatus) -> Option<Wanted> {
    (status.loaded == Some(false)).then(|| Wanted {
        type_: RESTART_REQUIRED,
        status: "True",
        reason: Reason::RestartRequired,
        message: "The worker still uses the OIDC providers that it read at its start; restart it.".to_owned(),
    })
}
