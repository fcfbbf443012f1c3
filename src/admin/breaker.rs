//! Circuit breaker of one server: after a failure only the prober sends requests, however many resources wait.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// An opening this soon after the last closing counts as the same trouble.
const SAME_TROUBLE: Duration = Duration::from_secs(30);
/// Longest pause before a probe, unless the server asks for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Longest pause that a server can ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(60);

/// Opened by a failure that concerns the server rather than one request; closed by a success of the prober.
#[derive(Default)]
pub struct Breaker(Mutex<State>);

#[derive(Default)]
struct State {
    /// Since when it is open, and how long the prober should wait from then.
    open: Option<(Instant, Duration)>,
    closed: Option<Instant>,
    /// Openings in a row that each came soon after a closing: the server answers probes and fails everything else.
    relapses: u32,
}

impl Breaker {
    /// Whether requests other than the prober's are held back.
    pub fn is_open(&self) -> bool {
        self.lock().open.is_some()
    }

    /// Opens it. `asked`: the pause that the server asks for, if it does (`Retry-After`).
    pub fn open(&self, asked: Option<Duration>) {
        let mut state = self.lock();
        if state.open.is_some() {
            return;
        }
        let again = state.closed.is_some_and(|at| at.elapsed() < SAME_TROUBLE);
        state.relapses = if again { state.relapses.saturating_add(1) } else { 0 };
        let own = Duration::from_millis(250) * (2u32.saturating_pow(state.relapses.min(8)) - 1);
        state.open = Some((
            Instant::now(),
            own.min(LONGEST_PAUSE).max(asked.unwrap_or_default().min(LONGEST_ASKED)),
        ));
    }

    /// How long the prober should still wait.
    pub fn pause(&self) -> Duration {
        self.lock()
            .open
            .map_or(Duration::ZERO, |(since, pause)| pause.saturating_sub(since.elapsed()))
    }

    /// Closes it.
    pub fn close(&self) {
        let mut state = self.lock();
        if state.open.take().is_some() {
            state.closed = Some(Instant::now());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
