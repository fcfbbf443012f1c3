//! Publishes events of a resource: a change of `Ready`, or something that a pass has done.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, Recorder, Reporter};

use crate::api::event::Happening;
use crate::clock::DEADLINE;
use crate::controller::engine::context::Context;
use crate::controller::engine::managed::Managed;

/// Publishes events.
pub struct Events {
    client: Client,
    reporter: Reporter,
    /// Counts equal events of the last minutes in one, with the note of the first.
    counting: Recorder,
}

impl Events {
    /// Creates a publisher of events in the name of a reporter.
    pub fn new(client: Client, reporter: Reporter) -> Self {
        let counting = Recorder::new(client.clone(), reporter.clone());
        Events {
            client,
            reporter,
            counting,
        }
    }

    async fn publish(&self, told: &Told<'_>, reference: &ObjectReference) -> Result<(), kube::Error> {
        let recorder = match told {
            Told::Ready(_) | Told::Did(Happening::DriftCorrected, _) => self.counting.clone(),
            // It happens once, or has another note each time, so nothing of it is remembered.
            Told::Did(..) => Recorder::new(self.client.clone(), self.reporter.clone()),
        };
        recorder.publish(&told.event(), reference).await
    }
}

/// What an event reports.
pub(crate) enum Told<'a> {
    /// A change of the Ready condition.
    Ready(&'a Event),
    /// Something that a pass has done, with a note.
    Did(Happening, &'a str),
}

impl Told<'_> {
    fn event(&self) -> Event {
        let (type_, reason, note) = match self {
            Told::Ready(event) => (event.type_, event.reason.clone(), event.note.as_deref()),
            Told::Did(happening, note) => (happening.type_(), happening.as_str().to_owned(), Some(*note)),
        };
        Event {
            type_,
            reason,
            note: note.map(cut),
            action: "Reconcile".to_owned(),
            secondary: None,
        }
    }
}

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
