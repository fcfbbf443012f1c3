//! A fault proxy: an HTTP/1.1 reverse proxy between a client under test and a real server.
//!
//! It records every request in a [`Journal`] and, where a [`Fault`] strikes, behaves like a bad
//! network or a bad server: it loses replies, cuts or slows them, hangs, or runs a hook at an
//! exact request, for example one that kills the client. Everything else passes through as it
//! is, and replies are streamed, so a Kubernetes watch works through it.
//!
//! To the client, a failure to reach the upstream is a closed connection, never a gateway error:
//! to the client, the proxy *is* the server.

mod fault;
mod journal;
mod limit;
mod relay;
mod reply;
mod upstream;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use fault::{Action, Answer, Fault, FaultHandle, Hook, Matcher, When};
pub use journal::{Exchange, Journal, Outcome, RequestHead};
pub use upstream::{Identity, Upstream};

use fault::Gate;
use upstream::Target;

/// How long the accept loop rests after a failed accept, most likely without free descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A free loopback port.
const FREE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A running fault proxy. It stops, and closes its connections, when dropped.
pub struct Proxy {
    address: SocketAddr,
    scheme: &'static str,
    core: Arc<Core>,
    _stop: DropGuard,
}

/// What the connections of one proxy share.
struct Core {
    name: String,
    target: Mutex<Arc<Target>>,
    gate: Arc<Gate>,
    journal: Arc<Journal>,
    /// Cancelled when the proxy stops.
    stop: CancellationToken,
    /// Parent of all current connections; replaced when they are severed.
    connections: Mutex<CancellationToken>,
}

impl Proxy {
    /// Starts a proxy on a free loopback port, as tasks of the current runtime.
    ///
    /// `name` marks its log lines. With an `identity` it serves TLS, without one plain HTTP.
    pub async fn start(name: &str, upstream: Upstream, identity: Option<Identity>) -> Result<Self> {
        let acceptor = identity.as_ref().map(|identity| identity.acceptor(None)).transpose()?;
        Self::launch(name, FREE, upstream, acceptor).await
    }

    /// Starts a proxy that serves plain HTTP at this address.
    pub async fn start_at(name: &str, address: SocketAddr, upstream: Upstream) -> Result<Self> {
        Self::launch(name, address, upstream, None).await
    }

    /// Starts a proxy that serves TLS and admits only clients with a certificate of the authority `clients_ca_pem`.
    pub async fn start_mutual(
        name: &str,
        upstream: Upstream,
        identity: &Identity,
        clients_ca_pem: &str,
    ) -> Result<Self> {
        let acceptor = identity.acceptor(Some(clients_ca_pem))?;
        Self::launch(name, FREE, upstream, Some(acceptor)).await
    }

    async fn launch(
        name: &str,
        address: SocketAddr,
        upstream: Upstream,
        acceptor: Option<TlsAcceptor>,
    ) -> Result<Self> {
        let target = Target::resolve(&upstream)?;
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("the proxy cannot listen at {address}"))?;
        let address = listener.local_addr()?;
        let scheme = if acceptor.is_some() { "https" } else { "http" };

        let stop = CancellationToken::new();
        let core = Arc::new(Core {
            name: name.to_owned(),
            target: Mutex::new(Arc::new(target)),
            gate: Arc::default(),
            journal: Arc::default(),
            connections: Mutex::new(stop.child_token()),
            stop: stop.clone(),
        });
        tokio::spawn(accept(listener, acceptor, Arc::clone(&core)));
        Ok(Self {
            address,
            scheme,
            core,
            _stop: stop.drop_guard(),
        })
    }

    /// Where clients find the proxy: `http(s)://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Forwards new requests to another server, for example to the same one after it restarted
    /// on another port. Exchanges under way stay with the old one.
    pub fn set_upstream(&self, upstream: Upstream) -> Result<()> {
        *lock(&self.core.target) = Arc::new(Target::resolve(&upstream)?);
        Ok(())
    }

    /// The record of all requests.
    pub fn journal(&self) -> &Journal {
        &self.core.journal
    }

    /// Arms a fault until the handle is dropped or [`Proxy::clear`] is called.
    pub fn inject(&self, fault: Fault) -> FaultHandle {
        Gate::inject(&self.core.gate, fault)
    }

    /// Removes all faults, also those whose handles still exist, and releases what they hold back.
    pub fn clear(&self) {
        self.core.gate.clear();
    }

    /// Closes all connections, replies under way included, as a restart of the server would.
    pub fn sever(&self) {
        let fresh = self.core.stop.child_token();
        std::mem::replace(&mut *lock(&self.core.connections), fresh).cancel();
    }

    /// Takes the server away: severs all connections, then closes each new one at its first
    /// request. Such requests are recorded, with the fault `down`, but no other fault counts
    /// them.
    pub fn down(&self) {
        self.core.gate.set_down(true);
        self.sever();
    }

    /// Brings the server back after [`Proxy::down`].
    pub fn up(&self) {
        self.core.gate.set_down(false);
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("name", &self.core.name)
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

/// Accepts connections until the proxy stops.
async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, core: Arc<Core>) {
    loop {
        let accepted = tokio::select! {
            () = core.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let severed = lock(&core.connections).clone();
                tokio::spawn(connection(stream, acceptor.clone(), Arc::clone(&core), severed));
            }
            Err(error) => {
                tracing::warn!(proxy = core.name, %error, "no connection accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection until it ends or is severed.
async fn connection(stream: TcpStream, acceptor: Option<TlsAcceptor>, core: Arc<Core>, severed: CancellationToken) {
    let name = core.name.clone();
    let serving = async {
        stream.set_nodelay(true)?;
        match acceptor {
            Some(acceptor) => serve(acceptor.accept(stream).await?, core).await,
            None => serve(stream, core).await,
        }
    };
    tokio::select! {
        () = severed.cancelled() => {}
        ended = serving => if let Err(error) = ended {
            tracing::debug!(proxy = name, "connection closed: {error:#}");
        },
    }
}

async fn serve<S>(stream: S, core: Arc<Core>) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request| relay::handle(Arc::clone(&core), request));
    // A service that fails makes hyper close the connection without a reply: that is how every
    // loss is shown to the client.
    http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await?;
    Ok(())
}

/// Locks even after a panic elsewhere: a failed assertion in a closure of a test must not turn
/// into failures of all requests that follow.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
