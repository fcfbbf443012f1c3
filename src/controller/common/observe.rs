//! Resources with `managementPolicy: ObserveOnly`: the operator compares and writes nothing.

use std::time::Duration;

use kube::Resource;

use crate::api::condition::{DRIFT_DETECTED, Reason, Wanted};
use crate::api::refs::{DeletionPolicy, ManagementPolicy};
use crate::controller::common::note::in_words;
use crate::controller::engine::lifecycle::is_held;
use crate::controller::engine::verdict::Done;

/// What follows in a message after how the object is.
const OBSERVES: &str = ", and the operator only observes";

/// How the object is, as a sentence, from a message of [`observed`].
pub(crate) fn fact_of(message: &str) -> String {
    let fact = message.split_once(OBSERVES);
    fact.map_or_else(|| message.to_owned(), |(fact, _)| format!("{fact}."))
}

/// The result of a comparison. `differences`: names of what differs; None if there is no object. `again`: time until
/// the next comparison, because the sweep does not see objects that belong to no resource.
pub(crate) fn observed(type_: &str, differences: Option<&[&str]>, again: Duration) -> Done {
    let done = |message: String, unlike: Option<Reason>| Done {
        message,
        unlike,
        again: Some(again),
        ..Done::default()
    };
    match differences {
        None => {
            let message = format!(
                "The {type_} does not exist on the server{OBSERVES}. Create it, or set managementPolicy: Full."
            );
            done(message, Some(Reason::ObjectNotFound))
        }
        Some([]) => done(
            format!("The {type_} on the server is as this spec describes it{OBSERVES} it."),
            None,
        ),
        Some(fields) => {
            let fields = in_words(fields);
            let message = format!(
                "The {type_} on the server differs from this spec in {fields}{OBSERVES} it. Change one of the two, or set managementPolicy: Full."
            );
            Done {
                standing: vec![Wanted {
                    type_: DRIFT_DETECTED,
                    status: "True",
                    reason: Reason::DriftDetected,
                    message: message.clone(),
                }],
                ..done(message, Some(Reason::DriftDetected))
            }
        }
    }
}

/// The deletion policy that a spec asks for. What the operator only observes is never deleted, so it stays like an
/// orphan, if the operator has ever written anything for the resource.
pub(crate) fn asked_policy(
    resource: &impl Resource,
    policy: Option<DeletionPolicy>,
    management: Option<ManagementPolicy>,
) -> Option<DeletionPolicy> {
    match management {
        Some(ManagementPolicy::ObserveOnly) if is_held(resource) => Some(DeletionPolicy::Orphan),
        _ => policy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{FINALIZER, Scope};

    #[test]
    fn a_difference_is_named_and_an_equal_object_is_ready() {
        for (differences, unlike, part) in [
            (None, Some(Reason::ObjectNotFound), "does not exist"),
            (Some(&[][..]), None, "is as this spec describes it"),
            (
                Some(&["description", "template"][..]),
                Some(Reason::DriftDetected),
                "differs from this spec in description and template,",
            ),
        ] {
            let done = observed("scope", differences, Duration::from_secs(60));
            assert_eq!(done.unlike, unlike, "{differences:?}");
            assert!(done.message.contains(part), "{}", done.message);
            assert_eq!(done.standing.len(), usize::from(unlike == Some(Reason::DriftDetected)));
            assert_eq!(done.again, Some(Duration::from_secs(60)));
            let fact = fact_of(&done.message);
            assert!(
                fact.contains(part.trim_end_matches(',')) && !fact.contains("observe"),
                "{fact}"
            );
        }
    }

    #[test]
    fn what_is_only_observed_is_never_deleted() {
        use DeletionPolicy::{Delete, Orphan};
        use ManagementPolicy::{Full, ObserveOnly};
        let mut held = Scope::new("held", Default::default());
        held.metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
        let new = Scope::new("new", Default::default());
        for (scope, policy, management, expected) in [
            (&held, None, None, None),
            (&held, Some(Delete), Some(Full), Some(Delete)),
            (&held, None, Some(ObserveOnly), Some(Orphan)),
            (&held, Some(Delete), Some(ObserveOnly), Some(Orphan)),
            (&new, Some(Delete), Some(ObserveOnly), Some(Delete)), // nothing was ever written
        ] {
            assert_eq!(
                asked_policy(scope, policy, management),
                expected,
                "{policy:?} {management:?}"
            );
        }
    }
}
