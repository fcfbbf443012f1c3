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
    let event = &Event {
        note: event.note.as_deref().map(cut),
        type_: event.type_,
        reason: event.reason.clone(),
        action: event.action.clone(),
        secondary: event.secondary.clone(),
    };
    let reference = object.object_ref(&());
    let published = tokio::time::timeout(DEADLINE, ctx.recorder.publish(event, &reference)).await;
    if !matches!(published, Ok(Ok(()))) {
        tracing::debug!(reason = event.reason, "an event could not be published");
    }
}

/// The part of a note that the Kubernetes API accepts: at most 1 KiB.
fn cut(note: &str) -> String {
    const LONGEST: usize = 1000;
    match note.char_indices().find(|(at, _)| *at >= LONGEST) {
        Some((at, _)) => format!("{}…", note.get(..at).unwrap_or_default()),
        None => note.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_long_note_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let long = cut(&"ü".repeat(600));
        assert!(
            long.ends_with("ü…") && (1000..1024).contains(&long.len()),
            "{}",
            long.len()
        );
    }
}
