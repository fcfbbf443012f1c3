//! Whether an Ory Hydra can be used: its version and issuer.

use kube::ResourceExt;

use crate::admin::discovery::{self, Discovery};
use crate::admin::http::{Failure, Settings};
use crate::admin::hydra::{Hydra, get_version};
use crate::api::AuthorizationServer;
use crate::api::authorization_server::{Auth, AuthorizationServerStatus, ForwardedProto, HydraServer};
use crate::api::condition::Wanted;
use crate::controller::common::provider::{failure as unpublished, undiscovered};
use crate::controller::common::references::References;
use crate::controller::engine::links::{Admin, Checked, Connection, Link};
use crate::controller::engine::managed::Pass;
use crate::controller::hydra::failure::failure;
use crate::error::{Error, IssuerFault, Outage, Result};
use crate::secret::Secret;

/// Checks version and issuer. A server that answers well closes the circuit breaker.
///
/// # Errors
/// Why the server cannot be used.
pub(crate) async fn check(
    server: &AuthorizationServer,
    spec: &HydraServer,
    connection: &Connection,
    pass: &mut Pass<AuthorizationServerStatus>,
) -> Result<Checked> {
    let breaker = connection.admin.breaker();
    let hydra = detect(spec, connection, pass.status.version.as_deref()).await?;
    let version = hydra.version();
    pass.status.version = version.as_str().map(str::to_owned);
    pass.status.capabilities = version.capabilities();
    if let Err(why) = version.check() {
        return Err(Error::UnsupportedVersion(
            version.as_str().unwrap_or_default().to_owned(),
            why,
        ));
    }
    let was_open = breaker.is_open();
    if was_open {
        // The version may be public even if other requests need the login.
        let answers = hydra.answers().await;
        answers.map_err(|failed| failure("list_o_auth2_clients", failed))?;
    }
    let mut missing = None;
    match &connection.public {
        None => {
            pass.status.endpoints = None;
            pass.status.subject_types = Vec::new();
        }
        Some((http, _)) => match discovery::fetch(http).await {
            Ok(found) => {
                check_issuer(server, spec, &found)?;
                pass.status.endpoints = Some(found.endpoints);
                pass.status.subject_types = found.subject_types;
            }
            // This blocks nothing.
            Err(failed) => {
                let found = unread(failed, spec.forwarded_proto);
                tracing::warn!(
                    server = server.name_any(),
                    why = found.message,
                    "the discovery document cannot be read"
                );
                missing = Some(found);
            }
        },
    }
    // A breaker that opened since then stays open until the next check, which probes.
    if was_open {
        breaker.close();
    }
    Ok(Checked {
        admin: Admin::Hydra(hydra),
        closed: was_open,
        remarks: Vec::new(),
        undiscovered: missing,
    })
}

/// Finds out which API the server speaks, and that it answers. `last`: the version in the status.
async fn detect(spec: &HydraServer, connection: &Connection, last: Option<&str>) -> Result<Hydra> {
    let setting = spec.version.unwrap_or_default();
    if let Some(hints) = &connection.hints {
        let found = Hydra::detect(&connection.admin, setting).await.map_err(of_promised)?;
        return Ok(found.hinted(hints, last).await);
    }
    let text = get_version(&connection.admin).await.map_err(of_version)?;
    let found = Hydra::speaking(&connection.admin, &text).await;
    found.map_err(|failed| failure("list_o_auth2_clients", failed))
}

/// What a failed request for the version means.
fn of_version(failed: Failure) -> Error {
    match failed {
        Failure::Status { code: 404 | 405, .. } => Error::ProbeNotFound,
        Failure::Refused(code) => Error::ProbeDenied(code),
        other => failure("get_version", other),
    }
}

/// What the first failed request to a server means whose API the spec promises.
fn of_promised(failed: Failure) -> Error {
    match failure("list_o_auth2_clients", failed) {
        Error::NotRecognized { what, problem, .. } => Error::NotRecognized {
            what,
            problem,
            field: "hydra.adminUrl and hydra.version",
        },
        other => other,
    }
}

/// Why the discovery document cannot be read, and what to do.
fn unread(failed: Failure, forwarded_proto: Option<ForwardedProto>) -> Wanted {
    let is_plain = matches!(failed, Failure::Outage(Outage::Status(502, _))) && forwarded_proto.is_none();
    let (what, field) = ("The discovery document", "hydra.publicUrl");
    let mut found = undiscovered(&unpublished(what, field, Error::PublicUnavailable, failed));
    if is_plain {
        // Hydra and its load balancers answer so.
        found.message = "The public API of the server cannot be used now: it answered 502. If TLS ends in front of the server, set hydra.forwardedProto: https.".to_owned();
    }
    found
}

