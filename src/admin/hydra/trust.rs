//! Trusted issuers: Hydra accepts their JSON Web Tokens as authorization grants (RFC 7523). They cannot be changed,
//! only deleted and created again.

use jiff::Timestamp;
use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::Hydra;
use super::key::PublicKey;
use super::listing::Cursor;
use super::wire::{self, is_absent, is_conflict};
use crate::admin::http::{Failure, Request};

/// A trusted issuer.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct TrustedIssuer {
    /// Id, which the server chooses.
    pub id: String,
    /// The `iss` of assertions.
    pub issuer: String,
    /// The `sub` of assertions; empty if it is trusted for any.
    #[serde(default)]
    pub subject: String,
    /// Whether it is trusted for any subject. Since 1.11.8.
    #[serde(default)]
    pub allow_any_subject: bool,
    /// Scopes that may be granted.
    #[serde(default)]
    pub scope: Vec<String>,
    /// Location of the key that signs assertions.
    #[serde(deserialize_with = "wire::object")]
    pub public_key: KeyPlace,
    /// When it was created, by the server's clock, in whole seconds.
    pub created_at: Timestamp,
    /// Until when it is trusted, in whole seconds. The server deletes it some time after that.
    pub expires_at: Timestamp,
}

/// Location of a key among the JSON Web Keys of the server.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct KeyPlace {
    /// Name of the set: the issuer.
    pub set: String,
    /// Id of the key.
    pub kid: String,
}

/// An issuer to trust.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NewTrustedIssuer {
    /// The `iss` of assertions.
    pub issuer: String,
    /// The `sub` of assertions; empty if it is trusted for any.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// Whether it is trusted for any subject; then `subject` must be empty.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_any_subject: bool,
    /// Scopes that may be granted.
    pub scope: Vec<String>,
    /// The key that signs assertions; its `kid` is required. An existing key of the issuer with the same id stays
    /// unchanged.
    pub jwk: PublicKey,
    /// Until when it is trusted; kept in whole seconds.
    pub expires_at: Timestamp,
}

impl Hydra {
    /// `list_trusted_o_auth2_jwt_grant_issuers`: the next page, or None after the last; all, or those of one issuer.
    ///
    /// # Errors
    /// [`Failure`]; also when the listing does not end.
    pub async fn list_trusted_issuers(
        &self,
        issuer: Option<&str>,
        cursor: &mut Cursor,
    ) -> Result<Option<Vec<TrustedIssuer>>, Failure> {
        let filter: Vec<(&str, &str)> = issuer.map(|issuer| ("issuer", issuer)).into_iter().collect();
        let page = self.next_page(
            "list_trusted_o_auth2_jwt_grant_issuers",
            &ISSUERS,
            &filter,
            cursor,
            wire::parse,
        );
        let Some(entries) = page.await? else { return Ok(None) };
        let issuers: Option<Vec<TrustedIssuer>> = entries.into_iter().map(Option::flatten).collect();
        issuers
            .map(Some)
            .ok_or(Failure::Reply("is not a list of trusted issuers"))
    }

    /// `trust_o_auth2_jwt_grant_issuer`. None if this combination of issuer, subject and key is already trusted.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn create_trusted_issuer(&self, issuer: &NewTrustedIssuer) -> Result<Option<TrustedIssuer>, Failure> {
        let path = self.path(&ISSUERS);
        let request = Request {
            body: Some(wire::json(issuer)),
            ..Request::new("trust_o_auth2_jwt_grant_issuer", Method::POST, &path)
        };
        match self.http.send(request).await {
            Ok(reply) => wire::parse(reply.body).map(Some).ok_or(NO_ISSUER),
            Err(failure) if is_conflict(&failure) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// `get_trusted_o_auth2_jwt_grant_issuer`. None if it does not exist.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn get_trusted_issuer(&self, id: &str) -> Result<Option<TrustedIssuer>, Failure> {
        let path = self.path(&[&ISSUERS[..], &[id]].concat());
        let request = Request::new("get_trusted_o_auth2_jwt_grant_issuer", Method::GET, &path);
        match self.http.send(request).await {
            Ok(reply) => wire::parse(reply.body).map(Some).ok_or(NO_ISSUER),
            Err(failure) if is_absent(&failure) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// `delete_trusted_o_auth2_jwt_grant_issuer`: also deletes its key, and all other trusted issuers with the same
    /// issuer and key. Succeeds if it does not exist.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn delete_trusted_issuer(&self, id: &str) -> Result<(), Failure> {
        let path = self.path(&[&ISSUERS[..], &[id]].concat());
        self.deleted(Request::new(
            "delete_trusted_o_auth2_jwt_grant_issuer",
            Method::DELETE,
            &path,
        ))
        .await
    }
}

/// Path of trusted issuers on v1.
const ISSUERS: [&str; 4] = ["trust", "grants", "jwt-bearer", "issuers"];

const NO_ISSUER: Failure = Failure::Reply("is not a trusted issuer");
