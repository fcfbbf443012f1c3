//! Why a server or the Kubernetes API cannot be used.

use std::fmt;
use std::time::Duration;

use super::tls::TlsFault;
use super::wording::shown;

mod denial;

pub use denial::{Denial, Wording};

/// Why a server cannot be used now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outage {
    /// No connection to this address: scheme, host and port of the URL.
    Unreachable(String, Hindrance),
    /// No TLS session.
    Tls(TlsFault),
    /// The proxy in front of the server.
    Proxy(ProxyFault),
    /// The reply is not HTTP.
    NotHttp,
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
            Outage::Unreachable(address, hindrance) => hindrance.at(f, address),
            Outage::Tls(fault) => fault.fmt(f),
            Outage::Proxy(fault) => fault.fmt(f),
            Outage::NotHttp => f.write_str("its reply is not HTTP (check the port, and whether it expects https)"),
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

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hindrance {
    /// The host name cannot be resolved.
    Name,
    /// Nothing listens on the port, or a firewall says so.
    Refused,
    /// No route leads to the host.
    NoRoute,
    /// No answer to the attempt to connect.
    Silence,
    /// Anything else.
    Other,
}

impl Hindrance {
    /// Describes the attempt to connect to an address.
    fn at(self, f: &mut fmt::Formatter<'_>, address: &str) -> fmt::Result {
        match self {
            Hindrance::Name => write!(
                f,
                "the host name in `{address}` cannot be resolved (check the name and the cluster's DNS)"
            ),
            Hindrance::Refused => write!(
                f,
                "`{address}` refuses the connection (check the port, and whether the server is running)"
            ),
            Hindrance::NoRoute => write!(
                f,
                "no route leads to `{address}` (check the address and the cluster's network)"
            ),
            Hindrance::Silence => write!(
                f,
                "the connection to `{address}` times out (check address, port, firewalls and network policies)"
            ),
            Hindrance::Other => write!(
                f,
                "no connection to `{address}` (check name, port and network policies)"
            ),
        }
    }
}

/// Why an HTTP proxy does not lead to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyFault {
    /// The URL of the proxy, without its login.
    pub proxy: String,
    /// What is wrong.
    pub trouble: ProxyTrouble,
}

/// What is wrong with an HTTP proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyTrouble {
    /// No connection to it.
    Unreachable(Hindrance),
    /// It requires a login, or another one: 407.
    Login,
    /// It does not open a tunnel to the server.
    Refused,
    /// No connection through it within the deadline: it, or the server behind it, is silent.
    Silent,
}

impl fmt::Display for ProxyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proxy = &self.proxy;
        match self.trouble {
            ProxyTrouble::Unreachable(why) => {
                let why = match why {
                    Hindrance::Name => ": its host name cannot be resolved",
                    Hindrance::Refused => ": it refuses the connection",
                    Hindrance::NoRoute => ": no route leads to it",
                    Hindrance::Silence => ": the connection times out",
                    Hindrance::Other => "",
                };
                write!(
                    f,
                    "no connection to the proxy `{proxy}`{why} (check HTTPS_PROXY, HTTP_PROXY and NO_PROXY)"
                )
            }
            ProxyTrouble::Silent => write!(
                f,
                "no connection through the proxy `{proxy}` within the deadline (check that the proxy works and reaches the server)"
            ),
            ProxyTrouble::Login => write!(
                f,
                "the proxy `{proxy}` requires a login (put user and password into its URL in the operator's environment)"
            ),
            ProxyTrouble::Refused => write!(
                f,
                "the proxy `{proxy}` does not connect the operator to it (check the proxy's rules, or add the server to NO_PROXY)"
            ),
        }
    }
}

/// Why a request to the Kubernetes API failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterFault {
    /// Refused by RBAC, or because the namespace is being deleted.
    Forbidden,
    /// Refused by an admission policy or a quota, for an object with this kind and name.
    Denied(String, Denial),
    /// A Secret of ours has another type than the wanted one, and Kubernetes never changes a type.
    TypeFixed {
        /// Name of the Secret.
        secret: String,
        /// Its type.
        found: String,
        /// The wanted type.
        wanted: String,
    },
    /// Another writer changed the object.
    Conflict,
    /// The resource of the pass does not exist any more, although the cache still shows it.
    Gone,
    /// Any other status.
    Status(u16),
    /// No reply.
    Silent,
}

/// The message of a fault begins with "The Kubernetes API".
impl fmt::Display for ClusterFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KEEPS: &str = "The operator keeps trying";
        match self {
            ClusterFault::Forbidden => write!(
                f,
                "refused a request of the operator (check RBAC, quotas and admission). {KEEPS}"
            ),
            ClusterFault::Denied(object, denial) => write!(f, "refused {object}: {denial}"),
            ClusterFault::TypeFixed { secret, found, wanted } => write!(
                f,
                "cannot change the type of Secret `{secret}` from `{}` to `{}`. Set another credentials.secretName, or delete the Secret, which the operator then writes again",
                shown(found),
                shown(wanted)
            ),
            ClusterFault::Conflict => write!(f, "reports a concurrent change. {KEEPS}"),
            ClusterFault::Status(code) => write!(f, "answered {code}. {KEEPS}"),
            ClusterFault::Gone => f.write_str("no longer has the resource. Nothing is left to do"),
            ClusterFault::Silent => write!(f, "did not answer. {KEEPS}"),
        }
    }
}
