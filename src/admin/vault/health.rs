//! `sys/health`: whether a server can be used, and which one it is.

use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::admin::bounded::{Bounded, ID, WORD};
use crate::admin::http::{Failure, Http, Request};
use crate::api::authorization_server::Capability;

/// The statuses that tell what a server is are all turned into 200: the body says it too.
const ALWAYS_OK: [(&str, &str); 6] = [
    ("standbyok", "true"),
    ("perfstandbyok", "true"),
    ("sealedcode", "200"),
    ("uninitcode", "200"),
    ("drsecondarycode", "200"),
    ("removedcode", "200"),
];

/// What a server says of itself to everybody.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Health {
    /// Whether it has been set up.
    pub initialized: bool,
    /// Whether it is sealed, so that it answers nothing.
    pub sealed: bool,
    /// Whether another one of its cluster is the active one.
    #[serde(default)]
    pub standby: bool,
    /// Id of its cluster, which all its nodes share and which moves with its storage. Empty while it is sealed.
    #[serde(default)]
    pub cluster_id: Bounded<ID>,
    /// Its version, for example `1.19.5` of Vault or `2.7.2` of OpenBao.
    #[serde(default)]
    pub version: Bounded<WORD>,
    /// `enterprise`, which HashiCorp Vault tells and OpenBao does not.
    #[serde(default)]
    pub enterprise: Option<bool>,
    /// `replication_dr_mode`: `secondary` of one that only waits for a disaster.
    #[serde(default)]
    pub replication_dr_mode: String,
}

/// Asks a server how it is. No login is sent. Passes an open circuit breaker.
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
/// [`Failure::Reply`] if it is something else's.
pub fn parse(body: Value) -> Result<Health, Failure> {
    serde_json::from_value(body).map_err(|_| Failure::Reply("does not say how the server is"))
}

impl Health {
    /// What the server can do beyond what every supported one can: OpenBao chooses the grants of a client from 2.5 on, Vault does not.
    pub fn capabilities(&self) -> Vec<Capability> {
        match self.enterprise.is_none() && self.numbers() >= (2, 5) {
            true => vec![Capability::ClientCredentials],
            false => Vec::new(),
        }
    }

    /// Whether its identity engine is an OpenID Connect provider: Vault's from 1.10 on, and every OpenBao's.
    pub fn is_provider(&self) -> bool {
        self.numbers() >= (1, 10)
    }

    /// Whether it has namespaces: OpenBao from 2.3 on, and the Enterprise edition of Vault. Any other takes no notice of the one that it is asked for.
    pub fn has_namespaces(&self) -> bool {
        match self.enterprise {
            Some(is_enterprise) => is_enterprise,
            None => self.numbers() >= (2, 3) || self.version.contains("+ent"),
        }
    }

    /// Whether it belongs to another cluster than the one of this id. One that does not say belongs to any.
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
