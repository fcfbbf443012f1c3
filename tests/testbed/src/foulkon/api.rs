//! Calls of the worker's API.

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, Method};
use serde_json::Value;

use super::route::{ABOUT, PROVIDERS};
use crate::http;

/// The API of a worker, as its administrator.
///
/// Every call opens a new connection: a kept one would be dead after a restart of the worker.
#[derive(Clone)]
pub struct Api {
    address: String,
    authorization: String,
    client: Client,
}

impl Api {
    /// The API of the worker at `address` (without a trailing slash), whose administrator has this name and password.
    #[must_use]
    pub fn new(address: &str, user: &str, password: &str) -> Self {
        Self {
            address: address.to_owned(),
            authorization: format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))),
            client: http::client(),
        }
    }

    /// Sends a request and returns the status and the body: null when there is none, a string when it is not JSON.
    ///
    /// `path` is what follows `/api/v1/admin/auth/oidc/providers`: nothing, a query, or a slash and a name. Or it is a
    /// whole path: one that begins with `/api/`, or `/about`. (A provider called `about` needs its whole path.)
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Result<(u16, Value)> {
        self.call_as(Some(&self.authorization), method, path, body).await
    }

    /// [`Self::call`] with another `Authorization` header, or with none.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn call_as(
        &self,
        authorization: Option<&str>,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<(u16, Value)> {
        let verb = Method::from_bytes(method.as_bytes()).with_context(|| format!("the method {method:?}"))?;
        let mut request = self.client.request(verb, self.url(path)).header("connection", "close");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        http::exchange(request, body, &format!("{method} {path}")).await
    }

    /// Like [`Self::call`], but fails without a success status.
    ///
    /// # Errors
    /// When there is no answer or another status; the message quotes the worker.
    pub async fn must(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value> {
        match self.call(method, path, body).await? {
            (200..=299, body) => Ok(body),
            (status, body) => {
                let words = body["message"].as_str().or(body.as_str());
                let words = words.map_or_else(|| body.to_string(), ToOwned::to_owned);
                bail!("{method} {path} was answered {status}: {words}")
            }
        }
    }

    fn url(&self, path: &str) -> String {
        let is_whole = path.starts_with("/api/") || path.split('?').next() == Some(ABOUT);
        let start = if is_whole { "" } else { PROVIDERS };
        format!("{}{start}{path}", self.address)
    }
}
