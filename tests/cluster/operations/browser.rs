//! A user's browser and the application that it visits, as Hydra sees them: requests with cookies, and their redirects.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use oidc_operator::admin::hydra::Hydra;
use oidc_operator::admin::hydra::request::{AcceptConsent, AcceptLogin};
use oidc_operator::secret::Secret;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use serde_json::Value;
use testbed::http;
use url::Url;

use crate::bed::settled;

/// Redirect URI of the applications; nothing listens there.
pub const CALLBACK: &str = "http://127.0.0.1:9/callback";
/// Secret of every client in these tests.
pub const CLIENT_SECRET: &str = "a-secret-of-an-application";

/// A browser that keeps cookies but follows no redirects.
pub struct Browser {
    public_url: String,
    cookies: BTreeMap<String, String>,
}

/// Tokens from the token endpoint. They implement no Debug, since they are credentials.
pub struct Tokens {
    /// The access token.
    pub access: Secret,
    /// The refresh token.
    pub refresh: Secret,
    /// The ID token.
    pub id: String,
}

impl Browser {
    /// A browser without cookies.
    pub fn new(public_url: &str) -> Self {
        Self {
            public_url: public_url.to_owned(),
            cookies: BTreeMap::new(),
        }
    }

    /// Requests a URL and returns the target of the redirect.
    pub async fn visit(&mut self, url: &str) -> Result<Url> {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = http::client().get(url).header(COOKIE, cookies.join("; "));
        let answer = request.send().await?;
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let pair = cookie.to_str()?.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').context("a cookie without a value")?;
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let status = answer.status();
        let location = answer.headers().get(LOCATION).map(|to| to.to_str().map(str::to_owned));
        match location {
            Some(location) => Ok(Url::parse(&self.public_url)?.join(&location?)?),
            None => anyhow::bail!("{status} instead of a redirect: {}", answer.text().await?),
        }
    }

    /// Requests a code and returns the challenge of the login.
    pub async fn log_in(&mut self, client_id: &str) -> Result<Secret> {
        let url = Url::parse_with_params(
            &format!("{}/oauth2/auth", self.public_url),
            [
                ("client_id", client_id),
                ("response_type", "code"),
                ("scope", "openid offline"),
                ("redirect_uri", CALLBACK),
                ("state", "a-state-of-the-application"),
            ],
        )?;
        let login = self.visit(url.as_str()).await?;
        parameter(&login, "login_challenge").map(Secret::new)
    }

    /// Requests a code, logs in as this subject, and returns the challenge of the consent.
    pub async fn consent(&mut self, hydra: &Hydra, client_id: &str, subject: &str) -> Result<Secret> {
        let challenge = self.log_in(client_id).await?;
        let answer = AcceptLogin {
            subject: subject.to_owned(),
            remember: true,
            ..AcceptLogin::default()
        };
        let accepted = settled("the login", async || {
            hydra.accept_login_request(&challenge, &answer).await
        });
        let next = accepted.await?.context("the login does not exist")?;
        let consent = self.visit(next.expose()).await?;
        parameter(&consent, "consent_challenge").map(Secret::new)
    }

    /// Requests a code, logs in as this subject, grants all scopes, and exchanges the code for tokens.
    pub async fn tokens(&mut self, hydra: &Hydra, client_id: &str, subject: &str) -> Result<Tokens> {
        let challenge = self.consent(hydra, client_id, subject).await?;
        self.grant(hydra, client_id, &challenge).await
    }

    /// Grants all scopes and exchanges the code for tokens.
    pub async fn grant(&mut self, hydra: &Hydra, client_id: &str, challenge: &Secret) -> Result<Tokens> {
        let answer = AcceptConsent {
            grant_scope: vec!["openid".to_owned(), "offline".to_owned()],
            remember: true,
            ..AcceptConsent::default()
        };
        let accepted = settled("the consent", async || {
            hydra.accept_consent_request(challenge, &answer).await
        });
        let next = accepted.await?.context("the consent does not exist")?;
        let callback = self.visit(next.expose()).await?;
        exchange(&self.public_url, client_id, &parameter(&callback, "code")?).await
    }

    /// Requests a logout with an ID token as a hint, and returns the challenge.
    pub async fn log_out(&mut self, id_token: &str) -> Result<Secret> {
        let url = format!("{}/oauth2/sessions/logout?id_token_hint={id_token}", self.public_url);
        let logout = self.visit(&url).await?;
        parameter(&logout, "logout_challenge").map(Secret::new)
    }
}

/// Value of a query parameter of a URL.
pub fn parameter(url: &Url, name: &str) -> Result<String> {
    let mut pairs = url.query_pairs();
    let found = pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    found.with_context(|| format!("no {name} in {url}"))
}

/// Exchanges a code (RFC 6749, section 4.1.3).
async fn exchange(public_url: &str, client_id: &str, code: &str) -> Result<Tokens> {
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
    ];
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let request = http::client()
        .post(format!("{public_url}/oauth2/token"))
        .basic_auth(client_id, Some(CLIENT_SECRET))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    let answer = request.send().await?;
    let status = answer.status();
    let body: Value = serde_json::from_str(&answer.text().await?)?;
    ensure!(status.is_success(), "no tokens: {status} {}", body["error"]);
    let text = |member: &str| body[member].as_str().unwrap_or_default().to_owned();
    Ok(Tokens {
        access: Secret::new(text("access_token")),
        refresh: Secret::new(text("refresh_token")),
        id: text("id_token"),
    })
}
