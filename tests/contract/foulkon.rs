//! The same tests with Foulkon: recorded answers of a real worker, requests, replies, and whole round trips.

mod about;
mod calls;
mod paging;
mod recordings;
mod replay;
mod replies;
mod sent;
mod worker;

use std::collections::BTreeSet;
use std::sync::Arc;

use oidc_operator::admin::foulkon::{Fields, Foulkon};
use oidc_operator::admin::http::{ErrorBody, Failure, Http, Settings};
use oidc_operator::secret::Secret;
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::json_reply;

/// Path of the providers.
const PROVIDERS: &str = "/api/v1/admin/auth/oidc/providers";
/// Error code if no provider has the name.
const NOT_FOUND: &str = "AuthOidcProviderWithNameNotFound";
/// Error code if a provider with the name exists.
const EXISTS: &str = "AuthOidcProviderAlreadyExist";

fn secret(value: &str) -> Secret {
    Secret::new(value.to_owned())
}

/// Settings for a Foulkon server, without a login.
fn nobody() -> Settings {
    Settings {
        errors: ErrorBody::Coded,
        ..Settings::default()
    }
}

/// The admin's login: a refusal concerns the whole server.
fn admin(user: &str, password: &str) -> Settings {
    Settings {
        basic: Some((secret(user), secret(password))),
        ..nobody()
    }
}

/// A login with this `Authorization`: a refusal concerns one request.
fn authorized(value: &str) -> Settings {
    Settings {
        headers: vec![("Authorization".to_owned(), secret(value))],
        refuses_singly: true,
        ..nobody()
    }
}

/// The API of a worker at a URL, and its endpoint.
fn connect(base: &str, settings: &Settings) -> (Foulkon, Arc<Http>) {
    let http = Arc::new(crate::http(base, settings));
    (Foulkon::new(http.clone()), http)
}

/// A server that gives every request the same answer, and its API for the admin.
async fn always(reply: ResponseTemplate) -> (MockServer, Foulkon, Arc<Http>) {
    let server = MockServer::start().await;
    answer(&server, reply).await;
    let (foulkon, http) = connect(&server.uri(), &admin("admin", "geheim-password"));
    (server, foulkon, http)
}

/// Makes a server give every request the same answer from now on, and forget earlier requests.
async fn answer(server: &MockServer, reply: ResponseTemplate) {
    server.reset().await;
    Mock::given(any()).respond_with(reply).mount(server).await;
}

async fn requests(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.unwrap_or_default()
}

/// The value of a header.
fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let value = request.headers.get(name)?;
    Some(value.to_str().expect("text"))
}

/// An error from the worker itself.
fn coded(status: u16, code: &str, message: &str) -> ResponseTemplate {
    json_reply(status, &json!({ "code": code, "message": message }))
}

/// The failure for such a reply.
fn status(code: u16, error: &str, description: &str) -> Failure {
    Failure::Status {
        code,
        error: Some(error.to_owned()),
        description: description.to_owned(),
    }
}

/// The failure for a reply with this status that is not from the worker itself.
fn proxied(code: u16) -> Failure {
    Failure::Status {
        code,
        error: None,
        description: String::new(),
    }
}

/// A provider as the worker returns it.
fn shown() -> Value {
    json!({
        "id": "1f0e", "name": "shop", "path": "/team/", "urn": "urn:iws:auth::oidc/team/shop",
        "createAt": "2026-01-01T00:00:00Z", "updateAt": "2026-01-01T00:00:00Z",
        "issuerUrl": "https://id.example.com", "clients": [{ "name": "app" }],
    })
}

/// The fields that are written for it.
fn fields() -> Fields {
    named("shop", "/team/")
}

fn named(name: &str, path: &str) -> Fields {
    Fields {
        name: name.to_owned(),
        path: path.to_owned(),
        issuer_url: "https://id.example.com".to_owned(),
        clients: set(&["app"]),
    }
}

fn set(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}
