//! The AuthorizationServer that is for a resource of hydra-maester. Pure.
//!
//! hydra-maester puts URL and port together, replaces the path by the endpoint, and ignores the rest of `hydraAdmin` if the
//! URL is empty.

use serde_json::Value;
use url::Url;

use crate::api::authorization_server::ForwardedProto;

/// Paths of the clients below the URL of an admin API: of Hydra 2, and of Hydra 1.
const CLIENTS: [&str; 2] = ["/admin/clients", "/clients"];

/// An AuthorizationServer, as far as hydra-maester would reach the same server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Its `adminUrl`.
    pub admin_url: String,
    /// The `X-Forwarded-Proto` that it sends.
    pub forwarded_proto: Option<ForwardedProto>,
}

impl Known {
    fn has_endpoint(&self, endpoint: &str) -> bool {
        let base = Url::parse(&self.admin_url).ok();
        let base = base.as_ref().map_or("", |url| url.path().trim_end_matches('/'));
        let endpoint = endpoint.trim_end_matches('/');
        CLIENTS.iter().any(|path| endpoint.strip_prefix(base) == Some(*path))
    }

    fn has_proto(&self, proto: &str) -> bool {
        let own = match self.forwarded_proto {
            None => "",
            Some(ForwardedProto::Http) => "http",
            Some(ForwardedProto::Https) => "https",
        };
        // "off" is what it is without a value.
        matches!(proto, "" | "off") || proto == own
    }
}

/// The AuthorizationServer for a spec of hydra-maester. `default`: the one for a spec that names no admin API; `servers`: all.
///
/// # Errors
/// A sentence that says that there is none, and what to do.
pub fn server_for<'a>(spec: &Value, default: &'a str, servers: &'a [Known]) -> Result<&'a str, String> {
    let admin = &spec["hydraAdmin"];
    let text = |name: &str| admin[name].as_str().unwrap_or_default();
    if text("url").is_empty() {
        return Ok(default);
    }
    let asked = format!("{}:{}", text("url"), admin["port"].as_u64().unwrap_or_default());
    let there: Vec<&Known> = servers.iter().filter(|known| is_at(known, &asked)).collect();
    let Some(first) = there.first() else {
        return Err(format!(
            "Its hydraAdmin is {}, and no AuthorizationServer has this adminUrl. Create one, and try again.",
            shown(&asked)
        ));
    };
    let (endpoint, proto) = (text("endpoint"), text("forwardedProto"));
    let same: Vec<&Known> = there
        .iter()
        .copied()
        .filter(|known| known.has_endpoint(endpoint))
        .collect();
    if same.is_empty() {
        return Err(format!(
            "Its hydraAdmin has the endpoint `{endpoint}`, and the adminUrl of AuthorizationServer `{}` leads to another one. Correct one of them, and try again.",
            first.name
        ));
    }
    let fitting: Vec<&Known> = same.iter().copied().filter(|known| known.has_proto(proto)).collect();
    let preferred = fitting.iter().find(|known| known.name == default).or(fitting.first());
    preferred.map(|known| known.name.as_str()).ok_or_else(|| {
        format!(
            "Its hydraAdmin has the forwardedProto `{proto}`, and AuthorizationServer `{}` has another one. Correct one of them, and try again.",
            same.first().map_or("", |known| known.name.as_str())
        )
    })
}

/// Whether a server is where a URL leads: scheme, host and port are the same. Go and the browsers' standard, which this
/// program follows, disagree on some letters, so a URL with one of them leads nowhere.
fn is_at(known: &Known, asked: &str) -> bool {
    let is_plain = asked.chars().all(|letter| letter.is_ascii_graphic() && letter != '\\');
    is_plain && place(&known.admin_url).is_some() && place(&known.admin_url) == place(asked)
}

fn place(url: &str) -> Option<(String, String, Option<u16>)> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?.to_owned();
    Some((url.scheme().to_owned(), host, url.port_or_known_default()))
}

/// A URL without login and path.
fn shown(url: &str) -> String {
    place(url).map_or_else(
        || "no URL".to_owned(),
        |(scheme, host, port)| format!("{scheme}://{host}:{}", port.unwrap_or_default()),
    )
}
