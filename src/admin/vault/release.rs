//! The software of a server: its version, and what it can do. Pure.
//!
//! A server can hide its version from requests without a login, for example HashiCorp Vault from 1.16 on with the listener
//! option `redact_version`, or any server behind a proxy. The value is then missing, empty, or a word.

use serde_json::Value;

use super::health::Health;
use crate::admin::bounded::{Bounded, WORD};
use crate::api::authorization_server::Capability;

/// Major, minor and patch version.
type Number = [u32; 3];

/// First version of Vault whose identity engine is an OpenID Connect provider. Every OpenBao is later.
const PROVIDER: Number = [1, 10, 0];
/// First version of OpenBao with namespaces.
const NAMESPACES: Number = [2, 3, 0];
/// First version of OpenBao with selectable grants per client.
const GRANTS: Number = [2, 5, 0];

/// First version of OpenBao that rotates keys in every namespace. Earlier ones silently skip all but the root namespace.
const ROTATION: Number = [2, 5, 2];
/// First version of OpenBao with the key `default` in every namespace. In earlier ones only the root namespace has it.
const DEFAULT_KEY: Number = [2, 6, 2];

/// What a version lacks in namespaces other than the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The periodic rotation of keys.
    Rotation,
    /// The key `default`.
    DefaultKey,
}

/// What is known about the software of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Release {
    version: Bounded<WORD>,
    /// None if the server hides its version.
    number: Option<Number>,
    /// As in [`Health::enterprise`].
    enterprise: Option<bool>,
    /// Whether the server's own help for clients names the fields for grants. None if it was not read.
    documents_grants: Option<bool>,
}

/// What the server's help for clients (`identity/oidc/client/…?help=1`) shows. Every valid token may read it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Help {
    /// Version of the software, if the help names it.
    pub version: Bounded<WORD>,
    /// Whether it names the fields for grants. None if it is not the help for clients.
    pub documents_grants: Option<bool>,
}

impl Help {
    /// Reads the reply. A reply of another form shows nothing.
    pub fn parse(body: &Value) -> Self {
        let text = body.get("help").and_then(Value::as_str).unwrap_or_default();
        let names = |field: &str| text.contains(&format!(" {field} ("));
        let version = body.pointer("/openapi/info/version").and_then(Value::as_str);
        Help {
            version: version.unwrap_or_default().parse().unwrap_or_default(),
            documents_grants: names("redirect_uris").then(|| names("client_credentials")),
        }
    }
}

impl Release {
    /// What the health of a server shows.
    pub fn of(health: &Health) -> Self {
        Release {
            number: number(&health.version),
            version: health.version.clone(),
            enterprise: health.enterprise,
            documents_grants: None,
        }
    }

    /// Adds what the server shows after a login: its health, and its help for clients.
    pub fn after_login(self, health: Option<&Health>, help: Option<&Help>) -> Self {
        let shown = health.map(Release::of).unwrap_or_default();
        let helped = help.map(|help| &help.version);
        let version = [&self.version, &shown.version].into_iter().chain(helped);
        let known = version
            .map(|text| (text, number(text)))
            .find(|(_, number)| number.is_some());
        let (version, number) = known.unwrap_or((&self.version, None));
        Release {
            version: version.clone(),
            number,
            enterprise: self.enterprise.or(shown.enterprise),
            documents_grants: help.and_then(|help| help.documents_grants),
        }
    }

    /// The version, for example `1.19.5` of Vault or `2.7.2` of OpenBao. None if the server hides it.
    pub fn version(&self) -> Option<&str> {
        self.number.map(|_| &*self.version)
    }

    /// Whether it is a Vault, not an OpenBao. None if nothing shows it.
    pub fn is_vault(&self) -> Option<bool> {
        match (self.enterprise, self.number) {
            (Some(_), _) => Some(true),
            (None, Some([major, ..])) => Some(major < 2), // later versions of Vault report whether they are Enterprise
            (None, None) => None,
        }
    }

    /// Capabilities beyond those of every supported server: OpenBao has selectable grants per client from 2.5 on, Vault
    /// does not. A server that shows nothing has the capabilities of the newest OpenBao; it then drops what it does not
    /// have, which shows when the object is read.
    pub fn capabilities(&self) -> Vec<Capability> {
        let since = self.number.is_none_or(|number| number >= GRANTS);
        let has_grants = self.is_vault() != Some(true) && self.documents_grants.unwrap_or(since);
        has_grants
            .then_some(Capability::ClientCredentials)
            .into_iter()
            .collect()
    }

    /// Whether its identity engine is an OpenID Connect provider: Vault from 1.10 on, and every OpenBao. True if the
    /// server hides its version; then the first request to the identity engine shows it.
    pub fn is_provider(&self) -> bool {
        self.number.is_none_or(|number| number >= PROVIDER)
    }

    /// Whether it has namespaces: OpenBao from 2.3 on, and the Enterprise edition of Vault. Other servers ignore a
    /// requested namespace. None if only a request can show it.
    pub fn has_namespaces(&self) -> Option<bool> {
        match self.enterprise {
            None if self.version.contains("+ent") => Some(true),
            None => self.number.map(|number| number >= NAMESPACES),
            told => told,
        }
    }

    /// What the server lacks in namespaces other than the root. Empty if it hides its version.
    pub fn limits_in_namespaces(&self) -> Vec<Limit> {
        let (Some(number), Some(false)) = (self.number, self.is_vault()) else {
            return Vec::new();
        };
        let since = [(Limit::Rotation, ROTATION), (Limit::DefaultKey, DEFAULT_KEY)];
        let lacking = since.into_iter().filter(|(_, first)| number < *first);
        lacking.map(|(limit, _)| limit).collect()
    }
}

/// Major, minor and patch version, where a missing patch version is 0. None unless the text begins with a version: no
/// release has the number 0.0.
fn number(text: &str) -> Option<Number> {
    let mut parts = text
        .trim_start_matches('v')
        .split(['.', '-', '+'])
        .map(|part| part.parse::<u32>().ok());
    let (major, minor) = (parts.next()??, parts.next()??);
    let patch = parts.next().flatten().unwrap_or_default();
    ((major, minor) != (0, 0)).then_some([major, minor, patch])
}
