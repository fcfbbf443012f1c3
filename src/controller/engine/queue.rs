//! Decides which key gets a pass next. Pure: it knows keys and places, but not what a pass does.
//!
//! Each server has a lane for the resources on it. A lane runs a bounded number of passes at a time, so a slow server
//! delays only its own resources. Lanes take turns, and so do the namespaces within a lane. A namespace also runs a
//! bounded number of passes, and fewer while other namespaces use the lane. A resource that itself makes its server
//! slow is retried behind everything else in its namespace, one such resource at a time.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Maximum number of passes of one lane at a time.
const OF_LANE: usize = 32;

/// Maximum number of passes of one namespace at a time while no other namespace uses its lane.
const ALONE: usize = 4;

/// Maximum number of passes of one namespace at a time while others use its lane: they wait for the server and
/// processor time that these passes take.
const IN_COMPANY: usize = 1;

/// How long after the start of its last pass a namespace counts as using its lane. This is longer than it takes to see
/// that a client is Ready and to create another one.
const STAY: Duration = Duration::from_secs(5);

/// Maximum number of retries of slow keys at a time, in one namespace of a lane. They do not count as its other passes.
const OF_SLOW: usize = 1;

/// A group of keys that share a limit of running passes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// The passes of an AuthorizationServer itself, which its resources never delay.
    Server(Arc<str>),
    /// The resources on a server.
    On(Arc<str>),
    /// Resources that name a server that does not exist. They share one lane, because anyone can make up names.
    Nowhere,
}

/// Where a key waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Lane of the key.
    pub lane: Lane,
    /// Namespace of the resource; empty for an AuthorizationServer.
    pub namespace: Arc<str>,
}

/// How a pass ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Time until the next pass, if nothing wakes the key earlier. None: only a wake starts the next pass.
    pub again: Option<Duration>,
    /// Whether the resource itself made the server slow (`Retry::Slow`).
    pub was_slow: bool,
}

/// A key whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken<K> {
    /// The key.
    pub key: K,
    /// Time since its pass was due.
    pub waited: Duration,
}

/// How long the queue is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Number of keys whose pass is due and has not started.
    pub waiting: usize,
    /// Number of passes that are running.
    pub running: usize,
    /// Time since the oldest pass that has not started was due.
    pub oldest: Duration,
}

/// Keys that wait for a pass, have one, or rest until their next pass is due.
pub struct Queue<K> {
    entries: HashMap<K, Entry>,
    lanes: HashMap<Lane, Waiting<K>>,
    /// Lanes with waiting keys, the next one first.
    turns: VecDeque<Lane>,
    resting: BTreeMap<(Instant, u64), K>,
    rests: u64,
}

struct Entry {
    place: Place,
    state: State,
}

enum State {
    Waiting { tempo: Tempo, due: Instant },
    Running { tempo: Tempo, woken: bool },
    Resting { until: (Instant, u64), tempo: Tempo },
}

/// Whether a key is retried after a slow pass (`Slow`). A wake makes it `Usual` again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tempo {
    Usual,
    Slow,
}

/// The state of a lane.
struct Waiting<K> {
    running: usize,
    namespaces: HashMap<Arc<str>, Namespace<K>>,
    /// Namespaces with waiting keys, the next one first.
    turns: VecDeque<Arc<str>>,
    company: Company,
}

/// The last two namespaces that got a pass, and when; the latest first.
#[derive(Default)]
struct Company([Option<(Arc<str>, Instant)>; 2]);

struct Namespace<K> {
    running: usize,
    /// Retries of slow keys that are running; not part of `running`.
    slow_running: usize,
    waiting: VecDeque<K>,
    slow: VecDeque<K>,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Queue {
            entries: HashMap::new(),
            lanes: HashMap::new(),
            turns: VecDeque::new(),
            resting: BTreeMap::new(),
            rests: 0,
        }
    }
}

