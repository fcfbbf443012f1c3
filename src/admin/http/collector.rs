//! Sends traces to a collector. It is no authorization server: without it, the operator works as before.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::{Client, redirect};
use tokio::runtime::Handle;
use url::Url;

use super::route::Route;
use super::settings::{BadSettings, Settings};
use super::{outage, reply, tls};
use crate::clock::DEADLINE;
use crate::error::Outage;
use crate::proxies::Proxies;

/// Maximum size of a reply, in bytes. Only its status matters.
const REPLY_BYTES: usize = 64 << 10;

/// At most one log line about failures in this time.
const QUIET: Duration = Duration::from_secs(60);

/// A client for one collector.
#[derive(Clone)]
pub struct Collector {
    client: Client,
    facts: tls::Facts,
    /// The exporter has a thread of its own, but the client needs the runtime.
    runtime: Handle,
    last_told: Arc<Mutex<Option<Instant>>>,
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").finish_non_exhaustive()
    }
}

impl Collector {
    /// Prepares a client; does not connect.
    ///
    /// # Errors
    /// [`BadSettings`] says which part cannot be used.
    pub fn new(url: &Url, proxies: Proxies, runtime: Handle) -> Result<Self, BadSettings> {
        let settings = Settings {
            proxies,
            ..Settings::default()
        };
        let mut route = Route::of(url, &settings)?;
        let (tls, facts) = tls::configure(url, &settings, &route)?;
        let builder = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(redirect::Policy::none())
            .timeout(DEADLINE)
            .connect_timeout(DEADLINE / 2)
            .user_agent(concat!("oidc-operator/", env!("CARGO_PKG_VERSION")));
        let builder = match route.proxy.take() {
            Some(proxy) => builder.proxy(proxy),
            None => builder.no_proxy(),
        };
        Ok(Collector {
            client: builder.build().map_err(|_| BadSettings::Url)?,
            facts,
            runtime,
            last_told: Arc::default(),
        })
    }

    async fn exchange(self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.client.execute(reqwest::Request::try_from(request)?).await;
        let response = match sent {
            Ok(response) => response,
            Err(error) => {
                let outage = outage::outage(&error, &self.facts);
                let told = outage.to_string();
                self.tell(&outage.to_string());
                return Err(told.into());
            }
        };
        let status = response.status();
        if !status.is_success() {
            self.tell(&format!("it answers {}", status.as_u16()));
        }
        let body = reply::read(response, REPLY_BYTES).await;
        let body = body.map_err(|_| Outage::Broken.to_string())?;
        Ok(Response::builder().status(status.as_u16()).body(body.into())?)
    }

    /// Reports a failure, unless one was reported just before.
    fn tell(&self, reason: &str) {
        let mut last = self.last_told.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= QUIET) {
            *last = Some(Instant::now());
            tracing::warn!(
                collector = self.facts.address,
                reason,
                "traces are lost, because the collector did not take them; correct --otlp-endpoint or the collector"
            );
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        self.runtime.spawn(self.clone().exchange(request)).await?
    }
}
