//! The server behind the proxy in its tests: it echoes, counts and streams on demand.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use futures::{StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;
use testbed::proxy::{Identity, Upstream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::{CancellationToken, DropGuard};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A server on loopback; it stops when dropped.
pub(crate) struct Server {
    url: String,
    ca_pem: Option<String>,
    state: Arc<State>,
    _stop: DropGuard,
}

#[derive(Default)]
struct State {
    hits: Mutex<Vec<String>>,
    /// What the next request to `/watch` streams.
    watch: Mutex<Option<mpsc::Receiver<Bytes>>>,
}

impl Server {
    /// A server on plain HTTP.
    pub(crate) async fn http() -> Self {
        Self::start(None, None).await
    }

    /// A server on TLS.
    pub(crate) async fn https(pki: &Pki) -> Self {
        let identity = pki.identity();
        let chain = CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::start(Some(acceptor), Some(pki.ca_pem.clone())).await
    }

    async fn start(tls: Option<TlsAcceptor>, ca_pem: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let state = Arc::<State>::default();
        let stop = CancellationToken::new();
        tokio::spawn(
            stop.clone()
                .run_until_cancelled_owned(accept(listener, tls, Arc::clone(&state))),
        );
        Self {
            url,
            ca_pem,
            state,
            _stop: stop.drop_guard(),
        }
    }

    /// This server as the upstream of a proxy.
    pub(crate) fn upstream(&self) -> Upstream {
        Upstream {
            url: self.url.clone(),
            ca_pem: self.ca_pem.clone(),
        }
    }

    /// How many requests for the target it has acted on.
    pub(crate) fn hits(&self, target: &str) -> usize {
        let hits = self.state.hits.lock().unwrap();
        hits.iter().filter(|hit| *hit == target).count()
    }

    /// Feeds the next request to `/watch`.
    pub(crate) fn watch(&self) -> mpsc::Sender<Bytes> {
        let (sender, receiver) = mpsc::channel(1);
        *self.state.watch.lock().unwrap() = Some(receiver);
        sender
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<State>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(connection(stream, tls.clone(), Arc::clone(&state)));
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, state: Arc<State>) {
    stream.set_nodelay(true).unwrap();
    match tls {
        Some(tls) => serve(tls.accept(stream).await.unwrap(), state).await,
        None => serve(stream, state).await,
    }
}

async fn serve<S>(stream: S, state: Arc<State>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request| answer(request, Arc::clone(&state)));
    // Clients that leave early are part of the tests.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(request: Request<Incoming>, state: Arc<State>) -> hyper::Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    state.hits.lock().unwrap().push(parts.uri.to_string());
    let path = parts.uri.path();
    if path == "/watch" {
        let events = state.watch.lock().unwrap().take().unwrap();
        let frames = stream::unfold(events, async |mut events| Some((events.recv().await?, events)));
        let frames = frames.map(|data| Ok(Frame::data(data)));
        return Ok(Response::new(StreamBody::new(frames).boxed_unsync()));
    }
    if let Some(length) = path.strip_prefix("/bytes/") {
        return Ok(full(vec![b'x'; length.parse().unwrap()]));
    }
    let authorization = parts.headers.get("authorization");
    let echo = json!({
        "method": parts.method.as_str(),
        "target": parts.uri.to_string(),
        "authorization": authorization.map(|value| value.to_str().unwrap()),
        "body": String::from_utf8_lossy(&body),
    });
    let mut response = full(echo.to_string());
    if path == "/missing" {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    Ok(response)
}

fn full(body: impl Into<Bytes>) -> Response<Body> {
    Response::new(Full::new(body.into()).boxed_unsync())
}

/// A certificate authority.
pub(crate) struct Pki {
    pub(crate) ca_pem: String,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        Self {
            ca_pem: params.self_signed(&key).unwrap().pem(),
            issuer: rcgen::Issuer::new(params, key),
        }
    }

    /// A new certificate for loopback.
    pub(crate) fn identity(&self) -> Identity {
        let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        Identity {
            certificate_pem: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key_pem: key.serialize_pem(),
        }
    }
}
