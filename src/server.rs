//! Probes and metrics.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::controller::{Context, Kind, Managed};
use crate::metrics::{ConditionLabels, Metrics};

/// What the endpoints answer from.
#[derive(Default)]
pub struct State {
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// The controllers' context, once they run.
    pub context: OnceLock<Arc<Context>>,
    /// Set once this instance is ready: its caches are filled, or it stands by for the leader.
    pub ready: OnceLock<()>,
}

/// Serves until told to stop.
///
/// # Errors
/// If connections cannot be accepted any more.
pub async fn serve(listener: TcpListener, state: Arc<State>, stop: CancellationToken) -> std::io::Result<()> {
    let (ready, metrics) = (state.clone(), state);
    let router = Router::new()
        .route("/livez", get(async || "ok"))
        .route("/readyz", get(async move || readiness(&ready)))
        .route(
            "/metrics",
            get(async move || ([(CONTENT_TYPE, OPENMETRICS)], render(&metrics))),
        );
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn readiness(state: &State) -> (StatusCode, &'static str) {
    match state.ready.get() {
        Some(()) => (StatusCode::OK, "ok"),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the caches are not filled yet"),
    }
}

fn render(state: &State) -> String {
    let mut labels = Vec::new();
    if let Some(ctx) = state.context.get() {
        count(&ctx.servers, &mut labels);
        count(&ctx.clients, &mut labels);
        count(&ctx.scopes, &mut labels);
        count(&ctx.assignments, &mut labels);
        count(&ctx.key_sets, &mut labels);
        count(&ctx.providers, &mut labels);
    }
    state.metrics.render(labels.into_iter())
}

fn count<K: Managed>(kind: &Kind<K>, labels: &mut Vec<ConditionLabels>) {
    for resource in kind.store.state() {
        let mut status = resource.status().cloned().unwrap_or_default();
        let conditions = K::common(&mut status).1.drain(..);
        labels.extend(conditions.map(|condition| ConditionLabels {
            kind: K::KIND,
            r#type: condition.type_,
            status: condition.status,
            reason: condition.reason,
        }));
    }
}
