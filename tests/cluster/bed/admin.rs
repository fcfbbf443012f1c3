//! The typed client of the admin API, without a proxy: a test calls Hydra with it as the operator does.

use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use oidc_operator::admin::http::{Failure, Http, Settings};
use oidc_operator::admin::hydra::Hydra;
use oidc_operator::api::authorization_server::HydraVersion;
use oidc_operator::error::Outage;
use oidc_operator::leader::Fence;
use oidc_operator::metrics::Metrics;
use testbed::{http, wait};

use super::{Bed, LIMIT};

impl Bed {
    /// Hydra's admin API.
    pub async fn admin(&self) -> Result<Hydra> {
        admin_of(&self.hydra_urls.admin).await
    }

    /// Makes Hydra 2 generate its signing keys. It generates them for the first request, and again for every request
    /// that arrives meanwhile, which takes seconds.
    pub async fn signing_keys(&self) -> Result<()> {
        let url = format!("{}/.well-known/jwks.json", self.public_url());
        wait::until("Hydra's signing keys", LIMIT, async || {
            let answer = http::client().get(&url).send().await;
            Ok(answer.is_ok_and(|answer| answer.status().is_success()).then_some(()))
        })
        .await
    }

    /// URL of Hydra's admin API, without a proxy.
    pub fn admin_url(&self) -> &str {
        &self.hydra_urls.admin
    }

    /// URL of Hydra's public API, without a trailing slash.
    pub fn public_url(&self) -> &str {
        &self.hydra_urls.public
    }
}

/// The admin API of any Hydra, not only that of a bed.
pub async fn admin_of(url: &str) -> Result<Hydra> {
    let metrics = Arc::new(Metrics::default());
    let http = Http::new("test", url, &Settings::default(), Fence::open(), metrics)
        .map_err(|bad| anyhow!("{url}: {bad:?}"))?;
    let found = Hydra::detect(&Arc::new(http), HydraVersion::Auto).await;
    found.map_err(|failure| anyhow!("{url}: {failure:?}"))
}

/// Repeats a call while Hydra answers 400 or 500 because of a concurrent write on SQLite, or does not answer in time.
/// With eight tests on two cores an answer may take longer than the operator's deadline; the operator retries as well.
pub async fn settled<T>(what: &str, call: impl AsyncFn() -> Result<T, Failure>) -> Result<T> {
    wait::until(what, LIMIT, async || match call().await {
        Ok(value) => Ok(Some(value)),
        Err(Failure::Outage(Outage::Busy | Outage::Status(500, _) | Outage::Silent | Outage::Unfinished)) => Ok(None),
        Err(failure) => bail!("{what}: {failure:?}"),
    })
    .await
}
