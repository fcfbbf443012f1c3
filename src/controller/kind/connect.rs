//! Makes the connection for the spec of an AuthorizationServer.

use std::sync::{Arc, Mutex};

use kube::ResourceExt;
use tokio::sync::OnceCell;

use crate::admin::http::{BadSettings, ErrorBody, Http, Settings};
use crate::admin::hydra::version::promised;
use crate::admin::vault::Login;
use crate::api::AuthorizationServer;
use crate::api::authorization_server::{AuthorizationServerStatus, Facts, Flavour};
use crate::controller::common::references::References;
use crate::controller::engine::census::Census;
use crate::controller::engine::context::Context;
use crate::controller::engine::links::{Checked, Connection, Found, Link};
use crate::controller::engine::managed::Pass;
use crate::controller::{foulkon, hydra, vault};
use crate::error::{Error, Result};
use crate::secret::Secret;

/// Returns the connection for the spec. It is the last one if nothing has changed, so that its breaker and its last
/// sweep are kept.
async fn connect(server: &AuthorizationServer, flavour: Flavour<'_>, ctx: &Context) -> Result<Arc<Connection>> {
    let name = server.name_any();
    let made_from = format!(
        "{}/{}",
        server.uid().unwrap_or_default(),
        server.metadata.generation.unwrap_or_default()
    );
    let mut references = References { ctx, made_from };
    let mut settings = references.tls(server).await?;
    let login = log_in(flavour, &mut references, &mut settings).await?;
    let last = ctx.links.last(&name);
    if let Some(last) = last.as_ref().filter(|last| last.made_from == references.made_from) {
        return Ok(Arc::clone(last));
    }
    let endpoint = |field, url: &str, settings: &Settings| {
        Http::new(&name, url, settings, ctx.fence.clone(), ctx.metrics.clone())
            .map_err(|bad| unusable(server, field, bad))
    };
    let (field, url) = match flavour {
        Flavour::Hydra(hydra) => ("hydra.adminUrl", &hydra.admin_url),
        Flavour::Vault(vault) => ("vault.address", &vault.address),
        Flavour::Foulkon(foulkon) => ("foulkon.workerUrl", &foulkon.worker_url),
    };
    let admin = Arc::new(endpoint(field, url, &settings)?);
    let public = match public_url(flavour) {
        Some(url) => Some((
            endpoint("hydra.publicUrl", url, &public_settings(flavour, &settings))?,
            url.to_owned(),
        )),
        None => None,
    };
    let hints = match flavour {
        Flavour::Hydra(hydra) if promised(hydra.version.unwrap_or_default()).is_some() => {
            Some(endpoint(field, url, &settings)?)
        }
        _ => None,
    };
    let vault = match (flavour, login) {
        (Flavour::Vault(vault), Some(login)) => Some(vault::server::connection(vault, admin.clone(), login)),
        _ => None,
    };
    Ok(Arc::new(Connection {
        admin,
        hints,
        public,
        vault,
        made_from: references.made_from,
        naming: tokio::sync::Mutex::default(),
        keys_made: OnceCell::new(),
        cannot_rotate: Mutex::new(None),
        swept: Mutex::new(None),
        strangers: Mutex::default(),
        census: census(server, url, last.as_deref()),
    }))
}

/// Returns the connection for the spec. If it replaces an earlier one, the login of the earlier one is ended.
pub(super) async fn connected(
    server: &AuthorizationServer,
    flavour: Flavour<'_>,
    ctx: &Context,
) -> Result<Arc<Connection>> {
    let last = ctx.links.last(&server.name_any());
    let connection = match connect(server, flavour, ctx).await {
        Ok(connection) => connection,
        Err(error) => {
            ctx.links.stands(server, last, Err(error.clone()));
            return Err(error);
        }
    };
    if let Some(last) = last.filter(|last| !Arc::ptr_eq(last, &connection)) {
        last.close().await;
    }
    tokio::time::sleep(connection.admin.breaker().pause()).await;
    Ok(connection)
}

/// Checks version and state of the server.
pub(super) async fn check(
    server: &AuthorizationServer,
    flavour: Flavour<'_>,
    ctx: &Context,
    connection: &Connection,
    pass: &mut Pass<AuthorizationServerStatus>,
) -> Result<Checked> {
    match flavour {
        Flavour::Hydra(spec) => {
            pass.status.flavour = Some("hydra".to_owned());
            pass.status.login = Some(hydra::server::login_name(spec.auth.as_ref()).to_owned());
            hydra::server::check(server, spec, connection, pass).await
        }
        Flavour::Vault(spec) => {
            pass.status.flavour = Some("vault".to_owned());
            vault::server::check(spec, connection, pass).await
        }
        Flavour::Foulkon(spec) => {
            pass.status.flavour = Some("foulkon".to_owned());
            foulkon::server::check(server, spec, ctx, connection, pass).await
        }
    }
}

