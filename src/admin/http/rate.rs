//! When the next request to a server may start: as early as the server accepts it. Pure.
//!
//! A server that answers 429 limits the number of requests in a period (RFC 6585, section 4). The operator does not
//! know the limit, so it halves its own rate, and approaches the limit again from below.

use std::time::{Duration, Instant};

/// Rate at the first 429, in requests a second: several requests at a time whose duration is not known.
const FIRST: f64 = 32.0;
/// Lowest rate. Pauses slow down what is still too fast.
const LOWEST: f64 = 0.5;
/// Above this rate the operator itself is the limit.
const HIGHEST: f64 = 128.0;
/// Each success makes up for this part of the last halving.
const RECOVERY: f64 = 1.0 / 8.0;
/// Each success raises the rate by at least this part of it.
const GROWTH: f64 = 1.0 / 64.0;
/// Pause after the first 429. It doubles while no request succeeds.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest pause that the server does not ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Longest pause that the server can ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(60);
/// A server that accepts no request for so long, after at least [`PAUSES`], cannot be used.
const TOO_LONG: Duration = Duration::from_secs(30);
/// Number of pauses in a row after which the server may count as unusable: one may be as long as the period of its
/// limit.
const PAUSES: u32 = 3;

/// Whether a request waits for those that were there before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It waits for its turn.
    Queued,
    /// It waits only for the end of a pause, because many others need its result.
    Ahead,
}

/// The rate at which requests may start.
#[derive(Default)]
pub(super) struct Rate {
    /// Requests a second. None: the server has shown no limit.
    limit: Option<f64>,
    /// The limit before it was last halved.
    before: f64,
    /// When the next queued request may start.
    next: Option<Instant>,
    /// End of the pause.
    pause: Option<Instant>,
    /// When the server last made the operator slow down.
    slowed: Option<Instant>,
    /// First 429 since the last success, and the number of pauses since then.
    refusals: Option<(Instant, u32)>,
}

impl Rate {
    /// Whether the server has shown a limit.
    pub(super) fn is_limited(&self) -> bool {
        self.limit.is_some() || self.refusals.is_some()
    }

    /// Requests a second. None: the server has shown no limit.
    pub(super) fn limit(&self) -> Option<f64> {
        self.limit
    }

    /// How long a request has to wait before it asks again.
    pub(super) fn wait(&self, order: Order, now: Instant) -> Duration {
        let due = match order {
            Order::Queued => self.pause.max(self.next),
            Order::Ahead => self.pause,
        };
        due.map_or(Duration::ZERO, |due| due.saturating_duration_since(now))
    }

    /// A request starts.
    pub(super) fn started(&mut self, now: Instant) {
        let interval = self.limit.map(|limit| Duration::from_secs_f64(1.0 / limit));
        self.next = interval.map(|interval| self.next.map_or(now, |next| next.max(now)) + interval);
    }

    /// A request was answered with anything other than 429.
    pub(super) fn passed(&mut self) {
        self.refusals = None;
        self.limit = self
            .limit
            .map(|limit| limit + ((self.before - limit) * RECOVERY).max(limit * GROWTH))
            .filter(|limit| *limit <= HIGHEST);
    }

    /// A request that started at `sent` was answered with 429. `asked`: the pause that the server asks for. Returns
    /// whether it has accepted no request for too long.
    pub(super) fn refused(&mut self, sent: Instant, asked: Option<Duration>, now: Instant) -> bool {
        let (since, pauses) = self.refusals.unwrap_or((now, 0));
        let asked = asked.unwrap_or_default().min(LONGEST_ASKED);
        let is_news = self.is_news(sent, now);
        let (pause, pauses) = match is_news {
            true => (asked.max(own_pause(pauses)), pauses + 1),
            false => (asked, pauses),
        };
        // While nothing passes, it is not the rate that is wrong.
        if is_news && pauses == 1 {
            self.halve();
        }
        self.refusals = Some((since, pauses));
        self.pause = self.pause.max(Some(now + pause));
        pauses >= PAUSES && now.saturating_duration_since(since) >= TOO_LONG
    }

    /// A request that started at `sent` has shown that the server is overloaded.
    pub(super) fn overloaded(&mut self, sent: Instant, now: Instant) {
        if self.is_news(sent, now) {
            self.halve();
        }
    }

    /// Whether a request started at the present rate. What started earlier has the same cause as the last change.
    fn is_news(&mut self, sent: Instant, now: Instant) -> bool {
        let is_news = self.slowed.is_none_or(|slowed| sent >= slowed);
        if is_news {
            self.slowed = Some(now);
        }
        is_news
    }

