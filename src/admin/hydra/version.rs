//! Which of Hydra's two admin APIs a server speaks, and what its version can do. Pure.

use crate::api::authorization_server::{Capability, HydraVersion};

/// What a build from source reports.
const SOURCE: &str = "master";

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
    /// None if the server does not report one.
    text: Option<String>,
    dialect: Dialect,
    /// None if it is not known, and for a build from source: the server has the capabilities of the newest release of
    /// its API.
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
        let dialect = match promised(setting) {
            Some(dialect) => return Some(Version::promised(dialect, Some(text))),
            None => dialect_of(number(text)?),
        };
        Some(Version {
            text: Some(text.to_owned()),
            dialect,
            number: number(text),
        })
    }

    /// The version of a server that speaks this API because the setting says so. `reported`: what it reports, if
    /// anything. A gateway may report the version of another product, so anything but a version of this API is ignored.
    pub fn promised(dialect: Dialect, reported: Option<&str>) -> Self {
        let number = reported
            .and_then(number)
            .filter(|number| dialect_of(*number) == dialect);
        let text = reported.filter(|text| number.is_some() || *text == SOURCE);
        Version {
            text: text.map(str::to_owned),
            dialect,
            number,
        }
    }

    /// A build from source that was found to speak this API.
    pub fn built_from_source(text: &str, dialect: Dialect) -> Self {
        Version {
            text: Some(text.to_owned()),
            dialect,
            number: None,
        }
    }

    /// The version as the server reports it, for example `v2.3.0`. None if it does not report one.
    pub fn as_str(&self) -> Option<&str> {
        self.text.as_deref()
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
            // A wrong guess would reach other clients, so an unknown version has it not.
            (
                Capability::SlashesInClientIds,
                v2 && self.text.is_some() && since([25, 4, 0]),
            ),
            (Capability::DeviceAuthorizationGrant, v2 && since([25, 4, 0])),
            (Capability::FlushTokens, !v2),
        ];
        table
            .into_iter()
            .filter_map(|(what, can)| can.then_some(what))
            .collect()
    }
}

/// The API that a setting promises. None: the server has to be asked.
pub fn promised(setting: HydraVersion) -> Option<Dialect> {
    match setting {
        HydraVersion::Auto => None,
        HydraVersion::V1 => Some(Dialect::V1),
        HydraVersion::V2 => Some(Dialect::V2),
    }
}

fn dialect_of([major, ..]: [u32; 3]) -> Dialect {
    match major {
        0 | 1 => Dialect::V1,
        _ => Dialect::V2,
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
