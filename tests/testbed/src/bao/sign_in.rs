//! A user signs in to an application through a provider: the authorization code flow with PKCE.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::ByteString;
use reqwest::{Certificate, Client, RequestBuilder};
use serde_json::Value;
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use super::api::{complaint, text};
use crate::http;

/// The nonce of every sign-in, expected in the ID token.
pub const NONCE: &str = "testbed-nonce";
const STATE: &str = "testbed-state";
/// The code verifier (RFC 7636). A real application generates one for every sign-in, so that a stolen code is useless.
const VERIFIER: &str = "testbed-verifier-of-at-least-43-characters-testbed";
/// Path of the discovery document below the issuer.
const DISCOVERY: &str = "/.well-known/openid-configuration";
/// Longest wait for one answer.
const CALL_LIMIT: Duration = Duration::from_secs(60);

/// Who signs in, and where.
#[derive(Clone)]
pub struct SignIn<'a> {
    /// The provider's issuer, or the URL of its discovery document.
    pub issuer: &'a str,
    /// Certificate of the authority to trust; `None` for an issuer with plain http.
    pub ca_pem: Option<&'a str>,
    /// The application.
    pub client_id: &'a str,
    /// The application's secret; `None` for a public client.
    pub client_secret: Option<&'a str>,
    /// Where the application wants the code.
    pub redirect_uri: &'a str,
    /// Scopes, separated by spaces; `openid` has to be among them.
    pub scope: &'a str,
    /// Token of the user, from the server's login.
    pub user_token: &'a str,
}

/// The result of a sign-in for the application.
#[derive(Clone)]
pub struct SignedIn {
    /// The ID token, not verified.
    pub id_token: String,
    /// The access token.
    pub access_token: String,
    /// How long the access token lives, in seconds.
    pub expires_in: i64,
    /// The provider's claims about the user.
    pub userinfo: Value,
    /// The provider's discovery document.
    pub discovery: Value,
}

impl fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "signed in as {} for {} s", self.userinfo, self.expires_in)
    }
}

/// A part of the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The application reads the discovery document.
    Discovery,
    /// The user consents and the application gets a code.
    Authorize,
    /// The application exchanges the code for tokens.
    Token,
    /// The application requests the user's claims.
    UserInfo,
}

/// A refusal by the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The refused step.
    pub step: Step,
    /// The status of the answer.
    pub status: u16,
    /// The error code of OAuth, for instance `access_denied`; empty when the answer is not one of OAuth.
    pub error: String,
    /// The provider's description of the error.
    pub error_description: String,
}

impl Display for Refused {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            step,
            status,
            error,
            error_description,
        } = self;
        write!(f, "{step:?} was answered {status}: {error} ({error_description})")
    }
}

impl std::error::Error for Refused {}

/// Signs in, as the user's browser and the application would together. The inner result is the provider's decision.
///
/// # Errors
/// When there is no answer, or one that violates OpenID Connect.
pub async fn sign_in(wanted: &SignIn<'_>) -> Result<Result<SignedIn, Refused>> {
    match walk(wanted).await {
        Ok(done) => Ok(Ok(done)),
        Err(error) => error.downcast().map(Err),
    }
}

/// All steps; a [`Refused`] is the error itself, without context.
async fn walk(wanted: &SignIn<'_>) -> Result<SignedIn> {
    let client = client(wanted.ca_pem)?;
    let issuer = wanted.issuer.strip_suffix(DISCOVERY).unwrap_or(wanted.issuer);
    let discovery = answer(Step::Discovery, client.get(format!("{issuer}{DISCOVERY}"))).await?;
    ensure!(
        discovery["issuer"] == issuer,
        "{issuer} calls itself {}",
        discovery["issuer"]
    );
    let code = authorize(&client, issuer, wanted).await?;
    let endpoint = text(&discovery, "/token_endpoint")?;
    let tokens = answer(Step::Token, token_request(&client, &endpoint, wanted, &code)).await?;
    let access_token = text(&tokens, "/access_token")?;
    let endpoint = text(&discovery, "/userinfo_endpoint")?;
    let userinfo = answer(Step::UserInfo, client.get(endpoint).bearer_auth(&access_token)).await?;
    Ok(SignedIn {
        id_token: text(&tokens, "/id_token")?,
        access_token,
        expires_in: tokens["expires_in"].as_i64().unwrap_or_default(),
        userinfo,
        discovery,
    })
}

