//! What objects without a mark have in common on every server: the claim in the status that makes them ours, and what somebody else changed.

use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::events::EventType;

use super::authorization_server::rouse;
use super::on_server::OnServer;
use super::{Context, Kind, Managed, Pass, is_deleting, record, release};
use crate::admin::http::Failure;
use crate::api::AuthorizationServer;
use crate::error::{Error, Outage, Result};

/// Corrections of foreign writes within an hour after which the operator stops.
const MOST_CORRECTIONS: usize = 3;

/// What a status keeps of an object.
pub struct Claim<'a> {
    /// Its name.
    pub name: &'a mut Option<String>,
    /// UID of the server that it is on.
    pub server_uid: &'a mut Option<String>,
    /// What the last success was made from.
    pub inputs: &'a mut Option<String>,
}

impl Claim<'_> {
    /// Whether it is for this name on this very server. One on a server of the same name that is gone says nothing.
    pub fn is_for(&self, name: &str, server: &AuthorizationServer) -> bool {
        self.name.as_deref() == Some(name) && self.is_on(server)
    }

    /// Whether it is for a name on this very server.
    pub fn is_on(&self, server: &AuthorizationServer) -> bool {
        self.name.is_some() && self.server_uid.is_some() && *self.server_uid == server.uid()
    }
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

/// Whether an object that is not as it should be was changed by somebody else, who is corrected, but not for ever. `settled`: whether it was as it should be,
/// and nothing else is asked for since.
///
/// # Errors
/// [`Error::Contested`].
pub fn is_drift<K: Managed>(resource: &K, ctx: &Context, settled: bool) -> Result<bool> {
    let memory = &K::kind_of(ctx).memory;
    let uid = resource.uid().unwrap_or_default();
    if !settled {
        memory.forgive(&uid); // the user's word: the count begins anew
        return Ok(false);
    }
    match memory.corrections(&uid) >= MOST_CORRECTIONS {
        true => Err(Error::Contested),
        // A write of ours whose reply was lost is nobody else's.
        false => Ok(!memory.is_unconfirmed(&uid)),
    }
}

/// What somebody else changed has been put right.
pub fn note_drift<K: Managed>(resource: &K, ctx: &Context, pass: &mut Pass<K::Status>, note: String) {
    K::kind_of(ctx).memory.corrected(&resource.uid().unwrap_or_default());
    ctx.metrics.drift_corrected(K::KIND);
    tracing::info!(
        namespace = resource.namespace(),
        name = resource.name_any(),
        note,
        "drift corrected"
    );
    pass.notes.push((EventType::Normal, "DriftCorrected", note));
}

/// Resources on a server whose object was confirmed there and should be there.
pub fn settled<K: OnServer + Claiming>(kind: &Kind<K>, server: &str) -> Vec<Arc<K>> {
    let resources = kind.on(server).into_iter().map(|resource| kind.newest(resource));
    resources
        .filter(|resource| resource.is_settled() && !is_deleting(&**resource))
        .collect()
}

/// Wakes all that were in step, to read their objects.
pub fn read_each<K: OnServer + Claiming>(kind: &Kind<K>, server: &str) {
    settled(kind, server)
        .iter()
        .for_each(|resource| rouse(kind, &**resource));
}

/// Whether a write that failed so has surely not been done. A server that loses its leadership, or its database, in the midst of one answers 500.
pub fn is_certain(failure: &Failure) -> bool {
    failure.is_certain() && !matches!(failure, Failure::Outage(Outage::Status(..) | Outage::Busy))
}

/// Forgets everything but the conditions, and lets go of the resource: what was made for it is gone.
///
/// # Errors
/// [`Error::Cluster`], [`Error::NotLeader`].
pub async fn forget<K: Managed>(resource: &K, ctx: &Context, pass: &mut Pass<K::Status>) -> Result<()> {
    let conditions = std::mem::take(K::common(&mut pass.status).1);
    pass.status = K::Status::default();
    *K::common(&mut pass.status).1 = conditions;
    // First: a claim without our finalizer would outlive the resource's part in it.
    record(resource, ctx, pass).await?;
    release(resource, ctx).await
}

/// Stores the claim of a pass. Returns the resource as it is known then, unless it has gone.
///
/// # Errors
/// [`Error::Cluster`], [`Error::NotLeader`]; [`Error::Unavailable`] if the resource has gone.
pub async fn store_claim<K: Claiming>(
    resource: &K,
    ctx: &Context,
    pass: &mut Pass<K::Status>,
    server: &AuthorizationServer,
) -> Result<Arc<K>> {
    record(resource, ctx, pass).await?;
    let latest = K::kind_of(ctx).newest(Arc::new(resource.clone()));
    let mut status = latest.status().cloned().unwrap_or_default();
    match K::claim(&mut status).is_on(server) {
        true => Ok(latest),
        false => Err(Error::Unavailable(Outage::Busy)),
    }
}
