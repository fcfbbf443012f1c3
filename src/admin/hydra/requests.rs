//! Requests that wait for a user: to log in, to consent, to log out. Hydra sends the user's browser to an app with a challenge in the URL; the app
//! looks the request up by it, answers it, and sends the browser where Hydra says.
//!
//! Challenges and the URLs to go on with are credentials of the user: nothing prints them, and types that hold one have no Debug.

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::wire::{self, is_absent, is_conflict};
use super::{Client, Hydra};
use crate::admin::http::{Body, Failure, RedirectTo, Request};
use crate::secret::Secret;

/// What a client asked for with OpenID Connect's own parameters (OpenID Connect Core, section 3.1.2.1).
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct OidcContext {
    /// Ways of authentication, the most wanted first.
    pub acr_values: Vec<String>,
    /// Languages for the user interface, the most wanted first.
    pub ui_locales: Vec<String>,
    /// How the app is to show itself: `page`, `popup`, `touch` or `wap`.
    pub display: String,
    /// Claims of the ID token that was given as a hint.
    pub id_token_hint_claims: Map<String, Value>,
    /// Whom the client expects.
    pub login_hint: String,
}

/// A request to log in.
#[derive(Clone, Deserialize, PartialEq)]
pub struct LoginRequest {
    /// Its challenge.
    pub challenge: Secret,
    /// Scopes that the client asked for.
    #[serde(default)]
    pub requested_scope: Vec<String>,
    /// Audiences that the client asked for.
    #[serde(default)]
    pub requested_access_token_audience: Vec<String>,
    /// Whether the subject is remembered: accept it as it is, without showing anything.
    #[serde(default)]
    pub skip: bool,
    /// The subject that is remembered, else empty.
    #[serde(default)]
    pub subject: String,
    /// OpenID Connect's own parameters.
    #[serde(default, deserialize_with = "wire::object")]
    pub oidc_context: OidcContext,
    /// Which client asks. None if it cannot be read.
    #[serde(default, deserialize_with = "readable_client")]
    pub client: Option<Client>,
    /// The client's whole request.
    #[serde(default)]
    pub request_url: String,
    /// Id of the session that the login begins or belongs to.
    #[serde(default)]
    pub session_id: String,
}

/// A request to consent.
#[derive(Clone, Deserialize, PartialEq)]
pub struct ConsentRequest {
    /// Its challenge.
    pub challenge: Secret,
    /// Scopes that the client asked for.
    #[serde(default)]
    pub requested_scope: Vec<String>,
    /// Audiences that the client asked for.
    #[serde(default)]
    pub requested_access_token_audience: Vec<String>,
    /// Whether the subject consented before, or the client needs no consent: accept without showing anything.
    #[serde(default)]
    pub skip: bool,
    /// Who is to consent.
    #[serde(default)]
    pub subject: String,
    /// OpenID Connect's own parameters.
    #[serde(default, deserialize_with = "wire::object")]
    pub oidc_context: OidcContext,
    /// Which client asks. None if it cannot be read.
    #[serde(default, deserialize_with = "readable_client")]
    pub client: Option<Client>,
    /// The client's whole request.
    #[serde(default)]
    pub request_url: String,
    /// Challenge of the login before.
    #[serde(default)]
    pub login_challenge: Option<Secret>,
    /// Id of the session of the login before.
    #[serde(default)]
    pub login_session_id: String,
    /// How the subject was authenticated, as a class.
    #[serde(default)]
    pub acr: String,
    /// How the subject was authenticated, as methods (RFC 8176).
    #[serde(default)]
    pub amr: Vec<String>,
    /// What the login app noted.
    #[serde(default)]
    pub context: Value,
}

/// A request to log out.
#[derive(Clone, Deserialize, PartialEq)]
pub struct LogoutRequest {
    /// Its challenge. Hydra 1.9 and 1.10 do not repeat it.
    #[serde(default)]
    pub challenge: Option<Secret>,
    /// Who is to be logged out.
    #[serde(default)]
    pub subject: String,
    /// Id of the session.
    #[serde(default)]
    pub sid: String,
    /// The request as it came, which holds an ID token if a client asked.
    #[serde(default)]
    pub request_url: Option<Secret>,
    /// Whether a client asked, and not the user.
    #[serde(default)]
    pub rp_initiated: bool,
    /// Which client asked, if one did and it can be read.
    #[serde(default, deserialize_with = "readable_client")]
    pub client: Option<Client>,
}

