//! The objects of `identity/oidc`, as they are on the wire, and how two of them are compared.
//!
//! The comparison follows the server's normalization: it sorts lists and drops duplicates, lower-cases ids of entities
//! and groups, and adds its own address and the provider's path to an issuer. A field that a flavour or version does
//! not know is absent on the wire and counts as its default.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use crate::admin::bounded::{Bounded, ID};
use crate::secret::Secret;

/// Name of the key and of the provider that every server has.
pub const DEFAULT: &str = "default";
/// Name of the assignment that includes everybody.
pub const ALLOW_ALL: &str = "allow_all";
/// Name of the scope that every provider has.
pub const OPENID: &str = "openid";

/// An object of one type.
pub trait Object: Clone + Serialize + DeserializeOwned + Send + Sync {
    /// Name of the type in paths.
    const TYPE: &'static str;
    /// Name of the operation that reads one, in metrics.
    const READ: &'static str;
    /// Name of the operation that writes one, in metrics.
    const WRITE: &'static str;
    /// Name of the operation that deletes one, in metrics.
    const DELETE: &'static str;
    /// Name of the operation that lists all, in metrics.
    const LIST: &'static str;

    /// Names of the fields that differ from the wanted ones.
    fn differences(&self, observed: &Self) -> Vec<&'static str>;

    /// Whether an object that was just written matches what was sent.
    fn is_confirmed_by(&self, written: &Self) -> bool {
        self.differences(written).is_empty()
    }

    /// Names of the fields that were written and that the server dropped because it does not know them, as in the
    /// manifest.
    fn dropped(&self, _written: &Self) -> Vec<&'static str> {
        Vec::new()
    }

    /// Names of the fields that differ and that no write can change.
    fn immutable(&self, _observed: &Self) -> Vec<&'static str> {
        Vec::new()
    }

    /// Whether an object of this name is built into the server.
    fn is_reserved(name: &str) -> bool;

    /// Whether the object that is built into the server can be written. It can never be deleted.
    const HAS_OWN: bool = false;

    /// The id that the server gave it, if it shows one besides the name.
    fn shown_id(&self) -> Option<&str> {
        None
    }

    /// Takes over what the spec does not decide from an object that another owner made.
    fn adopt(&mut self, _found: &Self) {}

    /// Drops what is kept since an adoption and that another writer has removed.
    fn follow(&mut self, _found: &Self) {}

    /// The ids of clients that are wanted only because they were there before.
    fn kept(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether the object would let everybody in where the observed one lets only some in.
    fn opens(&self, _observed: &Self) -> bool {
        false
    }
}

/// A named key: how it signs, for how long, and for which clients.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Key {
    /// Signature algorithm (RFC 7518, section 3.1).
    pub algorithm: String,
    /// Seconds between two rotations.
    pub rotation_period: u64,
    /// Seconds that a public key stays published after its private key last signed.
    pub verification_ttl: u64,
    /// Ids of the clients that may have tokens signed with it.
    pub allowed_client_ids: BTreeSet<String>,
    /// Those of them that are there since before an adoption.
    #[serde(skip)]
    pub kept_client_ids: BTreeSet<String>,
}

/// Who may log in to the clients that name it.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub struct Assignment {
    /// Ids of entities.
    pub entity_ids: BTreeSet<String>,
    /// Ids of groups.
    pub group_ids: BTreeSet<String>,
}

/// A scope and the claims that it stands for.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Scope {
    /// Purpose of the scope.
    pub description: String,
    /// A JSON object with directives for values. Never empty: the server accepts an empty one, and then every write of
    /// a provider with the scope fails.
    pub template: String,
}

/// An application.
#[derive(Clone, Deserialize, Serialize)]
pub struct Client {
    /// Name of the key that signs its tokens.
    pub key: String,
    /// `confidential` or `public`.
    pub client_type: String,
    /// URIs that users may be redirected to.
    pub redirect_uris: BTreeSet<String>,
    /// Names of assignments; the members of each may log in.
    pub assignments: BTreeSet<String>,
    /// Seconds that an ID token is valid.
    pub id_token_ttl: u64,
    /// Seconds that an access token is valid.
    pub access_token_ttl: u64,
    /// Whether it may use the authorization code grant. OpenBao from 2.5 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_code: Option<bool>,
    /// Whether it may use the client credentials grant. OpenBao from 2.5 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_credentials: Option<bool>,
    /// The client id, which the server generates.
    #[serde(default, skip_serializing)]
    pub client_id: Option<Bounded<ID>>,
    /// The client secret, which the server generates. A public client has none, and a list shows none.
    #[serde(default, skip_serializing)]
    pub client_secret: Option<Secret>,
}

