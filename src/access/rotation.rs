//! How often secrets and keys may be replaced.

use std::time::Duration;

use super::denied::Denied;
use crate::api::access::AccessRule;

/// The shortest time between two rotations if a rule does not set it.
const MIN_PERIOD: (&str, Duration) = ("1h", Duration::from_secs(3600));

/// What the rules that allow a resource grant it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The shortest time between two rotations.
    pub min_rotation_period: Duration,
}

impl Grant {
    pub(super) fn of(rule: &AccessRule) -> Self {
        Grant {
            min_rotation_period: min_period(rule).1,
        }
    }

    /// Combines two rules that both allow the whole resource: the shorter time applies.
    pub(super) fn or(self, other: Grant) -> Self {
        Grant {
            min_rotation_period: self.min_rotation_period.min(other.min_rotation_period),
        }
    }
}

/// The refusal of a period that is shorter than the rule allows.
pub(super) fn too_often(index: usize, rule: &AccessRule, period: Option<&str>) -> Option<Denied> {
    let period = period?;
    let (text, min) = min_period(rule);
    let asked = crate::duration::parse(period).unwrap_or(Duration::MAX);
    (asked < min).then(|| Denied::TooOften {
        rule: index,
        period: period.to_owned(),
        min: text.to_owned(),
    })
}

fn min_period(rule: &AccessRule) -> (&str, Duration) {
    let said = rule.min_rotation_period.as_deref();
    let said = said.and_then(|text| Some((text, crate::duration::parse(text)?)));
    said.unwrap_or(MIN_PERIOD)
}