/// The answer to a request to log in. Hydra refuses members that its version does not know.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AcceptLogin {
    /// Who logged in; that of the request if it is to be skipped.
    pub subject: String,
    /// Whether to remember it in this browser.
    pub remember: bool,
    /// For how many seconds; 0 is until the browser is closed, by Hydra's settings.
    pub remember_for: i64,
    /// Whether to remember it anew from now on when it was remembered. Version 2 only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub extend_session_lifespan: bool,
    /// How the subject was authenticated, as a class.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub acr: String,
    /// How the subject was authenticated, as methods (RFC 8176).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
    /// The session of the identity provider behind the login app. Version 2.1 and later only.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub identity_provider_session_id: String,
    /// A subject identifier for this client instead of the one that Hydra would make.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub force_subject_identifier: String,
    /// A note to the consent app.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub context: Value,
}

/// What goes into the tokens besides what is in them anyway.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ConsentSession {
    /// Into the access token, and what an introspection shows as `ext`.
    pub access_token: Map<String, Value>,
    /// Into the ID token.
    pub id_token: Map<String, Value>,
}

/// The answer to a request to consent. Hydra sets the time itself, so `handled_at` is not sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AcceptConsent {
    /// Scopes to grant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub grant_scope: Vec<String>,
    /// Audiences of access tokens to grant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub grant_access_token_audience: Vec<String>,
    /// What goes into the tokens.
    #[serde(skip_serializing_if = "is_default")]
    pub session: ConsentSession,
    /// Whether it holds for later requests too.
    #[serde(skip_serializing_if = "is_default")]
    pub remember: bool,
    /// For how many seconds; 0 is for ever.
    #[serde(skip_serializing_if = "is_default")]
    pub remember_for: i64,
    /// A note, shown with the consent. Version 2 only.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub context: Value,
}

/// Why a request is denied; the client is told (RFC 6749, section 4.1.2.1).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Reject {
    /// Error code, for example `access_denied`. Hydra has its own if it is empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// Description for the client's developer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error_description: String,
    /// What might help.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error_hint: String,
    /// What only logs show.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error_debug: String,
    /// HTTP status of the error; Hydra's own if it is 0.
    #[serde(skip_serializing_if = "is_default")]
    pub status_code: u16,
}

impl Hydra {
    /// `get_login_request`. None if there is none of that challenge.
    ///
    /// # Errors
    /// [`Failure::Handled`] if it was answered before, [`Failure::Expired`] if it is too old; else [`Failure`].
    pub async fn get_login_request(&self, challenge: &Secret) -> Result<Option<LoginRequest>, Failure> {
        self.look_up("get_login_request", "login", challenge).await
    }

    /// `accept_login_request`: says who logged in. None if there is none of that challenge.
    ///
    /// # Errors
    /// As [`Hydra::get_login_request`].
    pub async fn accept_login_request(
        &self,
        challenge: &Secret,
        answer: &AcceptLogin,
    ) -> Result<Option<RedirectTo>, Failure> {
        let reply = self.answer(
            "accept_login_request",
            ["login", "accept"],
            challenge,
            Some(wire::json(answer)),
        );
        reply.await?.map(redirect_to).transpose()
    }

    /// `reject_login_request`: says that nobody logged in. None if there is none of that challenge.
    ///
    /// # Errors
    /// As [`Hydra::get_login_request`].
    pub async fn reject_login_request(
        &self,
        challenge: &Secret,
        reason: &Reject,
    ) -> Result<Option<RedirectTo>, Failure> {
        let reply = self.answer(
            "reject_login_request",
            ["login", "reject"],
            challenge,
            Some(wire::json(reason)),
        );
        reply.await?.map(redirect_to).transpose()
    }

    /// `get_consent_request`. None if there is none of that challenge.
    ///
    /// # Errors
    /// As [`Hydra::get_login_request`].
    pub async fn get_consent_request(&self, challenge: &Secret) -> Result<Option<ConsentRequest>, Failure> {
        self.look_up("get_consent_request", "consent", challenge).await
    }

