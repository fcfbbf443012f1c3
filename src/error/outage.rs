//! What is in the way when a server or the Kubernetes API cannot be used.

use std::fmt;
use std::time::Duration;

/// Why a server cannot be used at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// No connection.
    Unreachable,
    /// The certificate or the handshake.
    Tls,
    /// No reply within the deadline.
    Silent,
    /// No result of one write within the deadline, here or in a proxy: the server may be well, and what the write asks for takes long.
    Unfinished,
    /// The connection broke in the middle of the reply.
    Broken,
    /// A 5xx status, or 429.
    Status(u16, Option<Duration>),
    /// Another session changed the same rows.
    Busy,
    /// The circuit breaker is open, because other requests have just failed.
    Known,
    /// The server's own pass has found and reported the outage.
    Reported,
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outage::Unreachable => f.write_str("no connection (name, port and network policy?)"),
            Outage::Tls => f.write_str(
                "its certificate cannot be verified or the TLS handshake fails (tls.caRef, tls.serverName, tls.clientCertificateRef?)",
            ),
            Outage::Silent => f.write_str("no answer within the deadline"),
            Outage::Unfinished => f.write_str("it did not finish the request in time"),
            Outage::Broken => f.write_str("the connection broke in the middle of an answer"),
            Outage::Status(code, _) => write!(f, "it answers {code}"),
            Outage::Busy => f.write_str("it is busy with a concurrent change"),
            Outage::Known | Outage::Reported => f.write_str("it has just failed; see the AuthorizationServer"),
        }
    }
}

/// What a request to the Kubernetes API came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterFault {
    /// Refused by RBAC or admission.
    Forbidden,
    /// The object changed meanwhile.
    Conflict,
    /// Any other status.
    Status(u16),
    /// No reply.
    Silent,
}

impl fmt::Display for ClusterFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClusterFault::Forbidden => f.write_str("refused a request of the operator (RBAC, quota or admission)"),
            ClusterFault::Conflict => f.write_str("reports a concurrent change"),
            ClusterFault::Status(code) => write!(f, "answered {code}"),
            ClusterFault::Silent => f.write_str("did not answer"),
        }
    }
}
