//! Calls of the server's API.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::Method;
use serde_json::Value;

use crate::http;

/// Longest wait for one answer. Initialising, sealing and making an RSA key each take a second on an idle machine.
const CALL_LIMIT: Duration = Duration::from_secs(60);

/// The API of a server, with one token and within one namespace.
///
/// Every call opens a new connection: a kept one would be dead after a restart of the server.
#[derive(Clone)]
pub struct Api {
    address: String,
    /// Empty: none.
    token: String,
    /// Empty: the root namespace.
    namespace: String,
}

impl Api {
    /// The API of the server at `address` (without a trailing slash) in the root namespace, with `token`, which is
    /// empty for calls that need none.
    #[must_use]
    pub fn new(address: &str, token: &str) -> Self {
        Self {
            address: address.to_owned(),
            token: token.to_owned(),
            namespace: String::new(),
        }
    }

    /// The same API with another token.
    #[must_use]
    pub fn as_token(&self, token: &str) -> Self {
        Self {
            token: token.to_owned(),
            ..self.clone()
        }
    }

    /// The same API in the namespace `name` below this one. [`Self::namespace`] creates it.
    #[must_use]
    pub fn in_namespace(&self, name: &str) -> Self {
        let namespace = match self.namespace.as_str() {
            "" => name.to_owned(),
            parent => format!("{parent}/{name}"),
        };
        Self {
            namespace,
            ..self.clone()
        }
    }

    /// Sends a request, `LIST` included, and returns the status and the body: null when there is none, a string when it
    /// is not JSON. `path` is what follows `/v1/`.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Result<(u16, Value)> {
        let verb = Method::from_bytes(method.as_bytes()).with_context(|| format!("the method {method:?}"))?;
        let mut request = http::client()
            .request(verb, format!("{}/v1/{path}", self.address))
            .timeout(CALL_LIMIT);
        if !self.token.is_empty() {
            request = request.header("x-vault-token", &self.token);
        }
        if !self.namespace.is_empty() {
            request = request.header("x-vault-namespace", &self.namespace);
        }
        http::exchange(request, body, &format!("{method} {path}")).await
    }

    /// Like [`Self::call`], but fails without a success status.
    ///
    /// # Errors
    /// When there is no answer or another status; the message quotes the server.
    pub async fn must(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value> {
        match self.call(method, path, body).await? {
            (200..=299, body) => Ok(body),
            (status, body) => bail!("{method} {path} was answered {status}: {}", complaint(&body)),
        }
    }
}

/// The text at `pointer` in an answer.
pub(super) fn text(answer: &Value, pointer: &str) -> Result<String> {
    let text = answer.pointer(pointer).and_then(Value::as_str);
    text.map(ToOwned::to_owned)
        .with_context(|| format!("an answer without {pointer}"))
}

/// The server's text about a failure, which is usually in a list called `errors`.
pub(super) fn complaint(body: &Value) -> String {
    match body["errors"].as_array() {
        Some(errors) => {
            let texts: Vec<_> = errors.iter().filter_map(Value::as_str).map(str::trim).collect();
            texts.join("; ")
        }
        None => body.to_string(),
    }
}
