//! `AuthorizationServer`: login → version → issuer → sweep → status.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, ResourceExt};

use super::context::server_name;
use super::links::Link;
use super::memory::Memory;
use super::oauth2_client::failure;
use super::verdict::Done;
use super::{Context, Managed, Pass, hold, is_held};
use crate::admin::discovery::{self, Discovery};
use crate::api::authorization_server::{Auth, AuthorizationServerStatus};
use crate::api::condition::{INSECURE, Reason, Wanted};
use crate::api::refs::DeletionPolicy;
use crate::api::{AuthorizationServer, OAuth2Client};
use crate::error::{Error, Result};

mod login;
mod sweep;

/// How often everything is compared, unless the spec says otherwise.
const RESYNC: Duration = Duration::from_secs(600);
/// How soon a sweep or a discovery that failed is tried again.
const AGAIN: Duration = Duration::from_secs(30);
/// Oldest version with chosen client ids and every field that we send.
const OLDEST: (u32, u32) = (2, 2);

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

    fn memory(ctx: &Context) -> &Memory<Self> {
        &ctx.memory.servers
    }

    fn store(ctx: &Context) -> &Store<Self> {
        &ctx.stores.servers
    }

    fn status(&self) -> Option<&Self::Status> {
        self.status.as_ref()
    }

    fn common(status: &mut Self::Status) -> (&mut Option<i64>, &mut Vec<Condition>) {
        (&mut status.observed_generation, &mut status.conditions)
    }

    fn rebase(_: &mut Self::Status, _: &Self::Status, _: &Self::Status) {}

    fn conditions(&self) -> Vec<Wanted> {
        insecure(self).into_iter().collect()
    }

    async fn apply(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> Result<Done> {
        hold(self, ctx).await?;
        look(self, ctx, pass).await?;
        // What waits for the endpoints should not wait for a whole interval because the first look failed.
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
        let api: Api<OAuth2Client> = Api::all(ctx.cluster.client());
        let users = ctx.cluster.list(&api).await?;
        let user = users.iter().find(|client| {
            let deletes = client.spec.deletion_policy.unwrap_or_default() == DeletionPolicy::Delete;
            server_name(client) == name && is_held(*client) && deletes
        });
        if let Some(user) = user {
            // Its own trouble shows in the resources that wait for it.
            if let Err(error) = look(self, ctx, pass).await {
                tracing::debug!(name, %error, "a server that is being deleted cannot be used");
            }
            return Err(Error::InUse(format!(
                "{}/{}",
                user.namespace().unwrap_or_default(),
                user.name_any()
            )));
        }
        ctx.links.forget(&name);
        ctx.metrics.forget_server(&name);
        Ok(())
    }
}

/// Connects, looks, sweeps if it is time, and records whether the server can be used.
async fn look(server: &AuthorizationServer, ctx: &Context, pass: &mut Pass<AuthorizationServerStatus>) -> Result<()> {
    pass.status.flavour = Some("hydra".to_owned());
    pass.status.login = Some(login_name(server.spec.hydra.auth.as_ref()).to_owned());
    let link = match login::link(server, ctx).await {
        Ok(link) => link,
        Err(error) => {
            ctx.links.stands(server, None, Some(error.clone()), None);
            return Err(error);
        }
    };
    let was_open = link.hydra.http().breaker().is_open();
    let checked = check(server, &link, pass).await;
    let endpoints = || pass.status.endpoints.clone();
    let back = ctx
        .links
        .stands(server, Some(link.clone()), checked.as_ref().err().cloned(), endpoints());
    checked?;
    if was_open || back {
        wake_failing(server, ctx);
    }
    if !is_due(&link, resync_interval(server)) {
        return Ok(());
    }
    let swept =
        |ended_well| *link.swept.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), ended_well));
    let found = sweep::run(server, ctx, &link)
        .await
        .map_err(|failed| failure("list_o_auth2_clients", failed));
    let found = found.inspect_err(|error| {
        swept(false);
        if error.is_outage() {
            ctx.links
                .stands(server, Some(link.clone()), Some(error.clone()), endpoints());
        }
    })?;
    swept(true);
    ctx.metrics.orphans(&server.name_any(), found.orphans);
    pass.status.resources = Some(found.resources);
    pass.status.orphans = Some(found.orphans);
    Ok(())
}

/// What failed while the server could not be used need not wait for its own next try.
fn wake_failing(server: &AuthorizationServer, ctx: &Context) {
    for client in ctx.clients_of(&server.name_any()) {
        if ctx
            .memory
            .clients
            .is_failing(client.metadata.uid.as_deref().unwrap_or_default())
        {
            ctx.wake.client(ObjectRef::from_obj(&*client));
        }
    }
}

/// Asks for version and issuer; a server that answers well closes the circuit breaker.
async fn check(server: &AuthorizationServer, link: &Link, pass: &mut Pass<AuthorizationServerStatus>) -> Result<()> {
    tokio::time::sleep(link.hydra.http().breaker().pause()).await;
    let version = link
        .hydra
        .version()
        .await
        .map_err(|failed| failure("get_version", failed))?;
    pass.status.version = Some(version.clone());
    if !is_supported(&version) {
        return Err(Error::UnsupportedVersion(version));
    }
    let was_open = link.hydra.http().breaker().is_open();
    if was_open {
        // The version may be open to everyone where the rest needs the login.
        link.hydra
            .probe_clients()
            .await
            .map_err(|failed| failure("list_o_auth2_clients", failed))?;
    }
    match &link.public {
        None => {
            pass.status.endpoints = None;
            pass.status.subject_types = Vec::new();
        }
        Some(_) => {
            if let Some(found) = issuer(server, link).await? {
                pass.status.endpoints = Some(found.endpoints);
                pass.status.subject_types = found.subject_types;
            }
        }
    }
    // One that has opened since is left to the next look, which probes.
    if was_open {
        link.hydra.http().breaker().close();
    }
    Ok(())
}

/// Reads the discovery document and compares the issuer. None if there is none to be had, which blocks nothing.
async fn issuer(server: &AuthorizationServer, link: &Link) -> Result<Option<Discovery>> {
    let Some((http, url)) = &link.public else {
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
        Some(known) if *known != found.endpoints.issuer => Err(Error::IssuerChanged {
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
    issuer(server, link).await.map(|_| ())
}

fn is_due(link: &Link, interval: Duration) -> bool {
    let last = *link.swept.lock().unwrap_or_else(PoisonError::into_inner);
    last.is_none_or(|(at, ended_well)| match ended_well {
        // The jitter of the queue may bring a pass a little early.
        true => at.elapsed() >= interval.mul_f64(0.7),
        // A listing that failed starts from its first page: not at every probe.
        false => at.elapsed() >= interval.min(AGAIN),
    })
}

fn resync_interval(server: &AuthorizationServer) -> Duration {
    let parsed = server
        .spec
        .resync_interval
        .as_ref()
        .and_then(|text| crate::duration::parse(text));
    parsed.map_or(RESYNC, Duration::from).max(Duration::from_secs(1))
}

/// Releases are numbered v2.2.0, v2.3.0, v25.4.0, …; a build from source says `master`.
fn is_supported(version: &str) -> bool {
    let mut numbers = version
        .trim_start_matches('v')
        .split('.')
        .map(|part| part.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) >= OLDEST,
        _ => version == "master",
    }
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
