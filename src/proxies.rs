//! Which HTTP proxy leads to a URL, as the environment says. Pure.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use url::{Host, Url};

use crate::secret::Secret;

/// The proxies of the process. The default has none.
#[derive(Clone, Default)]
pub struct Proxies(Arc<Rules>);

#[derive(Default)]
struct Rules {
    http: Option<Proxy>,
    https: Option<Proxy>,
    except: Vec<Exception>,
    ignored: Vec<&'static str>,
}

/// An HTTP proxy. Its login is never printed.
#[derive(Clone)]
pub struct Proxy {
    url: Secret,
    shown: String,
}

impl Proxy {
    /// Reads the URL of a proxy. Without a scheme, it is http. None if it is no URL, or that of another type of proxy.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let url = match text.contains("://") {
            true => Url::parse(text),
            false => Url::parse(&format!("http://{text}")),
        };
        let url = url.ok().filter(|url| url.scheme() == "http" && url.has_host())?;
        let shown = format!("http://{}:{}", url.host_str()?, url.port_or_known_default()?);
        Some(Proxy {
            url: Secret::new(url.into()),
            shown,
        })
    }

    /// The URL, with the login.
    pub fn url(&self) -> &Secret {
        &self.url
    }

    /// The URL without the login, for messages.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

impl Proxies {
    /// Reads `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` of the process, or the same names in lower case.
    pub fn of_process() -> Self {
        Proxies::of(|name| std::env::var(name).ok())
    }

    /// As [`Proxies::of_process`], with the given variables.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let value = |name: &str| {
            let filled = |text: &String| !text.trim().is_empty();
            variable(name)
                .filter(filled)
                .or_else(|| variable(&name.to_lowercase()).filter(filled))
        };
        let mut rules = Rules::default();
        let mut proxy = |name: &'static str| {
            let text = value(name)?;
            let proxy = Proxy::parse(&text);
            if proxy.is_none() {
                rules.ignored.push(name);
            }
            proxy
        };
        (rules.http, rules.https) = (proxy("HTTP_PROXY"), proxy("HTTPS_PROXY"));
        rules.except = Exception::list(&value("NO_PROXY").unwrap_or_default());
        Proxies(Arc::new(rules))
    }

    /// The proxy for requests to a URL. None if they go there directly: as `NO_PROXY` says, and always to this host.
    pub fn to(&self, url: &Url) -> Option<&Proxy> {
        let proxy = match url.scheme() {
            "http" => self.0.http.as_ref(),
            "https" => self.0.https.as_ref(),
            _ => None,
        }?;
        let host = Target::of(url)?;
        let is_direct = host.is_this_host() || self.0.except.iter().any(|exception| exception.fits(&host));
        (!is_direct).then_some(proxy)
    }

    /// Whether there is no proxy.
    pub fn are_none(&self) -> bool {
        self.0.http.is_none() && self.0.https.is_none()
    }

    /// Names of the variables whose value is not the URL of an HTTP proxy.
    pub fn ignored(&self) -> &[&'static str] {
        &self.0.ignored
    }
}

/// Which proxy is for which URLs, without logins.
impl fmt::Display for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |proxy: &Option<Proxy>| proxy.as_ref().map_or("none", Proxy::shown).to_owned();
        write!(
            f,
            "for http {}, for https {}",
            shown(&self.0.http),
            shown(&self.0.https)
        )
    }
}

/// The host and port of a URL.
struct Target {
    host: HostName,
    port: Option<u16>,
}

#[derive(PartialEq)]
enum HostName {
    Domain(String),
    Address(IpAddr),
}

impl Target {
    fn of(url: &Url) -> Option<Self> {
        let host = match url.host()? {
            Host::Domain(name) => HostName::Domain(name.trim_end_matches('.').to_lowercase()),
            Host::Ipv4(address) => HostName::Address(address.into()),
            Host::Ipv6(address) => HostName::Address(address.into()),
        };
        Some(Target {
            host,
            port: url.port_or_known_default(),
        })
    }

    fn is_this_host(&self) -> bool {
        match &self.host {
            HostName::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
            HostName::Address(address) => address.is_loopback(),
        }
    }
}

/// One entry of `NO_PROXY`.
struct Exception {
    pattern: Pattern,
    /// None: every port.
    port: Option<u16>,
}

enum Pattern {
    Everything,
    Network(IpNet),
    /// A name, and all names below it.
    Domain(String),
}

impl Exception {
    /// The entries of a list, which are separated by commas or spaces. One that cannot be read fits nothing.
    fn list(text: &str) -> Vec<Self> {
        let entries = text.split(|c: char| c == ',' || c.is_whitespace());
        entries.filter_map(Exception::parse).collect()
    }

    fn parse(entry: &str) -> Option<Self> {
        let every_port = |pattern| Some(Exception { pattern, port: None });
        if entry == "*" {
            return every_port(Pattern::Everything);
        }
        if let Ok(network) = entry.parse() {
            return every_port(Pattern::Network(network));
        }
        let bare = entry.trim_matches(['[', ']']);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return every_port(Pattern::Network(address.into()));
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (entry, None),
        };
        let pattern = match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => Pattern::Network(address.into()),
            Err(_) => {
                let name = host.strip_prefix('*').unwrap_or(host).trim_matches('.').to_lowercase();
                Pattern::Domain(Some(name).filter(|name| !name.is_empty())?)
            }
        };
        Some(Exception { pattern, port })
    }

    fn fits(&self, target: &Target) -> bool {
        if self.port.is_some() && self.port != target.port {
            return false;
        }
        match (&self.pattern, &target.host) {
            (Pattern::Everything, _) => true,
            (Pattern::Network(network), HostName::Address(address)) => network.contains(address),
            (Pattern::Domain(domain), HostName::Domain(name)) => {
                let above = name.strip_suffix(domain.as_str());
                above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
            }
            _ => false,
        }
    }
}
