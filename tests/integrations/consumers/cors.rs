//! Which pages may read the server's answers (CORS).

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::json;
use testbed::browser::Browser;
use testbed::http;

use super::place::{Place, secret, setting};
use super::site::Site;

/// The settings of Hydra in the documentation. Hydra adds the origins of a client to its own, and without any of its own
/// it allows all.
pub const SETTINGS: [(&str, &str); 2] = [
    ("SERVE_PUBLIC_CORS_ENABLED", "true"),
    ("SERVE_PUBLIC_CORS_ALLOWED_ORIGINS", "https://id.example.com"),
];

/// A page of the client's origin reads answers to requests of the client, and a page of another origin does not.
pub async fn only_origins_of_the_client_read_answers(place: &Place, browser: &Browser, origin: &str) -> Result<()> {
    let id = secret(&place.stage, "default", "spa", "CLIENT_ID")
        .await?
        .unwrap_or_default();
    let tokens = setting(&place.stage, "default", "issuer", "OIDC_TOKEN_ENDPOINT").await?;
    let userinfo = setting(&place.stage, "default", "issuer", "OIDC_USERINFO_ENDPOINT").await?;
    let discovery = setting(&place.stage, "default", "issuer", "OIDC_DISCOVERY_URL").await?;
    let script = format!(
        "const read = (url, body) => fetch(url, body && {{ method: 'POST', body: new URLSearchParams(body) }})
             .then((answer) => answer.status, () => 'unreadable');
         return Promise.all([
             read('{tokens}', {{ client_id: '{id}', grant_type: 'authorization_code', code: 'guessed' }}),
             read('{discovery}'),
         ]);"
    );
    // A client does not open what no client asks for: discovery and keys.
    let seen = browser.run(&script).await?;
    ensure!(seen == json!([400, "unreadable"]), "from {origin}: {seen}");
    let other = Site::echo().await?;
    browser.open(&format!("{}/callback", other.url())).await?;
    let seen = browser.run(&script).await?;
    ensure!(
        seen == json!(["unreadable", "unreadable"]),
        "from {}: {seen}",
        other.url()
    );

    // A preflight names no client, so that Hydra decides by its own origins alone.
    for from in [origin, other.url(), SETTINGS[1].1] {
        let headers = [
            ("origin", from),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "authorization"),
        ];
        let wanted = if from == SETTINGS[1].1 { from } else { "" };
        let seen = allowed(Method::OPTIONS, &userinfo, &headers, None).await?;
        ensure!(seen == wanted, "the preflight from {from}: {seen}");
    }
    for from in [origin, other.url()] {
        let body = format!("client_id={id}&grant_type=authorization_code&code=guessed");
        let headers = [("origin", from), ("content-type", "application/x-www-form-urlencoded")];
        let wanted = if from == origin { origin } else { "" };
        let seen = allowed(Method::POST, &tokens, &headers, Some(body)).await?;
        ensure!(seen == wanted, "the request from {from}: {seen}");
    }
    Ok(())
}

/// The origin that the answer to a request allows; empty for none.
async fn allowed(method: Method, url: &str, headers: &[(&str, &str)], body: Option<String>) -> Result<String> {
    let mut request = http::client().request(method, url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.body(body.unwrap_or_default()).send().await?;
    let allowed = answer.headers().get("access-control-allow-origin");
    Ok(allowed
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned())
}
