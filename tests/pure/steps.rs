//! The steps of a pass over a client on a Hydra server.

use oidc_operator::controller::hydra::client::steps::{
    AfterLedger, Cause, Compared, Extras, Seen, Source, Step, closing, opening,
};

use Cause::{Change, Drift};
use Compared::{Changed, Same};
use Step::{
    CheckCluster, Connect, DropOtherSecrets, Hold, LearnWhoseSecret, SettleLedger, Sync, TrySecret, WriteSecret,
};

/// A settled client.
const LEFT: Seen = Seen {
    must_read: false,
    is_due: false,
    is_made_there: false,
    was_registered: true,
    had_ledger: true,
    source: Source::Ledger,
    adopts_secret: false,
    client: Same,
    ledger: Same,
    secret: Same,
    layout: Same,
};
/// A client that was never in sync.
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
fn opening_steps_depend_on_what_has_changed() {
    let table: &[(&str, Seen, &[Step])] = &[
        ("settled", LEFT, &[Hold, SettleLedger]),
        ("new", NEW, &[Connect(Change), Hold, SettleLedger]),
        (
            "about to be adopted with a secret of its user",
            Seen {
                source: Source::Reference,
                adopts_secret: true,
                ..NEW
            },
            &[Connect(Change), Hold, TrySecret, SettleLedger],
        ),
        (
            "must be read",
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
        // The ledger states whether the rotation really is due; the server is contacted only then.
        (
            "its secret is old",
            Seen { is_due: true, ..LEFT },
            &[Hold, SettleLedger],
        ),
        // Restored from a backup, perhaps into another cluster: both are changed, and the secret would be replaced.
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
            "may be adopted",
            Seen {
                source: TAKEN_OVER,
                ..NEW
            },
            &[Connect(Change), Hold, LearnWhoseSecret(Change), SettleLedger],
        ),
        (
            "adopted",
            Seen {
                source: TAKEN_OVER,
                had_ledger: false,
                ..LEFT
            },
            &[Hold, LearnWhoseSecret(Drift), SettleLedger],
        ),
        (
            "adopted, and the foreign secret is to be replaced",
            Seen {
                source: TAKEN_OVER,
                had_ledger: false,
                is_due: true,
                ..LEFT
            },
            &[Connect(Drift), Hold, LearnWhoseSecret(Drift), SettleLedger],
        ),
        (
            "due, and the server makes the secret",
            Seen {
                is_due: true,
                is_made_there: true,
                ..LEFT
            },
            &[Connect(Drift), Hold, SettleLedger],
        ),
    ];
    for (what, seen, steps) in table {
        assert_eq!(opening(seen), *steps, "{what}");
    }
}

/// A ledger that was found valid, without a need to connect.
const FOUND: AfterLedger = AfterLedger {
    is_new: false,
    is_connected: false,
    is_complete: true,
    is_rewritten: false,
};

#[test]
fn closing_steps_depend_on_the_ledger_and_what_has_changed() {
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
        ("settled", LEFT, FOUND, &[DropOtherSecrets]),
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
        // The new secret must reach the server before applications get it.
        (
            "rotated",
            Seen { is_due: true, ..LEFT },
            rewritten,
            &[Connect(Change), Sync(Change), stay, DropOtherSecrets],
        ),
        (
            "its secret is not ours",
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

/// All combinations of inputs.
fn all() -> Vec<Seen> {
    let mut all = Vec::new();
    let sources = [
        Source::Nowhere,
        Source::Reference,
        Source::Ledger,
        Source::LedgerOrOthers,
    ];
    for source in sources {
        for bits in 0_u32..1024 {
            let bit = |place: u32| bits >> place & 1 == 1;
            let compared = |place| if bit(place) { Changed } else { Same };
            all.push(Seen {
                must_read: bit(0),
                is_due: bit(1),
                is_made_there: bit(9),
                was_registered: bit(2),
                had_ledger: bit(3),
                source,
                adopts_secret: bit(8),
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
            let tried = place(&steps, |step| *step == TrySecret);
            assert_eq!(tried.is_some(), seen.adopts_secret, "{steps:?}");
            assert!(tried.is_none() || connect < tried && tried < ledger, "{steps:?}");
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
            // A secret that is new to the server is never published without a write to the server.
            assert!(!settled.is_rewritten || sync.is_some(), "{}", told());
            assert!(settled.is_complete || secret.is_none(), "{}", told());
            // An outage is silent only if nothing is to be written.
            let is_quiet = |step: &Step| matches!(step, Connect(Drift) | Sync(Drift) | CheckCluster(Drift));
            let is_changed = seen.client == Changed || seen.ledger == Changed;
            assert!(!is_changed || !steps.iter().any(is_quiet), "{}", told());
        }
    }
}
