//! The claim in a status that makes an object ours where the server has no place for a mark.

use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::events::EventType;

use crate::api::AuthorizationServer;
use crate::api::status::Standing;
use crate::controller::engine::context::{Context, Settings};
use crate::controller::engine::hold::{record, release};
use crate::controller::engine::kind::Kind;
use crate::controller::engine::lifecycle::is_deleting;
use crate::controller::engine::managed::{Managed, OnServer, Pass};
use crate::error::wording::shown;
use crate::error::{Error, Result};
use crate::origin::Origin;

/// What a status keeps of an object.
pub struct Claim<'a> {
    /// Its name.
    pub name: &'a mut Option<String>,
    /// UID of the server that it is on.
    pub server_uid: &'a mut Option<String>,
    /// The cluster that claimed it. None: a version that did not keep it, in this cluster.
    pub cluster_id: &'a mut Option<String>,
    /// What the last success was made from.
    pub inputs: &'a mut Option<String>,
}

impl Claim<'_> {
    /// Whether it is for this name on this very server. One on a server of the same name that is gone says nothing.
    pub fn is_for(&self, name: &str, server: &AuthorizationServer, settings: &Settings) -> bool {
        self.name.as_deref() == Some(name) && self.is_on(server, settings)
    }

    /// Whether it is for a name on this very server, and this cluster's, or one's whose place this one takes.
    pub fn is_on(&self, server: &AuthorizationServer, settings: &Settings) -> bool {
        self.name.is_some()
            && self.server_uid.is_some()
            && *self.server_uid == server.uid()
            && self.other_cluster(settings).is_none()
    }

    /// The cluster whose claim it is, if that is another one.
    pub fn other_cluster(&self, settings: &Settings) -> Option<String> {
        let cluster = self.cluster_id.as_ref().filter(|_| self.name.is_some())?;
        (settings.origin(cluster) == Origin::Other).then(|| cluster.clone())
    }
}

/// Settles whose claim the status holds before anything is done with the object: one of a former cluster is rewritten, and stored. One of another cluster
/// stays as it is, and makes sure that the object is looked at, so that it is told.
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
            note_takeover(resource, pass, &known);
        }
    }
    Ok(())
}

/// Whether a resource asked for a name before another one did: it is older, or, if both came within one second, its UID is the lesser.
pub fn asked_first<K: ResourceExt>(one: &K, other: &K) -> bool {
    let age = |resource: &K| (resource.creation_timestamp(), resource.uid());
    age(one) < age(other)
}

/// What bore the mark of a former cluster bears this one's now.
pub fn note_takeover<K: Managed>(resource: &K, pass: &mut Pass<K::Status>, former: &str) {
    tracing::info!(
        kind = K::KIND,
        namespace = resource.namespace(),
        name = resource.name_any(),
        former,
        "a mark is taken over"
    );
    let former = shown(former);
    let note = format!(
        "This cluster takes the place of cluster `{former}` and now owns what that cluster made on the server."
    );
    pass.notes.push((EventType::Normal, "MarkTakenOver", note));
}

/// The resource goes, and what another cluster keeps under its name stays.
pub fn note_left_behind<S>(pass: &mut Pass<S>, type_: &str, name: &str, cluster: &str) {
    let note = format!(
        "The {type_} `{}` on the server belongs to cluster `{}` and stays there.",
        shown(name),
        shown(cluster)
    );
    pass.notes.push((EventType::Warning, "LeftBehind", note));
}

/// A kind whose resources are objects without a mark on some servers.
pub trait Claiming: Managed {
    /// Where the status keeps what makes the object ours, and what the last success was made from.
    fn claim(status: &mut Self::Status) -> Claim<'_>;

    /// Whether the object was as it should be once.
    fn is_settled(&self) -> bool {
        let mut status = self.status().cloned().unwrap_or_default();
        Self::claim(&mut status).inputs.is_some()
    }
}

/// Resources on a server whose object was confirmed there and should be there.
pub fn settled<K: OnServer + Claiming>(kind: &Kind<K>, server: &str) -> Vec<Arc<K>> {
    let resources = kind.on(server).into_iter().map(|resource| kind.newest(resource));
    resources
        .filter(|resource| resource.is_settled() && !is_deleting(&**resource))
        .collect()
}

/// Forgets everything but the conditions, and lets go of the resource: what was made for it is gone.
///
/// # Errors
/// [`Error::Cluster`], [`Error::NotLeader`].
pub async fn forget<K: Managed>(resource: &K, ctx: &Context, pass: &mut Pass<K::Status>) -> Result<()> {
    let conditions = std::mem::take(pass.status.standing_mut().1);
    pass.status = K::Status::default();
    *pass.status.standing_mut().1 = conditions;
    // First: a claim without our finalizer would outlive the resource's part in it.
    record(resource, ctx, pass).await?;
    release(resource, ctx).await
}

/// Stores the claim of a pass. Returns the resource as it is known then, unless it has gone.
///
/// # Errors
/// [`Error::Cluster`], [`Error::NotLeader`]; [`Error::Overtaken`] if the resource was deleted.
pub async fn store_claim<K: Claiming>(
    resource: &K,
    ctx: &Context,
    pass: &mut Pass<K::Status>,
    server: &AuthorizationServer,
) -> Result<Arc<K>> {
    record(resource, ctx, pass).await?;
    let latest = K::kind_of(ctx).newest(Arc::new(resource.clone()));
    let mut status = latest.status().cloned().unwrap_or_default();
    match K::claim(&mut status).is_on(server, &ctx.settings) {
        true => Ok(latest),
        false => Err(Error::Overtaken),
    }
}
