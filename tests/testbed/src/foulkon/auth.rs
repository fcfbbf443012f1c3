//! Who is calling: the administrator by password, or a user by ID token.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::reply::{self, Failure};
use super::server::Worker;
use super::table::Database;
use super::token;

/// Scheme of a password.
const BASIC: &str = "Basic ";
/// The header in which the worker passes the user from one of its layers to the next. The worker appends its own value
/// to one that was sent, and then reads the first. So a caller with any valid token can act as any user.
const USER_ID: &str = "x-foulkon-user-id";

/// An authenticated caller.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// May do everything.
    Admin,
    /// May do what its policies allow. Identified by the subject of its token.
    User(String),
}

impl Caller {
    /// Whether the caller may do something with the provider, or the providers, called `urn`.
    ///
    /// # Errors
    /// When it may not.
    pub(super) fn authorize(&self, database: &Database, urn: &str) -> Result<(), Failure> {
        match self {
            Self::Admin => Ok(()),
            Self::User(user) if database.managers().contains(user) => Ok(()),
            // Not recorded. The worker uses other words for a user that it knows.
            Self::User(user) => Err(Failure::unauthorized(format!(
                "User with externalId {user} is not allowed to access to resource {urn}"
            ))),
        }
    }
}

/// Determines the caller.
///
/// # Errors
/// The reply for a caller that is refused, which is never JSON.
pub(super) async fn authenticate(worker: &Worker, headers: &HeaderMap) -> Result<Caller, Response> {
    let text = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let authorization = text(AUTHORIZATION.as_str()).unwrap_or_default();
    if password(&authorization).is_some_and(|sent| sent == worker.admin) {
        return Ok(Caller::Admin);
    }
    if worker.loaded.is_empty() {
        return Err(reply::text(StatusCode::UNAUTHORIZED, "Authentication failed"));
    }
    let refused = |status: StatusCode, message: &str| reply::text(status, &format!("Error {message}"));
    let bearer = bearer(&authorization).map_err(|message| refused(StatusCode::BAD_REQUEST, message))?;
    match token::verify(bearer, &worker.loaded).await {
        Ok(subject) => {
            let claimed = text(USER_ID).map(|user| user.into_owned());
            Ok(Caller::User(claimed.unwrap_or(subject)))
        }
        Err(refusal) => Err(refused(refusal.status, &refusal.message)),
    }
}

/// User and password, as `USER:PASSWORD`.
fn password(authorization: &str) -> Option<String> {
    let (scheme, encoded) = authorization.split_at_checked(BASIC.len())?;
    let decoded = STANDARD
        .decode(encoded)
        .ok()
        .filter(|_| scheme.eq_ignore_ascii_case(BASIC))?;
    String::from_utf8(decoded).ok()
}

/// The token of a caller that has no password.
fn bearer(authorization: &str) -> Result<&str, &'static str> {
    if authorization.is_empty() {
        return Err("The 'Authorization' header was not found or was empty.");
    }
    let parts: Vec<&str> = authorization.split(' ').collect();
    match parts[..] {
        ["Bearer", token] => Ok(token),
        [_, _] => Err("The 'Authorization' header scheme name was not 'Bearer'"),
        // Not recorded.
        _ => Err("The 'Authorization' header did not have the correct format."),
    }
}
