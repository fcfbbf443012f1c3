//! Which key gets a pass next.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use oidc_operator::controller::engine::queue::{Ended, Lane, Load, Place, Queue, Taken};

type Key = (&'static str, &'static str, u32);

fn place((server, namespace, _): Key) -> Place {
    let lane = match server {
        "" => Lane::Nowhere,
        server => Lane::On(server.into()),
    };
    Place {
        lane,
        namespace: namespace.into(),
    }
}

fn wake(queue: &mut Queue<Key>, key: Key) {
    queue.wake(key, Instant::now(), || place(key));
}

fn end(queue: &mut Queue<Key>, key: Key, now: Instant) {
    queue.end(&key, Ended::default(), now, || place(key));
}

fn take(queue: &mut Queue<Key>, now: Instant) -> Option<Key> {
    queue.take(now).map(|taken| taken.key)
}

fn take_all(queue: &mut Queue<Key>, now: Instant) -> Vec<Key> {
    std::iter::from_fn(|| take(queue, now)).collect()
}

fn counted(keys: &[Key]) -> HashMap<(&'static str, &'static str), usize> {
    let mut counts = HashMap::new();
    keys.iter()
        .for_each(|(server, namespace, _)| *counts.entry((*server, *namespace)).or_default() += 1);
    counts
}

#[test]
fn a_busy_namespace_leaves_room_for_other_namespaces_and_servers() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    (0..500).for_each(|number| wake(&mut queue, ("slow", "evil", number)));
    (0..500).for_each(|number| wake(&mut queue, ("", "evil", number)));
    let crowd = take_all(&mut queue, now);
    assert_eq!(
        counted(&crowd),
        HashMap::from([(("slow", "evil"), 4), (("", "evil"), 4)])
    );
    wake(&mut queue, ("slow", "good", 1));
    wake(&mut queue, ("other", "evil", 1));
    wake(&mut queue, ("other", "good", 1));
    let rest = take_all(&mut queue, now);
    assert_eq!(rest.len(), 3, "the others do not wait for the crowd: {rest:?}");
}

#[test]
fn a_lane_runs_a_bounded_number_of_passes_at_a_time() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    for namespace in "a b c d e f g h i j k l m n o p q r s t u v w x y z A B C D E F G H".split(' ') {
        (0..20).for_each(|number| wake(&mut queue, ("server", namespace, number)));
    }
    let taken = take_all(&mut queue, now);
    assert_eq!(taken.len(), 32);
    assert!(counted(&taken).values().all(|count| *count == 1), "{taken:?}");
    end(&mut queue, taken[0], now);
    assert_eq!(take_all(&mut queue, now).len(), 1);
}

#[test]
fn a_busy_namespace_gets_fewer_passes_while_another_is_active() {
    let (mut queue, start) = (Queue::default(), Instant::now());
    (0..100).for_each(|number| wake(&mut queue, ("server", "crowd", number)));
    let mut running = take_all(&mut queue, start);
    assert_eq!(running.len(), 4, "alone");

    // Each row: the time, another namespace that is woken and gets a pass, and how many of the crowd run afterwards.
    let rows = [
        (0, Some("one"), 1),
        (4_900, None, 1),
        (5_000, None, 4),
        (6_000, Some("one"), 1),
        (7_000, Some("two"), 1),
        (11_900, None, 1),
        (12_000, None, 4),
    ];
    for (number, (after, beside, most)) in rows.into_iter().enumerate() {
        let now = start + Duration::from_millis(after);
        if let Some(beside) = beside {
            let other = ("server", beside, number as u32);
            wake(&mut queue, other);
            assert_eq!(take_all(&mut queue, now), [other], "{after}: its turn comes at once");
            end(&mut queue, other, now);
        }
        running.drain(..).for_each(|key| end(&mut queue, key, now));
        running = take_all(&mut queue, now);
        assert_eq!(running.len(), most, "{after}: {running:?}");
    }
    wake(&mut queue, ("other", "one", 0));
    assert_eq!(take_all(&mut queue, start + Duration::from_secs(13)).len(), 1);
    running
        .drain(..)
        .for_each(|key| end(&mut queue, key, start + Duration::from_secs(13)));
    running = take_all(&mut queue, start + Duration::from_secs(13));
    assert_eq!(running.len(), 4, "a namespace on another server does not count");
}

