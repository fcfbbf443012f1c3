//! OpenID Connect Discovery 1.0: issuer and endpoints of a server.

use serde_json::Value;

use super::http::{Failure, Http, Request};
use crate::api::authorization_server::Endpoints;
use crate::api::oauth2_client::SubjectType;

/// What a discovery document says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Discovery {
    /// Issuer and endpoints.
    pub endpoints: Endpoints,
    /// `subject_types_supported`, those that we know.
    pub subject_types: Vec<SubjectType>,
}

/// Fetches `{publicUrl}/.well-known/openid-configuration`. No login is sent there.
///
/// # Errors
/// [`Failure`]; a document without issuer is a failure too.
pub async fn fetch(http: &Http, public_url: &str) -> Result<Discovery, Failure> {
    let path = [".well-known", "openid-configuration"];
    let reply = http
        .send(Request {
            probe: true,
            ..Request::new("discovery", reqwest::Method::GET, &path)
        })
        .await?;
    let url = format!("{}/.well-known/openid-configuration", public_url.trim_end_matches('/'));
    parse(&reply.body, url).ok_or(Failure::Reply("is not a discovery document"))
}

fn parse(document: &Value, discovery_url: String) -> Option<Discovery> {
    let text = |key: &str| document.get(key).and_then(Value::as_str).map(str::to_owned);
    let subject_types = document.get("subject_types_supported").and_then(Value::as_array);
    Some(Discovery {
        endpoints: Endpoints {
            issuer: text("issuer").filter(|issuer| is_url(issuer))?,
            discovery_url,
            authorization_endpoint: text("authorization_endpoint"),
            token_endpoint: text("token_endpoint"),
            userinfo_endpoint: text("userinfo_endpoint"),
            jwks_uri: text("jwks_uri"),
            revocation_endpoint: text("revocation_endpoint"),
            end_session_endpoint: text("end_session_endpoint"),
        },
        subject_types: subject_types
            .into_iter()
            .flatten()
            .filter_map(|t| serde_json::from_value(t.clone()).ok())
            .collect(),
    })
}

fn is_url(text: &str) -> bool {
    text.len() <= 1024 && url::Url::parse(text).is_ok() && !text.contains(char::is_whitespace)
}