/// An OpenID Connect provider, with its own issuer.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Provider {
    /// On a write: scheme, host and port, or empty for the server's own address. None: the issuer stays as it is. On a
    /// read: the whole issuer.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Ids of the clients that may be used with it.
    pub allowed_client_ids: BTreeSet<String>,
    /// Those of them that are there since before an adoption.
    #[serde(skip)]
    pub kept_client_ids: BTreeSet<String>,
    /// Names of scopes, without `openid`.
    pub scopes_supported: BTreeSet<String>,
    /// The whole issuer that the server made of its own address at the last write. The server does not show whether an
    /// issuer was written.
    #[serde(skip)]
    pub of_own_address: Option<String>,
}

impl Object for Key {
    const TYPE: &'static str = "key";
    const READ: &'static str = "read_key";
    const WRITE: &'static str = "write_key";
    const DELETE: &'static str = "delete_key";
    const LIST: &'static str = "list_keys";

    fn differences(&self, observed: &Self) -> Vec<&'static str> {
        differing([
            ("algorithm", self.algorithm != observed.algorithm),
            ("rotation_period", self.rotation_period != observed.rotation_period),
            ("verification_ttl", self.verification_ttl != observed.verification_ttl),
            (
                "allowed_client_ids",
                self.allowed_client_ids != observed.allowed_client_ids,
            ),
        ])
    }

    fn is_reserved(name: &str) -> bool {
        name == DEFAULT
    }

    const HAS_OWN: bool = true;

    fn adopt(&mut self, found: &Self) {
        keep(
            &mut self.allowed_client_ids,
            &mut self.kept_client_ids,
            &found.allowed_client_ids,
        );
    }

    fn follow(&mut self, found: &Self) {
        drop_removed(
            &mut self.allowed_client_ids,
            &mut self.kept_client_ids,
            &found.allowed_client_ids,
        );
    }

    fn kept(&self) -> Vec<String> {
        self.kept_client_ids.iter().cloned().collect()
    }
}

impl Object for Assignment {
    const TYPE: &'static str = "assignment";
    const READ: &'static str = "read_assignment";
    const WRITE: &'static str = "write_assignment";
    const DELETE: &'static str = "delete_assignment";
    const LIST: &'static str = "list_assignments";

    fn differences(&self, observed: &Self) -> Vec<&'static str> {
        let lower = |ids: &BTreeSet<String>| ids.iter().map(|id| id.to_lowercase()).collect::<BTreeSet<_>>();
        differing([
            ("entity_ids", lower(&self.entity_ids) != lower(&observed.entity_ids)),
            ("group_ids", lower(&self.group_ids) != lower(&observed.group_ids)),
        ])
    }

    fn is_reserved(name: &str) -> bool {
        name == ALLOW_ALL
    }
}

impl Object for Scope {
    const TYPE: &'static str = "scope";
    const READ: &'static str = "read_scope";
    const WRITE: &'static str = "write_scope";
    const DELETE: &'static str = "delete_scope";
    const LIST: &'static str = "list_scopes";

    fn differences(&self, observed: &Self) -> Vec<&'static str> {
        differing([
            ("description", self.description != observed.description),
            ("template", self.template != observed.template),
        ])
    }

    fn is_reserved(name: &str) -> bool {
        name == OPENID
    }
}

impl Object for Client {
    const TYPE: &'static str = "client";
    const READ: &'static str = "read_client";
    const WRITE: &'static str = "write_client";
    const DELETE: &'static str = "delete_client";
    const LIST: &'static str = "list_clients";

