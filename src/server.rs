//! Probes and metrics.

mod connections;
mod listening;
mod page;
mod snapshot;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::connections::{HEAD, MOST};
pub use self::listening::listen;
pub use self::page::{AGE, Page};
use crate::controller::engine::context::Context;
use crate::health::Health;
use crate::metrics::{Metrics, PerResource};

/// State behind the endpoints.
#[derive(Default)]
pub struct State {
    /// Metrics of the process.
    pub metrics: Arc<Metrics>,
    /// The controllers' context, once they run.
    pub context: OnceLock<Arc<Context>>,
    /// State behind the probes.
    pub health: Arc<Health>,
    page: Page,
}

impl State {
    /// An empty state. `age`: maximum age of the text of `/metrics`; `per_resource`: whether it has series for each
    /// resource.
    pub fn new(age: Duration, per_resource: PerResource) -> Self {
        State {
            metrics: Arc::new(Metrics::new(per_resource)),
            page: Page::new(age),
            ..State::default()
        }
    }
}

/// Serves until stopped, on a separate thread with its own runtime. So `/livez` can report that the operator's runtime
/// hangs, probes are answered while all its workers are busy, and a client that sends requests in a loop uses this one
/// thread only.
///
/// # Errors
/// If the thread or its runtime cannot be created.
pub fn start(
    listener: std::net::TcpListener,
    state: Arc<State>,
    stop: CancellationToken,
) -> std::io::Result<std::thread::JoinHandle<std::io::Result<()>>> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(1).build()?;
    let serving = move || {
        runtime.block_on(async {
            serve(TcpListener::from_std(listener)?, state, stop).await;
            Ok(())
        })
    };
    std::thread::Builder::new().name("web".to_owned()).spawn(serving)
}

/// Serves until stopped.
pub async fn serve(listener: TcpListener, state: Arc<State>, stop: CancellationToken) {
    let (live, ready, metrics) = (state.health.clone(), state.health.clone(), state);
    let router = Router::new()
        .route("/livez", get(async move || probe(live.live())))
        .route("/readyz", get(async move || probe(ready.ready())))
        .route("/metrics", get(async move || scrape(metrics).await));
    connections::accept(listener, router, stop).await;
}

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn probe(judgement: Result<(), String>) -> (StatusCode, String) {
    match judgement {
        Ok(()) => (StatusCode::OK, "ok".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
    }
}

async fn scrape(state: Arc<State>) -> Response {
    let source = state.clone();
    match state.page.text(move || render(&source)).await {
        Some(text) => ([(CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn render(state: &State) -> String {
    let snapshot = state.context.get().map(|ctx| snapshot::snapshot(ctx));
    state.metrics.render(snapshot.unwrap_or_default())
}
