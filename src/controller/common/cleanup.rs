//! The part of a cleanup that is the same for every kind that has something on a server.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace as KubeNamespace;
use kube::core::{CustomResourceExt, PartialObjectMeta};
use kube::{Api, ResourceExt};

use crate::access::{self, Namespace};
use crate::api::AuthorizationServer;
use crate::api::access::AccessRule;
use crate::api::refs::DeletionPolicy;
use crate::clock::DEADLINE;
use crate::controller::common::adoption::Consent;
use crate::controller::common::claim::{Claim, Claiming, note_left_behind};
use crate::controller::common::note::{note_deleted, note_released};
use crate::controller::engine::context::Context;
use crate::controller::engine::lifecycle::is_abandoned;
use crate::controller::engine::links::Link;
use crate::controller::engine::managed::{OnServer, Pass};
use crate::decode::{self, Item};
use crate::error::{Error, Result, Suspect};

/// Returns the server that a resource must be removed from, and the link to it.
///
/// # Errors
/// [`Error::CleanupWithoutServer`], [`Error::CleanupWaits`], and silent errors.
pub(crate) fn connection<K: OnServer + CustomResourceExt>(
    resource: &K,
    ctx: &Context,
) -> Result<(Arc<AuthorizationServer>, Link)> {
    let name = resource.server_name();
    // If the server does not have the kind, it replaced the one that the object was on.
    let keeps = |server: &Arc<AuthorizationServer>| server.spec.has_kind(K::ACCESS);
    let Some(server) = ctx.server(name).filter(keeps) else {
        let namespace = resource.namespace().unwrap_or_default();
        return Err(Error::CleanupWithoutServer(
            name.to_owned(),
            short_name::<K>(),
            resource.name_any(),
            namespace,
        ));
    };
    match ctx.links.usable(&server) {
        // Its API may be one that only a later operator version knows.
        _ if decode::flaw(&*server).is_some() || server.spec.flavour().is_none() => {
            Err(waits(resource, ctx, Suspect::Resource))
        }
        Ok(link) => Ok((server, link)),
        Err(error) if error.is_silent() => Err(error),
        Err(_) => Err(waits(resource, ctx, Suspect::Resource)),
    }
}

/// An object that a status claims, and the server that it is on.
pub(crate) struct Claimed {
    /// Name of the object.
    pub name: String,
    /// The server that it is on.
    pub server: Arc<AuthorizationServer>,
    /// The link to the server.
    pub link: Link,
}

/// Whether the object stays when the resource is deleted: it was adopted, or the spec says so and the access rules
/// allow it, now or when the spec was accepted.
///
/// # Errors
/// [`Error::Cluster`].
pub(crate) async fn is_left<K: OnServer + Claiming>(
    resource: &K,
    ctx: &Context,
    status: &mut K::Status,
) -> Result<bool> {
    let accepted = K::accepted(status);
    match stays(resource.consent(), *K::claim(status).adopted, accepted) {
        Some(stays) => Ok(stays),
        None => is_allowed(resource, ctx, |rules, seen| resource.may_stay(rules, seen)).await,
    }
}

/// Whether the object stays. None: the access rules decide. They never decide on an object that was adopted: it was
/// there before the resource. `accepted`: the policy that they allowed before.
fn stays(consent: Consent, adopted: Option<bool>, accepted: Option<DeletionPolicy>) -> Option<bool> {
    match consent.policy(adopted) {
        DeletionPolicy::Delete => Some(false),
        DeletionPolicy::Orphan => (adopted == Some(true) || accepted == Some(DeletionPolicy::Orphan)).then_some(true),
    }
}

