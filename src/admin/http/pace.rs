//! How many concurrent requests a server gets: as many as it can handle.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Maximum number of concurrent requests to one server.
const MOST: usize = 16;

/// The limit is halved when requests disturb each other, and raised by one after each successful round. A database may
/// lock out concurrent writers and report it as a failure of the server.
pub(super) struct Pace {
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
    /// Waits for a turn.
    pub(super) async fn turn(&self) -> Turn<'_> {
        let permit = self.permits.acquire().await.ok(); // never closed
        Turn { pace: self, permit }
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

#[cfg(test)]
mod tests {
    use super::*;

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
            turns.push(pace.turn().await);
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
}
