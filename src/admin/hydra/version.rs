//! Which of Hydra's two admin APIs a server speaks, and what its version can do. Pure.

use crate::api::authorization_server::{Capability, HydraVersion};

/// One of Hydra's two admin APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `/clients`, `/keys`, …: Hydra 1.x.
    V1,
    /// `/admin/clients`, `/admin/keys`, …: Hydra from 2.0 on, including releases numbered by year (25.4, 26.2).
    V2,
}

/// A version of Hydra, and its API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    text: String,
    dialect: Dialect,
    /// None for a build from source: it has the capabilities of the newest release of its API.
    number: Option<[u32; 3]>,
}

/// Why a version cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// Older than every supported version.
    TooOld,
    /// It does not accept a chosen client id (2.0 and 2.1), so a crash could leave unknown clients behind.
    NoChosenIds,
}

impl Version {
    /// The version from the text that the server reports and the setting. None if only a request can show which API the
    /// server speaks.
    pub fn of(text: &str, setting: HydraVersion) -> Option<Self> {
        let number = number(text);
        let told = match number {
            Some([0 | 1, ..]) => Some(Dialect::V1),
            Some(_) => Some(Dialect::V2),
            None => None,
        };
        let dialect = match setting {
            HydraVersion::Auto => told?,
            HydraVersion::V1 => Dialect::V1,
            HydraVersion::V2 => Dialect::V2,
        };
        Some(Version {
            text: text.to_owned(),
            dialect,
            // A number of the other API says nothing about this one.
            number: number.filter(|_| told == Some(dialect)),
        })
    }

    /// A build from source that was found to speak this API.
    pub fn built_from_source(text: &str, dialect: Dialect) -> Self {
        Version {
            text: text.to_owned(),
            dialect,
            number: None,
        }
    }

    /// The version as the server reports it, for example `v2.3.0`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The API that it speaks.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether the operator can work with it.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> Result<(), Unsupported> {
        match (self.dialect, self.number) {
            (Dialect::V1, Some(number)) if number < [1, 11, 0] => Err(Unsupported::TooOld),
            (Dialect::V2, Some(number)) if number < [2, 2, 0] => Err(Unsupported::NoChosenIds),
            _ => Ok(()),
        }
    }

    /// Capabilities beyond those of every supported version. The only table of differences between versions.
    pub fn capabilities(&self) -> Vec<Capability> {
        let since = |first: [u32; 3]| self.number.is_none_or(|number| number >= first);
        let v2 = self.dialect == Dialect::V2;
        let table = [
            (Capability::TokenLifespans, v2 || since([1, 11, 9])),
            (Capability::SkipConsent, v2),
            (Capability::AccessTokenStrategy, v2),
            (Capability::LongSecrets, v2),
            (Capability::KeyPrePublication, v2),
            (Capability::SlashesInClientIds, v2 && since([25, 4, 0])),
            (Capability::DeviceAuthorizationGrant, v2 && since([25, 4, 0])),
            (Capability::FlushTokens, !v2),
        ];
        table
            .into_iter()
            .filter_map(|(what, can)| can.then_some(what))
            .collect()
    }
}

/// Releases are numbered `v1.11.10`, `v2.3.0`, `v26.2.0`; a build from source says `master`. A suffix (`-rc.1`,
/// `+build`) is ignored.
fn number(text: &str) -> Option<[u32; 3]> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let numbers = text.split(['-', '+']).next()?;
    let mut parts = numbers.split('.').map(|part| part.parse::<u32>().ok());
    let mut part = || parts.next().unwrap_or(Some(0));
    Some([part()?, part()?, part()?])
}