/// Deletes the object that a status claims, if there is one. Access is not evaluated: a resource may always delete its
/// own object.
///
/// `is_ours`: whether the claim is for the object of the resource on this server. `delete`: sends the request.
///
/// # Errors
/// [`Error::CleanupWaits`], [`Error::CleanupUnconfirmed`], [`Error::CleanupWithoutServer`], and what `delete` returns.
pub(crate) async fn remove_claimed<K: OnServer + Claiming + CustomResourceExt>(
    resource: &K,
    ctx: &Context,
    pass: &mut Pass<K::Status>,
    type_: &'static str,
    is_ours: impl FnOnce(Claim<'_>, &AuthorizationServer) -> bool,
    delete: impl AsyncFnOnce(&mut Pass<K::Status>, Claimed) -> Result<()>,
) -> Result<()> {
    let claim = K::claim(&mut pass.status);
    let was_confirmed = claim.inputs.is_some();
    // Without a claim, nothing was ever written.
    let Some(name) = claim.name.clone().filter(|_| claim.server_uid.is_some()) else {
        return Ok(());
    };
    if let Some(cluster) = claim.other_cluster(&ctx.settings) {
        note_left_behind(pass, type_, &name, &cluster);
        return Ok(());
    }
    let is_abandoned = is_abandoned(resource) && may_leave_behind(resource, ctx).await?;
    if is_abandoned || is_left(resource, ctx, &mut pass.status).await? {
        note_released(pass, type_);
        return Ok(());
    }
    let (server, link) = connection(resource, ctx)?;
    if !is_ours(K::claim(&mut pass.status), &server) {
        return Ok(()); // it was made on an earlier server of this name
    }
    let is_quiet = is_quiet(resource, ctx, was_confirmed);
    let deleted = delete(pass, Claimed { name, server, link }).await;
    deleted.map_err(|error| hindered(resource, ctx, error))?;
    match is_quiet {
        true => {
            note_deleted(pass, type_);
            Ok(())
        }
        false => Err(Error::CleanupUnconfirmed),
    }
}

/// Returns the error of a failed request during a cleanup: the resource waits, and the message says how the user can
/// end the wait.
pub(crate) fn hindered<K: OnServer + CustomResourceExt>(resource: &K, ctx: &Context, error: Error) -> Error {
    let suspect = error.treatment().suspect;
    match error {
        Error::NotRecognized { .. } | Error::Reply { .. } => waits(resource, ctx, suspect),
        _ if suspect == Suspect::Server => waits(resource, ctx, suspect),
        other => other,
    }
}

/// Whether no write of ours can still be in progress: a write without a reply may still commit. This is evaluated
/// before the request to the server, so that an object that is absent then stays absent.
pub(crate) fn is_quiet<K: OnServer>(resource: &K, ctx: &Context, was_confirmed: bool) -> bool {
    let memory = &K::kind_of(ctx).memory;
    let uid = resource.uid().unwrap_or_default();
    was_confirmed && !memory.is_unconfirmed(&uid) || memory.quiet_for(&uid) >= DEADLINE
}

/// Whether the resource may leave its object behind: the access rules must allow it, unless the server no longer
/// exists.
///
/// # Errors
/// [`Error::Cluster`].
pub(crate) async fn may_leave_behind<K: OnServer>(resource: &K, ctx: &Context) -> Result<bool> {
    is_allowed(resource, ctx, |rules, seen| access::may_orphan(rules, seen, K::ACCESS)).await
}

/// Whether the access rules allow what `ask` asks for, or the server no longer exists. A refusal by the cached rules is
/// checked live, because a deletion cannot be undone.
///
/// # Errors
/// [`Error::Cluster`].
pub(crate) async fn is_allowed<K: OnServer>(
    resource: &K,
    ctx: &Context,
    ask: impl Fn(&[AccessRule], Namespace<'_>) -> bool,
) -> Result<bool> {
    if is_allowed_by_cache(resource, ctx, &ask) {
        return Ok(true);
    }
    let name = resource.namespace().unwrap_or_default();
    let servers: Api<Item<AuthorizationServer>> = Api::all(ctx.cluster.client());
    let Some(server) = ctx.cluster.live(&servers, resource.server_name()).await? else {
        return Ok(true);
    };
    let namespaces: Api<Item<PartialObjectMeta<KubeNamespace>>> = Api::all(ctx.cluster.client());
    let namespace = ctx.cluster.live(&namespaces, &name).await?;
    let labels = namespace.as_ref().map(|namespace| namespace.labels());
    let seen = Namespace { name: &name, labels };
    Ok(ask(&server.spec.access, seen))
}

fn is_allowed_by_cache<K: OnServer>(
    resource: &K,
    ctx: &Context,
    ask: impl Fn(&[AccessRule], Namespace<'_>) -> bool,
) -> bool {
    let Some(server) = ctx.server(resource.server_name()) else {
        return true;
    };
    ctx.with_namespace(&resource.namespace().unwrap_or_default(), |namespace| {
        ask(&server.spec.access, namespace)
    })
}

/// Returns the error of a resource whose deletion waits for its server; the message says how the user can end the wait.
/// `suspect`: whether the server's own pass must check first.
pub(crate) fn waits<K: OnServer + CustomResourceExt>(resource: &K, ctx: &Context, suspect: Suspect) -> Error {
    Error::CleanupWaits {
        server: resource.server_name().to_owned(),
        kind: short_name::<K>(),
        name: resource.name_any(),
        namespace: resource.namespace().unwrap_or_default(),
        may_orphan: is_allowed_by_cache(resource, ctx, |rules, seen| access::may_orphan(rules, seen, K::ACCESS)),
        suspect,
    }
}

/// Short name of the kind, as users type it.
fn short_name<K: CustomResourceExt>() -> &'static str {
    K::shortnames().first().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_access_rules_never_decide_on_an_adopted_object() {
        use DeletionPolicy::{Delete, Orphan};
        for (asked, adopted, accepted, expected) in [
            (None, None, None, Some(false)),
            (None, Some(true), None, Some(true)),
            (Some(Orphan), Some(true), None, Some(true)),
            (Some(Orphan), Some(true), Some(Delete), Some(true)),
            (Some(Delete), Some(true), Some(Orphan), Some(false)),
            (Some(Orphan), None, None, None),
            (Some(Orphan), None, Some(Delete), None),
            (Some(Orphan), None, Some(Orphan), Some(true)),
            (Some(Delete), None, Some(Orphan), Some(false)),
        ] {
            let consent = Consent {
                deletion_policy: asked,
                ..Consent::default()
            };
            let found = stays(consent, adopted, accepted);
            assert_eq!(found, expected, "{asked:?} {adopted:?} {accepted:?}");
        }
    }
}