    fn differences(&self, observed: &Self) -> Vec<&'static str> {
        // A client that is older than the field lacks it and may use the grant.
        let with_code = |client: &Client| client.authorization_code.unwrap_or(true);
        differing([
            ("key", self.key != observed.key),
            ("client_type", self.client_type != observed.client_type),
            ("redirect_uris", self.redirect_uris != observed.redirect_uris),
            ("assignments", self.assignments != observed.assignments),
            ("id_token_ttl", self.id_token_ttl != observed.id_token_ttl),
            ("access_token_ttl", self.access_token_ttl != observed.access_token_ttl),
            ("authorization_code", with_code(self) != with_code(observed)),
            (
                "client_credentials",
                self.client_credentials.unwrap_or_default() != observed.client_credentials.unwrap_or_default(),
            ),
        ])
    }

    fn dropped(&self, written: &Self) -> Vec<&'static str> {
        let asks = self.client_credentials == Some(true) || self.authorization_code == Some(false);
        differing([("grantTypes", asks && written.client_credentials.is_none())])
    }

    fn immutable(&self, observed: &Self) -> Vec<&'static str> {
        differing([
            ("keySetRef", self.key != observed.key),
            ("clientType", self.client_type != observed.client_type),
        ])
    }

    fn is_reserved(_: &str) -> bool {
        false
    }

    fn shown_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    fn opens(&self, observed: &Self) -> bool {
        self.authorization_code.unwrap_or(true)
            && self.assignments.contains(ALLOW_ALL)
            && !observed.assignments.contains(ALLOW_ALL)
    }
}

impl Object for Provider {
    const TYPE: &'static str = "provider";
    const READ: &'static str = "read_provider";
    const WRITE: &'static str = "write_provider";
    const DELETE: &'static str = "delete_provider";
    const LIST: &'static str = "list_providers";

    fn differences(&self, observed: &Self) -> Vec<&'static str> {
        differing([
            (
                "issuer",
                self.issuer.as_deref().is_some_and(|written| {
                    let read = observed.issuer.as_deref().unwrap_or_default();
                    !is_issuer_of(written, self.of_own_address.as_deref(), read)
                }),
            ),
            (
                "allowed_client_ids",
                self.allowed_client_ids != observed.allowed_client_ids,
            ),
            ("scopes_supported", self.scopes_supported != observed.scopes_supported),
        ])
    }

    fn is_confirmed_by(&self, written: &Self) -> bool {
        let wanted = Provider {
            of_own_address: None, // the server's address may have changed
            ..self.clone()
        };
        wanted.differences(written).is_empty()
    }

    fn is_reserved(name: &str) -> bool {
        name == DEFAULT
    }

    const HAS_OWN: bool = true;

    fn adopt(&mut self, found: &Self) {
        keep(
            &mut self.allowed_client_ids,
            &mut self.kept_client_ids,
            &found.allowed_client_ids,
        );
    }

    fn follow(&mut self, found: &Self) {
        drop_removed(
            &mut self.allowed_client_ids,
            &mut self.kept_client_ids,
            &found.allowed_client_ids,
        );
    }

    fn kept(&self) -> Vec<String> {
        self.kept_client_ids.iter().cloned().collect()
    }
}

/// A member that every reply must have.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

/// Whether the issuer of a provider that was read comes from the one that was written. Without a written one, the
/// server uses its own address.
fn is_issuer_of(written: &str, of_own_address: Option<&str>, read: &str) -> bool {
    match written {
        "" => of_own_address.is_none_or(|known| known == read),
        written => read.strip_prefix(written).is_some_and(|rest| rest.starts_with("/v1/")),
    }
}

/// Keeps the clients of a list that nobody else adds. What cannot be the id of a client lets nobody in and is dropped.
fn keep(allowed: &mut BTreeSet<String>, kept: &mut BTreeSet<String>, found: &BTreeSet<String>) {
    let is_id = |id: &&String| *id == "*" || id.len() <= 64 && id.chars().all(|c| c.is_ascii_alphanumeric());
    kept.extend(found.iter().filter(is_id).filter(|id| !allowed.contains(*id)).cloned());
    allowed.extend(kept.iter().cloned());
}

fn drop_removed(allowed: &mut BTreeSet<String>, kept: &mut BTreeSet<String>, found: &BTreeSet<String>) {
    kept.retain(|id| {
        let is_there = found.contains(id);
        if !is_there {
            allowed.remove(id);
        }
        is_there
    });
}

fn differing<const N: usize>(fields: [(&'static str, bool); N]) -> Vec<&'static str> {
    fields
        .into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(name, _)| name)
        .collect()
}
