//! TLS: which certificates of servers the operator accepts, and which one it shows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use url::Url;

use super::route::Route;
use super::settings::{BadSettings, Settings};
use crate::error::Trust;

/// What is known about the TLS sessions with a server when one fails.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// Scheme, host and port of the URL.
    pub(super) address: String,
    /// Whether the URL says https.
    pub(super) is_https: bool,
    /// The URL of the proxy, without its login.
    pub(super) proxy: Option<String>,
    /// The CAs that the operator trusts.
    pub(super) trust: Trust,
    has_certificate: bool,
    was_asked: Arc<AtomicBool>,
}

/// The part of a client certificate in the sessions with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientCertificate {
    /// The server has not asked for one.
    NotAsked,
    /// The server has asked, and the operator has none.
    Missing,
    /// The server has asked, and the operator has shown one.
    Shown,
}

impl Facts {
    pub(super) fn client_certificate(&self) -> ClientCertificate {
        match (self.was_asked.load(Ordering::Relaxed), self.has_certificate) {
            (false, _) => ClientCertificate::NotAsked,
            (true, false) => ClientCertificate::Missing,
            (true, true) => ClientCertificate::Shown,
        }
    }
}

/// The configuration of TLS for a server at this URL.
///
/// # Errors
/// [`BadSettings`].
pub(super) fn configure(base: &Url, settings: &Settings, route: &Route) -> Result<(ClientConfig, Facts), BadSettings> {
    let is_https = base.scheme() == "https";
    let default = CryptoProvider::get_default().cloned();
    let provider = default.unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()));
    let named = match &settings.ca_pem {
        Some(pem) => certificates(pem).ok_or(BadSettings::Ca)?,
        None => Vec::new(),
    };
    // Nothing is verified over plain http, and the certificates of the image take memory.
    let (roots, trust) = roots(&named, is_https && (named.is_empty() || settings.keep_system_roots))?;
    let own = match &settings.identity_pem {
        Some(pem) => Some(Arc::new(
            identity(pem.expose().as_bytes(), &provider).ok_or(BadSettings::Identity)?,
        )),
        None => None,
    };
    let facts = Facts {
        address: base.origin().ascii_serialization(),
        is_https,
        proxy: route.proxy_shown.clone(),
        trust,
        has_certificate: own.is_some(),
        was_asked: Arc::default(),
    };
    let verifier = Verifier::new(roots, named, route.verified.clone(), provider.clone())?;
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|_| BadSettings::Ca)?.dangerous();
    let mut config = config
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(Own {
            certificate: own,
            was_asked: facts.was_asked.clone(),
        }));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((config, facts))
}

/// The certificates in a PEM text. None if there are none, or if one cannot be read.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found.ok().filter(|found| !found.is_empty())
}

/// A certificate, its chain, and its key. None if one is missing or does not fit.
fn identity(pem: &[u8], provider: &CryptoProvider) -> Option<CertifiedKey> {
    let key = PrivateKeyDer::from_pem_slice(pem).ok()?;
    CertifiedKey::from_der(certificates(pem)?, key, provider).ok()
}

/// The CAs that the spec names, with those of the image if asked for.
fn roots(named: &[CertificateDer<'static>], with_image: bool) -> Result<(RootCertStore, Trust), BadSettings> {
    let mut roots = RootCertStore::empty();
    for certificate in named {
        roots.add(certificate.clone()).map_err(|_| BadSettings::Ca)?;
    }
    if !with_image {
        return Ok((roots, Trust::Spec));
    }
    let found = rustls_native_certs::load_native_certs();
    for error in found.errors {
        tracing::debug!(%error, "CA certificates of the image cannot be read");
    }
    let (added, _) = roots.add_parsable_certificates(found.certs);
    let trust = match (named.is_empty(), added) {
        (true, 0) => Trust::Nobody,
        (true, _) => Trust::Image,
        (false, 0) => Trust::Spec,
        (false, _) => Trust::SpecAndImage,
    };
    Ok((roots, trust))
}

/// Verifies as webpki does, and accepts a CA's own certificate as a server's if the spec names exactly that
/// certificate. This trusts nobody new: the holder of its key could issue a certificate for any name.
#[derive(Debug)]
struct Verifier {
    /// None without any root, which webpki refuses.
    web_pki: Option<Arc<WebPkiServerVerifier>>,
    named: Vec<CertificateDer<'static>>,
    /// The name to verify instead of that in the URL.
    name: Option<ServerName<'static>>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(
        roots: RootCertStore,
        named: Vec<CertificateDer<'static>>,
        name: Option<ServerName<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, BadSettings> {
        let web_pki = match roots.is_empty() {
            true => None,
            false => {
                let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
                Some(builder.build().map_err(|_| BadSettings::Ca)?)
            }
        };
        Ok(Verifier {
            web_pki,
            named,
            name,
            provider,
        })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let server_name = self.name.as_ref().unwrap_or(server_name);
        let Some(web_pki) = &self.web_pki else {
            return Err(CertificateError::UnknownIssuer.into());
        };
        match web_pki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // webpki has compared its time before.
            Err(error) if is_ca_as_server(&error) && self.named.iter().any(|named| **named == **end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether a certificate was refused because it is a CA's.
pub(super) fn is_ca_as_server(error: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = error else {
        return false;
    };
    other.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity)
}

/// The operator's certificate. Notes whether a server asks for it.
#[derive(Debug)]
struct Own {
    certificate: Option<Arc<CertifiedKey>>,
    was_asked: Arc<AtomicBool>,
}

impl ResolvesClientCert for Own {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.was_asked.store(true, Ordering::Relaxed);
        self.certificate.clone()
    }

    fn has_certs(&self) -> bool {
        self.certificate.is_some()
    }
}
