//! The server behind the proxy, and TLS on both sides.

use std::fmt;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The only protocol the proxy speaks, as ALPN names it.
const HTTP_1_1: &[u8] = b"http/1.1";

/// Where a proxy forwards to.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Scheme, host and port; a path is not supported.
    pub url: String,
    /// The authority that a server on `https` must be certified by.
    pub ca_pem: Option<String>,
}

impl Upstream {
    /// A server on plain HTTP.
    pub fn http(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ca_pem: None,
        }
    }

    /// A server on TLS, certified by the authority `ca_pem`.
    pub fn https(url: impl Into<String>, ca_pem: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ca_pem: Some(ca_pem.into()),
        }
    }
}

/// What a proxy shows to its clients to be accepted as the server.
#[derive(Clone)]
pub struct Identity {
    /// The certificate for `127.0.0.1`, followed by its chain if it has one.
    pub certificate_pem: String,
    /// The private key of the certificate.
    pub key_pem: String,
}

impl Identity {
    /// With `clients_ca_pem`, only clients with a certificate of that authority are admitted.
    pub(super) fn acceptor(&self, clients_ca_pem: Option<&str>) -> Result<TlsAcceptor> {
        let chain = certificates(&self.certificate_pem)?;
        let key =
            PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).context("the proxy's private key is no PEM")?;
        let builder = ServerConfig::builder_with_provider(ring()).with_safe_default_protocol_versions()?;
        let builder = match clients_ca_pem {
            Some(ca_pem) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca_pem)?), ring());
                builder.with_client_cert_verifier(verifier.build()?)
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key)?;
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// An upstream ready to connect to.
pub(super) struct Target {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Target {
    pub(super) fn resolve(upstream: &Upstream) -> Result<Self> {
        let url = &upstream.url;
        let uri: Uri = url.parse().with_context(|| format!("upstream {url}"))?;
        if uri.path() != "/" || uri.query().is_some() {
            bail!("upstream {url}: a path is not supported");
        }
        let host = uri.host().with_context(|| format!("upstream {url}: no host"))?;
        let host = host.trim_matches(['[', ']']).to_owned();
        let (port, tls) = match uri.scheme_str() {
            Some("http") => (80, None),
            Some("https") => {
                let ca_pem = upstream.ca_pem.as_deref();
                let ca_pem = ca_pem.with_context(|| format!("upstream {url}: no authority"))?;
                let name = ServerName::try_from(host.clone())?;
                (443, Some((connector(ca_pem)?, name)))
            }
            _ => bail!("upstream {url}: neither http nor https"),
        };
        Ok(Self {
            port: uri.port_u16().unwrap_or(port),
            host,
            tls,
        })
    }

    /// Sends a request on a new connection and waits for the head of the reply.
    ///
    /// Connections are not reused: a server may close an idle one just when the next request
    /// is written to it, and that failure would be the proxy's, not the server's.
    pub(super) async fn send(&self, request: Request<Full<Bytes>>) -> Result<(Response<Incoming>, Connection)> {
        let stream = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .context("no connection to the upstream")?;
        stream.set_nodelay(true)?;
        match &self.tls {
            Some((connector, name)) => {
                let stream = connector
                    .connect(name.clone(), stream)
                    .await
                    .context("no TLS session with the upstream")?;
                converse(stream, request).await
            }
            None => converse(stream, request).await,
        }
    }
}

/// The task that drives a connection to the upstream; dropping it closes the connection.
///
/// It is held along with the reply's body: hyper notices that a body is no longer read only
/// when more of it arrives, which on a quiet watch is never.
pub(super) struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn converse<S>(stream: S, request: Request<Full<Bytes>>) -> Result<(Response<Incoming>, Connection)>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = Connection(tokio::spawn(async move {
        if let Err(error) = driver.await {
            tracing::debug!(%error, "connection to the upstream failed");
        }
    }));
    let response = sender
        .send_request(request)
        .await
        .context("no reply from the upstream")?;
    Ok((response, connection))
}

fn connector(ca_pem: &str) -> Result<TlsConnector> {
    let mut config = ClientConfig::builder_with_provider(ring())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(ca_pem)?)
        .with_no_client_auth();
    config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots(ca_pem: &str) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca_pem)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .context("a certificate is no PEM")?;
    if certificates.is_empty() {
        bail!("no certificate in the PEM");
    }
    Ok(certificates)
}

/// Named explicitly, so that the proxy works whether or not the process has a default provider.
fn ring() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
