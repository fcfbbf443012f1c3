//! A provider on the wire, and which values the worker accepts.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::admin::bounded::{Bounded, ID, WORD};

/// Maximum length of a path in bytes.
const PATH: usize = 512;
/// Maximum length of a URL in bytes.
const URL: usize = 2048;

/// A provider on the server.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Provider {
    /// UUID that the server assigned. It never changes.
    pub id: Bounded<ID>,
    /// Name.
    pub name: Bounded<ID>,
    /// Path, with a slash at both ends.
    pub path: Bounded<PATH>,
    /// `urn:iws:auth::oidc`, path and name: its name in the server's policies.
    pub urn: Bounded<URL>,
    /// The issuer whose tokens are accepted.
    pub issuer_url: Bounded<URL>,
    /// When it was created, as the server writes it.
    pub create_at: Bounded<WORD>,
    /// When it was last written.
    pub update_at: Bounded<WORD>,
    /// Clients whose tokens are accepted. The server omits the member if there are none.
    #[serde(default)]
    clients: Vec<RegisteredClient>,
}

/// A client in a provider. The server omits an empty name.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
struct RegisteredClient {
    #[serde(default)]
    name: Bounded<ID>,
}

/// The fields of a provider; each write carries all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fields {
    /// Name, as [`is_name`] says.
    pub name: String,
    /// Path, as [`is_path`] says.
    pub path: String,
    /// The issuer whose tokens are accepted.
    pub issuer_url: String,
    /// Clients whose tokens are accepted, as [`is_client_id`] says. A provider without any would break every login with
    /// a token.
    pub clients: BTreeSet<String>,
}

impl Provider {
    /// Ids of the clients whose tokens are accepted.
    pub fn client_ids(&self) -> BTreeSet<String> {
        self.clients.iter().map(|client| client.name.to_string()).collect()
    }
}

impl Fields {
    /// Names of the fields in which a provider differs from the wanted ones. The order of clients does not matter.
    pub fn differences(&self, observed: &Provider) -> Vec<&'static str> {
        let fields = [
            ("name", self.name != *observed.name),
            ("path", self.path != *observed.path),
            ("issuerUrl", self.issuer_url != *observed.issuer_url),
            ("clients", self.clients != observed.client_ids()),
        ];
        fields
            .into_iter()
            .filter_map(|(name, differs)| differs.then_some(name))
            .collect()
    }
}

/// Whether the server accepts a text as a name and finds no other provider by it: 1 to 127 letters, digits and dashes.
/// The server also accepts an underscore, but in a lookup it matches any character.
pub fn is_name(text: &str) -> bool {
    (1..=127).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// Whether the server accepts a text as a path below `/`: slashes at both ends, no two in a row, words of letters,
/// digits, `_`, `+` and `-`, a letter, digit or `_` before the last slash, more than one character between the outer
/// slashes, and fewer than 512 in all.
pub fn is_path(text: &str) -> bool {
    let inner = text.strip_prefix('/').and_then(|text| text.strip_suffix('/'));
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() < 512
        && inner.is_some_and(|inner| {
            let mut words = inner.split('/');
            inner.len() > 1
                && inner.ends_with(is_word)
                && words.all(|word| !word.is_empty() && word.chars().all(|c| is_word(c) || matches!(c, '+' | '-')))
        })
}

/// Whether the server accepts a text as the id of a client: 1 to 127 letters, digits, and `_+.@=-`.
pub fn is_client_id(text: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '.' | '@' | '=' | '-');
    (1..=127).contains(&text.len()) && text.chars().all(is_fine)
}
