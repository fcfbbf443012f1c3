//! What a pass does for a client on a Hydra.

use oidc_operator::controller::hydra::client::steps::{
    AfterLedger, Cause, Compared, Extras, Seen, Source, Step, closing, opening,
};

use Cause::{Change, Drift};
use Compared::{Changed, Same};
use Step::{CheckCluster, Connect, DropOtherSecrets, Hold, LearnWhoseSecret, SettleLedger, Sync, WriteSecret};

/// A client that is as it was left.
const LEFT: Seen = Seen {
    must_read: false,
    is_due: false,
    was_registered: true,
    had_ledger: true,
    source: Source::Ledger,
    client: Same,
    ledger: Same,
    secret: Same,
    layout: Same,
};
/// One that was never in step.
const NEW: Seen = Seen {
    was_registered: false,
    had_ledger: false,
    client: Changed,
    ledger: Changed,
    secret: Changed,
    ..LEFT
};
const TAKEN_OVER: Source = Source::LedgerOrOthers;

#[test]
fn up_to_the_ledger() {
    let table: &[(&str, Seen, &[Step])] = &[
        ("as it was left", LEFT, &[Hold, SettleLedger]),
        ("new", NEW, &[Connect(Change), Hold, SettleLedger]),
        (
            "to be read",
            Seen {
                must_read: true,
                ..LEFT
            },
            &[Connect(Drift), Hold, SettleLedger],
        ),
        (
            "another spec",
            Seen {
                client: Changed,
                ..LEFT
            },
            &[Connect(Change), Hold, SettleLedger],
        ),
        (
            "its Secret was edited",
            Seen {
                secret: Changed,
                ..LEFT
            },
            &[Hold, SettleLedger],
        ),
        (
            "its ledger was edited",
            Seen {
                ledger: Changed,
                ..LEFT
            },
            &[Connect(Change), Hold, SettleLedger],
        ),
        // The ledger tells whether it really is time; only then is the server asked.
        (
            "its secret is old",
            Seen { is_due: true, ..LEFT },
            &[Hold, SettleLedger],
        ),
        // Restored from a backup, into another cluster perhaps: both are changed, and the secret would be replaced.
        (
            "restored",
            Seen {
                client: Changed,
                ledger: Changed,
                ..LEFT
            },
            &[Connect(Change), Hold, CheckCluster(Change), SettleLedger],
        ),
        (
            "old, and another spec",
            Seen {
                client: Changed,
                is_due: true,
                ..LEFT
            },
            &[Connect(Change), Hold, CheckCluster(Change), SettleLedger],
        ),
        (
            "the user's secret, and another spec",
            Seen {
                client: Changed,
                source: Source::Reference,
                ..LEFT
            },
            &[Connect(Change), Hold, CheckCluster(Change), SettleLedger],
        ),
        (
            "public",
            Seen {
                source: Source::Nowhere,
                had_ledger: false,
                ..LEFT
            },
            &[Hold, SettleLedger],
        ),
        (
            "may be taken over",
            Seen {
                source: TAKEN_OVER,
                ..NEW
            },
            &[Connect(Change), Hold, LearnWhoseSecret(Change), SettleLedger],
        ),
        (
            "taken over",
            Seen {
                source: TAKEN_OVER,
                had_ledger: false,
                ..LEFT
            },
            &[Hold, LearnWhoseSecret(Drift), SettleLedger],
        ),
        (
            "taken over, and others' secret is to be replaced",
            Seen {
                source: TAKEN_OVER,
                had_ledger: false,
                is_due: true,
                ..LEFT
            },
            &[Connect(Drift), Hold, LearnWhoseSecret(Drift), SettleLedger],
        ),
    ];
    for (what, seen, steps) in table {
        assert_eq!(opening(seen), *steps, "{what}");
    }
}

/// A ledger that was found as it should be, without a need to connect.
const FOUND: AfterLedger = AfterLedger {
    is_new: false,
    is_connected: false,
    is_complete: true,
    is_rewritten: false,
};

