//! A token bucket: how many requests a rate limit lets pass.

use std::time::Instant;

/// Tokens that come back evenly, up to those of one second.
pub(super) struct Bucket {
    per_second: f64,
    tokens: f64,
    since: Instant,
}

impl Bucket {
    /// A bucket with the tokens of one second.
    pub(super) fn full(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second);
        Self {
            per_second,
            tokens: per_second,
            since: now,
        }
    }

    /// Takes a token, if there is one.
    pub(super) fn takes(&mut self, now: Instant) -> bool {
        let back = now.saturating_duration_since(self.since).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + back).min(self.per_second);
        self.since = now;
        let takes = self.tokens >= 1.0;
        if takes {
            self.tokens -= 1.0;
        }
        takes
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let begun = Instant::now();
        let mut bucket = Bucket::full(10, begun);
        let mut passed = |after: u64| {
            let now = begun + Duration::from_millis(after);
            (0..100).filter(|_| bucket.takes(now)).count()
        };
        assert_eq!(
            [passed(0), passed(50), passed(100), passed(350), passed(9_000)],
            [10, 0, 1, 2, 10]
        );
    }
}