#[test]
fn turns_alternate_between_namespaces_and_servers() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    for number in 0..4 {
        wake(&mut queue, ("one", "a", number));
    }
    wake(&mut queue, ("one", "b", 0));
    wake(&mut queue, ("two", "a", 0));
    let order: Vec<_> = take_all(&mut queue, now)
        .into_iter()
        .map(|(server, namespace, _)| (server, namespace))
        .collect();
    assert_eq!(order[..3], [("one", "a"), ("two", "a"), ("one", "b")]);
}

#[test]
fn slow_keys_are_retried_one_at_a_time_after_the_rest() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    (0..4).for_each(|number| wake(&mut queue, ("server", "evil", number)));
    let first = take_all(&mut queue, now);
    assert_eq!(first.len(), 4);
    let slow = Ended {
        again: Some(Duration::from_secs(1)),
        was_slow: true,
    };
    for key in &first {
        queue.end(key, slow, now, || place(*key));
    }
    let now = now + Duration::from_secs(2);
    wake(&mut queue, ("server", "evil", 100));
    let second = take_all(&mut queue, now);
    assert_eq!(second.len(), 2, "the woken key and one slow key: {second:?}");
    assert_eq!(second[0], ("server", "evil", 100));
    assert_eq!(take_all(&mut queue, now), []);
    // A change of the resource wakes a slow key like any other.
    let resting = *first.iter().find(|key| !second.contains(key)).expect("a resting key");
    wake(&mut queue, resting);
    assert_eq!(take_all(&mut queue, now), [resting]);
    end(&mut queue, second[1], now);
    assert_eq!(take_all(&mut queue, now).len(), 1);
}

#[test]
fn a_slow_retry_does_not_take_the_turn_of_the_rest_of_its_namespace() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let slow = ("server", "evil", 0);
    wake(&mut queue, slow);
    assert_eq!(take_all(&mut queue, now), [slow]);
    let ended = Ended {
        again: Some(Duration::from_secs(1)),
        was_slow: true,
    };
    queue.end(&slow, ended, now, || place(slow));
    let now = now + Duration::from_secs(1);
    wake(&mut queue, ("server", "good", 0));
    assert_eq!(take_all(&mut queue, now).len(), 2, "the retry and the other namespace");
    let other = ("server", "evil", 1);
    wake(&mut queue, other);
    assert_eq!(take_all(&mut queue, now), [other]);
}

#[test]
fn a_key_has_one_pass_at_a_time_and_another_if_it_was_woken_meanwhile() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let key = ("server", "a", 0);
    wake(&mut queue, key);
    wake(&mut queue, key);
    assert_eq!(take_all(&mut queue, now), [key]);
    wake(&mut queue, key);
    wake(&mut queue, key);
    assert_eq!(take_all(&mut queue, now), []);
    let later = Ended {
        again: Some(Duration::from_secs(600)),
        was_slow: false,
    };
    queue.end(&key, later, now, || place(key));
    assert_eq!(take_all(&mut queue, now), [key], "it was woken");
    queue.end(&key, later, now, || place(key));
    assert_eq!(take_all(&mut queue, now), []);
    assert_eq!(queue.due(), Some(now + Duration::from_secs(600)));
}

#[test]
fn a_resting_key_returns_once_when_due_or_woken() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let (early, late) = (("server", "a", 0), ("server", "b", 0));
    for (key, seconds) in [(early, 5), (late, 50)] {
        wake(&mut queue, key);
        assert_eq!(take(&mut queue, now), Some(key));
        let ended = Ended {
            again: Some(Duration::from_secs(seconds)),
            was_slow: false,
        };
        queue.end(&key, ended, now, || place(key));
    }
    assert_eq!(take(&mut queue, now + Duration::from_secs(4)), None);
    wake(&mut queue, late);
    assert_eq!(take(&mut queue, now), Some(late));
    end(&mut queue, late, now);
    let due = now + Duration::from_secs(60);
    assert_eq!(take_all(&mut queue, due), [early]);
    end(&mut queue, early, due);
    assert_eq!(
        (take(&mut queue, due + Duration::from_secs(600)), queue.due()),
        (None, None)
    );
}

