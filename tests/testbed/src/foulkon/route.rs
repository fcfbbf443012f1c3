//! Paths and methods, as the worker's router (`httprouter`) matches them. Of the worker's many paths, only those of
//! providers and `/about` exist here. Paths in another letter case, which the router redirects, are unknown here.

use axum::http::header::{ALLOW, LOCATION};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;

use super::reply;

/// The list of providers.
pub(super) const PROVIDERS: &str = "/api/v1/admin/auth/oidc/providers";
/// The worker's configuration.
pub(super) const ABOUT: &str = "/about";

/// A resource that can be called.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// All providers.
    Providers,
    /// A provider whose name matches this.
    Provider(String),
    /// The configuration.
    About,
}

impl Target {
    fn of(path: &str) -> Option<Self> {
        let below = path.strip_prefix(PROVIDERS);
        match (path, below) {
            (ABOUT, _) => Some(Self::About),
            (_, Some("")) => Some(Self::Providers),
            (_, Some(rest)) => {
                let name = rest.strip_prefix('/')?;
                let is_one = !name.is_empty() && !name.contains('/');
                is_one.then(|| Self::Provider(name.to_owned()))
            }
            _ => None,
        }
    }

    /// In alphabetical order, as the router lists them.
    fn methods(&self) -> &'static [Method] {
        match self {
            Self::Providers => &[Method::GET, Method::POST],
            Self::Provider(_) => &[Method::DELETE, Method::GET, Method::PUT],
            Self::About => &[Method::GET],
        }
    }
}

/// Finds what a request calls.
///
/// # Errors
/// The reply, if nothing matches.
pub(super) fn route(method: &Method, uri: &Uri) -> Result<Target, Box<Response>> {
    let Some(path) = decode(uri.path()) else {
        return Err(Box::new(reply::text(StatusCode::BAD_REQUEST, "400 Bad Request")));
    };
    if let Some(target) = Target::of(&path) {
        return match target.methods().contains(method) {
            true => Ok(target),
            false => Err(Box::new(not_allowed(method, target.methods()))),
        };
    }
    let shorter = path.strip_suffix('/').and_then(Target::of);
    let elsewhere = match shorter.is_some_and(|target| target.methods().contains(method)) {
        true => moved(method, uri),
        false => reply::text(StatusCode::NOT_FOUND, "404 page not found"),
    };
    Err(Box::new(elsewhere))
}

fn not_allowed(method: &Method, methods: &[Method]) -> Response {
    let mut allowed: Vec<&str> = methods.iter().map(Method::as_str).collect();
    allowed.push("OPTIONS");
    allowed.sort_unstable();
    let mut response = match *method {
        Method::OPTIONS => reply::empty(StatusCode::OK),
        _ => reply::text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"),
    };
    if let Ok(allowed) = HeaderValue::from_str(&allowed.join(", ")) {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}

/// Redirects to the same path without its trailing slash.
fn moved(method: &Method, uri: &Uri) -> Response {
    let path = uri.path().strip_suffix('/').unwrap_or_default();
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let location = format!("{path}{query}");
    let mut response = match *method {
        Method::GET => {
            let escaped = location
                .replace('&', "&amp;")
                .replace('"', "&#34;")
                .replace('\'', "&#39;");
            let body = format!("<a href=\"{escaped}\">Moved Permanently</a>.\n\n");
            reply::typed(StatusCode::MOVED_PERMANENTLY, "text/html; charset=utf-8", body)
        }
        _ => reply::empty(StatusCode::TEMPORARY_REDIRECT), // with a 301, clients would switch to GET
    };
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// A path without its percent-encoding. None if that is broken.
fn decode(path: &str) -> Option<String> {
    let mut parts = path.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_and_slashes_are_matched_as_by_the_router() {
        let status = |method: Method, path: &str| {
            let uri: Uri = path.parse().expect("a URI");
            match route(&method, &uri) {
                Ok(_) => 0,
                Err(response) => response.status().as_u16(),
            }
        };
        let provider = format!("{PROVIDERS}/a");
        let table = [
            (Method::GET, PROVIDERS.to_owned(), 0),
            (Method::OPTIONS, PROVIDERS.to_owned(), 200),
            (Method::POST, format!("{PROVIDERS}/"), 307),
            (Method::PUT, format!("{PROVIDERS}/"), 404),
            (Method::GET, format!("{PROVIDERS}x"), 404),
            (Method::PUT, provider.clone(), 0),
            (Method::GET, format!("{provider}/"), 301),
            (Method::PUT, format!("{provider}/"), 307),
            (Method::POST, format!("{provider}/"), 404),
            (Method::GET, format!("{provider}/b"), 404),
            (Method::GET, format!("{provider}%2Fb"), 404),
            (Method::GET, format!("{provider}%2"), 400),
            (Method::GET, ABOUT.to_owned(), 0),
            (Method::POST, ABOUT.to_owned(), 405),
        ];
        for (method, path, expected) in table {
            assert_eq!(status(method.clone(), &path), expected, "{method} {path}");
        }
        let spaced: Uri = format!("{PROVIDERS}/a%20b").parse().expect("a URI");
        let target = route(&Method::GET, &spaced).expect("it is routed");
        assert_eq!(target, Target::Provider("a b".to_owned()));
    }
}
