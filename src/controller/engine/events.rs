//! Publishes events of a resource.

use kube::runtime::events::Event;

use crate::clock::DEADLINE;
use crate::controller::engine::context::Context;
use crate::controller::engine::managed::Managed;

/// Publishes an event. A failure is only logged, because nothing depends on events.
pub(crate) async fn publish<K: Managed>(ctx: &Context, object: &K, event: &Event) {
    let uid = object.meta().uid.as_deref().unwrap_or_default();
    if !ctx.fence.allows_write() || !K::kind_of(ctx).memory.may_publish(uid) {
        return;
    }
    let reference = object.object_ref(&());
    let published = tokio::time::timeout(DEADLINE, ctx.recorder.publish(event, &reference)).await;
    if !matches!(published, Ok(Ok(()))) {
        tracing::debug!(reason = event.reason, "an event could not be published");
    }
}