/// Compares the issuer with the known one.
fn check_issuer(server: &AuthorizationServer, spec: &HydraServer, found: &Discovery) -> Result<()> {
    let last = server
        .status
        .as_ref()
        .and_then(|status| status.endpoints.as_ref())
        .map(|endpoints| &endpoints.issuer);
    match spec.issuer.as_ref().or(last) {
        Some(known) if !is_same_issuer(known, &found.endpoints.issuer) => Err(IssuerFault::Changed {
            known: known.clone(),
            found: found.endpoints.issuer.clone(),
        }
        .into()),
        _ => Ok(()),
    }
}

/// Makes sure that the server is still the same before a confirmed object is created again: a restored copy or a DNS
/// mistake must not give all clients and secrets to another server. A document that cannot be read blocks nothing.
///
/// # Errors
/// [`IssuerFault::Changed`].
pub(crate) async fn confirm_issuer(server: &AuthorizationServer, link: &Link) -> Result<()> {
    let (Some(spec), Some((http, _))) = (&server.spec.hydra, &link.connection.public) else {
        return Ok(());
    };
    match discovery::fetch(http).await {
        Ok(found) => check_issuer(server, spec, &found),
        Err(_) => Ok(()),
    }
}

/// Hydra 1.x adds a slash to every issuer, and 2.x uses the issuer as configured: an upgrade does not make another
/// server.
fn is_same_issuer(known: &str, found: &str) -> bool {
    known.trim_end_matches('/') == found.trim_end_matches('/')
}

/// Headers of each request to the admin API of a Hydra.
///
/// # Errors
/// What is wrong with a referenced object.
pub(crate) async fn headers(
    hydra: &HydraServer,
    references: &mut References<'_>,
    settings: &mut Settings,
) -> Result<()> {
    settings.headers.extend(forwarded(hydra));
    let Some(auth) = &hydra.auth else { return Ok(()) };
    references
        .authorize(settings, auth.bearer_token.as_ref(), auth.basic.as_ref())
        .await?;
    for header in &auth.headers {
        let value = references.value(&header.secret_ref).await?;
        settings.headers.push((header.name.clone(), value));
    }
    Ok(())
}

/// The header that tells a server that a proxy ended TLS in front of it.
pub(crate) fn forwarded(hydra: &HydraServer) -> Option<(String, Secret)> {
    let value = match hydra.forwarded_proto? {
        ForwardedProto::Http => "http",
        ForwardedProto::Https => "https",
    };
    Some(("X-Forwarded-Proto".to_owned(), Secret::new(value.to_owned())))
}

/// Name of the login method.
pub(crate) fn login_name(auth: Option<&Auth>) -> &'static str {
    match auth {
        Some(auth) if auth.bearer_token.is_some() => "Bearer",
        Some(auth) if auth.basic.is_some() => "Basic",
        Some(auth) if !auth.headers.is_empty() => "Headers",
        _ => "None",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Hindrance;

    #[test]
    fn an_unread_discovery_document_is_reported_with_its_cause_and_what_to_do() {
        let https = Some(ForwardedProto::Https);
        let answered = |code| Failure::Outage(Outage::Status(code, None));
        let missing = Failure::Status {
            code: 404,
            error: None,
            description: String::new(),
        };
        let table = [
            (
                answered(502),
                None,
                "The public API of the server cannot be used now: it answered 502. If TLS ends in front of the server, set hydra.forwardedProto: https.",
            ),
            (
                answered(502),
                https,
                "The public API of the server cannot be used now: it answered 502. The operator keeps trying.",
            ),
            (
                Failure::Outage(Outage::Unreachable(
                    "https://id.example.com".to_owned(),
                    Hindrance::Name,
                )),
                None,
                "The public API of the server cannot be used now: the host name in `https://id.example.com` cannot be resolved (check the name and the cluster's DNS). The operator keeps trying.",
            ),
            (
                missing,
                https,
                "The discovery document is not found where it should be. Check hydra.publicUrl of the AuthorizationServer.",
            ),
            (
                Failure::Refused(401),
                None,
                "The discovery document is not open to everybody. Check hydra.publicUrl of the AuthorizationServer.",
            ),
            (
                Failure::Reply("names no issuer"),
                None,
                "The discovery document names no issuer. Check hydra.publicUrl of the AuthorizationServer.",
            ),
        ];
        for (failed, proto, expected) in table {
            assert_eq!(unread(failed, proto).message, expected);
        }
    }
}
