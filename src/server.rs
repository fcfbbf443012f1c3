//! Probes and metrics.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::api::{AuthorizationServer, OAuth2Client};
use crate::controller::{Context, Managed};
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
        for client in ctx.stores.clients.state() {
            let conditions = client.status.as_ref().map(|status| status.conditions.as_slice());
            labels.extend(condition_labels(OAuth2Client::KIND, conditions.unwrap_or_default()));
        }
        for server in ctx.stores.servers.state() {
            let conditions = server.status.as_ref().map(|status| status.conditions.as_slice());
            labels.extend(condition_labels(
                AuthorizationServer::KIND,
                conditions.unwrap_or_default(),
            ));
        }
    }
    state.metrics.render(labels.into_iter())
}

fn condition_labels(kind: &'static str, conditions: &[Condition]) -> Vec<ConditionLabels> {
    let labels = |c: &Condition| ConditionLabels {
        kind,
        r#type: c.type_.clone(),
        status: c.status.clone(),
        reason: c.reason.clone(),
    };
    conditions.iter().map(labels).collect()
}
