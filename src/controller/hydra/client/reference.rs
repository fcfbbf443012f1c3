//! Secrets that a client refers to, and `clientSecretRef`: the user's own secret.

use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::ResourceExt;

use crate::api::OAuth2Client;
use crate::api::authorization_server::Capability;
use crate::api::refs::SecretKeyRef;
use crate::controller::common::client::plan::ClientPlan;
use crate::controller::common::client::template::LONGEST_SECRET;
use crate::controller::common::own_secret::text;
use crate::controller::engine::context::Context;
use crate::error::{Error, Result, Source};
use crate::secret::Secret;

/// Minimum number of characters of a secret that Hydra accepts.
const SHORTEST: usize = 6;

/// Number of bytes of a secret that Hydra 1.x uses: it hashes with bcrypt, which ignores the rest.
const LONGEST_OF_V1: usize = 72;

/// The Secret that a client refers to.
pub(crate) struct Reference {
    /// resourceVersion of the Secret.
    pub(crate) version: String,
    /// Whether a change of the Secret wakes the resource.
    pub(crate) watched: bool,
    /// The Secret itself, if it had to be read.
    read: Option<KubeSecret>,
}

/// Finds the version of the Secret with the client secret.
pub(crate) async fn look(client: &OAuth2Client, ctx: &Context, plan: &ClientPlan) -> Result<Option<Reference>> {
    match &client.spec.client_secret_ref {
        Some(named) => look_at(ctx, plan, &named.name).await.map(Some),
        None => Ok(None),
    }
}

/// Finds the version of a Secret: from the cache if the Secret has our watch label, otherwise with a live read.
pub(crate) async fn look_at(ctx: &Context, plan: &ClientPlan, name: &str) -> Result<Reference> {
    if let Some(version) = ctx.watched_secret(&plan.namespace, name) {
        return Ok(Reference {
            version,
            watched: true,
            read: None,
        });
    }
    let secret = live(ctx, plan, name).await?;
    Ok(Reference {
        version: secret.resource_version().unwrap_or_default(),
        watched: false,
        read: Some(secret),
    })
}

/// A value of a Secret, with the Secret.
///
/// # Errors
/// [`Error::SourceNotFound`], [`Error::UnusableSecret`], [`Error::Cluster`].
pub(crate) async fn value_at(
    ctx: &Context,
    plan: &ClientPlan,
    named: &SecretKeyRef,
    reference: &Reference,
) -> Result<(KubeSecret, String)> {
    let secret = match &reference.read {
        Some(secret) => secret.clone(),
        None => live(ctx, plan, &named.name).await?,
    };
    let value = text_at(&secret, &named.key)?;
    Ok((secret, value))
}

/// A value of a Secret.
///
/// # Errors
/// [`Error::SourceNotFound`], [`Error::UnusableSecret`].
fn text_at(secret: &KubeSecret, key: &str) -> Result<String> {
    if !secret.data.as_ref().is_some_and(|data| data.contains_key(key)) {
        return Err(Error::SourceNotFound {
            kind: Source::Secret,
            name: secret.name_any(),
            key: Some(key.to_owned()),
            namespace: None,
        });
    }
    text(secret, key).ok_or_else(|| Error::UnusableSecret {
        secret: secret.name_any(),
        key: key.to_owned(),
        problem: "is not text",
    })
}

/// Value of the client secret.
pub(crate) async fn value(
    client: &OAuth2Client,
    ctx: &Context,
    plan: &ClientPlan,
    reference: &Reference,
) -> Result<Secret> {
    let Some(named) = &client.spec.client_secret_ref else {
        return Err(Error::Internal("find clientSecretRef in the spec"));
    };
    let secret = match &reference.read {
        Some(secret) => secret.clone(),
        None => live(ctx, plan, &named.name).await?,
    };
    usable(ctx, plan, &secret, &named.key).await
}

/// A value of a Secret as a client secret.
///
/// # Errors
/// As [`text_at`]; [`Error::UnusableSecret`] also for what this version of the server cannot take.
pub(crate) async fn usable(ctx: &Context, plan: &ClientPlan, secret: &KubeSecret, key: &str) -> Result<Secret> {
    let value = text_at(secret, key)?;
    let unusable = |problem| Error::UnusableSecret {
        secret: secret.name_any(),
        key: key.to_owned(),
        problem,
    };
    let status = plan.server.status.as_ref();
    let takes_long = status.is_none_or(|status| status.capabilities.contains(&Capability::LongSecrets));
    match problem(&value) {
        Some(problem) => Err(unusable(problem)),
        None if value.len() > LONGEST_OF_V1 && !takes_long => Err(unusable(
            "is longer than the 72 bytes that this version of the server uses",
        )),
        None => {
            ctx.cluster.check_value(secret, key, &value).await?;
            Ok(Secret::new(value))
        }
    }
}

/// Why a value cannot be a client secret. None: it can.
pub(crate) fn problem(value: &str) -> Option<&'static str> {
    if value.len() > LONGEST_SECRET {
        Some("is longer than the 8 KiB that the operator hands on")
    } else if value.chars().count() < SHORTEST {
        Some("is shorter than the 6 characters that the server accepts")
    } else if value.trim() != value {
        Some("begins or ends with white space, often an accidental line break")
    } else {
        None
    }
}

async fn live(ctx: &Context, plan: &ClientPlan, name: &str) -> Result<KubeSecret> {
    let found = ctx.cluster.secret(&plan.namespace, name).await?;
    found.ok_or_else(|| Error::SourceNotFound {
        kind: Source::Secret,
        name: name.to_owned(),
        key: None,
        namespace: None,
    })
}