    /// `accept_consent_request`: says what the subject grants. None if there is none of that challenge.
    ///
    /// # Errors
    /// As [`Hydra::get_login_request`].
    pub async fn accept_consent_request(
        &self,
        challenge: &Secret,
        answer: &AcceptConsent,
    ) -> Result<Option<RedirectTo>, Failure> {
        let (which, body) = (["consent", "accept"], wire::json(answer));
        let reply = self.answer("accept_consent_request", which, challenge, Some(body));
        reply.await?.map(redirect_to).transpose()
    }

    /// `reject_consent_request`: says that the subject grants nothing. None if there is none of that challenge.
    ///
    /// # Errors
    /// As [`Hydra::get_login_request`].
    pub async fn reject_consent_request(
        &self,
        challenge: &Secret,
        reason: &Reject,
    ) -> Result<Option<RedirectTo>, Failure> {
        let (which, body) = (["consent", "reject"], wire::json(reason));
        let reply = self.answer("reject_consent_request", which, challenge, Some(body));
        reply.await?.map(redirect_to).transpose()
    }

    /// `get_logout_request`. None if there is none of that challenge.
    ///
    /// # Errors
    /// As [`Hydra::get_login_request`].
    pub async fn get_logout_request(&self, challenge: &Secret) -> Result<Option<LogoutRequest>, Failure> {
        self.look_up("get_logout_request", "logout", challenge).await
    }

    /// `accept_logout_request`: says that the user wants it. None if there is none of that challenge.
    ///
    /// # Errors
    /// As [`Hydra::get_login_request`].
    pub async fn accept_logout_request(&self, challenge: &Secret) -> Result<Option<RedirectTo>, Failure> {
        let reply = self.answer("accept_logout_request", ["logout", "accept"], challenge, None);
        reply.await?.map(redirect_to).transpose()
    }

    /// `reject_logout_request`: says that the user does not want it; where the browser goes is the app's choice. False if there is none of that challenge.
    ///
    /// # Errors
    /// As [`Hydra::get_login_request`].
    pub async fn reject_logout_request(&self, challenge: &Secret) -> Result<bool, Failure> {
        let reply = self.answer("reject_logout_request", ["logout", "reject"], challenge, None);
        Ok(reply.await?.is_some())
    }

    async fn look_up<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        kind: &'static str,
        challenge: &Secret,
    ) -> Result<Option<T>, Failure> {
        let path = self.path(&["oauth2", "auth", "requests", kind]);
        let parameter = format!("{kind}_challenge");
        let request = Request {
            query: &[(&parameter, challenge.expose())],
            ..Request::new(operation, Method::GET, &path)
        };
        match self.http.send(request).await {
            Ok(reply) => wire::parse(reply.body)
                .map(Some)
                .ok_or(Failure::Reply("is not such a request")),
            Err(failure) if is_absent(&failure) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn answer(
        &self,
        operation: &'static str,
        [kind, verdict]: [&'static str; 2],
        challenge: &Secret,
        body: Option<Body>,
    ) -> Result<Option<Value>, Failure> {
        let path = self.path(&["oauth2", "auth", "requests", kind, verdict]);
        let parameter = format!("{kind}_challenge");
        let request = Request {
            query: &[(&parameter, challenge.expose())],
            body,
            ..Request::new(operation, Method::PUT, &path)
        };
        match self.http.send(request).await {
            Ok(reply) => Ok(Some(reply.body)),
            Err(failure) if is_absent(&failure) => Ok(None),
            Err(failure) if is_conflict(&failure) => Err(Failure::Handled(None)),
            Err(failure) => Err(failure),
        }
    }
}

fn redirect_to(mut reply: Value) -> Result<RedirectTo, Failure> {
    match reply.get_mut("redirect_to").map(Value::take) {
        Some(Value::String(url)) if !url.is_empty() => Ok(RedirectTo::new(url)),
        _ => Err(Failure::Reply("does not say where to go on")),
    }
}

fn readable_client<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Client>, D::Error> {
    Value::deserialize(deserializer).map(Client::parse)
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
