//! What a ledger holds.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use k8s_openapi::jiff::Timestamp;
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
    /// The secret before this one, while it is valid.
    pub(super) former: Option<Secret>,
    /// Not part of the checksum.
    attempts: u8,
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
        }
    }

    /// The data of the ledger's Secret.
    pub(super) fn data(&self) -> BTreeMap<String, ByteString> {
        let checksum = checksum(self);
        let since = self.since.map(|since| since.to_string()).unwrap_or_default();
        let attempts = self.attempts.to_string();
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
            .map(|former| ("former_client_secret", former.expose()));
        let attempts = (self.attempts > 0).then_some(("attempts", attempts.as_str()));
        let values = values.into_iter().chain(former).chain(attempts);
        values.map(|(key, value)| (key.to_owned(), bytes(value))).collect()
    }

    /// Number of rotations on the server since this secret came into use whose reply did not arrive.
    pub(in super::super) fn attempts(&self) -> u8 {
        self.attempts
    }

    /// When the secret was made, if that is known.
    pub(in super::super) fn since(&self) -> Option<Timestamp> {
        self.since
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
            former: Some(self.secret.clone()),
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
    let entry = Entry {
        client_id: text(secret, "client_id")?,
        secret: Secret::new(text(secret, "client_secret")?),
        revision: text(secret, "revision")?,
        since: text(secret, "since").and_then(|since| since.parse().ok()),
        former: text(secret, "former_client_secret").map(Secret::new),
        attempts: text(secret, "attempts")
            .and_then(|attempts| attempts.parse().ok())
            .unwrap_or_default(),
    };
    let intact = text(secret, "checksum")? == checksum(&entry) && entry.client_id == client_id;
    intact.then_some(entry)
}

/// SHA-256 over the parts with their lengths. It is stored only beside the secret itself.
fn checksum(entry: &Entry) -> String {
    let mut hash = Sha256::new();
    let parts = [entry.client_id.as_str(), entry.secret.expose(), entry.revision.as_str()];
    for part in parts.into_iter().chain(entry.former.as_ref().map(Secret::expose)) {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}