/// Connects to a server and checks it, as a pass does, and nothing else: no sweep, and no status.
///
/// # Errors
/// Why the server cannot be used.
pub(crate) async fn reach(server: &AuthorizationServer, ctx: &Context) -> Result<Link> {
    let Some(flavour) = server.spec.flavour() else {
        return Err(Error::ServerNotReady(server.name_any()));
    };
    let connection = connected(server, flavour, ctx).await?;
    let mut pass = Pass {
        status: server.status.clone().unwrap_or_default(),
        notes: Vec::new(),
        must_read: false,
    };
    let checked = check(server, flavour, ctx, &connection, &mut pass).await?;
    let found = Found {
        admin: checked.admin,
        facts: Facts::of(&pass.status),
    };
    ctx.links.stands(server, Some(connection), Ok(found));
    ctx.links.usable(server)
}

/// What earlier connections found on the server.
fn census(server: &AuthorizationServer, url: &str, last: Option<&Connection>) -> Arc<Census> {
    let of = format!("{} {url}", server.uid().unwrap_or_default());
    Census::continued(last.map(|last| &last.census), of)
}

/// Prepares the operator's login. What every request sends goes into `settings`; a login that takes more than that is
/// returned.
async fn log_in(
    flavour: Flavour<'_>,
    references: &mut References<'_>,
    settings: &mut Settings,
) -> Result<Option<Login>> {
    match flavour {
        Flavour::Hydra(hydra) => {
            hydra::server::headers(hydra, references, settings).await?;
            Ok(None)
        }
        Flavour::Foulkon(foulkon) => {
            settings.errors = ErrorBody::Coded;
            // A user other than the admin may be allowed only some of the requests.
            settings.refuses_singly = foulkon.auth.basic.is_none();
            let (bearer, basic) = (foulkon.auth.bearer_token.as_ref(), foulkon.auth.basic.as_ref());
            references.authorize(settings, bearer, basic).await?;
            Ok(None)
        }
        Flavour::Vault(vault) => {
            settings.refuses_singly = true;
            settings.errors = ErrorBody::Listed;
            // Agents and proxies in front of a Vault may require it, to refuse requests that a browser was made to
            // send.
            let header = ("X-Vault-Request".to_owned(), Secret::new("true".to_owned()));
            settings.headers.push(header);
            vault::server::login(vault, references).await.map(Some)
        }
    }
}

fn public_url(flavour: Flavour<'_>) -> Option<&str> {
    match flavour {
        Flavour::Hydra(hydra) => hydra.public_url.as_deref(),
        Flavour::Vault(_) | Flavour::Foulkon(_) => None, // it has one address for everything
    }
}

/// Settings for the public API: without login and client certificate.
fn public_settings(flavour: Flavour<'_>, settings: &Settings) -> Settings {
    let forwarded = match flavour {
        Flavour::Hydra(hydra) => hydra::server::forwarded(hydra),
        Flavour::Vault(_) | Flavour::Foulkon(_) => None,
    };
    Settings {
        headers: forwarded.into_iter().collect(),
        ca_pem: settings.ca_pem.clone(),
        // The public API usually has a certificate of a public CA, even if the admin API has one of a private CA.
        keep_system_roots: true,
        refuses_singly: true, // it refuses a secret that is tried, not a login of the operator
        proxies: settings.proxies.clone(),
        ..Settings::default()
    }
}

fn unusable(server: &AuthorizationServer, url_field: &'static str, bad: BadSettings) -> Error {
    let (field, problem) = match bad {
        BadSettings::Url => {
            return Error::InvalidField {
                field: url_field,
                problem: "it cannot be used as a URL; correct it".to_owned(),
            };
        }
        BadSettings::ServerName => (
            "tls.serverName",
            "it is neither a DNS name nor an IP address; correct it",
        ),
        BadSettings::Ipv6ThroughProxy => {
            return Error::InvalidField {
                field: url_field,
                problem: "the operator cannot reach an IPv6 address over https through a proxy; use a name, or add the address to NO_PROXY".to_owned(),
            };
        }
        BadSettings::Header => (
            match server.spec.foulkon {
                Some(_) => "foulkon.auth",
                None => "hydra.auth",
            },
            "a value cannot be sent as a header; look for line breaks in the Secret",
        ),
        BadSettings::Ca => (
            "tls.caRef",
            "it holds no certificates in PEM form; put the CA's certificate there",
        ),
        BadSettings::Identity => (
            "tls.clientCertificateRef",
            "tls.crt and tls.key are not a certificate and its key in PEM form; correct them in the Secret",
        ),
    };
    tracing::debug!(server = server.name_any(), field, "the connection cannot be made");
    Error::UnusableSource { field, problem }
}
