//! Turns the result of a pass into conditions and an event. Pure.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType};

use crate::api::condition::{self, READY, RECONCILING, Reason, STALLED, SUSPENDED, SYNCED, Wanted};
use crate::error::{Class, Error, Treatment, Wording};

/// Result of a pass that succeeded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Describes the state that was reached, as a full sentence.
    pub message: String,
    /// Whether nothing was done because the resource is suspended.
    pub suspended: bool,
    /// Why the resource is not ready, if the operator only observes its object, and `message` says what is wrong with it.
    pub unlike: Option<Reason>,
    /// Why the resource is not ready, although everything that was possible was done.
    pub lacks: Option<Error>,
    /// What does not work although the resource is ready.
    pub standing: Vec<Wanted>,
    /// Time until the next pass. None: the resource waits for a change.
    pub again: Option<Duration>,
}

impl Done {
    /// Nothing was done, because `spec.suspend` is set.
    pub fn suspended() -> Self {
        Done {
            message: "Reconciliation is suspended by spec.suspend.".to_owned(),
            suspended: true,
            ..Done::default()
        }
    }
}

/// Returns the conditions after a pass. `standing`: the kind's own conditions, which do not depend on the result.
/// `wording`: what happens to the words of a policy in the old ones.
pub fn conditions(
    result: Result<&Done, &Error>,
    standing: Vec<Wanted>,
    old: &[Condition],
    wording: Wording,
) -> Vec<Wanted> {
    let mut all = match result {
        Ok(done) if done.suspended => {
            // Without this condition, kstatus takes the resource as current: no tool waits for what is suspended. And
            // nobody takes it as ready.
            let was_ready = condition::is_true(old, READY);
            let ready = was_ready.then(|| wanted(READY, "True", Reason::Available, &done.message));
            let others = [
                wanted(SYNCED, "Unknown", Reason::Suspended, &done.message),
                wanted(SUSPENDED, "True", Reason::Suspended, &done.message),
            ];
            ready.into_iter().chain(others).collect()
        }
        Ok(Done {
            message,
            unlike: Some(reason),
            standing,
            ..
        }) => {
            let ours = [(READY, "False"), (SYNCED, "False"), (STALLED, "True")];
            let ours = ours.map(|(type_, status)| wanted(type_, status, *reason, message));
            ours.into_iter().chain(standing.iter().cloned()).collect()
        }
        Ok(Done {
            message,
            lacks: Some(error),
            ..
        }) => {
            let mut all = failing(error, old, wording);
            all.retain(|condition| condition.type_ != SYNCED);
            all.push(wanted(SYNCED, "True", Reason::Available, message));
            all
        }
        Ok(done) => {
            let ready = wanted(READY, "True", Reason::Available, &done.message);
            let synced = wanted(SYNCED, "True", Reason::Available, &done.message);
            [ready, synced]
                .into_iter()
                .chain(done.standing.iter().cloned())
                .collect()
        }
        Err(error) => failing(error, old, wording),
    };
    all.extend(standing);
    all
}

/// Returns the conditions for an error.
fn failing(error: &Error, old: &[Condition], wording: Wording) -> Vec<Wanted> {
    let Treatment { class, reason, .. } = error.treatment();
    let former = condition::find(old, READY).map(|ready| ready.message.as_str());
    let message = error.message(former, wording);
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

/// Whether the words of a policy replace those in the old conditions: after a change of the spec, or if it has said the
/// same twice. A policy that finds other words at each try must not have the conditions written each time. `has_said`:
/// whether it said the same at the last try.
pub fn wording(old: &[Condition], generation: i64, has_said: bool) -> Wording {
    let is_told = condition::find(old, READY).is_some_and(|ready| ready.observed_generation == Some(generation));
    match is_told && !has_said {
        true => Wording::Held,
        false => Wording::Replaced,
    }
}

/// Whether an error makes the resource `Stalled`. An error that a change of another Kubernetes object can resolve never
/// does.
fn stalls(class: Class) -> bool {
    match class {
        Class::Invalid | Class::NotOwned | Class::Unsupported => true,
        Class::Blocked | Class::NotAllowed | Class::ServerRefused | Class::Transient | Class::Bug => false,
    }
}

/// Whether two conditions say the same, apart from their times.
fn says_same(one: &Condition, other: &Condition) -> bool {
    one.status == other.status && one.reason == other.reason && one.message == other.message
}

/// Returns the event for a change of the Ready condition: a failure, or the recovery from one. None for anything else.
pub fn event(old: &[Condition], new: &[Condition]) -> Option<Event> {
    let (before, now) = (condition::find(old, READY), condition::find(new, READY)?);
    let same = before.is_some_and(|before| says_same(before, now));
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

/// What the log says after a pass has stored a status. Each holds the condition Ready.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Logged<'a> {
    /// The resource is Ready, and was not before or for another reason.
    Ready(&'a Condition),
    /// The resource is not Ready, and was before or for another reason.
    Failing(&'a Condition),
    /// The resource was and is Ready, and something else in the status has changed.
    Changed(&'a Condition),
}

/// Returns what the log says about a change of a status. `is_on_server`: whether the resource has something on a server;
/// the status of a server itself also has figures that change with every resource, which the log leaves out.
pub fn logged<'a>(old: &[Condition], new: &'a [Condition], is_on_server: bool) -> Option<Logged<'a>> {
    let (before, now) = (condition::find(old, READY), condition::find(new, READY)?);
    let same = before.is_some_and(|before| says_same(before, now));
    match now.status.as_str() {
        "True" if !same => Some(Logged::Ready(now)),
        "False" if !same => Some(Logged::Failing(now)),
        "True" if is_on_server => Some(Logged::Changed(now)),
        _ => None,
    }
}
