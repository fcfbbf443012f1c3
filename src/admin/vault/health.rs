//! `sys/health`: whether a server can be used, and which cluster it belongs to.

use reqwest::Method;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::admin::bounded::{Bounded, ID, WORD};
use crate::admin::http::{Failure, Http, Request};

/// Makes the server answer 200 in every state: the body reports the state as well.
const ALWAYS_OK: [(&str, &str); 7] = [
    ("standbyok", "true"),
    ("perfstandbyok", "true"),
    ("sealedcode", "200"),
    ("uninitcode", "200"),
    ("drsecondarycode", "200"),
    ("haunhealthycode", "200"), // a standby that has lost the active server
    ("removedcode", "200"),
];

/// What a server reports about itself without a login.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Health {
    /// Whether it has been set up.
    pub initialized: bool,
    /// Whether it is sealed, so that it serves no requests.
    pub sealed: bool,
    /// Whether another node of its cluster is the active one.
    #[serde(default)]
    pub standby: bool,
    /// Id of its cluster, which all its nodes share and which moves with its storage. Empty while it is sealed.
    #[serde(default, deserialize_with = "or_default")]
    pub cluster_id: Bounded<ID>,
    /// Its version, for example `1.19.5` of Vault or `2.7.2` of OpenBao. Empty, or a word, if the server hides it.
    #[serde(default, deserialize_with = "or_default")]
    pub version: Bounded<WORD>,
    /// `enterprise`, which HashiCorp Vault reports and OpenBao does not. Old versions of Vault do not report it either.
    #[serde(default)]
    pub enterprise: Option<bool>,
    /// `replication_dr_mode`: `secondary` on a disaster recovery secondary.
    #[serde(default, deserialize_with = "or_default")]
    pub replication_dr_mode: String,
}

/// Reads the health of a server. Sends no login. Passes an open circuit breaker.
///
/// # Errors
/// [`Failure`].
pub async fn health(http: &Http) -> Result<Health, Failure> {
    parse(http.send(request()).await?.body)
}

pub(super) fn request() -> Request<'static> {
    Request {
        query: &ALWAYS_OK,
        probe: true,
        ..Request::new("health", Method::GET, &["v1", "sys", "health"])
    }
}

/// Reads the reply.
///
/// # Errors
/// [`Failure::Reply`] if it is not a health report.
pub fn parse(body: Value) -> Result<Health, Failure> {
    serde_json::from_value(body).map_err(|_| Failure::Reply("does not report the server's health"))
}

impl Health {
    /// Whether it belongs to a cluster with another id. False if it does not report one.
    pub fn is_of_another_cluster(&self, known: &str) -> bool {
        !self.cluster_id.is_empty() && *self.cluster_id != *known
    }
}

/// A member that is null counts as missing.
fn or_default<'de, D, T>(value: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(value).map(Option::unwrap_or_default)
}
