//! `OidcProvider`: access → server → discovery document → keys → finalizer → ConfigMap → status.
//!
//! Hydra has no object for its issuer, so nothing is written there; a Vault has, and a Foulkon has its trust in one. A look is two GETs on the public API (the first one on a server three); each provider gets one per `resyncInterval` of its
//! server, and one whenever it or its server changes. No client is asked for.
//!
//! One look that fails for a passing cause is no news: while the provider is ready, it is repeated once a few seconds later, and only a second failure is
//! reported. Whatever is wrong, the ConfigMap stays as the last good look left it: applications go on with what was right.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Api, Client, ResourceExt};

use super::authorization_server::resync_interval;
use super::links::Connection;
use super::on_server::{OnServer, admitted, server_of};
use super::referable::is_accepted;
use super::vault::object;
use super::verdict::Done;
use super::{Context, Kind, Managed, Pass, hold, own_config_map};
use crate::admin::discovery::{self, Discovery, Keys};
use crate::admin::http::{Failure, Http, TOO_LARGE};
use crate::api::access::ManagedKind;
use crate::api::authorization_server::{Endpoints, Flavour};
use crate::api::condition::Wanted;
use crate::api::oidc_provider::OidcProviderStatus;
use crate::api::refs::ServerRef;
use crate::api::{AuthorizationServer, OidcProvider};
use crate::decode::Item;
use crate::error::{Class, Error, Result};
use judge::Expected;

mod foulkon;
pub mod judge;
mod vault;

pub(in crate::controller) use foulkon::fields as fields_on_foulkon;
pub(in crate::controller) use vault::{admits, is_named_by, names, wanted as wanted_on_vault};

/// How long after a failed look a provider that is ready is looked at again.
const SECOND_LOOK: Duration = Duration::from_secs(3);

impl Managed for OidcProvider {
    type Status = OidcProviderStatus;
    const KIND: &'static str = "OidcProvider";
    /// Nothing tells when the public API is back.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn api(&self, client: Client) -> Api<Item<Self>> {
        Api::namespaced(client, &self.namespace().unwrap_or_default())
    }

    fn kind_of(ctx: &Context) -> &Kind<Self> {
        &ctx.providers
    }

    fn status(&self) -> Option<&Self::Status> {
        self.status.as_ref()
    }

    fn common(status: &mut Self::Status) -> (&mut Option<i64>, &mut Vec<Condition>) {
        (&mut status.observed_generation, &mut status.conditions)
    }

    fn conditions(&self, status: &Self::Status) -> Vec<Wanted> {
        foulkon::outdated(status).into_iter().collect()
    }

    async fn apply(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> Result<Done> {
        match server_of(self, ctx)?.spec.flavour() {
            Some(Flavour::Vault(_)) => return vault::apply(self, ctx, pass).await,
            Some(Flavour::Foulkon(_)) => return foulkon::apply(self, ctx, pass).await,
            Some(Flavour::Hydra(_)) | None => {}
        }
        let server = admitted(self, ctx)?;
        check_fields(self, &server)?;
        let was_ready = is_accepted(self);
        let connection = connection(&server, ctx, was_ready)?;
        let mut found = look(self, &server, &connection).await;
        if waited(was_ready, &found).await {
            found = look(self, &server, &connection).await;
        }
        let found = found?;
        hold(self, ctx).await?;
        Ok(Done {
            message: publish(self, ctx, pass, found, was_ready).await?,
            again: Some(resync_interval(&server)),
            ..Done::default()
        })
    }

    async fn cleanup(&self, ctx: &Context, pass: &mut Pass<Self::Status>) -> Result<()> {
        let server = ctx.server(self.server_name());
        if server.is_some_and(|server| server.spec.foulkon.is_some()) {
            foulkon::remove(self, ctx, pass).await?;
        } else if object::is_on_vault(self, ctx) {
            object::remove(self, ctx, pass).await?;
        }
        own_config_map::rename(self, ctx, &mut pass.status.config_map_name, None).await?;
        own_config_map::remove(self, ctx, &self.config_map_name()).await
    }
}

impl OnServer for OidcProvider {
    const ACCESS: ManagedKind = ManagedKind::OidcProvider;

    fn server_ref(&self) -> Option<&ServerRef> {
        self.spec.server_ref.as_ref()
    }
}

/// Waits for another look at a provider that was ready and fails to answer: one look that fails for a passing cause is no news. False if there is no need.
async fn waited<T: Sync>(was_ready: bool, found: &Result<T>) -> bool {
    match found {
        Err(error) if was_ready && error.class().0 == Class::Transient => {
            tracing::debug!(%error, "a look failed; it is repeated");
            tokio::time::sleep(SECOND_LOOK).await;
            true
        }
        _ => false,
    }
}