    fn halve(&mut self) {
        self.before = self.limit.unwrap_or(FIRST);
        self.limit = Some((self.before / 2.0).max(LOWEST));
    }
}

/// Pause after the 429 that follows this many pauses without a success.
fn own_pause(pauses: u32) -> Duration {
    FIRST_PAUSE
        .saturating_mul(2u32.saturating_pow(pauses))
        .min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Starts a request, or returns how long it has to wait.
    fn start(rate: &mut Rate, order: Order, now: Instant) -> Result<(), Duration> {
        match rate.wait(order, now) {
            Duration::ZERO => {
                rate.started(now);
                Ok(())
            }
            wait => Err(wait),
        }
    }

    /// A rate that has been halved to this one.
    fn halved_to(limit: f64) -> Rate {
        Rate {
            limit: Some(limit),
            before: limit * 2.0,
            ..Rate::default()
        }
    }

    #[test]
    fn a_server_without_a_limit_gets_everything_at_once() {
        let (mut rate, now) = (Rate::default(), Instant::now());
        for _ in 0..1_000 {
            assert_eq!(start(&mut rate, Order::Queued, now), Ok(()));
            rate.passed();
        }
    }

    #[test]
    fn the_rate_is_halved_once_for_all_that_was_under_way() {
        let (mut rate, sent) = (Rate::default(), Instant::now());
        let first = sent + ms(10);
        for number in 0..16 {
            rate.refused(sent, None, first + ms(number));
            assert_eq!(rate.limit, Some(FIRST / 2.0), "{number}");
        }
        assert_eq!(
            start(&mut rate, Order::Queued, first),
            Err(FIRST_PAUSE),
            "the first one counts"
        );
    }

    #[test]
    fn an_overloaded_server_halves_it_once_too() {
        let (mut rate, sent) = (Rate::default(), Instant::now());
        for (started, expected) in [(0, 16.0), (0, 16.0), (9, 16.0), (30, 8.0)] {
            rate.overloaded(sent + ms(started), sent + ms(started + 10));
            assert_eq!(rate.limit, Some(expected), "{started}");
        }
        assert_eq!(
            start(&mut rate, Order::Queued, sent),
            Ok(()),
            "the breaker makes the pause"
        );
    }

    #[test]
    fn each_success_that_is_followed_by_a_429_halves_it_again() {
        let (mut rate, mut now) = (Rate::default(), Instant::now());
        for expected in [16.0, 8.0, 4.0, 2.0, 1.0, 0.5, 0.5] {
            rate.refused(now, None, now);
            assert_eq!(rate.limit, Some(expected));
            rate.refusals = None; // a success, without its effect on the rate
            now += s(1);
        }
    }

    #[test]
    fn pauses_double_while_nothing_passes_and_the_rate_stays() {
        let (mut rate, mut now) = (Rate::default(), Instant::now());
        for expected in [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000] {
            rate.refused(now, None, now);
            assert_eq!(start(&mut rate, Order::Queued, now), Err(ms(expected)));
            assert_eq!(rate.limit, Some(FIRST / 2.0));
            now += ms(expected);
            assert_eq!(start(&mut rate, Order::Queued, now), Ok(()), "{expected}");
        }
        rate.passed();
        rate.refused(now, None, now);
        assert_eq!(start(&mut rate, Order::Ahead, now), Err(FIRST_PAUSE));
    }

    #[test]
    fn the_pause_that_the_server_asks_for_is_kept_within_bounds() {
        let table = [
            (None, FIRST_PAUSE),
            (Some(s(0)), FIRST_PAUSE),
            (Some(ms(100)), FIRST_PAUSE),
            (Some(s(1)), s(1)),
            (Some(s(60)), s(60)),
            (Some(s(3_600)), s(60)),
        ];
        for (asked, pause) in table {
            let (mut rate, now) = (Rate::default(), Instant::now());
            rate.refused(now, asked, now);
            for order in [Order::Queued, Order::Ahead] {
                assert_eq!(start(&mut rate, order, now), Err(pause), "{asked:?}");
                assert_eq!(start(&mut rate, order, now + pause - ms(1)), Err(ms(1)), "{asked:?}");
            }
            // Another reply to a request of the same time may ask for more, not for less.
            rate.refused(now - ms(1), None, now);
            assert_eq!(start(&mut rate, Order::Queued, now), Err(pause), "{asked:?}");
            rate.refused(now - ms(1), Some(pause + s(1)), now);
            assert_eq!(
                start(&mut rate, Order::Queued, now),
                Err((pause + s(1)).min(s(60))),
                "{asked:?}"
            );
        }
    }

    #[test]
    fn a_slowed_rate_spaces_requests_and_lets_those_ahead_pass() {
        let (mut rate, now) = (halved_to(10.0), Instant::now());
        assert_eq!(start(&mut rate, Order::Queued, now), Ok(()));
        assert_eq!(start(&mut rate, Order::Queued, now), Err(ms(100)));
        assert_eq!(start(&mut rate, Order::Ahead, now), Ok(()));
        assert_eq!(start(&mut rate, Order::Queued, now), Err(ms(200)), "it counts");
        assert_eq!(start(&mut rate, Order::Queued, now + ms(200)), Ok(()));
        // A time without requests saves nothing up.
        assert_eq!(start(&mut rate, Order::Queued, now + s(9)), Ok(()));
        assert_eq!(start(&mut rate, Order::Queued, now + s(9)), Err(ms(100)));
    }

    #[test]
    fn successes_raise_the_rate_quickly_to_what_it_was_and_then_slowly() {
        let mut rate = halved_to(5.0);
        let mut after = |successes: usize| {
            (0..successes).for_each(|_| rate.passed());
            rate.limit.unwrap_or(f64::INFINITY)
        };
        let (few, many, beyond) = (after(8), after(8), after(32));
        assert!((8.0..9.0).contains(&few), "{few}");
        assert!((9.0..10.5).contains(&many), "{many}");
        assert!((12.0..20.0).contains(&beyond), "{beyond}");
        assert_eq!(after(1_000), f64::INFINITY, "the limit is forgotten");
    }

    #[test]
    fn a_server_that_accepts_nothing_for_long_cannot_be_used() {
        // Seconds after which a request is refused, and whether this was too long.
        let tables: [&[(u64, bool)]; 4] = [
            &[
                (0, false),
                (10, false),
                (20, false),
                (29, false),
                (30, true),
                (31, true),
            ],
            &[(0, false), (60, false), (120, true)], // the limit is for a minute
            &[(0, false), (3_600, false)],
            &[(0, false), (1, false), (2, false), (3, false)],
        ];
        for table in tables {
            let (mut rate, begun) = (Rate::default(), Instant::now());
            for (after, expected) in table {
                let now = begun + s(*after);
                assert_eq!(rate.refused(now, None, now), *expected, "{after} of {table:?}");
            }
            rate.passed();
            let now = begun + s(7_200);
            assert!(!rate.refused(now, None, now), "a success starts anew: {table:?}");
        }
    }

    /// What a server does with a request at this time.
    enum Limiter {
        /// Tokens that come back evenly: rate, size of the bucket, tokens, since when.
        Bucket(f64, f64, f64, Duration),
        /// A number of requests in each second: the second, and how many it had.
        Window(u64, u64),
    }

    impl Limiter {
        fn accepts(&mut self, at: Duration) -> bool {
            match self {
                Limiter::Bucket(rate, size, tokens, since) => {
                    *tokens = (*tokens + (at - *since).as_secs_f64() * *rate).min(*size);
                    *since = at;
                    let accepts = *tokens >= 1.0;
                    *tokens -= f64::from(u8::from(accepts));
                    accepts
                }
                Limiter::Window(second, count) => {
                    if at.as_secs() != *second {
                        (*second, *count) = (at.as_secs(), 0);
                    }
                    *count += 1;
                    *count <= 10
                }
            }
        }
    }

    /// 200 requests through ten a second. The least time is 19 to 20 seconds.
    #[test]
    fn most_of_a_limit_is_used_and_few_requests_are_refused() {
        const LATENCY: Duration = Duration::from_millis(10);
        let bucket = |size| Limiter::Bucket(10.0, size, size, Duration::ZERO);
        let table = [
            (bucket(10.0), None, 25),
            (bucket(10.0), Some(s(1)), 25),
            (Limiter::Window(0, 0), None, 30),
            (Limiter::Window(0, 0), Some(s(1)), 30),
            (bucket(1.0), None, 35),
        ];
        for (number, (mut limiter, asked, longest)) in table.into_iter().enumerate() {
            let (mut rate, begun) = (Rate::default(), Instant::now());
            let (mut now, mut refused) = (begun, 0);
            for _ in 0..200 {
                loop {
                    while let Err(wait) = start(&mut rate, Order::Queued, now) {
                        now += wait;
                    }
                    let sent = now;
                    now += LATENCY;
                    if limiter.accepts(now - begun) {
                        break rate.passed();
                    }
                    refused += 1;
                    assert!(!rate.refused(sent, asked, now), "{number}: it is in use");
                }
            }
            let took = now - begun;
            assert!(took < s(longest), "{number}: {took:?}, {refused} refused");
            assert!(refused < 30, "{number}: {refused} refused");
        }
    }
}
