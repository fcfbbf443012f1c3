//! Corrects what other writers change on a server, but not forever.

use kube::ResourceExt;

use crate::api::event::Happening;
use crate::controller::engine::context::Context;
use crate::controller::engine::managed::{Managed, Pass};
use crate::error::{Error, Result};

/// Number of corrections within an hour after which the operator stops correcting.
const MOST_CORRECTIONS: usize = 3;

/// What made an object differ from the spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The spec changed since the last success, or there was none.
    Spec,
    /// A write of ours whose reply was lost, or that is not in the status.
    OwnWrite,
    /// Another writer, whose change is corrected.
    OtherWriter,
    /// Another writer, whose changes were corrected too often.
    Contest,
}

impl Cause {
    /// `settled`: whether the object was in sync, and the spec has not changed since. `is_own`: whether the result of a
    /// write of ours is unknown, or its pass did not end well. `corrections`: corrections of other writers within the
    /// last hour.
    pub fn of(settled: bool, is_own: bool, corrections: usize) -> Self {
        match (settled, is_own) {
            (false, _) => Cause::Spec,
            (true, true) => Cause::OwnWrite,
            (true, false) if corrections >= MOST_CORRECTIONS => Cause::Contest,
            (true, false) => Cause::OtherWriter,
        }
    }
}

/// Whether another writer changed the object of a resource. `settled`: as in [`Cause::of`]. `what`: the part of the
/// object that differs.
///
/// # Errors
/// [`Error::Contested`] if it was corrected too often.
pub fn is_drift<K: Managed>(resource: &K, ctx: &Context, settled: bool, what: &str) -> Result<bool> {
    let memory = &K::kind_of(ctx).memory;
    let uid = resource.uid().unwrap_or_default();
    // A correction that failed leaves what it found.
    let is_own = (memory.is_unconfirmed(&uid) || memory.is_half_done(&uid)) && !memory.is_correcting(&uid);
    match Cause::of(settled, is_own, memory.corrections(&uid)) {
        Cause::Spec => {
            memory.forgive(&uid); // a new spec starts a new count
            Ok(false)
        }
        Cause::OwnWrite => Ok(false),
        Cause::OtherWriter => {
            memory.corrects(&uid);
            Ok(true)
        }
        Cause::Contest => Err(Error::Contested(what.to_owned())),
    }
}

/// Reports that a change of another writer was corrected, and counts the correction.
pub fn note_drift<K: Managed>(resource: &K, ctx: &Context, pass: &mut Pass<K::Status>, note: String) {
    K::kind_of(ctx).memory.corrected(&resource.uid().unwrap_or_default());
    tell_drift(resource, ctx, pass, note);
}

/// Reports that a change of another writer was corrected, without counting the correction.
pub fn tell_drift<K: Managed>(_: &K, ctx: &Context, pass: &mut Pass<K::Status>, note: String) {
    ctx.metrics.drift_corrected(K::KIND);
    tracing::info!(note, "drift corrected");
    pass.note(Happening::DriftCorrected, note);
}
