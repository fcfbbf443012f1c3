//! Ory Hydra's admin API, v1 and v2: typed calls, wire types, and pure mappings from specs.

use std::sync::Arc;

use reqwest::Method;
use serde_json::Value;

use super::http::{Failure, Http, Request};
use crate::api::authorization_server::HydraVersion;

pub mod client;
pub mod clients;
pub mod mapping;
pub mod version;

pub use client::Client;
pub use version::{Dialect, Version};

/// The admin API of one Hydra server of a known version.
#[derive(Clone)]
pub struct Hydra {
    http: Arc<Http>,
    version: Version,
}

impl Hydra {
    /// Speaks to this endpoint as a server of this version wants it.
    pub fn new(http: Arc<Http>, version: Version) -> Self {
        Hydra { http, version }
    }

    /// Asks a server for its version (`get_version`), and if that does not tell which API it speaks, for its clients. Passes an open circuit breaker.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn detect(http: &Arc<Http>, setting: HydraVersion) -> Result<Self, Failure> {
        let text = get_version(http).await?;
        let version = match Version::of(&text, setting) {
            Some(version) => version,
            None => {
                let newer = Hydra::new(http.clone(), Version::built_from_source(&text, Dialect::V2));
                let Err(failure) = newer.probe_clients().await else {
                    return Ok(newer);
                };
                let older = Version::built_from_source(&text, Dialect::V1);
                let is_older = matches!(failure, Failure::Status { code: 404, .. })
                    && Hydra::new(http.clone(), older.clone()).probe_clients().await.is_ok();
                if is_older { older } else { return Err(failure) }
            }
        };
        Ok(Hydra::new(http.clone(), version))
    }

    /// The endpoint.
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// The version that was found.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Where the seed documents' path (v1) is on this server. Health and version stay where they are; see there.
    fn path<'a>(&self, v1: &[&'a str]) -> Vec<&'a str> {
        match self.version.dialect() {
            Dialect::V1 => v1.to_vec(),
            Dialect::V2 => ["admin"].iter().chain(v1).copied().collect(),
        }
    }
}

/// `get_version`: the version that the server reports. Also the probe of the circuit breaker. It needs no prefix on any version.
///
/// # Errors
/// [`Failure`].
pub async fn get_version(http: &Http) -> Result<String, Failure> {
    let reply = http
        .send(Request {
            probe: true,
            ..Request::new("get_version", Method::GET, &["version"])
        })
        .await?;
    let version = reply
        .body
        .get("version")
        .and_then(Value::as_str)
        .filter(|v| !v.is_empty() && v.len() <= 64 && v.bytes().all(|b| b.is_ascii_graphic()));
    version.map(str::to_owned).ok_or(Failure::Reply("holds no version"))
}

/// Only Hydra's own 404 says that a client is absent; a 404 of a proxy or of a wrong path looks different, and creating clients for it would be wrong.
fn is_absent(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Status {
            code: 404,
            error: Some(_),
            ..
        }
    )
}
