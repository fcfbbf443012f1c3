//! How requests get to a server: directly or through a proxy, and under which name.

use std::net::{IpAddr, SocketAddr};

use reqwest::Proxy;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::pki_types::ServerName;
use url::{Host, Url};

use super::settings::{BadSettings, Settings};

/// The way to a server.
///
/// reqwest verifies the name in the URL. For another name, the URL gets that name, and [`Elsewhere`] leads it to the
/// server. This is not possible through a proxy, which gets the URL, nor with an IP address, which nobody resolves: then
/// the URL stays, and the verifier compares the certificate with the other name.
#[derive(Default)]
pub(super) struct Route {
    /// The proxy.
    pub(super) proxy: Option<Proxy>,
    /// The proxy's URL without its login.
    pub(super) proxy_shown: Option<String>,
    /// The name that the URL gets.
    pub(super) renamed: Option<String>,
    /// The name that the verifier expects instead of that in the URL.
    pub(super) verified: Option<ServerName<'static>>,
}

impl Route {
    pub(super) fn of(base: &Url, settings: &Settings) -> Result<Self, BadSettings> {
        let mut route = Route::default();
        if let Some(proxy) = settings.proxies.to(base) {
            if base.scheme() == "https" && matches!(base.host(), Some(Host::Ipv6(_))) {
                return Err(BadSettings::Ipv6ThroughProxy);
            }
            route.proxy = Some(Proxy::all(proxy.url().expose()).map_err(|_| BadSettings::Url)?);
            route.proxy_shown = Some(proxy.shown().to_owned());
        }
        if let Some(name) = &settings.server_name {
            let bare = name.trim_matches(['[', ']']);
            let parsed = ServerName::try_from(bare.to_owned()).map_err(|_| BadSettings::ServerName)?;
            if route.proxy.is_some() || bare.parse::<IpAddr>().is_ok() {
                route.verified = Some(parsed);
            } else {
                route.renamed = Some(name.clone());
            }
        }
        Ok(route)
    }
}

/// Resolves every name to the addresses of one host: the name in the certificate is not the host to connect to.
pub(super) struct Elsewhere(pub(super) String);

impl Resolve for Elsewhere {
    fn resolve(&self, _: Name) -> Resolving {
        let host = self.0.trim_matches(['[', ']']).to_owned();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