#[test]
fn the_load_is_that_of_passes_that_are_due() {
    let (mut queue, start) = (Queue::default(), Instant::now());
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    let (one, two) = (("server", "a", 1), ("server", "b", 2));
    let load = |queue: &Queue<Key>, seconds: u64| {
        let Load {
            waiting,
            running,
            oldest,
        } = queue.load(at(seconds));
        (waiting, running, oldest.as_secs())
    };
    assert_eq!(load(&queue, 0), (0, 0, 0));
    queue.wake(one, at(0), || place(one));
    queue.wake(two, at(2), || place(two));
    queue.wake(one, at(3), || place(one));
    assert_eq!(load(&queue, 5), (2, 0, 5), "another wake changes nothing");
    let waited = |taken: Option<Taken<Key>>| taken.map(|taken| (taken.key, taken.waited.as_secs()));
    assert_eq!(waited(queue.take(at(5))), Some((one, 5)));
    assert_eq!(waited(queue.take(at(6))), Some((two, 4)));
    assert_eq!(load(&queue, 7), (0, 2, 0));
    // It rests for ten seconds, and another pass is due ten seconds later, whether anybody asks the queue or not.
    let later = Ended {
        again: Some(Duration::from_secs(10)),
        was_slow: false,
    };
    queue.end(&one, later, at(8), || place(one));
    queue.end(&two, Ended::default(), at(8), || place(two));
    assert_eq!(load(&queue, 17), (0, 0, 0));
    assert_eq!(load(&queue, 20), (1, 0, 2));
    assert_eq!(waited(queue.take(at(21))), Some((one, 3)));
    // A wake during a pass counts from the end of the pass: no other pass could start before.
    queue.wake(one, at(22), || place(one));
    queue.end(&one, Ended::default(), at(25), || place(one));
    assert_eq!(load(&queue, 26), (1, 0, 1));
}

#[test]
fn no_key_is_lost_in_any_order_of_events() {
    let mut queue: Queue<Key> = Queue::default();
    let start = Instant::now();
    let (mut seed, mut running, mut woken) = (7_u64, Vec::new(), std::collections::HashSet::new());
    let mut random = |most: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % most
    };
    for step in 0..20_000 {
        let now = start + Duration::from_millis(step * 10);
        let key = (
            ["", "one", "two"][random(3) as usize],
            ["a", "b", "c"][random(3) as usize],
            random(20) as u32,
        );
        match random(3) {
            0 => {
                wake(&mut queue, key);
                woken.insert(key);
            }
            1 => running.extend(take(&mut queue, now).inspect(|key| {
                woken.remove(key);
            })),
            _ if !running.is_empty() => {
                let index = random(running.len() as u64) as usize;
                let key = running.swap_remove(index);
                let again = (random(2) == 0).then(|| Duration::from_millis(random(500)));
                let was_slow = random(50) == 0;
                queue.end(&key, Ended { again, was_slow }, now, || place(key));
            }
            _ => {}
        }
        assert_eq!(
            running.iter().collect::<std::collections::HashSet<_>>().len(),
            running.len()
        );
    }
    let end_of_time = start + Duration::from_secs(100_000);
    for _ in 0..1_000 {
        for key in std::mem::take(&mut running) {
            end(&mut queue, key, end_of_time);
        }
        running = take_all(&mut queue, end_of_time);
        running.iter().for_each(|key| {
            woken.remove(key);
        });
    }
    assert!(
        woken.is_empty() && running.is_empty() && queue.due().is_none(),
        "{woken:?}"
    );
}
