//! Ory Hydra's admin API, v1 and v2: typed calls, wire types, and pure mappings from specs.
//!
//! All operations of Hydra's API reference, under their names there, with method and path on both versions. The name is
//! also the `operation` of the metrics. A version in parentheses is the first one that has the operation. The two about
//! rotated secrets came after 26.2, and any server is asked for them.
//!
//! | operation | v1 | v2 |
//! |---|---|---|
//! | `list_o_auth2_clients` | `GET /clients` | `GET /admin/clients` |
//! | `create_o_auth2_client` | `POST /clients` | `POST /admin/clients` |
//! | `get_o_auth2_client` | `GET /clients/{id}` | `GET /admin/clients/{id}` |
//! | `update_o_auth2_client` | `PUT /clients/{id}` | `PUT /admin/clients/{id}` |
//! | `patch_o_auth2_client` | `PATCH /clients/{id}` | `PATCH /admin/clients/{id}` |
//! | `delete_o_auth2_client` | `DELETE /clients/{id}` | `DELETE /admin/clients/{id}` |
//! | `rotate_o_auth2_client_secret` | `POST /clients/{id}/secrets/rotate` | `POST /admin/clients/{id}/secrets/rotate` |
//! | `delete_rotated_o_auth2_client_secrets` | `DELETE /clients/{id}/secrets/rotate` | `DELETE /admin/clients/{id}/secrets/rotate` |
//! | `create_json_web_key_set` | `POST /keys/{set}` | `POST /admin/keys/{set}` |
//! | `get_json_web_key_set` | `GET /keys/{set}` | `GET /admin/keys/{set}` |
//! | `update_json_web_key_set` | `PUT /keys/{set}` | `PUT /admin/keys/{set}` |
//! | `delete_json_web_key_set` | `DELETE /keys/{set}` | `DELETE /admin/keys/{set}` |
//! | `get_json_web_key` | `GET /keys/{set}/{kid}` | `GET /admin/keys/{set}/{kid}` |
//! | `update_json_web_key` | `PUT /keys/{set}/{kid}` | `PUT /admin/keys/{set}/{kid}` |
//! | `delete_json_web_key` | `DELETE /keys/{set}/{kid}` | `DELETE /admin/keys/{set}/{kid}` |
//! | `introspect_o_auth2_token` | `POST /oauth2/introspect` | `POST /admin/oauth2/introspect` |
//! | `delete_o_auth2_token` | `DELETE /oauth2/tokens` | `DELETE /admin/oauth2/tokens` |
//! | `flush_inactive_o_auth2_tokens` | `POST /oauth2/flush` | – |
//! | `list_subject_consent_sessions` | `GET /oauth2/auth/sessions/consent` | `GET /admin/oauth2/auth/sessions/consent` |
//! | `revoke_consent_sessions` | `DELETE /oauth2/auth/sessions/consent` | `DELETE /admin/oauth2/auth/sessions/consent` |
//! | `revoke_authentication_session` | `DELETE /oauth2/auth/sessions/login` | `DELETE /admin/oauth2/auth/sessions/login` |
//! | `get_login_request` | `GET /oauth2/auth/requests/login` | `GET /admin/oauth2/auth/requests/login` |
//! | `accept_login_request` | `PUT /oauth2/auth/requests/login/accept` | `PUT /admin/oauth2/auth/requests/login/accept` |
//! | `reject_login_request` | `PUT /oauth2/auth/requests/login/reject` | `PUT /admin/oauth2/auth/requests/login/reject` |
//! | `get_consent_request` | `GET /oauth2/auth/requests/consent` | `GET /admin/oauth2/auth/requests/consent` |
//! | `accept_consent_request` | `PUT /oauth2/auth/requests/consent/accept` | `PUT /admin/oauth2/auth/requests/consent/accept` |
//! | `reject_consent_request` | `PUT /oauth2/auth/requests/consent/reject` | `PUT /admin/oauth2/auth/requests/consent/reject` |
//! | `get_logout_request` | `GET /oauth2/auth/requests/logout` | `GET /admin/oauth2/auth/requests/logout` |
//! | `accept_logout_request` | `PUT /oauth2/auth/requests/logout/accept` | `PUT /admin/oauth2/auth/requests/logout/accept` |
//! | `reject_logout_request` | `PUT /oauth2/auth/requests/logout/reject` | `PUT /admin/oauth2/auth/requests/logout/reject` |
//! | `accept_user_code_request` | – | `PUT /admin/oauth2/auth/requests/device/accept` (25.4) |
//! | `list_trusted_o_auth2_jwt_grant_issuers` | `GET /trust/grants/jwt-bearer/issuers` | `GET /admin/trust/grants/jwt-bearer/issuers` |
//! | `trust_o_auth2_jwt_grant_issuer` | `POST /trust/grants/jwt-bearer/issuers` | `POST /admin/trust/grants/jwt-bearer/issuers` |
//! | `get_trusted_o_auth2_jwt_grant_issuer` | `GET /trust/grants/jwt-bearer/issuers/{id}` | `GET /admin/trust/grants/jwt-bearer/issuers/{id}` |
//! | `delete_trusted_o_auth2_jwt_grant_issuer` | `DELETE /trust/grants/jwt-bearer/issuers/{id}` | `DELETE /admin/trust/grants/jwt-bearer/issuers/{id}` |
//! | `is_instance_alive` | `GET /health/alive` | `GET /health/alive` |
//! | `is_instance_ready` | `GET /health/ready` | `GET /health/ready` |
//! | `get_version` | `GET /version` | `GET /version` |
//! | `prometheus` | `GET /metrics/prometheus` | `GET /admin/metrics/prometheus` |

