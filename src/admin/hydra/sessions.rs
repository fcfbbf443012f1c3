//! What Hydra remembers of a subject (an end user): its consents, and that it is logged in.

use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use super::listing::Cursor;
use super::request::{ConsentRequest, ConsentSession};
use super::{Hydra, wire};
use crate::admin::http::{Failure, Request};

/// A consent that a subject gave. No Debug: its request holds a challenge.
#[derive(Clone, Deserialize, PartialEq)]
pub struct GivenConsent {
    /// Scopes that were granted.
    #[serde(default)]
    pub grant_scope: Vec<String>,
    /// Audiences of access tokens that were granted.
    #[serde(default)]
    pub grant_access_token_audience: Vec<String>,
    /// Additional claims in the tokens.
    #[serde(default, deserialize_with = "wire::object")]
    pub session: ConsentSession,
    /// Whether the consent also applies to later requests.
    #[serde(default)]
    pub remember: bool,
    /// For how many seconds; 0 means forever.
    #[serde(default)]
    pub remember_for: i64,
    /// When it was given (RFC 3339).
    #[serde(default)]
    pub handled_at: Option<String>,
    /// Data from the consent app. Version 2 only.
    #[serde(default)]
    pub context: Value,
    /// The request that the consent answered.
    #[serde(default, deserialize_with = "wire::optional")]
    pub consent_request: Option<ConsentRequest>,
}

/// Which consents are revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consents<'a> {
    /// Those given to the client with this id.
    Client(&'a str),
    /// Those given to any client.
    All,
}

impl Hydra {
    /// `list_subject_consent_sessions`: the next page of the consents that a subject gave, or None after the last. An
    /// unknown subject has none.
    ///
    /// Hydra 2.3 links to no third page, so only the first thousand are listed there.
    ///
    /// # Errors
    /// [`Failure`]; also when the listing does not end.
    pub async fn list_consent_sessions(
        &self,
        subject: &str,
        cursor: &mut Cursor,
    ) -> Result<Option<Vec<GivenConsent>>, Failure> {
        let filter = [("subject", subject)];
        let page = self.next_page("list_subject_consent_sessions", &CONSENTS, &filter, cursor, wire::parse);
        let Some(entries) = page.await? else { return Ok(None) };
        let consents: Option<Vec<GivenConsent>> = entries.into_iter().map(Option::flatten).collect();
        consents.map(Some).ok_or(Failure::Reply("is not a list of consents"))
    }

    /// `revoke_consent_sessions`: revokes a subject's consents and the tokens that were issued on them. Succeeds if
    /// there are none.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn revoke_consent_sessions(&self, subject: &str, consents: Consents<'_>) -> Result<(), Failure> {
        let path = self.path(&CONSENTS);
        let which = match consents {
            Consents::Client(id) => ("client", id),
            Consents::All => ("all", "true"),
        };
        let request = Request {
            query: &[("subject", subject), which],
            ..Request::new("revoke_consent_sessions", Method::DELETE, &path)
        };
        self.http.send(request).await.map(|_| ())
    }

    /// `revoke_authentication_session`: makes Hydra forget that a subject is logged in, in all its browsers. Tokens
    /// stay valid, and no client is notified. Succeeds if the subject is not logged in.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn revoke_authentication_session(&self, subject: &str) -> Result<(), Failure> {
        let path = self.path(&["oauth2", "auth", "sessions", "login"]);
        let request = Request {
            query: &[("subject", subject)],
            ..Request::new("revoke_authentication_session", Method::DELETE, &path)
        };
        self.http.send(request).await.map(|_| ())
    }
}

/// Path of consents on v1.
const CONSENTS: [&str; 4] = ["oauth2", "auth", "sessions", "consent"];
