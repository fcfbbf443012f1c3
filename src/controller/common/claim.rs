//! The claim in a status, which makes an object ours where the server has no place for a marker.

use std::sync::Arc;

use kube::ResourceExt;

use crate::access::{self, Namespace};
use crate::api::AuthorizationServer;
use crate::api::access::AccessRule;
use crate::api::event::Happening;
use crate::api::refs::DeletionPolicy;
use crate::api::status::clear;
use crate::controller::common::adoption::Consent;
use crate::controller::engine::context::{Context, Settings};
use crate::controller::engine::hold::{record, release};
use crate::controller::engine::kind::Kind;
use crate::controller::engine::lifecycle::is_deleting;
use crate::controller::engine::managed::{Managed, OnServer, Pass};
use crate::error::wording::shown;
use crate::error::{Error, Result};
use crate::origin::Origin;

/// The fields of a status that claim an object.
pub struct Claim<'a> {
    /// Name of the object.
    pub name: &'a mut Option<String>,
    /// UID of the AuthorizationServer that the object is on.
    pub server_uid: &'a mut Option<String>,
    /// Id of the cluster that claimed the object. None: this cluster claimed it with a version that did not store the
    /// id.
    pub cluster_id: &'a mut Option<String>,
    /// The inputs of the last success.
    pub inputs: &'a mut Option<String>,
    /// Whether the object existed before it was claimed.
    pub adopted: &'a mut Option<bool>,
    /// The clients that its list keeps although no resource adds them, for objects with such a list.
    pub kept: Option<&'a mut Vec<String>>,
    /// The deletion policy that the access rules allowed, for statuses without effective values.
    pub accepted: Option<&'a mut Option<DeletionPolicy>>,
}

impl Claim<'_> {
    /// Whether the claim is for this name on this server. A claim on an earlier server of the same name does not count.
    pub fn is_for(&self, name: &str, server: &AuthorizationServer, settings: &Settings) -> bool {
        self.name.as_deref() == Some(name) && self.is_on(server, settings)
    }

    /// Whether the claim is for an object on this server, and made by this cluster or by one that it replaces.
    pub fn is_on(&self, server: &AuthorizationServer, settings: &Settings) -> bool {
        self.name.is_some()
            && self.server_uid.is_some()
            && *self.server_uid == server.uid()
            && self.other_cluster(settings).is_none()
    }

    /// Returns the cluster that made the claim, if it is another one.
    pub fn other_cluster(&self, settings: &Settings) -> Option<String> {
        let cluster = self.cluster_id.as_ref().filter(|_| self.name.is_some())?;
        (settings.origin(cluster) == Origin::Other).then(|| cluster.clone())
    }
}

/// Records that the access rules allow the deletion policy of the spec: later rules do not turn it into another one.
pub fn accept_policy<K: Claiming>(resource: &K, pass: &mut Pass<K::Status>) {
    if let Some(accepted) = K::claim(&mut pass.status).accepted {
        *accepted = resource.consent().deletion_policy;
    }
}

/// Checks that a resource still asks for the name that it has claimed. The schema lets a name appear or go that may be
/// the generated one.
///
/// # Errors
/// [`Error::InvalidField`].
pub fn unchanged(field: &'static str, claimed: Option<&str>, asked: &str) -> Result<()> {
    match claimed {
        Some(claimed) if claimed != asked => Err(Error::InvalidField {
            field,
            problem: format!(
                "the name on the server is `{}` and cannot change; restore the field, or create a new resource with the other name",
                shown(claimed)
            ),
        }),
        _ => Ok(()),
    }
}

/// Determines who made the claim, before anything is done with the object. A claim of a former cluster is rewritten and
/// stored. A claim of another cluster stays, and the object must be read, so that the conflict is reported.
///
/// # Errors
/// [`Error::Cluster`], [`Error::NotLeader`].
pub async fn take_claim_over<K: Claiming>(resource: &K, ctx: &Context, pass: &mut Pass<K::Status>) -> Result<()> {
    let own = &ctx.settings.cluster;
    let claim = K::claim(&mut pass.status);
    if claim.name.is_none() {
        return Ok(());
    }
    let known = claim.cluster_id.clone().unwrap_or_else(|| own.clone());
    match ctx.settings.origin(&known) {
        Origin::Own => *claim.cluster_id = Some(known),
        Origin::Other => pass.must_read = true,
        Origin::Former => {
            *claim.cluster_id = Some(own.clone());
            record(resource, ctx, pass).await?;
            note_takeover(pass, &known);
        }
    }
    Ok(())
}