/// Writes ConfigMap and status. Returns what is so now.
async fn publish(
    provider: &OidcProvider,
    ctx: &Context,
    pass: &mut Pass<OidcProviderStatus>,
    (found, keys): (Discovery, Keys),
    was_ready: bool,
) -> Result<String> {
    let name = provider.config_map_name();
    own_config_map::write(provider, ctx, wanted(provider, &found.endpoints), !was_ready).await?;
    own_config_map::rename(provider, ctx, &mut pass.status.config_map_name, Some(name.clone())).await?;
    pass.status.issuer = Some(found.endpoints.issuer.clone());
    pass.status.endpoints = Some(found.endpoints);
    pass.status.scopes_supported = found.scopes;
    pass.status.id_token_signing_algs = found.id_token_signing_algs;
    pass.status.signing_key_ids = keys.ids;
    Ok(format!(
        "The issuer can be trusted as it is; issuer and endpoints are in ConfigMap `{name}`."
    ))
}

/// A Hydra has one issuer, and nothing of it is an object: who may use it is not for a provider to say.
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
    ];
    refuse(server, asked)
}

/// Refuses those fields that are asked for.
fn refuse<const N: usize>(server: &AuthorizationServer, asked: [(&'static str, bool); N]) -> Result<()> {
    let fields: Vec<&'static str> = asked
        .into_iter()
        .filter(|(_, asked)| *asked)
        .map(|(field, _)| field)
        .collect();
    match fields.is_empty() {
        true => Ok(()),
        false => Err(Error::UnsupportedFields {
            server: server.name_any(),
            version: server
                .status
                .clone()
                .and_then(|status| status.version)
                .unwrap_or_default(),
            fields,
        }),
    }
}

/// The ConfigMap: variables for `envFrom`, of what the server has.
fn wanted(provider: &OidcProvider, endpoints: &Endpoints) -> own_config_map::Wanted {
    let entries = [
        ("OIDC_ISSUER", Some(&endpoints.issuer)),
        ("OIDC_DISCOVERY_URL", Some(&endpoints.discovery_url)),
        ("OIDC_AUTHORIZATION_ENDPOINT", endpoints.authorization_endpoint.as_ref()),
        ("OIDC_TOKEN_ENDPOINT", endpoints.token_endpoint.as_ref()),
        ("OIDC_USERINFO_ENDPOINT", endpoints.userinfo_endpoint.as_ref()),
        ("OIDC_JWKS_URI", endpoints.jwks_uri.as_ref()),
        ("OIDC_REVOCATION_ENDPOINT", endpoints.revocation_endpoint.as_ref()),
        ("OIDC_END_SESSION_ENDPOINT", endpoints.end_session_endpoint.as_ref()),
    ];
    let present = entries.into_iter().filter_map(|(key, value)| Some((key, value?)));
    let publish = provider.spec.publish.clone().unwrap_or_default();
    own_config_map::Wanted {
        name: provider.config_map_name(),
        data: present.map(|(key, value)| (key.to_owned(), value.clone())).collect(),
        labels: publish.labels,
        annotations: publish.annotations,
    }
}

/// The connection to look through. An outage of the admin API says nothing about the issuer: a provider that is ready is then judged by the public API.
fn connection(server: &AuthorizationServer, ctx: &Context, was_ready: bool) -> Result<Arc<Connection>> {
    match ctx.links.usable(server) {
        Ok(link) => Ok(link.connection),
        Err(error @ Error::Unavailable(_)) if was_ready => ctx.links.last(&server.name_any()).ok_or(error),
        Err(error) => Err(error),
    }
}

/// Reads the discovery document and the keys, and judges both.
async fn look(
    provider: &OidcProvider,
    server: &AuthorizationServer,
    connection: &Connection,
) -> Result<(Discovery, Keys)> {
    let name = server.name_any();
    let Some((http, url)) = &connection.public else {
        return Err(Error::PublicUrlMissing(name));
    };
    let expected = match &provider.spec.issuer {
        Some(issuer) => Expected::Exactly(issuer),
        None => Expected::At(url),
    };
    let found = discovery::fetch(http, url).await;
    let found = found.map_err(|failed| failure("The discovery document", "hydra.publicUrl", failed))?;
    judge::document(&name, expected, &found)?;
    let keys = keys(connection, http).await;
    let keys = keys.map_err(|failed| failure("The JSON Web Key Set", "hydra.publicUrl", failed))?;
    judge::keys(&name, &keys)?;
    Ok((found, keys))
}

/// Reads the key set. Hydra 2 generates one that is missing, once for each request that comes meanwhile: so the first is waited for.
async fn keys(connection: &Connection, http: &Http) -> Result<Keys, Failure> {
    let first = async || discovery::fetch_keys(http).await.map(drop);
    connection.keys_made.get_or_try_init(first).await?;
    discovery::fetch_keys(http).await
}

/// What a failed request to the public API means. No login is sent there, so a refusal is not about one.
fn failure(what: &'static str, field: &'static str, failure: Failure) -> Error {
    let problem = match failure {
        Failure::Outage(outage) => return Error::Unavailable(outage),
        Failure::NotLeader => return Error::NotLeader,
        Failure::Refused(_) | Failure::Expired | Failure::Denied | Failure::NoLogin(_) | Failure::NotSent(_) => {
            "is not open to everybody"
        }
        Failure::Status { .. } | Failure::Handled(_) | Failure::NotInThisVersion => "is not found where it should be",
        Failure::Reply("is a redirect") => "is somewhere else, since the server redirects",
        Failure::Reply(problem) => problem,
        Failure::TooLarge(_) => TOO_LARGE,
    };
    Error::NotRecognized { what, problem, field }
}