#[test]
fn after_the_ledger() {
    let connected = AfterLedger {
        is_connected: true,
        ..FOUND
    };
    let rewritten = AfterLedger {
        is_rewritten: true,
        ..FOUND
    };
    let unknown = AfterLedger {
        is_complete: false,
        ..connected
    };
    let new = AfterLedger {
        is_new: true,
        is_connected: true,
        is_complete: true,
        is_rewritten: true,
    };
    let stay = WriteSecret(Extras::Stay);
    let table: &[(&str, Seen, AfterLedger, &[Step])] = &[
        ("as it was left", LEFT, FOUND, &[DropOtherSecrets]),
        ("new", NEW, new, &[Sync(Change), stay]),
        (
            "read",
            Seen {
                must_read: true,
                ..LEFT
            },
            connected,
            &[Sync(Drift), DropOtherSecrets],
        ),
        (
            "another spec",
            Seen {
                client: Changed,
                ..LEFT
            },
            connected,
            &[Sync(Change), DropOtherSecrets],
        ),
        (
            "its Secret was edited",
            Seen {
                secret: Changed,
                ..LEFT
            },
            FOUND,
            &[stay, DropOtherSecrets],
        ),
        (
            "another layout",
            Seen {
                secret: Changed,
                layout: Changed,
                ..LEFT
            },
            FOUND,
            &[WriteSecret(Extras::Go), DropOtherSecrets],
        ),
        // What was written down has to reach the server before anybody is handed it.
        (
            "rotated",
            Seen { is_due: true, ..LEFT },
            rewritten,
            &[Connect(Change), Sync(Change), stay, DropOtherSecrets],
        ),
        (
            "its secret is others'",
            Seen {
                source: TAKEN_OVER,
                had_ledger: false,
                ..NEW
            },
            unknown,
            &[Sync(Change), DropOtherSecrets],
        ),
    ];
    for (what, seen, settled, steps) in table {
        assert_eq!(closing(seen, *settled), *steps, "{what}");
    }
}

/// All that can be seen.
fn all() -> Vec<Seen> {
    let mut all = Vec::new();
    let sources = [
        Source::Nowhere,
        Source::Reference,
        Source::Ledger,
        Source::LedgerOrOthers,
    ];
    for source in sources {
        for bits in 0_u32..256 {
            let bit = |place: u32| bits >> place & 1 == 1;
            let compared = |place| if bit(place) { Changed } else { Same };
            all.push(Seen {
                must_read: bit(0),
                is_due: bit(1),
                was_registered: bit(2),
                had_ledger: bit(3),
                source,
                client: compared(4),
                ledger: compared(5),
                secret: compared(6),
                layout: compared(7),
            });
        }
    }
    all
}

fn place(steps: &[Step], is_it: impl Fn(&Step) -> bool) -> Option<usize> {
    steps.iter().position(is_it)
}

#[test]
fn nothing_is_written_before_what_it_depends_on() {
    for seen in all() {
        for bits in 0..16 {
            let bit = |place: u32| bits >> place & 1 == 1;
            let settled = AfterLedger {
                is_new: bit(0),
                is_connected: opening(&seen).iter().any(|step| matches!(step, Connect(_))),
                is_complete: bit(1),
                is_rewritten: bit(2),
            };
            let steps = [opening(&seen), closing(&seen, settled)].concat();
            let hold = place(&steps, |step| *step == Hold);
            let ledger = place(&steps, |step| *step == SettleLedger);
            let connect = place(&steps, |step| matches!(step, Connect(_)));
            let sync = place(&steps, |step| matches!(step, Sync(_)));
            let secret = place(&steps, |step| matches!(step, WriteSecret(_)));
            let told = || format!("{seen:?} {settled:?}: {steps:?}");
            assert!(hold.is_some() && hold < ledger, "{}", told());
            assert!(
                sync.is_none_or(|sync| Some(sync) > ledger && connect < Some(sync) && connect.is_some()),
                "{}",
                told()
            );
            assert!(
                secret.is_none_or(|secret| Some(secret) > ledger && sync.is_none_or(|sync| sync < secret)),
                "{}",
                told()
            );
            // A secret that is new to the server is never handed out without a write to it.
            assert!(!settled.is_rewritten || sync.is_some(), "{}", told());
            assert!(settled.is_complete || secret.is_none(), "{}", told());
            // An outage is kept quiet only where nothing is to be written.
            let is_quiet = |step: &Step| matches!(step, Connect(Drift) | Sync(Drift) | CheckCluster(Drift));
            let is_changed = seen.client == Changed || seen.ledger == Changed;
            assert!(!is_changed || !steps.iter().any(is_quiet), "{}", told());
        }
    }
}
