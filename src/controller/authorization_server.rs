//! `AuthorizationServer`: login → version → issuer → sweep → status.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, ResourceExt};

use super::failure::failure;
use super::links::{Connection, Found, Link};
use super::oauth2_client::deletion_policy;
use super::on_server::OnServer;
use super::verdict::Done;
use super::{Context, Kind, Managed, Pass, hold, is_held};
use crate::admin::discovery::{self, Discovery};
use crate::admin::http::Failure;
use crate::admin::hydra::Hydra;
use crate::api::authorization_server::{Auth, AuthorizationServerStatus, Facts};
use crate::api::condition::{INSECURE, Reason, Wanted};
use crate::api::refs::DeletionPolicy;
use crate::api::{AuthorizationServer, JsonWebKeySet, OAuth2Client};
use crate::error::{Error, Outage, Result};

mod login;
mod sweep;

/// How often everything is compared, unless the spec says otherwise.
const RESYNC: Duration = Duration::from_secs(600);
/// How soon a sweep or a discovery that failed is tried again.
const AGAIN: Duration = Duration::from_secs(30);

impl Managed for AuthorizationServer {
    type Status = AuthorizationServerStatus;
    const KIND: &'static str = "AuthorizationServer";
    /// The prober: what waits for the server should not wait long after it is back.
    const PATIENCE: Duration = Duration::from_secs(5);
    /// A sweep of a large server has many pages; each request has its own deadline.
    const PASS: Duration = Duration::from_secs(3600);

    fn api(&self, client: Client) -> Api<Self> {
        Api::all(client)
    }

    fn kind_of(ctx: &Context) -> &Kind<Self> {
        &ctx.servers
    }

    fn status(&self) -> Option<&Self::Status> {
        self.status.as_ref()
    }

    fn common(status: &mut Self::Status) -> (&mut Option<i64>, &mut Vec<Condition>) {
        (&mut status.observed_generation, &mut status.conditions)
    }

    fn conditions(&self) -> Vec<Wanted> {
        insecure(self).into_iter().collect()
    }

