//! `sys/health`: whether a server can be used, and which cluster it belongs to.

use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::admin::bounded::{Bounded, ID, WORD};
use crate::admin::http::{Failure, Http, Request};
use crate::api::authorization_server::Capability;

/// Makes the server answer 200 in every state: the body reports the state as well.
const ALWAYS_OK: [(&str, &str); 6] = [
    ("standbyok", "true"),
    ("perfstandbyok", "true"),
    ("sealedcode", "200"),
    ("uninitcode", "200"),
    ("drsecondarycode", "200"),
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
    #[serde(default)]
    pub cluster_id: Bounded<ID>,
    /// Its version, for example `1.19.5` of Vault or `2.7.2` of OpenBao.
    #[serde(default)]
    pub version: Bounded<WORD>,
    /// `enterprise`, which HashiCorp Vault reports and OpenBao does not.
    #[serde(default)]
    pub enterprise: Option<bool>,
    /// `replication_dr_mode`: `secondary` on a disaster recovery secondary.
    #[serde(default)]
    pub replication_dr_mode: String,
}

/// Reads the health of a server. Sends no login. Passes an open circuit breaker.
///
/// # Errors
/// [`Failure`].
pub async fn health(http: &Http) -> Result<Health, Failure> {
    let request = Request {
        query: &ALWAYS_OK,
        probe: true,
        ..Request::new("health", Method::GET, &["v1", "sys", "health"])
    };
    parse(http.send(request).await?.body)
}

/// Reads the reply.
///
/// # Errors
/// [`Failure::Reply`] if it is not a health report.
pub fn parse(body: Value) -> Result<Health, Failure> {
    serde_json::from_value(body).map_err(|_| Failure::Reply("does not report the server's health"))
}

impl Health {
    /// Capabilities beyond those of every supported server: OpenBao has selectable grants per client from 2.5 on, Vault
    /// does not.
    pub fn capabilities(&self) -> Vec<Capability> {
        match self.enterprise.is_none() && self.numbers() >= (2, 5) {
            true => vec![Capability::ClientCredentials],
            false => Vec::new(),
        }
    }

    /// Whether its identity engine is an OpenID Connect provider: Vault from 1.10 on, and every OpenBao.
    pub fn is_provider(&self) -> bool {
        self.numbers() >= (1, 10)
    }

    /// Whether it has namespaces: OpenBao from 2.3 on, and the Enterprise edition of Vault. Other servers ignore a
    /// requested namespace.
    pub fn has_namespaces(&self) -> bool {
        match self.enterprise {
            Some(is_enterprise) => is_enterprise,
            None => self.numbers() >= (2, 3) || self.version.contains("+ent"),
        }
    }

    /// Whether it belongs to a cluster with another id. False if it does not report one.
    pub fn is_of_another_cluster(&self, known: &str) -> bool {
        !self.cluster_id.is_empty() && *self.cluster_id != *known
    }

    /// Major and minor version.
    fn numbers(&self) -> (u32, u32) {
        let mut numbers = self
            .version
            .trim_start_matches('v')
            .split(['.', '-', '+'])
            .map(|part| part.parse().unwrap_or_default());
        (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default())
    }
}
