//! When keys are replaced: a pure function of the existing keys, the terms and the time.
//!
//! A key is *next* while only its public half is known, *current* while it signs, and *previous* while its signatures
//! may still have to be verified.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::controller::common::schedule::{Schedule, later};

/// Maximum number of keys: clients and status hold 16. At this maximum, the next key waits until another one is
/// deleted.
pub(crate) const MOST: usize = 12;

/// Stage of a key.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Known, but does not sign yet.
    Next,
    /// Signs.
    Current,
    /// Does not sign any more, but is still known.
    Previous,
}

/// The part of a key that matters for its age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// Id of the key.
    pub kid: String,
    /// Algorithm of the key.
    pub alg: String,
    /// Stage of the key.
    pub stage: Stage,
    /// When the key reached the stage.
    pub since: Timestamp,
}

/// What the spec asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Algorithm of new keys.
    pub alg: String,
    /// When a key is replaced.
    pub schedule: Schedule,
    /// Whether the server itself signs with the set. Then the first key, too, must be known before it signs.
    pub reserved: bool,
    /// How long a key is known before it signs.
    pub pre_publish: Duration,
    /// How long a key is known after it signed.
    pub overlap: Duration,
}

/// Step of a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Make a key, which starts at this stage.
    Make(Stage),
    /// Make the next key the current one, and the current key a previous one.
    Promote,
    /// Delete a previous key.
    Retire(String),
}

/// How far the cluster has followed the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Whether the next key is published, and known to all clients that refer to the set.
    pub is_known: bool,
    /// Whether the application has the key that signs.
    pub is_delivered: bool,
}

/// The step that is due.
pub(crate) fn due(held: &[Held], terms: &Terms, progress: Progress, now: Timestamp) -> Option<Step> {
    let at = |stage: Stage| held.iter().find(|key| key.stage == stage);
    let current = at(Stage::Current);
    if let Some(next) = at(Stage::Next) {
        if progress.is_known && now >= later(next.since, terms.pre_publish) {
            return Some(Step::Promote);
        }
    } else {
        match current {
            // No verifier knows an earlier key of the set, so the first key can sign at once.
            None if !terms.reserved => return Some(Step::Make(Stage::Current)),
            None => return Some(Step::Make(Stage::Next)),
            Some(current) if is_old(current, terms, now) && held.len() < MOST => return Some(Step::Make(Stage::Next)),
            Some(_) => {}
        }
    }
    held.iter()
        .find(|key| progress.is_delivered && is_outlived(key, terms, now))
        .map(|key| Step::Retire(key.kid.clone()))
}

/// Whether a key no longer signs and its overlap is over.
pub(crate) fn is_outlived(key: &Held, terms: &Terms, now: Timestamp) -> bool {
    key.stage == Stage::Previous && now >= later(key.since, terms.overlap)
}

/// When time alone can make a step due. A step whose time has passed waits for something else.
pub(crate) fn next_at(held: &[Held], terms: &Terms, now: Timestamp) -> Option<Timestamp> {
    let has_next = held.iter().any(|key| key.stage == Stage::Next);
    let times = held.iter().filter_map(|key| match key.stage {
        Stage::Next => Some(later(key.since, terms.pre_publish)),
        Stage::Previous => Some(later(key.since, terms.overlap)),
        Stage::Current if has_next => None,
        Stage::Current => terms.schedule.next(key.since, terms.pre_publish),
    });
    times.filter(|at| *at > now).min()
}

/// When another key is planned to become the current one. It may have to wait longer for clients to know it.
pub(crate) fn planned_at(held: &[Held], terms: &Terms) -> Option<Timestamp> {
    let at = |stage: Stage| held.iter().find(|key| key.stage == stage);
    let made = match (at(Stage::Next), at(Stage::Current)) {
        (Some(next), _) => Some(next.since),
        (None, Some(current)) => terms.schedule.next(current.since, terms.pre_publish),
        (None, None) => None,
    };
    let planned = made.map(|made| later(made, terms.pre_publish));
    planned.filter(|at| *at < Timestamp::MAX)
}

