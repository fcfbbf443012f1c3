//! Publishes events of a resource: a change of `Ready`, or something that a pass has done.

use crate::clock::DEADLINE;
use crate::controller::engine::context::Context;
use crate::controller::engine::managed::Managed;
use crate::controller::engine::publisher::Told;

/// Publishes an event, unless its namespace is being deleted and takes no more. A failure is only logged, because
/// nothing depends on events.
pub(crate) async fn publish<K: Managed>(ctx: &Context, object: &K, told: Told<'_>) {
    let meta = object.meta();
    let is_going = meta.namespace.as_ref().is_some_and(|namespace| ctx.is_going(namespace));
    let uid = meta.uid.as_deref().unwrap_or_default();
    if is_going || !ctx.fence.allows_write() || !K::kind_of(ctx).memory.may_publish(uid) {
        return;
    }
    let reference = object.object_ref(&());
    let published = tokio::time::timeout(DEADLINE, ctx.events.publish(&told, &reference)).await;
    if !matches!(published, Ok(Ok(()))) {
        tracing::debug!(reason = told.event().reason, "an event could not be published");
    }
}
