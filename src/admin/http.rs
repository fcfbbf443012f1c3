//! The only user of reqwest: base URL, login, TLS, deadlines, limits, and what a reply means.
//!
//! Nothing here logs a body or returns one in an error: failures are closed enums.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue, InvalidHeaderValue};
use reqwest::{Client, Method, RequestBuilder, redirect};
use serde_json::Value;
use url::Url;

use super::breaker::Breaker;
use crate::clock::DEADLINE;
use crate::leader::Fence;
use crate::metrics::{LoginResult, Metrics};
use crate::secret::Secret;
use pace::Pace;
use route::{Elsewhere, Route};

mod collector;
mod failure;
mod outage;
mod pace;
mod rate;
pub mod reply;
mod route;
mod send;
mod settings;
mod tls;

pub use collector::Collector;
pub use failure::{ErrorBody, Failure, RedirectTo, TOO_LARGE};
pub use rate::Order;
pub use reply::{Expects, items};
pub use settings::{BadSettings, Settings};

/// Maximum size of a reply with one object, in bytes.
const OBJECT_BYTES: usize = 1 << 20;
/// Maximum size of a page of a listing or of a text, in bytes.
const PAGE_BYTES: usize = 32 << 20;

/// One server's HTTP endpoint.
pub struct Http {
    client: Client,
    base: Url,
    host: Option<HeaderValue>,
    basic: Option<(Secret, Secret)>,
    server: String,
    refuses_singly: bool,
    errors: ErrorBody,
    facts: tls::Facts,
    pace: Pace,
    breaker: Arc<Breaker>,
    fence: Fence,
    metrics: Arc<Metrics>,
}

/// One request.
pub struct Request<'a> {
    /// Name of the operation, for metrics.
    pub operation: &'static str,
    /// Method.
    pub method: Method,
    /// Segments of the path; each is percent-encoded.
    pub path: &'a [&'a str],
    /// Query parameters.
    pub query: &'a [(&'a str, &'a str)],
    /// Body, if any. May hold a secret.
    pub body: Option<Body>,
    /// What a successful reply contains.
    pub expects: Expects,
    /// Whether the circuit breaker lets it pass even when open.
    pub probe: bool,
    /// Whether it changes nothing, so that the fence lets it pass. By default true for a GET only.
    pub reads: bool,
    /// Whether it waits for others when the server limits the rate of requests. A probe never does.
    pub order: Order,
    /// Headers of this request only; values may be secrets.
    pub headers: Vec<(&'static str, &'a str)>,
}

/// The body of a request.
pub enum Body {
    /// `application/json`.
    Json(Vec<u8>),
    /// `application/x-www-form-urlencoded`.
    Form(Vec<u8>),
}

impl<'a> Request<'a> {
    /// A request without query and body.
    pub fn new(operation: &'static str, method: Method, path: &'a [&'a str]) -> Self {
        Request {
            operation,
            path,
            query: &[],
            body: None,
            expects: Expects::Json,
            probe: false,
            reads: method == Method::GET,
            order: Order::Queued,
            headers: Vec::new(),
            method,
        }
    }
}

/// A reply with a status of 2xx.
pub struct Reply {
    /// The body as JSON; null if it is empty or if items are expected. A text is a string.
    pub body: Value,
    /// The raw body, if items are expected.
    pub text: Vec<u8>,
    /// Value of the `Link` header.
    pub link: Option<String>,
}

impl Http {
    /// Prepares an endpoint; does not connect.
    ///
    /// # Errors
    /// [`BadSettings`] says which part cannot be used.
    pub fn new(
        server: &str,
        base: &str,
        settings: &Settings,
        fence: Fence,
        metrics: Arc<Metrics>,
    ) -> Result<Self, BadSettings> {
        let mut base = Url::parse(base).map_err(|_| BadSettings::Url)?;
        let mut route = Route::of(&base, settings)?;
        let (tls, facts) = tls::configure(&base, settings, &route)?;
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(redirect::Policy::none()) // a redirect could send the login to another host
            .timeout(DEADLINE)
            .connect_timeout(DEADLINE / 2)
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("oidc-operator/", env!("CARGO_PKG_VERSION")))
            .default_headers(settings.default_headers()?);
        builder = match route.proxy.take() {
            Some(proxy) => builder.proxy(proxy),
            None => builder.no_proxy(),
        };
        let mut host = None;
        if let Some(name) = route.renamed {
            let authority = base.authority().to_owned();
            let address = base.host_str().ok_or(BadSettings::Url)?.to_owned();
            host = Some(HeaderValue::from_str(&authority).map_err(|_| BadSettings::Url)?);
            base.set_host(Some(&name)).map_err(|_| BadSettings::ServerName)?;
            builder = builder.dns_resolver(Arc::new(Elsewhere(address)));
        }
        let client = builder.build().map_err(|_| BadSettings::Url)?;
        Ok(Http {
            client,
            base,
            host,
            basic: settings.basic.clone(),
            server: server.to_owned(),
            refuses_singly: settings.refuses_singly,
            errors: settings.errors,
            facts,
            pace: Pace::default(),
            breaker: Arc::default(),
            fence,
            metrics,
        })
    }

