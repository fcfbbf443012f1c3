//! The ConfigMap of a provider. It is created only where none is, and nobody else's is ever touched. ConfigMaps are not watched.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Resource, ResourceExt};

use crate::api::authorization_server::Endpoints;
use crate::api::{OidcProvider, UID_LABEL};
use crate::controller::Context;
use crate::controller::own_secret::{describe_as, is_described_as, is_namesakes, is_owned};
use crate::error::{ClusterFault, Error, Result};

/// Brings the ConfigMap in step and returns its name. `strict`: labels and annotations that the spec does not have go too, since they may be those of an
/// earlier one; otherwise they are somebody else's addition and stay.
pub(super) async fn write(
    provider: &OidcProvider,
    ctx: &Context,
    endpoints: &Endpoints,
    strict: bool,
) -> Result<String> {
    let (namespace, name) = (provider.namespace().unwrap_or_default(), provider.config_map_name());
    let uid = provider.uid().unwrap_or_default();
    let wanted = wanted(provider, endpoints);
    match ctx.cluster.config_map(&namespace, &name).await? {
        None => match ctx.cluster.create(&namespace, &wanted).await.map_err(refused)? {
            Some(_) => {}
            None => return Err(Error::Cluster(ClusterFault::Conflict)),
        },
        Some(found) if !is_owned(&found, &uid) => return Err(conflict(&found, provider)),
        Some(found) if is_as_wanted(&found, &wanted, strict) => {}
        Some(found) => {
            let replacement = replacement(found, wanted, strict);
            ctx.cluster.replace(&namespace, &replacement).await.map_err(refused)?;
        }
    }
    Ok(name)
}

/// Deletes a ConfigMap if it is the provider's.
pub(super) async fn remove(provider: &OidcProvider, ctx: &Context, name: &str) -> Result<()> {
    let namespace = provider.namespace().unwrap_or_default();
    let uid = provider.uid().unwrap_or_default();
    let found = ctx.cluster.config_map(&namespace, name).await?;
    match found
        .filter(|found| is_owned(found, &uid))
        .and_then(|found| found.uid())
    {
        Some(uid) => ctx.cluster.delete::<ConfigMap>(&namespace, name, &uid).await,
        None => Ok(()),
    }
}

/// Variables for `envFrom`, of what the server has.
fn entries(endpoints: &Endpoints) -> BTreeMap<String, String> {
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
    present.map(|(key, value)| (key.to_owned(), value.clone())).collect()
}

fn wanted(provider: &OidcProvider, endpoints: &Endpoints) -> ConfigMap {
    let publish = provider.spec.publish.clone().unwrap_or_default();
    let mut wanted = ConfigMap {
        data: Some(entries(endpoints)),
        ..ConfigMap::default()
    };
    let mut labels = publish.labels;
    labels.insert(UID_LABEL.to_owned(), provider.uid().unwrap_or_default());
    wanted.metadata.name = Some(provider.config_map_name());
    wanted.metadata.owner_references = Some(provider.controller_owner_ref(&()).into_iter().collect());
    wanted.metadata.labels = Some(labels);
    wanted.metadata.annotations = Some(publish.annotations);
    wanted
}

fn is_as_wanted(found: &ConfigMap, wanted: &ConfigMap, strict: bool) -> bool {
    found.data.clone().unwrap_or_default() == wanted.data.clone().unwrap_or_default()
        && found.binary_data.clone().unwrap_or_default().is_empty()
        && is_described_as(&found.metadata, &wanted.metadata, strict)
}

/// The found ConfigMap with our content: it keeps UID and resourceVersion, and foreign labels unless they are to go.
fn replacement(mut found: ConfigMap, wanted: ConfigMap, strict: bool) -> ConfigMap {
    found.data = wanted.data;
    found.binary_data = None;
    describe_as(&mut found.metadata, wanted.metadata, strict);
    found
}

/// What the schema cannot see, the Kubernetes API refuses: label values, long annotations, a ConfigMap that was made immutable.
fn refused(error: Error) -> Error {
    match error {
        Error::Cluster(ClusterFault::Status(422)) => Error::InvalidField {
            field: "publish",
            problem: "the Kubernetes API does not accept the ConfigMap as asked for; look at configMapName, labels and annotations, and whether it was made immutable"
                .to_owned(),
        },
        other => other,
    }
}

/// A ConfigMap in our way: a namesake's that is about to go with it, or somebody's.
fn conflict(found: &ConfigMap, provider: &OidcProvider) -> Error {
    match is_namesakes(found, provider) {
        true => Error::ConfigMapGoing(found.name_any()),
        false => Error::ConfigMapConflict(found.name_any()),
    }
}
