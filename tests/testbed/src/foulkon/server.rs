//! One run of the worker.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::auth::{self, Caller};
use super::reply::{self, Failure};
use super::route::{Target, route};
use super::table::{Database, Provider, uuid};
use super::validate::Filter;
use super::{body, providers};

/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Header with a new id for each request.
const REQUEST_ID: &str = "x-request-id";

/// The state of a started worker.
pub(super) struct Worker {
    /// The administrator's `USER:PASSWORD`.
    pub(super) admin: String,
    /// The providers that were in the table when it was started: authentication knows no others.
    pub(super) loaded: Vec<Provider>,
    database: Arc<Database>,
}

/// The configuration, as `/about` shows it; members in its order.
#[derive(Serialize)]
struct About<'a> {
    logger: LoggerConfig,
    database: DatabaseConfig,
    authenticator: AuthenticatorConfig<'a>,
    version: &'static str,
}

#[derive(Serialize)]
struct LoggerConfig {
    #[serde(rename = "type")]
    kind: &'static str,
    level: &'static str,
}

#[derive(Serialize)]
struct DatabaseConfig {
    #[serde(rename = "type")]
    kind: &'static str,
    idleconns: u32,
    maxopenconns: u32,
    connttl: u32,
}

#[derive(Serialize)]
struct AuthenticatorConfig<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "oidcProviders", skip_serializing_if = "<[_]>::is_empty")]
    oidc_providers: &'a [Provider],
}

impl Worker {
    /// A worker that loads the providers of the database now.
    pub(super) fn new(admin: &str, database: &Arc<Database>) -> Self {
        Self {
            admin: admin.to_owned(),
            loaded: database.table().all(),
            database: Arc::clone(database),
        }
    }

    async fn answer(&self, request: Request) -> Response {
        let mut response = self.handle(request).await;
        if let Ok(id) = HeaderValue::from_str(&uuid()) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }

    /// Nothing is answered before authentication, not even a 404.
    async fn handle(&self, request: Request) -> Response {
        let (head, content) = request.into_parts();
        let caller = match auth::authenticate(self, &head.headers).await {
            Ok(caller) => caller,
            Err(refused) => return refused,
        };
        let target = match route(&head.method, &head.uri) {
            Ok(target) => target,
            Err(reply) => return *reply,
        };
        let Ok(content) = to_bytes(content, usize::MAX).await else {
            return reply::empty(StatusCode::BAD_REQUEST); // the client is gone
        };
        let filter = Filter::read(head.uri.query().unwrap_or_default());
        let done = self.call(&caller, head.method.as_str(), target, &content, filter).await;
        done.unwrap_or_else(IntoResponse::into_response)
    }

    async fn call(
        &self,
        caller: &Caller,
        method: &str,
        target: Target,
        content: &[u8],
        filter: Result<Filter, Failure>,
    ) -> Result<Response, Failure> {
        let filter = filter?; // an invalid query is reported before an invalid body
        let wanted = |kind: &str| body::read(content, kind).map_err(Failure::invalid);
        let database = &*self.database;
        match (method, target) {
            ("POST", Target::Providers) => {
                providers::create(database, caller, wanted("CreateOidcProviderRequest")?).await
            }
            (_, Target::Providers) => providers::list(database, caller, filter),
            ("PUT", Target::Provider(name)) => {
                providers::update(database, caller, &name, wanted("UpdateOidcProviderRequest")?).await
            }
            ("DELETE", Target::Provider(name)) => providers::delete(database, caller, &name).await,
            (_, Target::Provider(name)) => providers::get(database, caller, &name),
            (_, Target::About) => self.about(caller),
        }
    }

    fn about(&self, caller: &Caller) -> Result<Response, Failure> {
        if *caller != Caller::Admin {
            // Not recorded.
            return Err(Failure::unauthorized("Unauthorized, user is not admin"));
        }
        let about = About {
            logger: LoggerConfig {
                kind: "default",
                level: "info",
            },
            database: DatabaseConfig {
                kind: "postgres",
                idleconns: 5,
                maxopenconns: 20,
                connttl: 300,
            },
            authenticator: AuthenticatorConfig {
                kind: "oidc",
                oidc_providers: &self.loaded,
            },
            version: "v0.5.0-SNAPSHOT",
        };
        Ok(reply::json(StatusCode::OK, &about))
    }
}

/// A worker that serves. It stops when this value is dropped.
pub(super) struct Running {
    stop: DropGuard,
    task: JoinHandle<()>,
}

impl Running {
    /// Serves with `worker` at `listener`.
    pub(super) fn start(listener: TcpListener, worker: Worker) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(accept(listener, Arc::new(worker), stop.clone()));
        Self {
            stop: stop.drop_guard(),
            task,
        }
    }

    /// Stops as a killed process does: requests under way get no answer. Returns when the port is free.
    pub(super) async fn stop(self) {
        drop(self.stop);
        let _ = self.task.await; // it neither panics nor is aborted
    }
}

async fn accept(listener: TcpListener, worker: Arc<Worker>, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&worker)));
                }
                Err(error) => {
                    tracing::warn!(%error, "no connection accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {} // or the set would grow
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, worker: Arc<Worker>) {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let worker = Arc::clone(&worker);
        async move { Ok::<_, Infallible>(worker.answer(request.map(Body::new)).await) }
    });
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "connection closed");
    }
}
