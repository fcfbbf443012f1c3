//! How many requests a server gets at the same time: as many as it bears.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Requests to one server at the same time when all is well.
const MOST: usize = 16;

/// Halved when requests disturb each other, raised by one for each round that went well. A database may lock out writers that come together, and report it
/// as a failure of the server.
pub(super) struct Pace {
    permits: Semaphore,
    state: Mutex<State>,
}

struct State {
    limit: usize,
    /// Permits to take out of use as soon as they come back.
    surplus: usize,
    /// Requests that went well since the limit changed.
    good: usize,
}

/// A request under way.
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

    /// A request went well.
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
        assert_eq!(free(&pace), 0, "four are still under way, and there is room for four");
        turns.truncate(1);
        assert_eq!(free(&pace), 3);
        drop(turns);
        assert_eq!(free(&pace), 4);
    }
}
