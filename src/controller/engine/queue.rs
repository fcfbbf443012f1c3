//! Who gets a pass next. Pure: it knows keys and places, and nothing of what a pass does.
//!
//! Every server has a lane for the resources on it, and a lane takes a bounded number of passes at a time, so that a server that is slow holds up nobody
//! but its own. Turns go round: by lane, and within a lane by namespace, each of which has a bounded number of passes too, fewer while it is not alone. What
//! waited in vain for something of its own is tried again one at a time in each namespace, behind everything else there.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Passes of one lane at a time.
const OF_LANE: usize = 32;

/// Passes of one namespace at a time in a lane that it has for itself.
const ALONE: usize = 4;

/// Passes of one namespace at a time while others use its lane: what they take of the servers and the processor, the others wait for.
const IN_COMPANY: usize = 2;

/// How long after its latest pass a namespace counts as using its lane: longer than it takes to see that a client is Ready and to create another one.
const STAY: Duration = Duration::from_secs(5);

/// Second tries at a time, in one namespace of a lane, of what was slow.
const OF_SLOW: usize = 1;

/// What shares its slots.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// The passes of a server itself: its resources never keep it from looking.
    Server(Arc<str>),
    /// The resources on a server.
    On(Arc<str>),
    /// Resources that name a server that is not there: all together, since anybody can think up names.
    Nowhere,
}

/// Where a key waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its lane.
    pub lane: Lane,
    /// Its namespace; empty of a server.
    pub namespace: Arc<str>,
}

/// How a pass ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// When the next one is due, if nothing wakes the key before.
    pub again: Option<Duration>,
    /// Whether it waited in vain for something of the resource's own.
    pub was_slow: bool,
}

/// Keys that wait for a pass, have one, or rest until their time.
pub struct Queue<K> {
    entries: HashMap<K, Entry>,
    lanes: HashMap<Lane, Waiting<K>>,
    /// Lanes with somebody waiting, the next one first.
    turns: VecDeque<Lane>,
    resting: BTreeMap<(Instant, u64), K>,
    rests: u64,
}

struct Entry {
    place: Place,
    state: State,
}

enum State {
    Waiting(Tempo),
    Running { tempo: Tempo, woken: bool },
    Resting { until: (Instant, u64), tempo: Tempo },
}

/// Whether a key is tried again because it was slow, and nothing has woken it since.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tempo {
    Usual,
    Slow,
}

/// A lane.
struct Waiting<K> {
    running: usize,
    namespaces: HashMap<Arc<str>, Namespace<K>>,
    /// Namespaces with somebody waiting, the next one first.
    turns: VecDeque<Arc<str>>,
    company: Company,
}

/// The last two namespaces that were given a pass, the latest first, and when.
#[derive(Default)]
struct Company([Option<(Arc<str>, Instant)>; 2]);

struct Namespace<K> {
    running: usize,
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
    /// A key wants a pass as soon as may be. One that has a pass gets another after it.
    pub fn wake(&mut self, key: K, place: impl FnOnce() -> Place) {
        let Some(entry) = self.entries.get_mut(&key) else {
            return self.enqueue(key, place(), Tempo::Usual);
        };
        match &mut entry.state {
            State::Waiting(Tempo::Usual) => return,
            State::Waiting(Tempo::Slow) => {
                let lane = self.lanes.get_mut(&entry.place.lane);
                if let Some(namespace) = lane.and_then(|lane| lane.namespaces.get_mut(&entry.place.namespace)) {
                    namespace.slow.retain(|waiting| *waiting != key);
                    namespace.waiting.push_back(key);
                }
                entry.state = State::Waiting(Tempo::Usual);
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
        self.enqueue(key, place(), Tempo::Usual);
    }

    /// The next key whose turn it is. Whoever takes it reports its end.
    pub fn take(&mut self, now: Instant) -> Option<K> {
        self.rouse(now);
        for _ in 0..self.turns.len() {
            let lane = self.turns.pop_front()?;
            let waiting = self.lanes.get_mut(&lane)?;
            let taken = waiting.take(now);
            if !waiting.turns.is_empty() {
                self.turns.push_back(lane);
            }
            if let Some((key, tempo)) = taken {
                if let Some(entry) = self.entries.get_mut(&key) {
                    entry.state = State::Running { tempo, woken: false };
                }
                return Some(key);
            }
        }
        None
    }

    /// A pass has ended. `place`: where the key waits for the next one.
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
            _ if woken => self.enqueue(key.clone(), place(), Tempo::Usual),
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

    /// When the first of those that rest is due.
    pub fn due(&self) -> Option<Instant> {
        self.resting.first_key_value().map(|((at, _), _)| *at)
    }

    /// Puts those whose time has come into their lanes.
    fn rouse(&mut self, now: Instant) {
        while let Some(first) = self.resting.first_entry()
            && first.key().0 <= now
        {
            let key = first.remove();
            if let Some(Entry {
                place,
                state: State::Resting { tempo, .. },
            }) = self.entries.remove(&key)
            {
                self.enqueue(key, place, tempo);
            }
        }
    }

    fn enqueue(&mut self, key: K, place: Place, tempo: Tempo) {
        let waiting = self.lanes.entry(place.lane.clone()).or_default();
        if waiting.turns.is_empty() {
            self.turns.push_back(place.lane.clone());
        }
        waiting.push(place.namespace.clone(), key.clone(), tempo);
        let state = State::Waiting(tempo);
        self.entries.insert(key, Entry { place, state });
    }

    fn leave(&mut self, place: &Place, tempo: Tempo) {
        let Some(waiting) = self.lanes.get_mut(&place.lane) else {
            return;
        };
        waiting.running = waiting.running.saturating_sub(1);
        if let Some(namespace) = waiting.namespaces.get_mut(&place.namespace) {
            namespace.running = namespace.running.saturating_sub(1);
            if tempo == Tempo::Slow {
                namespace.slow_running = namespace.slow_running.saturating_sub(1);
            }
            if namespace.running == 0 && namespace.is_empty() {
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

    /// The first key of the next namespace that may have one more pass.
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
        if self.running >= most {
            return None;
        }
        let taken = match self.waiting.pop_front() {
            Some(key) => (key, Tempo::Usual),
            None if self.slow_running < OF_SLOW => (self.slow.pop_front()?, Tempo::Slow),
            None => return None,
        };
        self.running += 1;
        if taken.1 == Tempo::Slow {
            self.slow_running += 1;
        }
        Some(taken)
    }
}
