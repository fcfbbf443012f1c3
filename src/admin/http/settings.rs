//! How to reach a server.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::failure::ErrorBody;
use crate::proxies::Proxies;
use crate::secret::Secret;

/// How to reach a server.
#[derive(Clone, Default)]
pub struct Settings {
    /// Headers of every request; some are secrets.
    pub headers: Vec<(String, Secret)>,
    /// User and password for Basic authentication.
    pub basic: Option<(Secret, Secret)>,
    /// Certificates (PEM) to trust.
    pub ca_pem: Option<Vec<u8>>,
    /// Whether the system's certificates are trusted as well.
    pub keep_system_roots: bool,
    /// Client certificate and key (PEM).
    pub identity_pem: Option<Secret>,
    /// Name that the server's certificate must carry.
    pub server_name: Option<String>,
    /// The proxies of the environment.
    pub proxies: Proxies,
    /// Whether a 401 or 403 concerns one request only, so that the circuit breaker stays closed.
    pub refuses_singly: bool,
    /// The format of the server's errors.
    pub errors: ErrorBody,
}

/// The part of [`Settings`] that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadSettings {
    /// The base URL.
    Url,
    /// A header's value.
    Header,
    /// The CA certificates.
    Ca,
    /// The client certificate.
    Identity,
    /// The name that the certificate must carry.
    ServerName,
    /// An IPv6 address over https through a proxy, which reqwest cannot do.
    Ipv6ThroughProxy,
}

impl Settings {
    /// The headers of every request.
    pub(super) fn default_headers(&self) -> Result<HeaderMap, BadSettings> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| BadSettings::Header)?;
            let mut value = HeaderValue::from_str(value.expose()).map_err(|_| BadSettings::Header)?;
            value.set_sensitive(true);
            headers.append(name, value);
        }
        Ok(headers)
    }
}
