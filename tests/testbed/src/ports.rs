//! Free ports on loopback.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

/// Maximum number of starts of a server if another process takes its port in between.
const ATTEMPTS: u32 = 4;

/// Runs `start` with `N` distinct free ports, and again with others when it fails because one of them was taken.
///
/// A port is known to be free only while it is bound here, but the server can bind it only after it is released, and
/// another process can be faster. Then the error has "address already in use", so `start` adds the server's log to it.
///
/// # Errors
/// The error of the last `start`.
pub async fn with_free<T, const N: usize>(mut start: impl AsyncFnMut([u16; N]) -> Result<T>) -> Result<T> {
    let mut attempt = 1;
    loop {
        match start(free()?).await {
            Err(error) if attempt < ATTEMPTS && is_address_in_use(&error) => attempt += 1,
            result => return result,
        }
    }
}

/// Whether an error (or a log that it quotes) says that a port was taken.
#[must_use]
pub fn is_address_in_use(error: &anyhow::Error) -> bool {
    // Go writes it in lower case, Rust does not.
    format!("{error:#}").to_lowercase().contains("address already in use")
}

/// `N` distinct ports of 127.0.0.1 that were free a moment ago.
///
/// # Errors
/// When no port can be bound.
pub fn free<const N: usize>() -> Result<[u16; N]> {
    let mut ports = [0; N];
    let mut held = Vec::with_capacity(N); // all are held until the last is known, so that they differ
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[tokio::test]
    async fn a_taken_port_leads_to_a_retry_with_other_ports() -> Result<()> {
        let mut tried = Vec::new();
        let ports = with_free(async |ports: [u16; 2]| {
            tried.push(ports);
            match tried.len() {
                1 => Err(anyhow!("listen tcp: bind: address already in use").context("it ended")),
                _ => Ok(ports),
            }
        })
        .await?;
        assert_eq!(tried.last(), Some(&ports));
        assert_eq!(tried.len(), 2);
        assert_ne!(ports[0], ports[1]);
        Ok(())
    }

    #[tokio::test]
    async fn other_failures_and_the_last_try_are_final() {
        let mut tries = 0;
        let mut fail_with = async |message: &'static str| {
            tries = 0;
            let result: Result<()> = with_free(async |[_]| {
                tries += 1;
                Err(anyhow!(message))
            })
            .await;
            assert!(result.is_err());
            tries
        };
        assert_eq!(fail_with("no such file").await, 1);
        assert_eq!(fail_with("address already in use").await, ATTEMPTS);
    }
}