impl<K> Default for Waiting<K> {
    fn default() -> Self {
        Waiting {
            running: 0,
            namespaces: HashMap::new(),
            turns: VecDeque::new(),
            company: Company::default(),
        }
    }
}

impl<K> Default for Namespace<K> {
    fn default() -> Self {
        Namespace {
            running: 0,
            slow_running: 0,
            waiting: VecDeque::new(),
            slow: VecDeque::new(),
        }
    }
}

impl<K: Clone + Eq + Hash> Queue<K> {
    /// Queues a key for a pass as soon as possible. A key whose pass is running gets another one after it.
    pub fn wake(&mut self, key: K, now: Instant, place: impl FnOnce() -> Place) {
        let Some(entry) = self.entries.get_mut(&key) else {
            return self.enqueue(key, place(), Tempo::Usual, now);
        };
        match &mut entry.state {
            State::Waiting {
                tempo: Tempo::Usual, ..
            } => return,
            State::Waiting {
                tempo: tempo @ Tempo::Slow,
                ..
            } => {
                *tempo = Tempo::Usual;
                let lane = self.lanes.get_mut(&entry.place.lane);
                if let Some(namespace) = lane.and_then(|lane| lane.namespaces.get_mut(&entry.place.namespace)) {
                    namespace.slow.retain(|waiting| *waiting != key);
                    namespace.waiting.push_back(key);
                }
                return;
            }
            State::Running { woken, .. } => {
                *woken = true;
                return;
            }
            State::Resting { until, .. } => {
                self.resting.remove(until);
            }
        }
        self.enqueue(key, place(), Tempo::Usual, now);
    }

    /// Returns the next key whose turn it is. The caller must report the end of its pass with [`Queue::end`].
    pub fn take(&mut self, now: Instant) -> Option<Taken<K>> {
        self.rouse(now);
        for _ in 0..self.turns.len() {
            let lane = self.turns.pop_front()?;
            let waiting = self.lanes.get_mut(&lane)?;
            let taken = waiting.take(now);
            if !waiting.turns.is_empty() {
                self.turns.push_back(lane);
            }
            if let Some((key, tempo)) = taken {
                let entry = self.entries.get_mut(&key)?;
                let before = std::mem::replace(&mut entry.state, State::Running { tempo, woken: false });
                let due = match before {
                    State::Waiting { due, .. } => due,
                    State::Running { .. } | State::Resting { .. } => now,
                };
                let waited = now.saturating_duration_since(due);
                return Some(Taken { key, waited });
            }
        }
        None
    }

    /// Records that a pass has ended. `place`: where the key waits if it was woken during the pass.
    pub fn end(&mut self, key: &K, ended: Ended, now: Instant, place: impl FnOnce() -> Place) {
        let Some(Entry {
            place: before,
            state: State::Running { tempo, woken },
        }) = self.entries.remove(key)
        else {
            return;
        };
        self.leave(&before, tempo);
        match ended.again {
            _ if woken => self.enqueue(key.clone(), place(), Tempo::Usual, now),
            Some(after) => {
                self.rests += 1;
                let until = (now + after, self.rests);
                let tempo = if ended.was_slow { Tempo::Slow } else { Tempo::Usual };
                let state = State::Resting { until, tempo };
                self.resting.insert(until, key.clone());
                self.entries.insert(key.clone(), Entry { place: before, state });
            }
            None => {}
        }
    }

    /// Returns when the first resting key is due.
    pub fn due(&self) -> Option<Instant> {
        self.resting.first_key_value().map(|((at, _), _)| *at)
    }

    /// Returns how long the queue is. It looks at every key.
    pub fn load(&self, now: Instant) -> Load {
        let mut load = Load::default();
        for entry in self.entries.values() {
            let due = match &entry.state {
                State::Running { .. } => {
                    load.running += 1;
                    continue;
                }
                State::Waiting { due, .. } => *due,
                State::Resting { until, .. } => until.0,
            };
            if due <= now {
                load.waiting += 1;
                load.oldest = load.oldest.max(now - due);
            }
        }
        load
    }