use std::sync::Arc;
use std::time::Duration;

use super::http::{Failure, Http, Request};
use crate::api::authorization_server::HydraVersion;
use crate::error::Outage;

mod catalogue;
pub mod client;
pub mod clients;
pub mod health;
pub mod key;
pub mod keys;
pub mod listing;
pub mod mapping;
mod probe;
pub mod request;
pub mod requests;
pub mod revocation;
pub mod secrets;
pub mod sessions;
pub mod sync;
pub mod tokens;
pub mod trust;
pub mod version;
mod wire;

pub use client::Client;
pub use probe::get_version;
pub use version::{Dialect, Version};

/// Longest wait for a version that is only a hint.
const HINT: Duration = Duration::from_secs(2);

/// The admin API of one Hydra server of a known version.
#[derive(Clone)]
pub struct Hydra {
    http: Arc<Http>,
    version: Version,
}

impl Hydra {
    /// Client for an endpoint whose server has this version.
    pub fn new(http: Arc<Http>, version: Version) -> Self {
        Hydra { http, version }
    }

    /// Finds out which API a server speaks, and that it answers. Passes an open circuit breaker.
    ///
    /// A version in the setting is a promise: the server is only asked to list a client, because a gateway may route
    /// nothing but the admin API. Otherwise it is asked for its version (`get_version`).
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn detect(http: &Arc<Http>, setting: HydraVersion) -> Result<Self, Failure> {
        let Some(dialect) = version::promised(setting) else {
            let text = get_version(http).await?;
            return Hydra::speaking(http, &text).await;
        };
        let promised = Hydra::new(http.clone(), Version::promised(dialect, None));
        promised.answers().await?;
        Ok(promised)
    }

    /// The server that reports this version. If that does not show which API it speaks, tries to list clients. Passes an
    /// open circuit breaker.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn speaking(http: &Arc<Http>, text: &str) -> Result<Self, Failure> {
        let version = match Version::of(text, HydraVersion::Auto) {
            Some(version) => version,
            None => {
                let newer = Hydra::new(http.clone(), Version::built_from_source(text, Dialect::V2));
                let Err(failure) = newer.probe_clients().await else {
                    return Ok(newer);
                };
                let older = Version::built_from_source(text, Dialect::V1);
                let is_older = matches!(failure, Failure::Status { code: 404, .. })
                    && Hydra::new(http.clone(), older.clone()).probe_clients().await.is_ok();
                if is_older { older } else { return Err(failure) }
            }
        };
        Ok(Hydra::new(http.clone(), version))
    }

    /// Whether the server answers a request for clients. Passes an open circuit breaker.
    ///
    /// # Errors
    /// [`Failure`]; not one that concerns the listing alone: one client that the server cannot read fails every listing,
    /// but no other request.
    pub async fn answers(&self) -> Result<(), Failure> {
        match self.probe_clients().await {
            Ok(()) | Err(Failure::Outage(Outage::Busy | Outage::Status(500, _))) => Ok(()),
            Err(failed) => Err(failed),
        }
    }

    /// The same server with the version that it reports, if it reports one of the API that it was promised to speak.
    /// `hints`: an endpoint of its own, since this request may fail although the server is well. `last`: the version that
    /// it reported before, which counts as long as there is no reply.
    pub async fn hinted(self, hints: &Http, last: Option<&str>) -> Self {
        let reported = match tokio::time::timeout(HINT, get_version(hints)).await {
            Ok(Ok(reported)) => Some(reported),
            Ok(Err(Failure::Outage(_))) | Err(_) => last.map(str::to_owned),
            Ok(Err(_)) => None,
        };
        Hydra {
            version: Version::promised(self.version.dialect(), reported.as_deref()),
            ..self
        }
    }

    /// The endpoint.
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// The version that was found.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The path on this server for a path of v1. Health and version have the same path on both versions.
    fn path<'a>(&self, v1: &[&'a str]) -> Vec<&'a str> {
        match self.version.dialect() {
            Dialect::V1 => v1.to_vec(),
            Dialect::V2 => ["admin"].iter().chain(v1).copied().collect(),
        }
    }

    /// Sends a DELETE. Succeeds if there is nothing to delete.
    async fn deleted(&self, request: Request<'_>) -> Result<(), Failure> {
        match self.http.send(request).await {
            Err(failure) if !wire::is_absent(&failure) => Err(failure),
            _ => Ok(()),
        }
    }
}
