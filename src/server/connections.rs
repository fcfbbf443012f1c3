//! Connections of the web server: limited in number and time, but a new one is always accepted.
//!
//! The port is open to the whole cluster, and the kubelet must get its answer whatever other clients do. So no
//! connection waits for a free slot: when all are taken, the newest connection displaces the oldest. A probe needs its
//! slot only for a moment; connections that stay long are the ones that are displaced.

use std::collections::VecDeque;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// Maximum number of concurrent connections.
pub const MOST: usize = 256;
/// Longest time for the head of a request, from the start of the connection or the end of the last reply. It also ends
/// idle connections.
pub const HEAD: Duration = Duration::from_secs(5);
/// How long a connection may be used; a request in progress then has [`HEAD`] to finish.
const LIFETIME: Duration = Duration::from_secs(30);
/// Time that connections have to finish after a stop signal.
const GRACE: Duration = Duration::from_secs(1);
/// Connections that are accepted before the open ones are served: none is displaced unserved, and none waits long to be
/// accepted.
const BATCH: usize = MOST / 16;
/// Maximum number of bytes buffered of a request's head, or of a reply that the client does not read.
const BUFFER: usize = 16 * 1024;

/// Serves connections until stopped.
pub async fn accept(listener: TcpListener, router: Router, stop: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(BUFFER);
    let mut tasks = JoinSet::new();
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    for nth in 1_usize.. {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // Without a free file descriptor, `accept` would fail again at once.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        while tasks.try_join_next().is_some() {}
        open.retain(|connection| !connection.is_finished());
        if open.len() >= MOST
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        open.push_back(tasks.spawn(serve(http.clone(), stream, router.clone(), stop.clone())));
        if nth.is_multiple_of(BATCH) {
            tokio::task::yield_now().await;
        }
    }
    drop(listener);
    let ended = async { while tasks.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(GRACE, ended).await; // the rest is cut off
}

async fn serve(http: http1::Builder, stream: TcpStream, router: Router, stop: CancellationToken) {
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = tokio::time::sleep(LIFETIME) => {}
        () = stop.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(HEAD, connection).await;
}
