//! Who publishes events in the name of the operator, and what an event says.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, Recorder, Reporter};

use crate::api::event::Happening;

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

    /// Publishes an event about an object.
    ///
    /// # Errors
    /// If the Kubernetes API refuses it.
    pub(crate) async fn publish(&self, told: &Told<'_>, reference: &ObjectReference) -> Result<(), kube::Error> {
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
    /// The event as the Kubernetes API takes it.
    pub(crate) fn event(&self) -> Event {
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