fn is_old(current: &Held, terms: &Terms, now: Timestamp) -> bool {
    terms.schedule.is_due(current.since, terms.pre_publish, now) || current.alg != terms.alg
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: Progress = Progress {
        is_known: true,
        is_delivered: true,
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("a time")
    }

    fn held(kid: &str, stage: Stage, since: i64) -> Held {
        Held {
            kid: kid.to_owned(),
            alg: "ES256".to_owned(),
            stage,
            since: at(since),
        }
    }

    fn terms() -> Terms {
        Terms {
            alg: "ES256".to_owned(),
            schedule: Schedule {
                period: Some(Duration::from_secs(100)),
                ..Schedule::default()
            },
            reserved: false,
            pre_publish: Duration::from_secs(10),
            overlap: Duration::from_secs(30),
        }
    }

    #[test]
    fn a_rotation_takes_each_step_when_it_is_due() {
        use Stage::{Current, Next, Previous};
        let one = held("1", Current, 0);
        let two = held("2", Next, 90);
        let after = vec![held("1", Previous, 100), held("2", Current, 100)];
        let unknown = Progress {
            is_known: false,
            ..WELL
        };
        let undelivered = Progress {
            is_delivered: false,
            ..WELL
        };
        let table = [
            (vec![], 0, WELL, Some(Step::Make(Current))),
            (vec![one.clone()], 89, WELL, None),
            (vec![one.clone()], 90, WELL, Some(Step::Make(Next))),
            (vec![one.clone(), two.clone()], 99, WELL, None),
            (vec![one.clone(), two.clone()], 100, unknown, None),
            (vec![one.clone(), two.clone()], 100, WELL, Some(Step::Promote)),
            (after.clone(), 129, WELL, None),
            (after.clone(), 130, undelivered, None),
            (after.clone(), 130, WELL, Some(Step::Retire("1".to_owned()))),
        ];
        for (keys, now, progress, expected) in table {
            assert_eq!(due(&keys, &terms(), progress, at(now)), expected, "{keys:?} at {now}");
        }
    }

    #[test]
    fn a_server_never_signs_with_an_unpublished_key() {
        let own = Terms {
            reserved: true,
            ..terms()
        };
        let first = [held("1", Stage::Next, 0)];
        assert_eq!(due(&[], &own, WELL, at(0)), Some(Step::Make(Stage::Next)));
        assert_eq!(due(&first, &own, WELL, at(9)), None);
        assert_eq!(due(&first, &own, WELL, at(10)), Some(Step::Promote));
    }

    #[test]
    fn no_key_is_made_above_the_maximum() {
        let mut keys: Vec<Held> = (1..MOST).map(|_| held("0", Stage::Previous, 99)).collect();
        keys.push(held("1", Stage::Current, 0));
        assert_eq!(due(&keys, &terms(), WELL, at(100)), None);
        keys.remove(0);
        assert_eq!(due(&keys, &terms(), WELL, at(100)), Some(Step::Make(Stage::Next)));
    }

    #[test]
    fn another_algorithm_needs_another_key() {
        let other = Terms {
            alg: "EdDSA".to_owned(),
            schedule: Schedule::default(),
            ..terms()
        };
        let current = [held("1", Stage::Current, 0)];
        assert_eq!(due(&current, &other, WELL, at(1)), Some(Step::Make(Stage::Next)));
    }

    #[test]
    fn a_rotation_is_planned_for_the_time_at_which_the_next_key_signs() {
        use Stage::{Current, Next, Previous};
        let on_request = Terms {
            schedule: Schedule {
                asked_at: Some(at(50)),
                ..Schedule::default()
            },
            ..terms()
        };
        let never = Terms {
            schedule: Schedule::default(),
            ..terms()
        };
        let one = vec![held("1", Current, 0)];
        let two = vec![held("1", Current, 0), held("2", Next, 95)];
        let after = vec![held("1", Previous, 105), held("2", Current, 105)];
        for (keys, terms, expected) in [
            (&one, &terms(), Some(100)),
            (&two, &terms(), Some(105)), // the next key was made late
            (&after, &terms(), Some(205)),
            (&one, &on_request, Some(60)),
            (&after, &on_request, None),
            (&one, &never, None),
            (&vec![], &terms(), None),
        ] {
            assert_eq!(planned_at(keys, terms), expected.map(at), "{keys:?} {terms:?}");
        }
    }

    #[test]
    fn the_next_pass_is_when_a_step_is_due() {
        use Stage::{Current, Next, Previous};
        let waiting = [held("1", Current, 0), held("2", Next, 90)];
        let overlapping = [held("1", Previous, 100), held("2", Current, 100)];
        let table = [
            (&[held("1", Current, 0)][..], 0, Some(90)),
            (&waiting, 95, Some(100)),
            (&waiting, 100, None), // it waits for clients, whose changes wake it
            (&overlapping, 100, Some(130)),
            (&overlapping, 130, Some(190)),
        ];
        for (keys, now, expected) in table {
            assert_eq!(next_at(keys, &terms(), at(now)), expected.map(at), "{keys:?} at {now}");
        }
    }
}