    /// Moves the resting keys that are due into their lanes.
    fn rouse(&mut self, now: Instant) {
        while let Some(first) = self.resting.first_entry()
            && first.key().0 <= now
        {
            let due = first.key().0;
            let key = first.remove();
            if let Some(Entry {
                place,
                state: State::Resting { tempo, .. },
            }) = self.entries.remove(&key)
            {
                self.enqueue(key, place, tempo, due);
            }
        }
    }

    fn enqueue(&mut self, key: K, place: Place, tempo: Tempo, due: Instant) {
        let waiting = self.lanes.entry(place.lane.clone()).or_default();
        if waiting.turns.is_empty() {
            self.turns.push_back(place.lane.clone());
        }
        waiting.push(place.namespace.clone(), key.clone(), tempo);
        let state = State::Waiting { tempo, due };
        self.entries.insert(key, Entry { place, state });
    }

    fn leave(&mut self, place: &Place, tempo: Tempo) {
        let Some(waiting) = self.lanes.get_mut(&place.lane) else {
            return;
        };
        waiting.running = waiting.running.saturating_sub(1);
        if let Some(namespace) = waiting.namespaces.get_mut(&place.namespace) {
            let running = match tempo {
                Tempo::Usual => &mut namespace.running,
                Tempo::Slow => &mut namespace.slow_running,
            };
            *running = running.saturating_sub(1);
            if namespace.running + namespace.slow_running == 0 && namespace.is_empty() {
                waiting.namespaces.remove(&place.namespace);
            }
        }
        if waiting.namespaces.is_empty() {
            self.lanes.remove(&place.lane);
        }
    }
}

impl<K> Waiting<K> {
    fn push(&mut self, name: Arc<str>, key: K, tempo: Tempo) {
        let namespace = self.namespaces.entry(name.clone()).or_default();
        if namespace.is_empty() {
            self.turns.push_back(name);
        }
        match tempo {
            Tempo::Usual => namespace.waiting.push_back(key),
            Tempo::Slow => namespace.slow.push_back(key),
        }
    }

    /// Takes the first key of the next namespace that may run one more pass.
    fn take(&mut self, now: Instant) -> Option<(K, Tempo)> {
        if self.running >= OF_LANE {
            return None;
        }
        for _ in 0..self.turns.len() {
            let name = self.turns.pop_front()?;
            let namespace = self.namespaces.get_mut(&name)?;
            let most = if self.company.has_other_than(&name, now) {
                IN_COMPANY
            } else {
                ALONE
            };
            let taken = namespace.take(most);
            if taken.is_some() {
                self.company.note(&name, now);
            }
            if !namespace.is_empty() {
                self.turns.push_back(name);
            }
            if taken.is_some() {
                self.running += 1;
                return taken;
            }
        }
        None
    }
}

impl Company {
    fn note(&mut self, namespace: &Arc<str>, now: Instant) {
        let [latest, before] = &mut self.0;
        if latest.as_ref().is_some_and(|(name, _)| name != namespace) {
            std::mem::swap(latest, before);
        }
        *latest = Some((namespace.clone(), now));
    }

    fn has_other_than(&self, namespace: &str, now: Instant) -> bool {
        let mut others = self.0.iter().flatten().filter(|(name, _)| **name != *namespace);
        others.any(|(_, at)| now.saturating_duration_since(*at) < STAY)
    }
}

impl<K> Namespace<K> {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.slow.is_empty()
    }

    fn take(&mut self, most: usize) -> Option<(K, Tempo)> {
        if self.running < most
            && let Some(key) = self.waiting.pop_front()
        {
            self.running += 1;
            return Some((key, Tempo::Usual));
        }
        if self.waiting.is_empty() && self.slow_running < OF_SLOW {
            let key = self.slow.pop_front()?;
            self.slow_running += 1;
            return Some((key, Tempo::Slow));
        }
        None
    }
}
