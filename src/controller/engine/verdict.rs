//! From the result of a pass to conditions and event. Pure.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType};

use crate::api::condition::{self, READY, RECONCILING, Reason, STALLED, SUSPENDED, SYNCED, Wanted};
use crate::error::{Class, Error, Treatment};

/// A pass that ended well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// What is so now: a full sentence.
    pub message: String,
    /// Whether nothing was done because the resource is suspended.
    pub suspended: bool,
    /// What keeps the resource from being ready although all was done that could be.
    pub lacks: Option<Error>,
    /// When to look again, if not only at the next change.
    pub again: Option<Duration>,
}

impl Done {
    /// Nothing was done, since the spec says so.
    pub fn suspended() -> Self {
        Done {
            message: "Reconciliation is suspended by spec.suspend.".to_owned(),
            suspended: true,
            ..Done::default()
        }
    }
}

/// The conditions after a pass. `standing`: those of the kind's own, which hold however it ended.
pub fn conditions(result: Result<&Done, &Error>, standing: Vec<Wanted>, old: &[Condition]) -> Vec<Wanted> {
    let mut all = match result {
        Ok(done) if done.suspended => {
            let was_ready = condition::is_true(old, READY);
            let (status, reason) = if was_ready {
                ("True", Reason::Available)
            } else {
                ("Unknown", Reason::Suspended)
            };
            vec![
                wanted(READY, status, reason, &done.message),
                wanted(SYNCED, "Unknown", Reason::Suspended, &done.message),
                wanted(SUSPENDED, "True", Reason::Suspended, &done.message),
            ]
        }
        Ok(Done {
            message,
            lacks: Some(error),
            ..
        }) => {
            let mut all = failing(error);
            all.retain(|condition| condition.type_ != SYNCED);
            all.push(wanted(SYNCED, "True", Reason::Available, message));
            all
        }
        Ok(done) => vec![
            wanted(READY, "True", Reason::Available, &done.message),
            wanted(SYNCED, "True", Reason::Available, &done.message),
        ],
        Err(error) => failing(error),
    };
    all.extend(standing);
    all
}

/// The conditions that an error makes.
fn failing(error: &Error) -> Vec<Wanted> {
    let Treatment { class, reason, .. } = error.treatment();
    let message = error.to_string();
    let standstill = if stalls(class) { STALLED } else { RECONCILING };
    vec![
        wanted(READY, "False", reason, &message),
        wanted(SYNCED, "False", reason, &message),
        wanted(standstill, "True", reason, &message),
    ]
}

fn wanted(type_: &'static str, status: &'static str, reason: Reason, message: &str) -> Wanted {
    Wanted {
        type_,
        status,
        reason,
        message: message.to_owned(),
    }
}

/// What another object could put right is never stalled.
fn stalls(class: Class) -> bool {
    match class {
        Class::Invalid | Class::NotOwned | Class::Unsupported => true,
        Class::Blocked | Class::NotAllowed | Class::ServerRefused | Class::Transient | Class::Bug => false,
    }
}

/// The event that goes with a change of the Ready condition: none if there was no change, or if all is simply well from the start.
pub fn event(old: &[Condition], new: &[Condition]) -> Option<Event> {
    let (before, now) = (condition::find(old, READY), condition::find(new, READY)?);
    let same = before.is_some_and(|b| b.status == now.status && b.reason == now.reason && b.message == now.message);
    let type_ = match (now.status.as_str(), before.map(|b| b.status.as_str())) {
        _ if same => return None,
        ("False", _) => EventType::Warning,
        ("True", Some("False")) => EventType::Normal,
        _ => return None,
    };
    Some(Event {
        type_,
        reason: now.reason.clone(),
        note: Some(now.message.clone()),
        action: "Reconcile".to_owned(),
        secondary: None,
    })
}
