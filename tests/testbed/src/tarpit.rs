//! A server that accepts connections and never answers on them.

use anyhow::Result;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Starts the server on loopback. Returns its port, and the task that holds its connections until it is aborted.
///
/// # Errors
/// When no port is free.
pub async fn start() -> Result<(u16, JoinHandle<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let held = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
        }
    });
    Ok((port, held))
}
