//! The HTTP contract: replies that no real server gives on demand, and recorded bodies of real servers.

mod breaker;
mod device;
mod discovery;
mod engine;
mod foulkon;
mod hostile;
mod kubernetes;
mod listing;
mod login;
mod operations;
mod parts;
mod paths;
mod promised;
mod proxies;
mod rate;
mod raw;
mod recordings;
mod replay;
mod replies;
mod requests;
mod revocation;
mod tls;
mod vault;
mod web;

use std::sync::Arc;

use oidc_operator::admin::http::{Failure, Http, Settings};
use oidc_operator::admin::hydra::{Client, Hydra, Version};
use oidc_operator::api::authorization_server::HydraVersion;
use oidc_operator::error::Outage;
use oidc_operator::leader::Fence;
use oidc_operator::metrics::Metrics;
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

/// An endpoint below this URL.
fn http(base: &str, settings: &Settings) -> Http {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Http::new("default", base, settings, Fence::open(), Arc::new(Metrics::default())).expect("an endpoint")
}

fn hydra(base: &str) -> Hydra {
    over(http(base, &Settings::default()), "v2.3.0")
}

/// The admin API of a server that reports this version.
fn over(http: impl Into<Arc<Http>>, version: &str) -> Hydra {
    let version = Version::of(version, HydraVersion::Auto).expect("a release");
    Hydra::new(http.into(), version)
}

/// A server that gives every request the same answer, and its admin API.
async fn always(reply: ResponseTemplate) -> (MockServer, Hydra) {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(reply).mount(&server).await;
    let hydra = hydra(&server.uri());
    (server, hydra)
}

/// Number of requests that a server received.
async fn received(server: &MockServer) -> usize {
    server.received_requests().await.unwrap_or_default().len()
}

fn json_reply(status: u16, body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(body)
}

/// An error reply of Hydra itself, with status 4xx or 5xx.
fn error_reply(status: u16, error: &str) -> ResponseTemplate {
    json_reply(status, &json!({ "error": error, "error_description": "" }))
}

/// The reply of a proxy or of another server.
fn html(status: u16) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw("<html><body>Hello</body></html>", "text/html")
}

/// The failure of a write where a read fails so: a gateway that gave up on a write says nothing about the server.
fn unfinished(of_read: &Failure) -> Failure {
    match of_read {
        Failure::Outage(Outage::Status(502 | 504, _)) => Failure::Outage(Outage::Unfinished),
        other => other.clone(),
    }
}

fn client(id: &str) -> Client {
    Client {
        client_id: id.to_owned(),
        scope: "openid".to_owned(),
        ..Client::default()
    }
}