/// Whether a resource requested a name before another one: it is older or, if both were created in the same second, has
/// the lower UID.
pub fn asked_first<K: ResourceExt>(one: &K, other: &K) -> bool {
    let age = |resource: &K| (resource.creation_timestamp(), resource.uid());
    age(one) < age(other)
}

/// Reports that the object of a former cluster now belongs to this one.
pub fn note_takeover<S>(pass: &mut Pass<S>, former: &str) {
    tracing::info!(former, "an object of a former cluster is taken over");
    let former = shown(former);
    let note = format!(
        "This cluster takes the place of cluster `{former}` and now owns what that cluster made on the server."
    );
    pass.note(Happening::MarkTakenOver, note);
}

/// Reports that the resource is deleted, but the object of its name belongs to another cluster and stays.
pub fn note_left_behind<S>(pass: &mut Pass<S>, type_: &str, name: &str, cluster: &str) {
    let note = format!(
        "The {type_} `{}` on the server belongs to cluster `{}` and stays there.",
        shown(name),
        shown(cluster)
    );
    pass.note(Happening::LeftBehind, note);
}

/// A kind whose resources have objects without a marker on some servers.
pub trait Claiming: Managed {
    /// Returns the claim in a status.
    fn claim(status: &mut Self::Status) -> Claim<'_>;

    /// Returns what the spec says about the object besides its values.
    fn consent(&self) -> Consent;

    /// Returns the deletion policy that the access rules allowed.
    fn accepted(status: &mut Self::Status) -> Option<DeletionPolicy> {
        Self::claim(status).accepted.and_then(|accepted| *accepted)
    }

    /// Whether the access rules let the object stay when the resource is deleted, although no pass has accepted the
    /// policy yet.
    fn may_stay(&self, rules: &[AccessRule], namespace: Namespace<'_>) -> bool
    where
        Self: OnServer,
    {
        access::may_orphan(rules, namespace, Self::ACCESS)
    }

    /// Whether the object was in sync once.
    fn is_settled(&self) -> bool {
        let mut status = self.status().cloned().unwrap_or_default();
        Self::claim(&mut status).inputs.is_some()
    }
}

/// Returns the resources on a server whose object was in sync once and that are not being deleted.
pub fn settled<K: OnServer + Claiming>(kind: &Kind<K>, server: &str) -> Vec<Arc<K>> {
    let resources = kind.on(server).into_iter().map(|resource| kind.newest(resource));
    resources
        .filter(|resource| resource.is_settled() && !is_deleting(&**resource))
        .collect()
}

/// Clears the status and removes our finalizer, because everything that was made for the resource is deleted.
///
/// # Errors
/// [`Error::Cluster`], [`Error::NotLeader`].
pub async fn forget<K: Managed>(resource: &K, ctx: &Context, pass: &mut Pass<K::Status>) -> Result<()> {
    clear(&mut pass.status);
    // The claim is cleared first: none may remain on a resource without our finalizer.
    record(resource, ctx, pass).await?;
    release(resource, ctx).await
}

/// Stores the claim of a pass. Returns the resource as it is known afterwards.
///
/// # Errors
/// [`Error::Cluster`], [`Error::NotLeader`]; [`Error::Overtaken`] if the resource was deleted.
pub async fn store_claim<K: Claiming>(
    resource: &K,
    ctx: &Context,
    pass: &mut Pass<K::Status>,
    server: &AuthorizationServer,
    before: K::Status,
) -> Result<Arc<K>> {
    record(resource, ctx, pass).await?;
    let latest = K::kind_of(ctx).newest(Arc::new(resource.clone()));
    let mut status = latest.status().cloned().unwrap_or_default();
    match K::claim(&mut status).is_on(server, &ctx.settings) {
        true => Ok(latest),
        false => {
            pass.status = before; // a claim that is not stored must not delete what another writer makes
            Err(Error::Overtaken)
        }
    }
}
