//! What OidcProviders share on every server that is an issuer: the second look, the error of a failed look, the
//! ConfigMap.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::access;
use crate::admin::discovery::{Discovery, Keys};
use crate::admin::http::{Failure, TOO_LARGE};
use crate::api::authorization_server::Endpoints;
use crate::api::condition::{DISCOVERY_FAILED, Wanted};
use crate::api::oidc_provider::{AllowedFrom, OidcProviderStatus};
use crate::api::refs::ProviderRef;
use crate::api::{OAuth2Client, OidcProvider};
use crate::controller::common::own_config_map;
use crate::controller::engine::context::Context;
use crate::controller::engine::managed::Pass;
use crate::error::{Class, Error, Outage, Result};

/// Wait before the second look at a ready provider.
pub(crate) const SECOND_LOOK: Duration = Duration::from_secs(3);

/// Waits for a second look if a provider was ready and the first look failed with a transient error, because one such
/// failure is not reported. False if no second look is needed.
pub(crate) async fn waited<T: Sync>(was_ready: bool, found: &Result<T>) -> bool {
    match found {
        Err(error) if was_ready && error.class().0 == Class::Transient => {
            tracing::debug!(%error, "a look failed; it is repeated");
            tokio::time::sleep(SECOND_LOOK).await;
            true
        }
        _ => false,
    }
}

/// Writes the ConfigMap and fills the status. Returns the message of the conditions.
pub(crate) async fn publish(
    provider: &OidcProvider,
    ctx: &Context,
    pass: &mut Pass<OidcProviderStatus>,
    (found, keys): (Discovery, Keys),
    was_ready: bool,
) -> Result<String> {
    let name = provider.config_map_name();
    let wanted = wanted(provider, &found.endpoints);
    own_config_map::write(provider, ctx, wanted, !was_ready, |_| true).await?;
    own_config_map::rename(provider, ctx, &mut pass.status.config_map_name, Some(name.clone())).await?;
    pass.status.issuer = Some(found.endpoints.issuer.clone());
    pass.status.endpoints = Some(found.endpoints);
    pass.status.scopes_supported = found.scopes;
    pass.status.id_token_signing_algs = found.id_token_signing_algs;
    pass.status.signing_key_ids = keys.ids;
    Ok(format!(
        "The issuer is verified; issuer and endpoints are in ConfigMap `{name}`."
    ))
}

/// The desired ConfigMap: variables for `envFrom`, for those endpoints that the server has.
pub(crate) fn wanted(provider: &OidcProvider, endpoints: &Endpoints) -> own_config_map::Wanted {
    let entries = [
        ("OIDC_ISSUER", Some(&endpoints.issuer)),
        ("OIDC_DISCOVERY_URL", Some(&endpoints.discovery_url)),
        ("OIDC_AUTHORIZATION_ENDPOINT", endpoints.authorization_endpoint.as_ref()),
        (
            "OIDC_DEVICE_AUTHORIZATION_ENDPOINT",
            endpoints.device_authorization_endpoint.as_ref(),
        ),
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

/// Returns the error of a failed request for public documents. The request has no login, so a refusal does not concern
/// the login. `unavailable`: the error of an outage, which depends on whether the admin API or a separate API serves
/// the documents.
pub(crate) fn failure(
    what: &'static str,
    field: &'static str,
    unavailable: fn(Outage) -> Error,
    failure: Failure,
) -> Error {
    let problem = match failure {
        Failure::Outage(outage) => return unavailable(outage),
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

/// The condition of a server whose discovery document cannot be read.
pub(crate) fn undiscovered(error: &Error) -> Wanted {
    Wanted {
        type_: DISCOVERY_FAILED,
        status: "True",
        reason: error.treatment().reason,
        message: error.to_string(),
    }
}

/// Whether a client names the provider in its `providerRefs`.
pub(crate) fn is_named_by(provider: &OidcProvider, client: &OAuth2Client) -> bool {
    let own = client.metadata.namespace.as_deref().unwrap_or_default();
    let is_this = |named: &ProviderRef| {
        provider.metadata.name.as_ref() == Some(&named.name)
            && provider.metadata.namespace.as_deref() == Some(named.namespace.as_deref().unwrap_or(own))
    };
    client.spec.provider_refs.iter().any(is_this)
}

/// Whether the provider names a client in its `allowedClients`.
pub(crate) fn names(provider: &OidcProvider, client: &OAuth2Client) -> bool {
    let mut named = provider
        .spec
        .allowed_clients
        .iter()
        .filter_map(|allowed| allowed.name.as_ref());
    provider.metadata.namespace == client.metadata.namespace
        && named.any(|name| client.metadata.name.as_ref() == Some(name))
}

/// Whether clients of a namespace with these labels may name the provider.
pub(crate) fn admits(provider: &OidcProvider, namespace: &str, labels: Option<&BTreeMap<String, String>>) -> bool {
    let allowed = provider.spec.allowed_namespaces.as_ref();
    provider.metadata.namespace.as_deref() == Some(namespace)
        || allowed.is_some_and(|allowed| match allowed.from {
            AllowedFrom::Same => false,
            AllowedFrom::All => true,
            AllowedFrom::Selector => {
                let selector = allowed.selector.as_ref();
                selector.is_some_and(|selector| access::matches(selector, labels))
            }
        })
}