/// Returns the code. The authorization endpoint in the discovery document is a page for browsers, which makes this call
/// with the user's token.
async fn authorize(client: &Client, issuer: &str, wanted: &SignIn<'_>) -> Result<String> {
    let challenge = challenge(VERIFIER)?;
    let request = client
        .get(format!("{issuer}/authorize"))
        .header("x-vault-token", wanted.user_token)
        .query(&[
            ("response_type", "code"),
            ("client_id", wanted.client_id),
            ("redirect_uri", wanted.redirect_uri),
            ("scope", wanted.scope),
            ("state", STATE),
            ("nonce", NONCE),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ]);
    let reply = answer(Step::Authorize, request).await?;
    ensure!(reply["state"] == STATE, "another state came back: {}", reply["state"]);
    text(&reply, "/code")
}

fn token_request(client: &Client, endpoint: &str, wanted: &SignIn<'_>, code: &str) -> RequestBuilder {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "authorization_code")
        .append_pair("code", code)
        .append_pair("redirect_uri", wanted.redirect_uri)
        .append_pair("code_verifier", VERIFIER);
    let request = client
        .post(endpoint)
        .header("content-type", "application/x-www-form-urlencoded");
    let request = match wanted.client_secret {
        Some(secret) => request.basic_auth(wanted.client_id, Some(secret)),
        None => {
            form.append_pair("client_id", wanted.client_id);
            request
        }
    };
    request.body(form.finish())
}

/// Sends the request of one step and returns the content of the answer; the error is a [`Refused`] if the provider
/// refuses.
async fn answer(step: Step, request: RequestBuilder) -> Result<Value> {
    let answer = request.timeout(CALL_LIMIT).send().await;
    let answer = answer.with_context(|| format!("{step:?}"))?;
    let status = answer.status();
    let body = http::parse(&answer.text().await.with_context(|| format!("{step:?}"))?);
    if status.is_success() {
        return Ok(body);
    }
    Err(refusal(step, status.as_u16(), &body).into())
}

fn refusal(step: Step, status: u16, body: &Value) -> Refused {
    let member = |name: &str| body[name].as_str().map(|text| text.trim().to_owned());
    Refused {
        step,
        status,
        error: member("error").unwrap_or_default(),
        error_description: member("error_description").unwrap_or_else(|| complaint(body)),
    }
}

fn client(ca_pem: Option<&str>) -> Result<Client> {
    let Some(ca_pem) = ca_pem else {
        return Ok(http::client());
    };
    crate::init();
    Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tls_certs_only(Certificate::from_pem_bundle(ca_pem.as_bytes())?)
        .build()
        .context("a client that trusts the issuer")
}

/// The challenge of a verifier (RFC 7636, method S256).
fn challenge(verifier: &str) -> Result<String> {
    // Kubernetes' byte strings are base64 when serialised, but base64url is needed here.
    let digest = ByteString(Sha256::digest(verifier).to_vec());
    let encoded: String = serde_json::from_value(serde_json::to_value(digest)?)?;
    Ok(encoded.trim_end_matches('=').replace('+', "-").replace('/', "_"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_challenge_matches_the_example_of_the_standard() -> Result<()> {
        let challenge = challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")?;
        assert_eq!(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        Ok(())
    }

    #[test]
    fn both_forms_of_an_error_are_read() {
        let of = |body: Value| {
            let refused = refusal(Step::Authorize, 400, &body);
            (refused.error, refused.error_description)
        };
        let oauth = json!({ "error": "access_denied", "error_description": "not you", "state": "s" });
        assert_eq!(of(oauth), ("access_denied".into(), "not you".into()));
        let server = json!({ "errors": ["permission denied\n"] });
        assert_eq!(of(server), (String::new(), "permission denied".into()));
        assert_eq!(of(json!("<html>")), (String::new(), "\"<html>\"".into()));
    }
}
