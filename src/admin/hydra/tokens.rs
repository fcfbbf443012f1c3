//! Tokens: introspect them, delete those of a client, flush expired ones.

use jiff::Timestamp;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::wire;
use super::{Dialect, Hydra};
use crate::admin::http::{Failure, Request};
use crate::secret::Secret;

/// What an active token grants (RFC 7662, section 2.2). Empty and absent are equal. It holds no part of the token
/// itself.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Introspection {
    /// Space-separated scopes that were granted.
    pub scope: String,
    /// The client that the token was issued to.
    pub client_id: String,
    /// The subject: who granted it, or the client itself.
    pub sub: String,
    /// The `sub` of the ID token, where subject identifiers are pairwise.
    pub obfuscated_subject: String,
    /// When it expires, in seconds since 1970.
    pub exp: i64,
    /// When it was issued, in seconds since 1970.
    pub iat: i64,
    /// When it becomes valid, in seconds since 1970.
    pub nbf: i64,
    /// Name of the subject for humans.
    pub username: String,
    /// Audiences that were granted.
    pub aud: Vec<String>,
    /// The issuer.
    pub iss: String,
    /// How the token is used: `Bearer`.
    pub token_type: String,
    /// `access_token` or `refresh_token`.
    pub token_use: String,
    /// Claims that the consent app added to the access token.
    pub ext: Map<String, Value>,
}

impl Hydra {
    /// `introspect_o_auth2_token`: what an access or refresh token grants. None if it is not active, or lacks one of
    /// the space-separated scopes.
    ///
    /// A POST that writes nothing: it does not require leadership.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn introspect_token(&self, token: &Secret, scope: &str) -> Result<Option<Introspection>, Failure> {
        let mut fields = vec![("token", token.expose())];
        fields.extend((!scope.is_empty()).then_some(("scope", scope)));
        let path = self.path(&["oauth2", "introspect"]);
        let request = Request {
            body: Some(wire::form(&fields)),
            reads: true,
            ..Request::new("introspect_o_auth2_token", Method::POST, &path)
        };
        let reply = self.http.send(request).await?.body;
        match reply.get("active").and_then(Value::as_bool) {
            Some(false) => Ok(None),
            Some(true) => wire::parse(reply).map(Some).ok_or(Failure::Reply("describes no token")),
            None => Err(Failure::Reply("does not report whether the token is active")),
        }
    }

    /// `delete_o_auth2_token`: deletes all access tokens of a client. Its refresh tokens stay, and the claims of a JSON
    /// Web Token still verify. Succeeds if there is no such client.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn delete_tokens(&self, client_id: &str) -> Result<(), Failure> {
        let path = self.path(&["oauth2", "tokens"]);
        let request = Request {
            query: &[("client_id", client_id)],
            ..Request::new("delete_o_auth2_token", Method::DELETE, &path)
        };
        self.http.send(request).await.map(|_| ())
    }

    /// `flush_inactive_o_auth2_tokens`: deletes expired tokens that were issued before this time, or before now; at
    /// most a thousand of each kind at once. Version 1 only: version 2 has a command (`hydra janitor`) instead.
    ///
    /// # Errors
    /// [`Failure::NotInThisVersion`] on version 2; else [`Failure`].
    pub async fn flush_tokens(&self, not_after: Option<Timestamp>) -> Result<(), Failure> {
        #[derive(Serialize)]
        struct Flush {
            #[serde(rename = "notAfter", skip_serializing_if = "Option::is_none")]
            not_after: Option<Timestamp>,
        }
        if self.version.dialect() == Dialect::V2 {
            return Err(Failure::NotInThisVersion);
        }
        let path = self.path(&["oauth2", "flush"]);
        let request = Request {
            body: Some(wire::json(&Flush { not_after })),
            ..Request::new("flush_inactive_o_auth2_tokens", Method::POST, &path)
        };
        self.http.send(request).await.map(|_| ())
    }
}
