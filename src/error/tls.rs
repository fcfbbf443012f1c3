//! Why no TLS session with a server comes about.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

/// Maximum number of names of a certificate in a message.
const NAMES: usize = 5;
/// Maximum length of a name in a message, in characters.
const LENGTH: usize = 100;

/// Which CAs the operator trusts for a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those of the operator's image.
    Image,
    /// None: the image has none, and the spec names none.
    Nobody,
    /// Those that the spec names.
    Spec,
    /// Those that the spec names and those of the image.
    SpecAndImage,
}

/// Why no TLS session comes about. `Display` is the middle of a sentence about the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// The certificate, or one of its chain, has expired.
    Expired,
    /// The certificate, or one of its chain, is not valid yet.
    NotYetValid,
    /// The certificate is for other names.
    WrongName {
        /// The name that the operator expects.
        expected: String,
        /// The names in the certificate.
        names: CertificateNames,
    },
    /// No trusted CA has issued the certificate.
    UnknownIssuer(Trust),
    /// The certificate is a CA's own, and not exactly one that the spec names.
    CaAsServer,
    /// The certificate is for another use than a server's.
    WrongUsage,
    /// The certificate is signed with an algorithm that is not supported.
    Algorithm,
    /// The certificate breaks the rules of RFC 5280 in another way.
    Malformed,
    /// The server asks for a client certificate, and the operator has none.
    ClientCertificateWanted,
    /// The server refuses the operator's client certificate.
    ClientCertificateRefused,
    /// The server has no certificate for the name that the operator sends.
    UnknownName,
    /// No protocol version or cipher suite in common.
    NothingInCommon,
    /// The server does not speak TLS.
    NotTls,
    /// The operator speaks plain http, and the server expects https.
    HttpsExpected,
    /// The server closes the connection during the handshake.
    Closed,
    /// The handshake fails in another way.
    Handshake,
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            TlsFault::WrongName { expected, names } => return wrong_name(f, expected, names),
            TlsFault::UnknownIssuer(trust) => unknown_issuer(*trust),
            TlsFault::Expired => "its certificate, or one of its chain, has expired (renew it)",
            TlsFault::NotYetValid => {
                "its certificate, or one of its chain, is not valid yet (check the clocks of the server and of the operator's node)"
            }
            TlsFault::CaAsServer => {
                "its certificate is a CA's, which the operator accepts only if tls.caRef holds exactly this certificate (put it there, or issue one with CA:FALSE)"
            }
            TlsFault::WrongUsage => {
                "its certificate is not for servers (issue one with the extended key usage serverAuth)"
            }
            TlsFault::Algorithm => {
                "its certificate has a signature that the operator does not support (issue one with ECDSA, or with RSA and SHA-256)"
            }
            TlsFault::Malformed => "its certificate breaks the rules for certificates (issue another one)",
            TlsFault::ClientCertificateWanted => "it requires a client certificate (set tls.clientCertificateRef)",
            TlsFault::ClientCertificateRefused => {
                "it refuses the operator's client certificate (check issuer, validity and usage of the one in tls.clientCertificateRef)"
            }
            TlsFault::UnknownName => {
                "it has no certificate for the name that the operator requests (correct the URL or tls.serverName)"
            }
            TlsFault::NothingInCommon => {
                "it has no TLS version or cipher suite in common with the operator (enable TLS 1.2 or 1.3 there)"
            }
            TlsFault::NotTls => "it does not speak TLS on this port (correct the port, or use http)",
            TlsFault::HttpsExpected => "it expects https on this port (correct the URL)",
            TlsFault::Closed => {
                "it closes the connection during the TLS handshake (check the port and the server's log)"
            }
            TlsFault::Handshake => "the TLS handshake fails (check tls.serverName and the server's log)",
        };
        f.write_str(text)
    }
}

fn wrong_name(f: &mut fmt::Formatter<'_>, expected: &str, names: &CertificateNames) -> fmt::Result {
    if names.are_none() {
        return write!(
            f,
            "its certificate has no DNS name or IP address (issue one with `{expected}` as subjectAltName)"
        );
    }
    write!(
        f,
        "its certificate is for {names}, not for `{expected}` (correct the URL or set tls.serverName)"
    )
}

fn unknown_issuer(trust: Trust) -> &'static str {
    match trust {
        Trust::Image => "its certificate is not from a CA that the operator's image knows (set tls.caRef)",
        Trust::Nobody => {
            "the operator's image holds no CA certificates to verify its certificate with (set tls.caRef, or add CA certificates to the image)"
        }
        Trust::Spec => {
            "its certificate is not from a CA in tls.caRef (add the certificate of its CA there, and let the server send intermediate certificates)"
        }
        Trust::SpecAndImage => {
            "its certificate is not from a CA in tls.caRef or in the operator's image (add the certificate of its CA to tls.caRef)"
        }
    }
}

/// The DNS names and IP addresses in a certificate that may be shown: a certificate is a stranger's text. At most five,
/// sorted, of at most 100 characters each, with only those characters that names and addresses have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateNames {
    shown: Vec<String>,
    has_more: bool,
}

impl CertificateNames {
    /// The names that may be shown.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut found = CertificateNames::default();
        let mut fit = BTreeSet::new();
        for name in names {
            if let Ok(address) = name.parse::<IpAddr>() {
                fit.insert(address.to_string());
            } else if is_name(name) {
                fit.insert(name.to_ascii_lowercase());
            } else {
                found.has_more = true;
            }
        }
        found.has_more |= fit.len() > NAMES;
        found.shown = fit.into_iter().take(NAMES).collect();
        found
    }

    fn are_none(&self) -> bool {
        self.shown.is_empty() && !self.has_more
    }
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '*' | ':');
    (1..=LENGTH).contains(&name.len()) && name.chars().all(fits)
}

impl fmt::Display for CertificateNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self.shown.iter().map(|name| format!("`{name}`")).collect();
        if self.has_more {
            parts.push("other names".to_owned());
        }
        match parts.split_last() {
            Some((last, before)) if !before.is_empty() => write!(f, "{} and {last}", before.join(", ")),
            Some((only, _)) => f.write_str(only),
            None => Ok(()),
        }
    }
}
