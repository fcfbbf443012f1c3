//! What a ledger holds.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::controller::common::digest::hex;
use crate::controller::common::own_secret::{bytes, text};
use crate::secret::{Secret, new_revision};

/// Content of a ledger.
#[derive(Clone)]
pub(crate) struct Entry {
    client_id: String,
    pub(super) secret: Secret,
    pub(super) revision: String,
    /// Not part of the checksum: an edit of it can only delay a rotation.
    pub(super) since: Option<Timestamp>,
    /// The secret before this one, while it is valid, with its revision.
    pub(super) former: Option<(Secret, String)>,
    /// Not part of the checksum.
    attempts: u8,
    /// When the attempts were given up for a while. Not part of the checksum.
    rests_since: Option<Timestamp>,
}

impl Entry {
    /// With a new revision, so that the server gets the secret.
    pub(crate) fn new(client_id: String, secret: Secret) -> Self {
        Entry {
            client_id,
            secret,
            revision: new_revision(),
            since: Some(Timestamp::now()),
            former: None,
            attempts: 0,
            rests_since: None,
        }
    }

    /// The data of the ledger's Secret.
    pub(super) fn data(&self) -> BTreeMap<String, ByteString> {
        let checksum = checksum(self);
        let since = self.since.map(|since| since.to_string()).unwrap_or_default();
        let attempts = self.attempts.to_string();
        let rests_since = self.rests_since.map(|at| at.to_string());
        let values = [
            ("since", since.as_str()),
            ("client_id", self.client_id.as_str()),
            ("client_secret", self.secret.expose()),
            ("revision", &self.revision),
            ("checksum", &checksum),
        ];
        let former = self
            .former
            .iter()
            .flat_map(|(secret, revision)| [("former_client_secret", secret.expose()), ("former_revision", revision)]);
        let attempts = (self.attempts > 0).then_some(("attempts", attempts.as_str()));
        let rests_since = rests_since.iter().map(|at| ("rests_since", at.as_str()));
        let values = values.into_iter().chain(former).chain(attempts).chain(rests_since);
        values.map(|(key, value)| (key.to_owned(), bytes(value))).collect()
    }

    /// Number of rotations on the server since this secret came into use whose reply did not arrive.
    pub(in super::super) fn attempts(&self) -> u8 {
        self.attempts
    }

    /// When the attempts were given up for a while.
    pub(in super::super) fn rests_since(&self) -> Option<Timestamp> {
        self.rests_since
    }

    /// The same secret, which the server gets again, and no attempts for a while.
    pub(in super::super) fn given_up(&self) -> Self {
        Entry {
            rests_since: Some(Timestamp::now()),
            ..self.sent_again(self.since)
        }
    }

    /// With one attempt more.
    pub(in super::super) fn counted(&self) -> Self {
        Entry {
            attempts: self.attempts.saturating_add(1),
            ..self.clone()
        }
    }

    /// Whether this is its revision.
    pub(in super::super) fn has_revision(&self, revision: &str) -> bool {
        self.revision == revision
    }

    /// With a new secret that the server has made. This one stays valid.
    pub(in super::super) fn followed_by(&self, secret: Secret) -> Self {
        Entry {
            former: Some((self.secret.clone(), self.revision.clone())),
            ..Entry::new(self.client_id.clone(), secret)
        }
    }

    /// The same secret, in use since this time, with a new revision: so the server gets it and ends all others.
    pub(in super::super) fn sent_again(&self, since: Option<Timestamp>) -> Self {
        Entry {
            since,
            ..Entry::new(self.client_id.clone(), self.secret.clone())
        }
    }
}

/// Content of an intact ledger. A ledger with another client id than the derived one is not intact.
pub(crate) fn read(secret: &KubeSecret, client_id: &str) -> Option<Entry> {
    let since = text(secret, "since").and_then(|since| since.parse().ok());
    let former = text(secret, "former_client_secret");
    let entry = Entry {
        client_id: text(secret, "client_id")?,
        secret: Secret::new(text(secret, "client_secret")?),
        revision: text(secret, "revision")?,
        since: since.and_then(|since| credible(since, Timestamp::now())),
        former: former.map(|former| (Secret::new(former), text(secret, "former_revision").unwrap_or_default())),
        attempts: text(secret, "attempts")
            .and_then(|attempts| attempts.parse().ok())
            .unwrap_or_default(),
        rests_since: text(secret, "rests_since").and_then(|at| at.parse().ok()),
    };
    let intact = text(secret, "checksum")? == checksum(&entry) && entry.client_id == client_id;
    intact.then_some(entry)
}

/// A time in the ledger that can be believed. A clock that was ahead counts as right, and a time far in the future as none:
/// whoever may edit Secrets can write it.
fn credible(since: Timestamp, now: Timestamp) -> Option<Timestamp> {
    const SKEW: SignedDuration = SignedDuration::from_hours(24);
    (since.duration_since(now) <= SKEW).then_some(since.min(now))
}

/// SHA-256 over the parts with their lengths. It is stored only beside the secret itself.
fn checksum(entry: &Entry) -> String {
    let mut hash = Sha256::new();
    let parts = [entry.client_id.as_str(), entry.secret.expose(), entry.revision.as_str()];
    for part in parts
        .into_iter()
        .chain(entry.former.as_ref().map(|(former, _)| former.expose()))
    {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}
