//! Steps of a pass over a client on a Hydra. Pure: they depend on what has changed since the last success.
//!
//! Changes flow one way: finalizer → ledger → server → credentials Secret. So a secret is stored before the server gets
//! it, and published after that.

/// How something compares with the last success. Without a success, everything counts as changed except the layout,
/// since no earlier spec can have left another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// Unchanged.
    Same,
    /// Different.
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
    /// From the ledger, unless the client was adopted with a secret of other owners.
    LedgerOrOthers,
}

/// What is known before anything is read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Whether the client must be read, because it may have changed since the last write.
    pub must_read: bool,
    /// Whether the current secret is due for replacement.
    pub is_due: bool,
    /// Whether the server makes the secret that is due.
    pub is_made_there: bool,
    /// Whether a write of the client was ever confirmed.
    pub was_registered: bool,
    /// Whether there was a ledger at the last success.
    pub had_ledger: bool,
    /// Where the secret comes from.
    pub source: Source,
    /// Whether the client may be one of other owners that is about to be adopted, and whose secret must stay.
    pub adopts_secret: bool,
    /// The client that the server should have.
    pub client: Compared,
    /// The ledger. If it has changed, it may hold a secret that the server does not have.
    pub ledger: Compared,
    /// The credentials Secret, and its inputs besides the client secret.
    pub secret: Compared,
    /// The wanted content of the credentials Secret, apart from the client secret.
    pub layout: Compared,
}

/// Result of the steps up to the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AfterLedger {
    /// Whether this pass stored the finalizer. Then the resource is new.
    pub is_new: bool,
    /// Whether the pass is connected to the server.
    pub is_connected: bool,
    /// Whether the secret is known, or the client has none.
    pub is_complete: bool,
    /// Whether this pass wrote the ledger with another secret or another revision.
    pub is_rewritten: bool,
}

/// Why the server is contacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Something must be written. An outage is reported.
    Change,
    /// Only another writer can have caused a difference. A failed check is not reported.
    Drift,
}

/// What happens to labels and annotations of the credentials Secret that the spec does not ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extras {
    /// Another writer added them: they stay.
    Stay,
    /// An earlier spec may have asked for them: they are removed.
    Go,
}

/// A step of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Connects to the server.
    Connect(Cause),
    /// Stores the finalizer.
    Hold,
    /// Makes sure that the client does not belong to another cluster, before this pass may replace its secret.
    CheckCluster(Cause),
    /// Finds out whose the secret is: from the server if connected, otherwise from the last success.
    LearnWhoseSecret(Cause),
    /// Makes sure that the client to adopt has the secret that the spec refers to.
    TrySecret,
    /// Reads and repairs the ledger.
    SettleLedger,
    /// Syncs the client on the server.
    Sync(Cause),
    /// Writes the credentials Secret.
    WriteSecret(Extras),
    /// Deletes our Secrets with other names.
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
    let must_ask = is_unclear && seen.is_due && !seen.had_ledger || seen.is_made_there;
    let connects = seen.must_read || cause == Cause::Change || must_ask || seen.adopts_secret;
    let may_replace = seen.is_due || seen.ledger == Compared::Changed || seen.source == Source::Reference;
    let checks_cluster = connects && may_replace && seen.client == Compared::Changed && seen.was_registered;
    let steps = [
        (connects, Step::Connect(cause)),
        (true, Step::Hold),
        (checks_cluster, Step::CheckCluster(cause)),
        (is_unclear, Step::LearnWhoseSecret(cause)),
        (seen.adopts_secret, Step::TrySecret),
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
