//! Replies as Go's `net/http` and `encoding/json` write them.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Characters that Go escapes in JSON, so that it can be embedded in HTML and JavaScript.
const ESCAPED: [(char, &str); 5] = [
    ('<', r"\u003c"),
    ('>', r"\u003e"),
    ('&', r"\u0026"),
    ('\u{2028}', r"\u2028"),
    ('\u{2029}', r"\u2029"),
];

/// A JSON reply.
pub(super) fn json(status: StatusCode, content: &impl Serialize) -> Response {
    match serde_json::to_string(content) {
        // Outside of strings, JSON has none of these characters.
        Ok(text) => {
            let text = ESCAPED.iter().fold(text, |text, (from, to)| text.replace(*from, to));
            typed(status, "application/json", text)
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// An error in plain text, as `http.Error` writes it.
pub(super) fn text(status: StatusCode, message: &str) -> Response {
    let mut response = typed(status, "text/plain; charset=utf-8", format!("{message}\n"));
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A reply with a body of some type.
pub(super) fn typed(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A reply with nothing but a status.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// An error of the API.
#[derive(Debug, Serialize)]
pub(super) struct Failure {
    code: &'static str,
    message: String,
}

impl Failure {
    /// A sent value is not valid.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterError", message)
    }

    /// The caller may not do this.
    pub(super) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new("UnauthorizedResourcesError", message)
    }

    /// There is no such provider.
    pub(super) fn not_found(name: &str) -> Self {
        let message = format!("OIDC Provider with name {name} not found");
        Self::new("AuthOidcProviderWithNameNotFound", message)
    }

    /// The name is taken.
    pub(super) fn already_exists(message: impl Into<String>) -> Self {
        Self::new("AuthOidcProviderAlreadyExist", message)
    }

    /// The database reports an error; its message is passed on.
    pub(super) fn database(message: impl Into<String>) -> Self {
        Self::new("UnknownApiError", message)
    }

    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    fn status(&self) -> StatusCode {
        match self.code {
            "InvalidParameterError" => StatusCode::BAD_REQUEST,
            "UnauthorizedResourcesError" => StatusCode::FORBIDDEN,
            "AuthOidcProviderWithNameNotFound" => StatusCode::NOT_FOUND,
            "AuthOidcProviderAlreadyExist" => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        json(self.status(), &self)
    }
}
