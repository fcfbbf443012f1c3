//! The worker's database, which survives restarts.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

/// PostgreSQL's error for a client that is named twice.
const DUPLICATE_CLIENT: &str = "pq: duplicate key value violates unique constraint \"idx_oidc_client\"";
/// PostgreSQL's error for a second row with the same URN. It is not recorded: it has PostgreSQL's default name for such
/// a constraint, in the words that are recorded for clients.
const DUPLICATE_URN: &str = "pq: duplicate key value violates unique constraint \"oidc_providers_urn_key\"";

/// A provider as the API shows it; members in its order.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Provider {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) path: String,
    pub(super) urn: String,
    #[serde(serialize_with = "in_words")]
    pub(super) create_at: Timestamp,
    #[serde(serialize_with = "in_words")]
    pub(super) update_at: Timestamp,
    pub(super) issuer_url: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) clients: Vec<OidcClient>,
}

/// A client of a provider. One with an empty name is shown as `{}`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct OidcClient {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) name: String,
}

/// RFC 3339 with as many digits as needed, as Go writes it too.
fn in_words<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// A random UUID (RFC 9562, version 4).
pub(super) fn uuid() -> String {
    let bits = rand::random::<u128>();
    let bits = bits & !(0xf << 76) | 4 << 76; // version
    let bits = bits & !(0b11 << 62) | 0b10 << 62; // variant
    let text = format!("{bits:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| &text[range]);
    parts.join("-")
}

/// The database.
#[derive(Default)]
pub(super) struct Database {
    table: Mutex<Table>,
    managers: Mutex<BTreeSet<String>>,
}

impl Database {
    /// The providers, locked.
    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The users that may manage providers, locked.
    pub(super) fn managers(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.managers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The providers, in the order of a PostgreSQL heap: a new version of a row is written after the last row.
#[derive(Default)]
pub(super) struct Table {
    rows: Vec<Provider>,
}

/// Which providers a list has, and in what order.
pub(super) struct Selection {
    pub(super) path_prefix: String,
    pub(super) offset: usize,
    pub(super) limit: usize,
    pub(super) order: Option<Order>,
}

/// An order of rows.
pub(super) struct Order {
    pub(super) column: Column,
    pub(super) descending: bool,
}

/// A column to order by.
#[derive(Clone, Copy)]
pub(super) enum Column {
    Name,
    Path,
    CreateAt,
    UpdateAt,
    Urn,
}

impl Table {
    /// The provider whose name is `LIKE` the pattern. Of several, the one with the smallest id, which is random.
    pub(super) fn find(&self, pattern: &str) -> Option<&Provider> {
        let like = self.rows.iter().filter(|row| is_like(pattern, &row.name));
        like.min_by_key(|row| &row.id)
    }

    /// Adds a provider.
    ///
    /// # Errors
    /// The database's message, when a provider with this URN exists or a client is named twice; nothing is stored then.
    pub(super) fn insert(&mut self, provider: Provider) -> Result<(), &'static str> {
        if self.rows.iter().any(|row| row.urn == provider.urn) {
            return Err(DUPLICATE_URN);
        }
        check_clients(&provider)?;
        self.rows.push(provider);
        Ok(())
    }

    /// Replaces the provider with the same id. If none exists, nothing fails: the worker does not check how many rows
    /// it has changed.
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub(super) fn update(&mut self, provider: Provider) -> Result<(), &'static str> {
        let Some(index) = self.rows.iter().position(|row| row.id == provider.id) else {
            return check_clients(&provider);
        };
        let others = self.rows.iter().filter(|row| row.id != provider.id);
        if others.into_iter().any(|row| row.urn == provider.urn) {
            return Err(DUPLICATE_URN);
        }
        check_clients(&provider)?;
        self.rows.remove(index);
        self.rows.push(provider);
        Ok(())
    }

    /// Removes the provider with this id, if it exists.
    pub(super) fn remove(&mut self, id: &str) {
        self.rows.retain(|row| row.id != id);
    }

    /// All providers.
    pub(super) fn all(&self) -> Vec<Provider> {
        self.rows.clone()
    }

    /// The providers of one page, and how many there are on all pages.
    pub(super) fn select(&self, selection: &Selection) -> (Vec<Provider>, usize) {
        let rows = self.rows.iter();
        let mut found: Vec<&Provider> = rows
            .filter(|provider| starts_like(&selection.path_prefix, &provider.path))
            .collect();
        if let Some(order) = &selection.order {
            found.sort_by(|one, other| match order.descending {
                true => order.column.compare(other, one),
                false => order.column.compare(one, other),
            });
        }
        let page = found.iter().skip(selection.offset).take(selection.limit);
        (page.copied().cloned().collect(), found.len())
    }
}

impl Column {
    fn compare(self, one: &Provider, other: &Provider) -> Ordering {
        match self {
            Self::Name => one.name.cmp(&other.name),
            Self::Path => one.path.cmp(&other.path),
            Self::CreateAt => one.create_at.cmp(&other.create_at),
            Self::UpdateAt => one.update_at.cmp(&other.update_at),
            Self::Urn => one.urn.cmp(&other.urn),
        }
    }
}

fn check_clients(provider: &Provider) -> Result<(), &'static str> {
    let mut names = HashSet::new();
    match provider.clients.iter().all(|client| names.insert(&client.name)) {
        true => Ok(()),
        false => Err(DUPLICATE_CLIENT),
    }
}

/// SQL's `text LIKE 'pattern'`. The other special characters, `%` and `\`, are in no valid name.
fn is_like(pattern: &str, text: &str) -> bool {
    pattern.len() == text.len() && starts_like(pattern, text)
}

/// SQL's `text LIKE 'pattern%'`, for patterns in ASCII.
fn starts_like(pattern: &str, text: &str) -> bool {
    let mut pairs = pattern.bytes().zip(text.bytes());
    pattern.len() <= text.len() && pairs.all(|(wanted, found)| wanted == b'_' || wanted == found)
}
