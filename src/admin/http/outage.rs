//! Why there is no reply.

use std::error::Error;
use std::io::{self, ErrorKind};

use reqwest::StatusCode;
use rustls::{AlertDescription, CertificateError};

use super::tls::{ClientCertificate, Facts, is_ca_as_server};
use crate::error::{CertificateNames, Hindrance, Outage, ProxyFault, ProxyTrouble, TlsFault, Trust};

/// Beginnings of the texts with which Go and Tomcat answer a request over plain http on a port for https.
const HTTPS_EXPECTED: [&str; 2] = [
    "Client sent an HTTP request to an HTTPS server",
    "Bad Request\nThis combination of host and port requires TLS",
];
/// Parts of the pages with which nginx and Apache do.
const HTTPS_EXPECTED_PAGES: [&str; 2] = [
    "<title>400 The plain HTTP request was sent to HTTPS port</title>",
    "Reason: You're speaking plain HTTP to an SSL-enabled server port.",
];

/// Why there is no reply.
pub(super) fn outage(error: &reqwest::Error, facts: &Facts) -> Outage {
    let causes = || causes(error);
    if let Some(fault) = causes().find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
        return Outage::Tls(of_tls(fault, facts));
    }
    let is_closed = causes()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(is_closed);
    let is_https = facts.is_https;
    if let Some(proxy) = &facts.proxy
        && let Some(trouble) = of_proxy(error, is_https)
    {
        return at_proxy(proxy, trouble);
    }
    if error.is_connect() {
        match is_https && is_closed {
            true => Outage::Tls(TlsFault::Closed),
            false => Outage::Unreachable(facts.address.clone(), hindrance(error)),
        }
    } else if error.is_timeout() {
        Outage::Silent
    } else if !is_https
        && causes()
            .filter_map(|cause| cause.downcast_ref())
            .any(hyper::Error::is_parse)
    {
        Outage::NotHttp
    // The alert of a server that waits for a certificate is lost if the request is on its way already.
    } else if is_closed && facts.client_certificate() == ClientCertificate::Missing {
        Outage::Tls(TlsFault::ClientCertificateWanted)
    } else {
        Outage::Broken
    }
}

/// What is wrong with the connection, as a reply over HTTP says.
pub(super) fn told(status: StatusCode, body: &[u8], facts: &Facts) -> Option<Outage> {
    match (status, &facts.proxy) {
        (StatusCode::BAD_REQUEST, _) => told_of_tls(body, facts).map(Outage::Tls),
        // Through a tunnel, the reply is the server's.
        (StatusCode::PROXY_AUTHENTICATION_REQUIRED, Some(proxy)) if !facts.is_https => {
            Some(at_proxy(proxy, ProxyTrouble::Login))
        }
        _ => None,
    }
}

/// Only texts and pages count: an error of the server's own API, which is JSON, may repeat what a user has written.
fn told_of_tls(body: &[u8], facts: &Facts) -> Option<TlsFault> {
    let text = String::from_utf8_lossy(&body[..body.len().min(1024)]);
    let is_page = |title: &str| text.trim_start().starts_with('<') && text.contains(title);
    if !facts.is_https {
        let is_expected = HTTPS_EXPECTED.iter().any(|known| text.starts_with(known))
            || HTTPS_EXPECTED_PAGES.iter().any(|known| is_page(known));
        return is_expected.then_some(TlsFault::HttpsExpected);
    }
    // nginx
    if is_page("<title>400 No required SSL certificate was sent</title>") {
        Some(TlsFault::ClientCertificateWanted)
    } else if is_page("<title>400 The SSL certificate error</title>") {
        Some(TlsFault::ClientCertificateRefused)
    } else {
        None
    }
}

fn at_proxy(proxy: &str, trouble: ProxyTrouble) -> Outage {
    Outage::Proxy(ProxyFault {
        proxy: proxy.to_owned(),
        trouble,
    })
}

/// What is wrong with the proxy. None if the server may be the cause.
fn of_proxy(error: &reqwest::Error, is_https: bool) -> Option<ProxyTrouble> {
    if !error.is_connect() {
        return None;
    }
    // The type of these errors is not public.
    let texts = causes(error).map(ToString::to_string);
    let tunnel = texts.filter_map(|text| text.strip_prefix("tunnel error: ").map(str::to_owned));
    match tunnel.last().as_deref() {
        Some("proxy authorization required") => Some(ProxyTrouble::Login),
        Some("unsuccessful" | "unexpected end of file" | "proxy response headers too long") => {
            Some(ProxyTrouble::Refused)
        }
        Some(_) => Some(ProxyTrouble::Unreachable(hindrance(error))),
        None if error.is_timeout() => Some(ProxyTrouble::Silent),
        None => (!is_https).then(|| ProxyTrouble::Unreachable(hindrance(error))),
    }
}

/// Why there is no connection.
fn hindrance(error: &reqwest::Error) -> Hindrance {
    // The type of this error is not public.
    if causes(error).any(|cause| cause.to_string() == "dns error") {
        return Hindrance::Name;
    }
    let kinds = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
    let known = kinds.filter_map(|error| match error.kind() {
        ErrorKind::ConnectionRefused => Some(Hindrance::Refused),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Some(Hindrance::NoRoute),
        ErrorKind::TimedOut => Some(Hindrance::Silence),
        _ => None,
    });
    let silence = || error.is_timeout().then_some(Hindrance::Silence);
    known.last().or_else(silence).unwrap_or(Hindrance::Other)
}

