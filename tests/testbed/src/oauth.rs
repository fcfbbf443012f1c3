//! What an application does with its credentials.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::http;

/// An answer of the token endpoint.
pub struct Token {
    /// The access token.
    pub access_token: String,
    /// The granted scope.
    pub scope: String,
    /// How long it lives, in seconds.
    pub expires_in: i64,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "a token for scope {:?} that expires in {} s",
            self.scope, self.expires_in
        )
    }
}

/// Gets a token with the client credentials grant, id and secret in the Authorization header (RFC 6749, sections 2.3.1
/// and 4.4).
///
/// # Errors
/// When the server refuses it; with the server's error code.
pub async fn client_credentials(public_url: &str, id: &str, secret: &str, scope: &str) -> Result<Token> {
    let request = http::client()
        .post(format!("{public_url}/oauth2/token"))
        .basic_auth(form_encoded(id), Some(form_encoded(secret)))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("grant_type=client_credentials&scope={}", form_encoded(scope)));
    let answer = request.send().await?;
    let status = answer.status();
    let body: Value = serde_json::from_str(&answer.text().await?)?;
    ensure!(
        status.is_success(),
        "no token for client {id}: {status} {} {}",
        body["error"],
        body["error_description"]
    );
    let text = |member: &str| body[member].as_str().unwrap_or_default().to_owned();
    let token = Token {
        access_token: text("access_token"),
        scope: text("scope"),
        expires_in: body["expires_in"].as_i64().unwrap_or_default(),
    };
    ensure!(!token.access_token.is_empty(), "an answer without a token");
    Ok(token)
}

fn form_encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
