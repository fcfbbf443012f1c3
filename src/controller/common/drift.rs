//! What somebody else changed on a server is put right, but not for ever.

use kube::ResourceExt;
use kube::runtime::events::EventType;

use crate::controller::engine::context::Context;
use crate::controller::engine::managed::{Managed, Pass};
use crate::error::{Error, Result};

/// Corrections of foreign writes within an hour after which the operator stops.
const MOST_CORRECTIONS: usize = 3;

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
    if memory.is_unconfirmed(&uid) {
        return Ok(false); // a write of ours whose reply was lost is nobody else's
    }
    match memory.corrections(&uid) >= MOST_CORRECTIONS {
        true => Err(Error::Contested),
        false => Ok(true),
    }
}

/// What somebody else changed has been put right, and counts against whoever goes on changing it.
pub fn note_drift<K: Managed>(resource: &K, ctx: &Context, pass: &mut Pass<K::Status>, note: String) {
    K::kind_of(ctx).memory.corrected(&resource.uid().unwrap_or_default());
    tell_drift(resource, ctx, pass, note);
}

/// Says that what somebody else changed has been put right.
pub fn tell_drift<K: Managed>(resource: &K, ctx: &Context, pass: &mut Pass<K::Status>, note: String) {
    ctx.metrics.drift_corrected(K::KIND);
    let (kind, namespace, name) = (K::KIND, resource.namespace(), resource.name_any());
    tracing::info!(kind, namespace, name, note, "drift corrected");
    pass.notes.push((EventType::Normal, "DriftCorrected", note));
}