/// The errors that led to this one, the outermost first.
fn causes<'a>(error: &'a reqwest::Error) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |&error| {
        // `source` of an I/O error skips the error that it wraps; `get_ref` returns it.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped
            .map(|inner| inner as &(dyn Error + 'static))
            .or_else(|| error.source())
    })
}

fn is_closed(error: &io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(
        error.kind(),
        UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe
    )
}

fn of_tls(error: &rustls::Error, facts: &Facts) -> TlsFault {
    match error {
        error if is_ca_as_server(error) => TlsFault::CaAsServer,
        rustls::Error::InvalidCertificate(error) => of_certificate(error, facts.trust),
        rustls::Error::AlertReceived(alert) => of_alert(*alert, facts.client_certificate()),
        rustls::Error::PeerIncompatible(_) => TlsFault::NothingInCommon,
        rustls::Error::InvalidMessage(_) => TlsFault::NotTls,
        _ => TlsFault::Handshake,
    }
}

fn of_certificate(error: &CertificateError, trust: Trust) -> TlsFault {
    use CertificateError as E;
    match error {
        E::Expired | E::ExpiredContext { .. } => TlsFault::Expired,
        E::NotValidYet | E::NotValidYetContext { .. } => TlsFault::NotYetValid,
        E::NotValidForNameContext { expected, presented } => TlsFault::WrongName {
            expected: expected.to_str().into_owned(),
            names: CertificateNames::of(presented.iter().filter_map(|name| subject(name))),
        },
        // A CA that was made anew often has the same name and another key.
        E::UnknownIssuer | E::BadSignature => TlsFault::UnknownIssuer(trust),
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => TlsFault::WrongUsage,
        E::UnsupportedSignatureAlgorithmContext { .. } | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            TlsFault::Algorithm
        }
        _ => TlsFault::Malformed,
    }
}

/// The DNS name or IP address in a name of a certificate, as webpki prints it. None for a name of another type.
fn subject(printed: &str) -> Option<&str> {
    let dns = printed
        .strip_prefix("DnsName(\"")
        .and_then(|rest| rest.strip_suffix("\")"));
    dns.or_else(|| printed.strip_prefix("IpAddress(")?.strip_suffix(')'))
}

/// What the alert of a server means (RFC 8446, section 6.2).
fn of_alert(alert: AlertDescription, client: ClientCertificate) -> TlsFault {
    use AlertDescription as A;
    let of_certificate = || match client {
        ClientCertificate::NotAsked => None,
        ClientCertificate::Missing => Some(TlsFault::ClientCertificateWanted),
        ClientCertificate::Shown => Some(TlsFault::ClientCertificateRefused),
    };
    match alert {
        A::CertificateRequired => of_certificate().unwrap_or(TlsFault::ClientCertificateWanted),
        A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateRevoked
        | A::CertificateExpired
        | A::CertificateUnknown
        | A::UnknownCA
        | A::AccessDenied
        | A::DecryptError => of_certificate().unwrap_or(TlsFault::Handshake),
        A::HandshakeFailure => of_certificate().unwrap_or(TlsFault::NothingInCommon),
        A::ProtocolVersion | A::InsufficientSecurity => TlsFault::NothingInCommon,
        A::UnrecognisedName => TlsFault::UnknownName,
        _ => TlsFault::Handshake,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What no server of a test can do.
    #[test]
    fn rare_errors_of_a_certificate_are_known() {
        use CertificateError as E;
        let weak = E::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id: Vec::new(),
            supported_algorithms: Vec::new(),
        };
        let table = [
            (weak, TlsFault::Algorithm),
            (E::BadSignature, TlsFault::UnknownIssuer(Trust::Image)),
            (E::BadEncoding, TlsFault::Malformed),
            (E::UnhandledCriticalExtension, TlsFault::Malformed),
        ];
        for (error, expected) in table {
            assert_eq!(of_certificate(&error, Trust::Image), expected, "{error:?}");
        }
    }

    #[test]
    fn an_alert_means_what_the_client_certificate_makes_of_it() {
        use AlertDescription as A;
        use ClientCertificate::{Missing, NotAsked, Shown};
        use TlsFault::{ClientCertificateRefused as Refused, ClientCertificateWanted as Wanted};
        let table = [
            (A::CertificateRequired, [Wanted, Wanted, Refused]),
            (A::BadCertificate, [TlsFault::Handshake, Wanted, Refused]),
            (A::UnknownCA, [TlsFault::Handshake, Wanted, Refused]),
            (A::CertificateExpired, [TlsFault::Handshake, Wanted, Refused]),
            (A::HandshakeFailure, [TlsFault::NothingInCommon, Wanted, Refused]),
        ];
        for (alert, expected) in table {
            let found = [NotAsked, Missing, Shown].map(|client| of_alert(alert, client));
            assert_eq!(found, expected, "{alert:?}");
        }
        for alert in [A::ProtocolVersion, A::InsufficientSecurity] {
            assert_eq!(of_alert(alert, Shown), TlsFault::NothingInCommon, "{alert:?}");
        }
    }

    #[test]
    fn only_names_and_addresses_are_taken_from_what_webpki_prints() {
        let table = [
            ("DnsName(\"hydra\")", Some("hydra")),
            ("IpAddress(127.0.0.1)", Some("127.0.0.1")),
            ("DirectoryName", None),
            ("UniformResourceIdentifier(\"spiffe://x\")", None),
        ];
        for (printed, expected) in table {
            assert_eq!(subject(printed), expected);
        }
    }
}
