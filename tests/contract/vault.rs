//! The same tests with HashiCorp Vault and OpenBao: recorded answers, requests, replies, and the login.

mod calls;
mod fake;
mod health;
mod login;
mod objects;
mod rate;
mod recordings;
mod renewal;
mod replay;
mod replies;
mod secrecy;
mod sent;
mod service_account;
mod session;

use std::sync::Arc;

use oidc_operator::admin::http::{ErrorBody, Failure, Http, Settings};
use oidc_operator::admin::vault::{Login, Session, Vault};
use oidc_operator::secret::Secret;
use serde_json::json;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::json_reply;

/// A given token, which the fake server accepts.
const GIVEN: &str = "geheim-given";

fn secret(value: &str) -> Secret {
    Secret::new(value.to_owned())
}

/// An endpoint with the settings for a Vault: a refusal concerns one request.
fn endpoint(server: &MockServer) -> Arc<Http> {
    let settings = Settings {
        refuses_singly: true,
        errors: ErrorBody::Listed,
        ..Settings::default()
    };
    Arc::new(crate::http(&server.uri(), &settings))
}

/// The root namespace of a server, with a separate login.
fn vault(server: &MockServer, login: Login) -> Vault {
    within(server, login, "", "")
}

/// A namespace of a server, with a login in another namespace.
fn within(server: &MockServer, login: Login, namespace: &str, of_login: &str) -> Vault {
    let session = Session::new(endpoint(server), login, of_login);
    Vault::new(Arc::new(session), namespace)
}

fn given() -> Login {
    Login::Token(secret(GIVEN))
}

fn app_role() -> Login {
    Login::AppRole("approle".to_owned(), "operator".to_owned(), secret("geheim-id"))
}

/// A server that gives every request the same answer, and its root namespace, already logged in with the given token.
async fn always(reply: ResponseTemplate) -> (MockServer, Vault) {
    let server = MockServer::start().await;
    let vault = vault(&server, given());
    let for_ever = json_reply(200, &json!({ "data": { "ttl": 0, "renewable": false } }));
    answer(&server, for_ever).await;
    assert_eq!(vault.session().keep().await, Ok(None));
    answer(&server, reply).await;
    (server, vault)
}

/// Makes a server give every request the same answer from now on, and forget earlier requests.
async fn answer(server: &MockServer, reply: ResponseTemplate) {
    server.reset().await;
    Mock::given(any()).respond_with(reply).mount(server).await;
}

/// An error reply of the server itself, with status 4xx or 5xx.
fn errors_reply(status: u16, errors: &[&str]) -> ResponseTemplate {
    json_reply(status, &json!({ "errors": errors }))
}

/// The failure for a reply with this status that is not from the server itself.
fn proxied(code: u16) -> Failure {
    Failure::Status {
        code,
        error: None,
        description: String::new(),
    }
}

/// The failure for such a reply.
fn status(code: u16, description: &str) -> Failure {
    Failure::Status {
        code,
        error: Some(String::new()),
        description: description.to_owned(),
    }
}
