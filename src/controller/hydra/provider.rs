//! `OidcProvider` on a Hydra. Hydra has no object for its issuer, so nothing is written there: access → server →
//! discovery document → keys → finalizer → ConfigMap → status.

use std::sync::Arc;

use kube::ResourceExt;

use crate::admin::discovery::{self, Discovery, Keys};
use crate::admin::http::{Failure, Http};
use crate::api::oidc_provider::OidcProviderStatus;
use crate::api::{AuthorizationServer, OidcProvider};
use crate::controller::common::admission::admitted;
use crate::controller::common::claim::Claiming;
use crate::controller::common::judge::{self, Expected};
use crate::controller::common::observe::observed;
use crate::controller::common::provider::{failure, publish, waited};
use crate::controller::common::referable::is_accepted;
use crate::controller::common::refuse::refuse;
use crate::controller::engine::context::Context;
use crate::controller::engine::hold::hold;
use crate::controller::engine::links::Connection;
use crate::controller::engine::managed::Pass;
use crate::controller::engine::verdict::Done;
use crate::error::{Error, IssuerFault, Result};

/// Checks the issuer and publishes its values.
///
/// # Errors
/// What is wrong with the spec or the issuer, or blocks the pass.
pub(crate) async fn apply(provider: &OidcProvider, ctx: &Context, pass: &mut Pass<OidcProviderStatus>) -> Result<Done> {
    let server = admitted(provider, ctx)?;
    check_fields(provider, &server)?;
    if provider.consent().is_suspended() {
        return Ok(Done::suspended());
    }
    let was_ready = is_accepted(provider);
    let connection = connection(&server, ctx, was_ready)?;
    let mut found = look(provider, &server, &connection).await;
    if waited(was_ready, &found).await {
        found = look(provider, &server, &connection).await;
    }
    let found = found?;
    if provider.consent().observes() {
        return Ok(observed("issuer", Some(&[]), server.spec.resync_interval()));
    }
    hold(provider, ctx).await?;
    Ok(Done {
        message: publish(provider, ctx, pass, found, was_ready).await?,
        again: Some(server.spec.resync_interval()),
        ..Done::default()
    })
}

/// Hydra has one issuer and no object for it, so a provider cannot decide who may use it.
fn check_fields(provider: &OidcProvider, server: &AuthorizationServer) -> Result<()> {
    let spec = &provider.spec;
    let asked = [
        ("allowedClients", !spec.allowed_clients.is_empty()),
        ("allowedNamespaces", spec.allowed_namespaces.is_some()),
        ("scopeRefs", !spec.scope_refs.is_empty()),
        ("scopes", !spec.scopes.is_empty()),
        ("vault", spec.vault.is_some()),
        ("issuerRef", spec.issuer_ref.is_some()),
        ("foulkon", spec.foulkon.is_some()),
        ("adoption", provider.consent().adopts()),
    ];
    refuse(server, asked)
}

/// The connection to read the issuer through. An outage of the admin API says nothing about the issuer, so a provider
/// that is ready is then checked through the public API.
fn connection(server: &AuthorizationServer, ctx: &Context, was_ready: bool) -> Result<Arc<Connection>> {
    match ctx.links.usable(server) {
        Ok(link) => Ok(link.connection),
        Err(error @ Error::Unavailable(_)) if was_ready => ctx.links.last(&server.name_any()).ok_or(error),
        Err(error) => Err(error),
    }
}

/// Reads and checks the discovery document and the keys.
async fn look(
    provider: &OidcProvider,
    server: &AuthorizationServer,
    connection: &Connection,
) -> Result<(Discovery, Keys)> {
    let name = server.name_any();
    let Some((http, url)) = &connection.public else {
        return Err(IssuerFault::PublicUrlMissing(name).into());
    };
    let expected = match &provider.spec.issuer {
        Some(issuer) => Expected::Exactly(issuer),
        None => Expected::At(url),
    };
    let found = discovery::fetch(http).await;
    let found = found.map_err(|failed| {
        failure(
            "The discovery document",
            "hydra.publicUrl",
            Error::PublicUnavailable,
            failed,
        )
    })?;
    judge::document(&name, "hydra.publicUrl", expected, &found)?;
    let keys = keys(connection, http).await;
    let keys = keys.map_err(|failed| {
        failure(
            "The JSON Web Key Set",
            "hydra.publicUrl",
            Error::PublicUnavailable,
            failed,
        )
    })?;
    judge::keys(&name, &keys)?;
    Ok((found, keys))
}

/// Reads the key set. Hydra 2 generates a missing one, once for each request that arrives meanwhile, so the first
/// request is awaited before others are sent.
async fn keys(connection: &Connection, http: &Http) -> Result<Keys, Failure> {
    let first = async || discovery::fetch_keys(http).await.map(drop);
    connection.keys_made.get_or_try_init(first).await?;
    discovery::fetch_keys(http).await
}