    async fn apply(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> Result<Done> {
        hold(self, ctx).await?;
        look(self, ctx, pass).await?;
        // What waits for the endpoints should not wait for a whole interval because the last look did not find them.
        let incomplete = self.spec.hydra.public_url.is_some() && pass.status.endpoints.is_none();
        let interval = resync_interval(self);
        let again = if incomplete { interval.min(AGAIN) } else { interval };
        Ok(Done {
            message: "The admin API answers and can be used.".to_owned(),
            again: Some(again),
            ..Done::default()
        })
    }

    /// The server stays while something on it would be left behind. It stays usable too: its resources are cleaned up through it.
    async fn cleanup(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> Result<()> {
        let name = self.name_any();
        let client = ctx.cluster.client();
        let clients = ctx.cluster.list(&Api::<OAuth2Client>::all(client.clone())).await?;
        let deletes = |client: &OAuth2Client| {
            let status = client.status.clone().unwrap_or_default();
            deletion_policy(client, &status) == DeletionPolicy::Delete
        };
        let user = clients.iter().find(|client| uses(*client, &name) && deletes(client));
        let key_sets = ctx.cluster.list(&Api::<JsonWebKeySet>::all(client)).await?;
        let user = user
            .map(described)
            .or_else(|| key_sets.iter().find(|set| uses(*set, &name)).map(described));
        if let Some(user) = user {
            // Its own trouble shows in the resources that wait for it.
            if let Err(error) = look(self, ctx, pass).await {
                tracing::debug!(name, %error, "a server that is being deleted cannot be used");
            }
            return Err(Error::InUse(user));
        }
        ctx.links.forget(&name);
        ctx.metrics.forget_server(&name);
        Ok(())
    }
}

/// Whether a resource may have something on a server.
fn uses<K: OnServer>(resource: &K, server: &str) -> bool {
    resource.server_name() == server && is_held(resource)
}

fn described<K: OnServer>(resource: &K) -> String {
    format!("{}/{}", resource.namespace().unwrap_or_default(), resource.name_any())
}

/// Connects, looks, sweeps if it is time, and records whether the server can be used.
async fn look(server: &AuthorizationServer, ctx: &Context, pass: &mut Pass<AuthorizationServerStatus>) -> Result<()> {
    pass.status.flavour = Some("hydra".to_owned());
    pass.status.login = Some(login_name(server.spec.hydra.auth.as_ref()).to_owned());
    let connection = match login::connect(server, ctx).await {
        Ok(connection) => connection,
        Err(error) => {
            ctx.links.stands(server, None, Err(error.clone()));
            return Err(error);
        }
    };
    let checked = check(server, &connection, pass).await;
    let closed = checked.as_ref().is_ok_and(|checked| checked.closed);
    let found = checked.map(|checked| Found {
        hydra: checked.hydra,
        facts: Facts::of(&pass.status),
    });
    let back = ctx.links.stands(server, Some(connection.clone()), found.clone());
    let hydra = found?.hydra;
    if closed || back {
        wake_failing(server, ctx);
    }
    if !is_due(&connection, resync_interval(server)) {
        // A listing that fails stops nobody, but nobody sees what drifts meanwhile.
        return connection.last_sweep().and_then(|last| last.failed).map_or(Ok(()), Err);
    }
    let found = sweep::run(server, ctx, &hydra)
        .await
        .map_err(|failed| failure("list_o_auth2_clients", failed));
    connection.swept(found.as_ref().err().cloned());
    let found = found.inspect_err(|error| {
        if connection.admin.breaker().is_open() {
            ctx.links.stands(server, Some(connection.clone()), Err(error.clone()));
        }
    })?;
    ctx.metrics.orphans(&server.name_any(), found.orphans);
    pass.status.resources = Some(found.resources);
    pass.status.orphans = Some(found.orphans);
    Ok(())
}

/// What failed while the server could not be used need not wait for its own next try.
fn wake_failing(server: &AuthorizationServer, ctx: &Context) {
    fn of<K: OnServer>(kind: &Kind<K>, server: &str) {
        for resource in kind.on(server) {
            let uid = resource.uid().unwrap_or_default();
            if kind.memory.is_failing(&uid) {
                kind.memory.start_anew(&uid);
                kind.wake(ObjectRef::from_obj(&*resource));
            }
        }
    }
    of(&ctx.clients, &server.name_any());
    of(&ctx.key_sets, &server.name_any());
}

/// A server that answers well.
struct Checked {
    hydra: Hydra,
    /// Whether that closed the circuit breaker.
    closed: bool,
}

/// Asks for version and issuer; a server that answers well closes the circuit breaker.
async fn check(
    server: &AuthorizationServer,
    connection: &Connection,
    pass: &mut Pass<AuthorizationServerStatus>,
) -> Result<Checked> {
    let breaker = connection.admin.breaker();
    tokio::time::sleep(breaker.pause()).await;
    let setting = server.spec.hydra.version.unwrap_or_default();
    let hydra = Hydra::detect(&connection.admin, setting)
        .await
        .map_err(|failed| failure("get_version", failed))?;
    let version = hydra.version();
    pass.status.version = Some(version.as_str().to_owned());
    pass.status.capabilities = version.capabilities();
    if let Err(why) = version.check() {
        return Err(Error::UnsupportedVersion(version.as_str().to_owned(), why));
    }
    let was_open = breaker.is_open();
    if was_open {
        // The version may be open to everyone where the rest needs the login.
        match hydra.probe_clients().await {
            // It opens no breaker either: one client that the server cannot read fails every listing, and no other request.
            Ok(()) | Err(Failure::Outage(Outage::Busy | Outage::Status(500, _))) => {}
            Err(failed) => return Err(failure("list_o_auth2_clients", failed)),
        }
    }
    match &connection.public {
        None => {
            pass.status.endpoints = None;
            pass.status.subject_types = Vec::new();
        }
        Some(_) => {
            if let Some(found) = issuer(server, connection).await? {
                pass.status.endpoints = Some(found.endpoints);
                pass.status.subject_types = found.subject_types;
            }
        }
    }
    // One that has opened since is left to the next look, which probes.
    if was_open {
        breaker.close();
    }
    Ok(Checked {
        hydra,
        closed: was_open,
    })
}

/// Reads the discovery document and compares the issuer. None if there is none to be had, which blocks nothing.
async fn issuer(server: &AuthorizationServer, connection: &Connection) -> Result<Option<Discovery>> {
    let Some((http, url)) = &connection.public else {
        return Ok(None);
    };
    let found = match discovery::fetch(http, url).await {
        Ok(found) => found,
        Err(failed) => {
            let error = failure("discovery", failed);
            tracing::warn!(server = server.name_any(), %error, "the discovery document cannot be read");
            return Ok(None);
        }
    };
    let last = server
        .status
        .as_ref()
        .and_then(|status| status.endpoints.as_ref())
        .map(|endpoints| &endpoints.issuer);
    match server.spec.hydra.issuer.as_ref().or(last) {
        Some(known) if !is_same_issuer(known, &found.endpoints.issuer) => Err(Error::IssuerChanged {
            known: known.clone(),
            found: found.endpoints.issuer,
        }),
        _ => Ok(Some(found)),
    }
}

/// Whether the server still is the one it was, asked before something that had been confirmed is created again: a restored copy or a slip in DNS must
/// not be handed all clients and secrets.
///
/// # Errors
/// [`Error::IssuerChanged`].
pub(super) async fn confirm_issuer(server: &AuthorizationServer, link: &Link) -> Result<()> {
    issuer(server, &link.connection).await.map(|_| ())
}

/// Hydra 1.x ends every issuer with a slash and 2.x takes it as it is set: an upgrade is no other server.
fn is_same_issuer(known: &str, found: &str) -> bool {
    known.trim_end_matches('/') == found.trim_end_matches('/')
}

fn is_due(connection: &Connection, interval: Duration) -> bool {
    connection.last_sweep().is_none_or(|last| match last.failures {
        // The jitter of the queue may bring a pass a little early.
        0 => last.at.elapsed() >= interval.mul_f64(0.7),
        // A listing that failed starts from its first page: not at every probe.
        failures => {
            let pause = Duration::from_secs(1) * 2u32.saturating_pow(failures.min(8) - 1);
            last.at.elapsed() >= interval.min(AGAIN).min(pause)
        }
    })
}

/// How often everything on a server is looked at.
pub(super) fn resync_interval(server: &AuthorizationServer) -> Duration {
    let parsed = server
        .spec
        .resync_interval
        .as_ref()
        .and_then(|text| crate::duration::parse(text));
    parsed.map_or(RESYNC, Duration::from).max(Duration::from_secs(1))
}

fn login_name(auth: Option<&Auth>) -> &'static str {
    match auth {
        Some(auth) if auth.bearer_token.is_some() => "Bearer",
        Some(auth) if auth.basic.is_some() => "Basic",
        Some(auth) if !auth.headers.is_empty() => "Headers",
        _ => "None",
    }
}

fn insecure(server: &AuthorizationServer) -> Option<Wanted> {
    server.spec.hydra.admin_url.starts_with("http://").then(|| Wanted {
        type_: INSECURE,
        status: "True",
        reason: Reason::PlainHttp,
        message: "The admin API is reached over plain http: whoever can listen on the way sees client secrets; use https or a network policy."
            .to_owned(),
    })
}
