//! Why a server or the Kubernetes API cannot be used.

use std::fmt;
use std::time::Duration;

/// Why a server cannot be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// No connection.
    Unreachable,
    /// The certificate cannot be verified, or the TLS handshake failed.
    Tls,
    /// No reply within the deadline.
    Silent,
    /// A write had no result within the deadline, here or in a proxy. The server may work: some writes take long.
    Unfinished,
    /// The connection broke during the reply.
    Broken,
    /// A 5xx status, 408, or 429 to everything for a long time; with the pause that the server asks for.
    Status(u16, Option<Duration>),
    /// The server works and limits the rate of requests: a request was not sent, or answered with 429, and its next turn
    /// does not come soon. In whole seconds: how long the server wants no request.
    Limited(Duration),
    /// Another database session changed the same rows.
    Busy,
    /// The circuit breaker is open, because other requests have just failed.
    Known,
    /// The server's own pass has found and reported the outage.
    Reported,
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outage::Unreachable => f.write_str("no connection (check name, port and network policy)"),
            Outage::Tls => f.write_str(
                "its certificate cannot be verified or the TLS handshake fails (check tls.caRef, tls.serverName and tls.clientCertificateRef)",
            ),
            Outage::Silent => f.write_str("no reply within the deadline"),
            Outage::Unfinished => f.write_str("it did not finish the request in time"),
            Outage::Broken => f.write_str("the connection broke during a reply"),
            Outage::Status(429, _) => {
                f.write_str("it answers 429 to everything (raise its rate limit for the operator, or wait)")
            }
            Outage::Limited(_) => {
                f.write_str("it limits the rate of requests (429; raise its limit for the operator, or wait)")
            }
            Outage::Status(code, _) => write!(f, "it answered {code}"),
            Outage::Busy => f.write_str("it is busy with a concurrent change"),
            Outage::Known | Outage::Reported => f.write_str("it has just failed; see the AuthorizationServer"),
        }
    }
}

/// Why a request to the Kubernetes API failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterFault {
    /// Refused by RBAC or admission.
    Forbidden,
    /// Another writer changed the object.
    Conflict,
    /// Any other status.
    Status(u16),
    /// No reply.
    Silent,
}

impl fmt::Display for ClusterFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClusterFault::Forbidden => {
                f.write_str("refused a request of the operator (check RBAC, quotas and admission)")
            }
            ClusterFault::Conflict => f.write_str("reports a concurrent change"),
            ClusterFault::Status(code) => write!(f, "answered {code}"),
            ClusterFault::Silent => f.write_str("did not answer"),
        }
    }
}
