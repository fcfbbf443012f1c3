//! URIs of a client, and whether the rules allow where they lead.
//!
//! URIs are parsed strictly (RFC 3986), because a browser or server may parse them differently: a URI that could be
//! read as two different hosts is refused.

use std::net::Ipv6Addr;

use crate::api::oauth2_client::OAuth2ClientSpec;

/// URIs that browsers and people follow, with their fields.
pub(super) fn of_browsers(spec: &OAuth2ClientSpec) -> impl Iterator<Item = (&'static str, &str)> {
    listed([
        ("redirectUris", &spec.redirect_uris),
        ("postLogoutRedirectUris", &spec.post_logout_redirect_uris),
        ("allowedCorsOrigins", &spec.allowed_cors_origins),
    ])
    .chain(single([
        ("clientUri", &spec.client_uri),
        ("logoUri", &spec.logo_uri),
        ("policyUri", &spec.policy_uri),
        ("tosUri", &spec.tos_uri),
        ("frontchannelLogoutUri", &spec.frontchannel_logout_uri),
    ]))
}

/// URIs that the server fetches or calls, with their fields.
pub(super) fn of_server(spec: &OAuth2ClientSpec) -> impl Iterator<Item = (&'static str, &str)> {
    listed([("requestUris", &spec.request_uris)]).chain(single([
        ("jwksUri", &spec.jwks_uri),
        ("sectorIdentifierUri", &spec.sector_identifier_uri),
        ("backchannelLogoutUri", &spec.backchannel_logout_uri),
    ]))
}

fn listed<'a, const N: usize>(
    fields: [(&'static str, &'a Vec<String>); N],
) -> impl Iterator<Item = (&'static str, &'a str)> {
    let each = |(field, uris): (&'static str, &'a Vec<String>)| uris.iter().map(move |uri| (field, uri.as_str()));
    fields.into_iter().flat_map(each)
}

fn single<'a, const N: usize>(
    fields: [(&'static str, &'a Option<String>); N],
) -> impl Iterator<Item = (&'static str, &'a str)> {
    let each = |(field, uri): (&'static str, &'a Option<String>)| Some((field, uri.as_deref()?));
    fields.into_iter().filter_map(each)
}

/// Whether an entry allows a URI for browsers: a host by http or https, or an app by its private-use scheme. An entry
/// without a port allows all ports.
pub(super) fn browser_may(allowed: &[String], uri: &str) -> bool {
    let Some((scheme, rest)) = split_scheme(uri) else {
        return false;
    };
    if !matches!(scheme.as_str(), "http" | "https") {
        // A scheme leads to the app that registered it, whatever follows.
        return is_private_use(&scheme)
            && allowed
                .iter()
                .filter_map(|entry| entry.strip_suffix(':'))
                .any(|entry| entry.eq_ignore_ascii_case(&scheme));
    }
    let Some(target) = Target::of(rest) else { return false };
    allowed.iter().filter_map(|entry| Entry::of(entry)).any(|entry| {
        entry.names(&target.host)
            && entry
                .port
                .is_none_or(|port| target.port.unwrap_or(usual(&scheme)) == port)
    })
}

/// Whether an entry allows a URI for the server: by https, or by http if the entry says so. An entry without a port
/// allows only the default port.
pub(super) fn server_may(allowed: &[String], uri: &str) -> bool {
    let Some((scheme, rest)) = split_scheme(uri) else {
        return false;
    };
    let Some(target) = Target::of(rest) else { return false };
    let port = target.port.unwrap_or(usual(&scheme));
    let of_scheme = |entry: &String| match (scheme.as_str(), entry.strip_prefix("http://")) {
        ("https", None) => Entry::of(entry),
        ("http", Some(entry)) => Entry::of(entry),
        _ => None,
    };
    allowed
        .iter()
        .filter_map(of_scheme)
        .any(|entry| entry.names(&target.host) && entry.port.unwrap_or(usual(&scheme)) == port)
}

fn usual(scheme: &str) -> u16 {
    match scheme {
        "http" => 80,
        _ => 443,
    }
}

/// The scheme, in lower case, and the text after its colon (RFC 3986, section 3.1).
fn split_scheme(uri: &str) -> Option<(String, &str)> {
    let (scheme, rest) = uri.split_once(':')?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    is_scheme.then(|| (scheme.to_ascii_lowercase(), rest))
}

/// A private-use scheme is a reversed domain name, so it has a dot (RFC 8252, section 7.1); `javascript`, `data` and
/// the like have none.
fn is_private_use(scheme: &str) -> bool {
    scheme.contains('.')
}

#[derive(PartialEq, Eq)]
enum Host {
    /// A name or an IPv4 address, in lower case.
    Name(String),
    V6(Ipv6Addr),
}

/// Target of an http or https URI.
struct Target {
    host: Host,
    port: Option<u16>,
}

impl Target {
    /// Parses the text after the scheme and its colon. None if there is no host, if there is a user name, or if parsers
    /// may disagree.
    fn of(rest: &str) -> Option<Self> {
        let rest = rest.strip_prefix("//")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let (host, port) = host_and_port(authority)?;
        Some(Target { host, port })
    }
}

/// A host that an access rule lists.
struct Entry {
    host: Host,
    /// Whether the entry allows all hosts below this host, and not the host itself.
    below: bool,
    port: Option<u16>,
}

impl Entry {
    fn of(entry: &str) -> Option<Self> {
        let (below, entry) = match entry.strip_prefix("*.") {
            Some(parent) => (true, parent),
            None => (false, entry),
        };
        let (host, port) = host_and_port(entry)?;
        Some(Entry { host, below, port })
    }

    fn names(&self, host: &Host) -> bool {
        match (&self.host, host) {
            (Host::Name(parent), Host::Name(host)) if self.below => {
                let rest = host.strip_suffix(parent.as_str());
                rest.is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            (own, host) => !self.below && own == host,
        }
    }
}

/// Host and port of an authority without user name (RFC 3986, section 3.2). ASCII only; nothing encoded, no empty
/// label, no zone. A port must be a number above 0.
fn host_and_port(authority: &str) -> Option<(Host, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            let port = match port {
                "" => None,
                port => Some(port.strip_prefix(':')?),
            };
            (Host::V6(address.parse().ok()?), port)
        }
        None => match authority.split_once(':') {
            Some((name, port)) => (Host::Name(name_of(name)?), Some(port)),
            None => (Host::Name(name_of(authority)?), None),
        },
    };
    match port {
        None => Some((host, None)),
        Some(port) if port.chars().all(|c| c.is_ascii_digit()) => {
            let port = port.parse().ok().filter(|port| *port > 0)?;
            Some((host, Some(port)))
        }
        Some(_) => None,
    }
}

fn name_of(name: &str) -> Option<String> {
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    name.split('.').all(is_label).then(|| name.to_ascii_lowercase())
}
