//! Limits how often an action is done for one resource: a burst, then one action per interval, as in the event
//! recorders of Kubernetes. So a user who edits a resource in a loop does not flood the cluster with events.

use std::time::{Duration, Instant};

/// Number of actions in a burst.
const AT_ONCE: u32 = 25;

/// Time until one more action is allowed.
const REFILL: Duration = Duration::from_secs(300);

/// Counts recent actions. A new budget is full.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Budget {
    used: u32,
    since: Option<Instant>,
}

impl Budget {
    /// Uses one action of the budget. False if none is left.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        if self.used >= AT_ONCE {
            return false;
        }
        self.since = self.since.or(Some(now));
        self.used += 1;
        true
    }

    /// Time until the next refill.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        let since = self.since.map(|since| now.saturating_duration_since(since));
        REFILL.saturating_sub(since.unwrap_or(REFILL))
    }

    /// Whether no action is used.
    pub(crate) fn is_full(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.used == 0
    }

    fn refill(&mut self, now: Instant) {
        let Some(since) = self.since else { return };
        let refills = now.saturating_duration_since(since).as_secs() / REFILL.as_secs();
        let refills = u32::try_from(refills).unwrap_or(u32::MAX);
        self.used = self.used.saturating_sub(refills);
        self.since = match self.used {
            0 => None,
            _ => Some(since + REFILL * refills),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_per_interval() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        let passed = (0..1_000).filter(|_| budget.take(start)).count();
        assert_eq!(passed, 25);
        let hour = start + Duration::from_secs(3_600);
        let passed = (0..1_000).filter(|_| budget.take(hour)).count();
        assert_eq!(passed, 12);
        assert_eq!(budget.wait(hour + Duration::from_secs(60)), Duration::from_secs(240));
        assert!(!budget.is_full(hour));
        assert!(budget.is_full(hour + Duration::from_secs(25 * 300)));
        assert!(budget.take(hour + Duration::from_secs(1_000_000_000)));
    }
}
