//! Health and metrics of a server. Only the path of the metrics has the prefix of v2.

use reqwest::Method;
use serde_json::Value;

use super::Hydra;
use crate::admin::http::{Expects, Failure, Request};

impl Hydra {
    /// `is_instance_alive`: whether the process serves HTTP; it does not check the database. Passes an open circuit
    /// breaker.
    ///
    /// # Errors
    /// [`Failure`]; also a reply that does not say `ok`.
    pub async fn is_alive(&self) -> Result<(), Failure> {
        self.health("is_instance_alive", "alive").await
    }

    /// `is_instance_ready`: whether the database answers and has the server's schema. Passes an open circuit breaker.
    ///
    /// # Errors
    /// [`Failure`]; 503 if it is not ready.
    pub async fn is_ready(&self) -> Result<(), Failure> {
        self.health("is_instance_ready", "ready").await
    }

    async fn health(&self, operation: &'static str, which: &str) -> Result<(), Failure> {
        let path = ["health", which];
        let request = Request {
            probe: true,
            ..Request::new(operation, Method::GET, &path)
        };
        let reply = self.http.send(request).await?;
        match reply.body.get("status").and_then(Value::as_str) {
            Some("ok") => Ok(()),
            _ => Err(Failure::Reply("does not report the status `ok`")),
        }
    }

    /// `prometheus`: the server's own metrics, in Prometheus' text format.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn metrics(&self) -> Result<String, Failure> {
        let path = self.path(&["metrics", "prometheus"]);
        let request = Request {
            expects: Expects::Text,
            ..Request::new("prometheus", Method::GET, &path)
        };
        match self.http.send(request).await?.body {
            Value::String(text) => Ok(text),
            _ => Err(Failure::Reply("is not text")),
        }
    }
}
