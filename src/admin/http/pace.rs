//! How many concurrent requests a server gets, and when each may start: as many and as early as it can handle.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::rate::{Order, Rate};

/// Maximum number of concurrent requests to one server.
const MOST: usize = 16;

/// The limit is halved when requests disturb each other, and raised by one after each successful round. A database may
/// lock out concurrent writers and report it as a failure of the server.
pub(super) struct Pace {
    rate: Mutex<Rate>,
    /// Held by the request that is next, in the order of arrival.
    queue: tokio::sync::Mutex<()>,
    permits: Semaphore,
    state: Mutex<State>,
}

struct State {
    limit: usize,
    /// Permits to remove as soon as they are returned.
    surplus: usize,
    /// Successful requests since the limit changed.
    good: usize,
}

/// A request in progress.
pub(super) struct Turn<'a> {
    pace: &'a Pace,
    permit: Option<SemaphorePermit<'a>>,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            rate: Mutex::default(),
            queue: tokio::sync::Mutex::default(),
            permits: Semaphore::new(MOST),
            state: Mutex::new(State {
                limit: MOST,
                surplus: 0,
                good: 0,
            }),
        }
    }
}

impl Pace {
    /// Waits for a turn, but not beyond `until`.
    ///
    /// # Errors
    /// How long the server wants no request, in whole seconds.
    pub(super) async fn turn(&self, order: Order, until: Instant) -> Result<Turn<'_>, Duration> {
        let pause = self.rate().wait(Order::Ahead, Instant::now());
        if Instant::now() + pause > until {
            return Err(rounded(pause));
        }
        let is_limited = self.rate().is_limited();
        let next = match order {
            Order::Queued if is_limited => {
                let queue = tokio::time::timeout_at(until.into(), self.queue.lock()).await;
                Some(queue.map_err(|_| Duration::ZERO)?)
            }
            Order::Queued | Order::Ahead => None,
        };
        loop {
            let now = Instant::now();
            let wait = self.rate().wait(order, now);
            if wait.is_zero() {
                self.rate().started(now);
                break;
            }
            if now + wait > until {
                return Err(rounded(wait));
            }
            tokio::time::sleep(wait).await;
        }
        drop(next);
        let permit = self.permits.acquire().await.ok(); // never closed
        Ok(Turn { pace: self, permit })
    }

    /// A request that started at `sent` was answered with 429. `asked`: the pause that the server asks for. Returns
    /// whether the server has accepted no request for too long.
    pub(super) fn refused(&self, sent: Instant, asked: Option<Duration>) -> bool {
        self.rate().refused(sent, asked, Instant::now())
    }

    /// A request that started at `sent` has shown that the server is overloaded: the next ones start half as often.
    pub(super) fn overloaded(&self, sent: Instant) {
        self.rate().overloaded(sent, Instant::now());
    }

    /// Requests a second, while the server limits them.
    pub(super) fn limit(&self) -> Option<f64> {
        self.rate().limit()
    }

    /// Requests disturbed each other.
    pub(super) fn slower(&self) {
        let mut state = self.lock();
        let limit = (state.limit / 2).max(1);
        let surplus = state.surplus + state.limit - limit;
        state.surplus = surplus - self.permits.forget_permits(surplus);
        state.limit = limit;
        state.good = 0;
    }

    /// A request succeeded.
    pub(super) fn went_well(&self) {
        self.rate().passed();
        let mut state = self.lock();
        state.good += 1;
        if state.good < state.limit || state.limit == MOST {
            return;
        }
        state.good = 0;
        state.limit += 1;
        match state.surplus {
            0 => self.permits.add_permits(1),
            _ => state.surplus -= 1,
        }
    }

    fn rate(&self) -> MutexGuard<'_, Rate> {
        self.rate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.pace.lock();
        if state.surplus > 0
            && let Some(permit) = self.permit.take()
        {
            state.surplus -= 1;
            permit.forget();
        }
    }
}

/// The next whole second.
fn rounded(wait: Duration) -> Duration {
    Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn turn(pace: &Pace) -> Turn<'_> {
        let soon = Instant::now() + Duration::from_secs(5);
        pace.turn(Order::Queued, soon).await.expect("no limit")
    }

    fn free(pace: &Pace) -> usize {
        pace.permits.available_permits()
    }

    #[tokio::test]
    async fn trouble_halves_and_success_raises() {
        let pace = Pace::default();
        for left in [8, 4, 2, 1, 1] {
            pace.slower();
            assert_eq!(free(&pace), left);
        }
        for expected in [2, 3, 4] {
            (1..expected).for_each(|_| pace.went_well());
            assert_eq!(free(&pace), expected);
        }
        (0..1000).for_each(|_| pace.went_well());
        assert_eq!(free(&pace), MOST);
    }

    #[tokio::test]
    async fn what_is_under_way_ends_and_makes_no_room() {
        let pace = Pace::default();
        let mut turns = Vec::new();
        for _ in 0..MOST {
            turns.push(turn(&pace).await);
        }
        pace.slower();
        pace.slower();
        assert_eq!(free(&pace), 0);
        turns.truncate(4);
        assert_eq!(free(&pace), 0, "four are still in progress, and the limit is four");
        turns.truncate(1);
        assert_eq!(free(&pace), 3);
        drop(turns);
        assert_eq!(free(&pace), 4);
    }

    #[tokio::test]
    async fn who_would_wait_too_long_gives_up_at_once() {
        let (pace, now) = (Pace::default(), Instant::now());
        pace.refused(now, Some(Duration::from_secs(20)));
        let until = now + Duration::from_secs(10);
        let (one, other) = tokio::join!(pace.turn(Order::Queued, until), pace.turn(Order::Queued, until));
        for turn in [one, other, pace.turn(Order::Ahead, until).await] {
            assert_eq!(turn.err(), Some(Duration::from_secs(20)));
        }
    }

    #[tokio::test]
    async fn requests_start_in_the_order_in_which_they_came() {
        let (pace, now) = (Pace::default(), Instant::now());
        pace.refused(now, None);
        let started = Mutex::new(Vec::new());
        let until = now + Duration::from_secs(10);
        let requests = (0..5).map(|number| {
            let (pace, started) = (&pace, &started);
            async move {
                let _turn = pace.turn(Order::Queued, until).await;
                started.lock().expect("not poisoned").push(number);
            }
        });
        futures::future::join_all(requests).await;
        assert_eq!(*started.lock().expect("not poisoned"), [0, 1, 2, 3, 4]);
        assert!(
            now.elapsed() >= Duration::from_millis(250 + 4 * 62),
            "spaced after the pause"
        );
    }
}
