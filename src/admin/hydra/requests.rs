//! Login, consent and logout requests, which wait for a user. Hydra sends the user's browser to an app with a challenge
//! in the URL. The app looks up the request by its challenge, answers it, and sends the browser to the URL that Hydra
//! returns.
//!
//! Every version knows which logout requests were already answered; version 1 also knows this for login and consent
//! requests. From 2.2 on, the challenge of a login or consent request holds the whole request: it can be answered
//! again, and the browser uses one of the answers.

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Hydra;
use super::request::{AcceptConsent, AcceptLogin, AcceptUserCode, ConsentRequest, LoginRequest, LogoutRequest, Reject};
use super::wire::{self, is_absent, is_conflict};
use crate::admin::http::{Body, Failure, RedirectTo, Request};
use crate::api::authorization_server::Capability;
use crate::secret::Secret;

impl Hydra {
    /// `get_login_request`. None if no request has this challenge.
    ///
    /// # Errors
    /// [`Failure::Handled`] if it was already answered, [`Failure::Expired`] if it is too old; else [`Failure`].
    pub async fn get_login_request(&self, challenge: &Secret) -> Result<Option<LoginRequest>, Failure> {
        self.look_up("get_login_request", "login", challenge).await
    }

    /// `accept_login_request`: reports who logged in. None if no request has this challenge.
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

    /// `reject_login_request`: reports that nobody logged in. None if no request has this challenge.
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

    /// `get_consent_request`. None if no request has this challenge.
    ///
    /// # Errors
    /// As [`Hydra::get_login_request`].
    pub async fn get_consent_request(&self, challenge: &Secret) -> Result<Option<ConsentRequest>, Failure> {
        self.look_up("get_consent_request", "consent", challenge).await
    }

    /// `accept_consent_request`: reports what the subject grants. None if no request has this challenge.
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

    /// `reject_consent_request`: reports that the subject grants nothing. None if no request has this challenge.
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

    /// `get_logout_request`. None if no request has this challenge.
    ///
    /// # Errors
    /// As [`Hydra::get_login_request`].
    pub async fn get_logout_request(&self, challenge: &Secret) -> Result<Option<LogoutRequest>, Failure> {
        self.look_up("get_logout_request", "logout", challenge).await
    }

    /// `accept_logout_request`: reports that the user confirms the logout. None if no request has this challenge.
    ///
    /// # Errors
    /// As [`Hydra::get_login_request`].
    pub async fn accept_logout_request(&self, challenge: &Secret) -> Result<Option<RedirectTo>, Failure> {
        let reply = self.answer("accept_logout_request", ["logout", "accept"], challenge, None);
        reply.await?.map(redirect_to).transpose()
    }

    /// `reject_logout_request`: reports that the user stays logged in; the app chooses where to send the browser.
    /// Succeeds if no request has this challenge: version 1 does not report that.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn reject_logout_request(&self, challenge: &Secret) -> Result<(), Failure> {
        let reply = self.answer("reject_logout_request", ["logout", "reject"], challenge, None);
        reply.await.map(|_| ())
    }

    /// `accept_user_code_request`: reports the code that a user entered to log in on another device (RFC 8628, section
    /// 3.3). The returned URL continues with the login. None if no request has this challenge.
    ///
    /// # Errors
    /// [`Failure::NotInThisVersion`] before 25.4. [`Failure::Status`] if the code is wrong; else as
    /// [`Hydra::get_login_request`].
    pub async fn accept_user_code_request(
        &self,
        challenge: &Secret,
        answer: &AcceptUserCode,
    ) -> Result<Option<RedirectTo>, Failure> {
        let capabilities = self.version().capabilities();
        if !capabilities.contains(&Capability::DeviceAuthorizationGrant) {
            return Err(Failure::NotInThisVersion);
        }
        let (which, body) = (["device", "accept"], wire::json(answer));
        let reply = self.answer("accept_user_code_request", which, challenge, Some(body));
        reply.await?.map(redirect_to).transpose()
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
                .ok_or(Failure::Reply("is not a request of this type")),
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
        _ => Err(Failure::Reply("has no URL to redirect to")),
    }
}
