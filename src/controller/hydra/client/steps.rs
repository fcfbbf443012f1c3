//! What a pass does for a client on a Hydra, step by step. Pure: decided by what has changed since the last success.
//!
//! One direction: finalizer → ledger → server → credentials Secret. So a secret is written down before the server hears of it, and handed out after.

/// How something is, compared with the last success. Without one, everything has changed but the layout, which nobody could have left otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// As it was.
    Same,
    /// Otherwise.
    Changed,
}

/// Where the secret of a client comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// It has none.
    Nowhere,
    /// From the Secret that the spec names.
    Reference,
    /// From the ledger.
    Ledger,
    /// From the ledger, unless others gave the client one before it was taken over.
    LedgerOrOthers,
}

/// What is known before anything is read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Whether the client has to be read: it may not be as it was left.
    pub must_read: bool,
    /// Whether the time of the secret in force is over.
    pub is_due: bool,
    /// Whether a write of the client was confirmed once.
    pub was_registered: bool,
    /// Whether there was a ledger at the last success.
    pub had_ledger: bool,
    /// Where the secret comes from.
    pub source: Source,
    /// The client that the server should have.
    pub client: Compared,
    /// The ledger. One that has changed may hold a secret that the server has not heard of.
    pub ledger: Compared,
    /// The credentials Secret, and what it is made from besides the client secret.
    pub secret: Compared,
    /// What the credentials Secret should hold, the client secret aside.
    pub layout: Compared,
}

/// What the ledger came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AfterLedger {
    /// Whether the finalizer was stored in this pass: then the resource is new.
    pub is_new: bool,
    /// Whether the server is connected to.
    pub is_connected: bool,
    /// Whether the secret is known, or the client has none.
    pub is_complete: bool,
    /// Whether the ledger has another secret, or another revision, than before.
    pub is_rewritten: bool,
}

/// Why the server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Something is to be written. An outage is told.
    Change,
    /// Only somebody else's write can be the cause of a difference. Nobody need hear that there was no look.
    Drift,
}

/// What becomes of labels and annotations of the credentials Secret that the spec does not ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extras {
    /// They are somebody else's addition and stay.
    Stay,
    /// They may be those of an earlier spec and go.
    Go,
}

/// A step of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Connects to the server.
    Connect(Cause),
    /// Stores the finalizer.
    Hold,
    /// Makes sure that the client is not another cluster's, where its secret might be replaced here first.
    CheckCluster(Cause),
    /// Finds out whose the secret is: by the server if it is connected to, else as at the last success.
    LearnWhoseSecret(Cause),
    /// Reads the ledger and puts it right.
    SettleLedger,
    /// Makes the client on the server what it should be.
    Sync(Cause),
    /// Writes the credentials Secret.
    WriteSecret(Extras),
    /// Deletes our Secrets of other names.
    DropOtherSecrets,
}

impl Seen {
    fn cause(&self) -> Cause {
        match (self.client, self.ledger) {
            (Compared::Same, Compared::Same) => Cause::Drift,
            _ => Cause::Change,
        }
    }
}

/// The steps up to the ledger.
pub fn opening(seen: &Seen) -> Vec<Step> {
    let cause = seen.cause();
    let is_unclear = seen.source == Source::LedgerOrOthers;
    let must_ask = is_unclear && seen.is_due && !seen.had_ledger;
    let connects = seen.must_read || cause == Cause::Change || must_ask;
    let may_replace = seen.is_due || seen.ledger == Compared::Changed || seen.source == Source::Reference;
    let checks_cluster = connects && may_replace && seen.client == Compared::Changed && seen.was_registered;
    let steps = [
        (connects, Step::Connect(cause)),
        (true, Step::Hold),
        (checks_cluster, Step::CheckCluster(cause)),
        (is_unclear, Step::LearnWhoseSecret(cause)),
        (true, Step::SettleLedger),
    ];
    taken(steps)
}

/// The steps after the ledger.
pub fn closing(seen: &Seen, ledger: AfterLedger) -> Vec<Step> {
    let cause = match ledger.is_rewritten {
        true => Cause::Change,
        false => seen.cause(),
    };
    let is_stale = seen.secret == Compared::Changed || seen.ledger == Compared::Changed || ledger.is_rewritten;
    let extras = match seen.layout {
        Compared::Same => Extras::Stay,
        Compared::Changed => Extras::Go,
    };
    let steps = [
        (ledger.is_rewritten && !ledger.is_connected, Step::Connect(cause)),
        (ledger.is_rewritten || ledger.is_connected, Step::Sync(cause)),
        (ledger.is_complete && is_stale, Step::WriteSecret(extras)),
        (!ledger.is_new, Step::DropOtherSecrets),
    ];
    taken(steps)
}

fn taken<const N: usize>(steps: [(bool, Step); N]) -> Vec<Step> {
    let taken = steps.into_iter().filter(|(is_taken, _)| *is_taken);
    taken.map(|(_, step)| step).collect()
}