    /// The circuit breaker.
    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// Most requests a second that may start, while the server limits them.
    pub fn limit(&self) -> Option<f64> {
        self.pace.limit()
    }

    /// Counts a login at the server.
    pub(super) fn logged_in(&self, result: LoginResult) {
        self.metrics.logged_in(&self.server, result);
    }

    async fn exchange(&self, request: &Request<'_>) -> (u16, Result<Reply, Failure>) {
        let expects = request.expects;
        let limit = if request.query.is_empty() && expects == Expects::Json {
            OBJECT_BYTES
        } else {
            PAGE_BYTES
        };
        let Ok(request) = self.built(request) else {
            return (0, Err(Failure::Reply("cannot be requested: a header value is invalid")));
        };
        let response = match request.send().await {
            Ok(response) => response,
            // Nothing was sent, so this says nothing about the server: a URL may be too long, for example.
            Err(error) if error.is_builder() => {
                return (
                    0,
                    Err(Failure::Reply("cannot be requested: the id cannot be part of a URL")),
                );
            }
            Err(error) => return (0, Err(Failure::Outage(outage::outage(&error, &self.facts)))),
        };
        let status = response.status();
        let link = response
            .headers()
            .get(reqwest::header::LINK)
            .and_then(|v| v.to_str().ok())
            .map(str::to_owned);
        let retry_after = reply::retry_after(status, response.headers(), SystemTime::now());
        let body = match reply::read(response, limit).await {
            Ok(body) => body,
            // The `Link` header names the next page, so an entry that is too large can be skipped.
            Err(Failure::TooLarge(_)) => return (status.as_u16(), Err(Failure::TooLarge(link))),
            Err(failure) => return (status.as_u16(), Err(failure)),
        };
        if let Some(outage) = outage::told(status, &body, &self.facts) {
            return (status.as_u16(), Err(Failure::Outage(outage)));
        }
        let judged = reply::judge(status, retry_after, &body, expects, self.errors);
        let reply = match judged {
            Ok(judged) => Ok(Reply {
                body: judged,
                text: if expects == Expects::Items { body } else { Vec::new() },
                link,
            }),
            Err(Failure::TooLarge(_)) => Err(Failure::TooLarge(link)),
            Err(failure) => Err(failure),
        };
        (status.as_u16(), reply)
    }

    /// The request with all its headers.
    ///
    /// # Errors
    /// If the value of a header cannot be sent.
    fn built(&self, request: &Request<'_>) -> Result<RequestBuilder, InvalidHeaderValue> {
        let mut builder = self
            .client
            .request(request.method.clone(), self.url(request.path))
            .query(request.query)
            .header(ACCEPT, request.expects.media_type());
        if let Some(host) = &self.host {
            builder = builder.header(reqwest::header::HOST, host.clone());
        }
        for (name, value) in &request.headers {
            let mut value = HeaderValue::from_str(value)?;
            value.set_sensitive(true);
            builder = builder.header(*name, value);
        }
        if let Some((user, password)) = &self.basic {
            builder = builder.basic_auth(user.expose(), Some(password.expose()));
        }
        let body = match &request.body {
            None => None,
            Some(Body::Json(bytes)) => Some(("application/json", bytes)),
            Some(Body::Form(bytes)) => Some(("application/x-www-form-urlencoded", bytes)),
        };
        if let Some((media_type, bytes)) = body {
            builder = builder.header(CONTENT_TYPE, media_type).body(bytes.clone());
        }
        Ok(builder)
    }

    /// The URL of a path below the base; every segment stays one segment.
    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }
}
