//! A login and consent app for Hydra; every installation has its own. It knows its users and enforces the metadata that
//! the operator stores in a client: who may log in, and what its scopes mean. It refuses unreadable metadata.

use std::sync::{Arc, OnceLock};

use anyhow::{Result, anyhow};
use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use oidc_operator::admin::http::{Failure, Http, Settings};
use oidc_operator::admin::hydra::Hydra;
use oidc_operator::admin::hydra::client::{Assigned, Catalogue, Client};
use oidc_operator::admin::hydra::request::{AcceptConsent, AcceptLogin, AcceptUserCode, ConsentSession, Reject};
use oidc_operator::api::GROUP;
use oidc_operator::api::authorization_server::HydraVersion;
use oidc_operator::leader::Fence;
use oidc_operator::metrics::Metrics;
use oidc_operator::secret::Secret;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A user with an account.
#[derive(Clone)]
pub struct User {
    /// The name to log in with, which is the subject of tokens too.
    pub name: String,
    /// The password.
    pub password: String,
    /// Groups.
    pub groups: Vec<String>,
    /// Values for templates of scopes: `{{identity.entity.metadata.KEY}}`.
    pub metadata: Map<String, Value>,
}

/// A running app. It ends when this value is dropped.
pub struct LoginApp {
    url: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    users: Vec<User>,
    hydra: OnceLock<Hydra>,
}

type App = State<Arc<Shared>>;

impl LoginApp {
    /// Starts the app on a free port of 127.0.0.1. Hydra needs its URLs and is started after it: see [`LoginApp::env`].
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(users: Vec<User>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let hydra = OnceLock::new();
        let shared = Arc::new(Shared { users, hydra });
        let routes = Router::new()
            .route("/login", get(login_page).post(log_in))
            .route("/consent", get(consent_page).post(consent))
            .route("/logout", get(log_out))
            .route("/device", get(device_page).post(enter_code))
            .route("/device/done", get(device_done))
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, routes).await; // never ends
        });
        Ok(Self { url, shared, server })
    }

    /// The URL of the app.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Variables that make Hydra send its users here.
    #[must_use]
    pub fn env(&self) -> [(&'static str, String); 5] {
        [
            ("URLS_LOGIN", "login"),
            ("URLS_CONSENT", "consent"),
            ("URLS_LOGOUT", "logout"),
            ("URLS_DEVICE_VERIFICATION", "device"),
            ("URLS_DEVICE_SUCCESS", "device/done"),
        ]
        .map(|(name, page)| (name, format!("{}/{page}", self.url)))
    }

    /// Connects the app to Hydra's admin API.
    ///
    /// # Errors
    /// When Hydra does not answer.
    pub async fn connect(&self, admin_url: &str) -> Result<()> {
        let metrics = Arc::new(Metrics::default());
        let http = Http::new("login-app", admin_url, &Settings::default(), Fence::open(), metrics)
            .map_err(|bad| anyhow!("{admin_url}: {bad:?}"))?;
        let hydra = Hydra::detect(&Arc::new(http), HydraVersion::Auto)
            .await
            .map_err(|failure| anyhow!("{admin_url}: {failure:?}"))?;
        let _ = self.shared.hydra.set(hydra); // once is enough
        Ok(())
    }
}

impl Drop for LoginApp {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Why a page cannot be shown.
enum Trouble {
    /// The request does not exist, or no longer.
    Gone,
    /// Hydra failed.
    Hydra,
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        tracing::warn!(?failure, "the login app cannot go on");
        Trouble::Hydra
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Trouble::Gone => (
                StatusCode::GONE,
                "This page is no longer valid. Go back to the application and try again.",
            ),
            Trouble::Hydra => (StatusCode::SERVICE_UNAVAILABLE, "Nobody can log in at the moment."),
        };
        (status, Html(page(text))).into_response()
    }
}

#[derive(Deserialize)]
struct LoginQuery {
    login_challenge: String,
}

#[derive(Deserialize)]
struct LoginForm {
    login_challenge: String,
    username: String,
    password: String,
}

#[derive(Deserialize)]
struct ConsentQuery {
    consent_challenge: String,
}

#[derive(Deserialize)]
struct LogoutQuery {
    logout_challenge: String,
}

#[derive(Deserialize)]
struct DeviceForm {
    device_challenge: String,
    #[serde(default)]
    user_code: String,
}

async fn login_page(State(app): App, Query(query): Query<LoginQuery>) -> Result<Response, Trouble> {
    let challenge = Secret::new(query.login_challenge);
    let request = app.hydra()?.get_login_request(&challenge).await?.ok_or(Trouble::Gone)?;
    // A remembered user is checked again: the assignment may have changed since.
    if request.skip {
        let user = app.users.iter().find(|user| user.name == request.subject);
        return app.admit(&challenge, request.client.as_ref(), user).await;
    }
    Ok(login_form(&challenge, "").into_response())
}

fn login_form(challenge: &Secret, problem: &str) -> Html<String> {
    Html(page(&format!(
        r#"<p>{problem}</p><form method="post" action="/login"><input type="hidden" name="login_challenge" value="{}"><input name="username" autofocus> <input name="password" type="password"> <button>Log in</button></form>"#,
        escaped(challenge.expose())
    )))
}

async fn log_in(State(app): App, Form(form): Form<LoginForm>) -> Result<Response, Trouble> {
    let challenge = Secret::new(form.login_challenge);
    let user = app
        .users
        .iter()
        .find(|user| user.name == form.username && user.password == form.password);
    let Some(user) = user else {
        let form = login_form(&challenge, "There is no such user with this password.");
        return Ok((StatusCode::UNAUTHORIZED, form).into_response());
    };
    let request = app.hydra()?.get_login_request(&challenge).await?.ok_or(Trouble::Gone)?;
    app.admit(&challenge, request.client.as_ref(), Some(user)).await
}

async fn consent_page(State(app): App, Query(query): Query<ConsentQuery>) -> Result<Response, Trouble> {
    let challenge = Secret::new(query.consent_challenge);
    let request = app
        .hydra()?
        .get_consent_request(&challenge)
        .await?
        .ok_or(Trouble::Gone)?;
    if request.skip {
        return app.grant(&challenge).await;
    }
    let catalogue = request.client.as_ref().and_then(catalogue).unwrap_or_default();
    let scopes = request.requested_scope.iter().map(|scope| {
        let described = catalogue
            .scopes
            .get(scope)
            .and_then(|entry| entry.description.as_deref());
        format!("<li>{}</li>", escaped(described.unwrap_or(scope)))
    });
    let text = format!(
        r#"<p>{} asks for:</p><ul>{}</ul><form method="post" action="/consent"><input type="hidden" name="consent_challenge" value="{}"><button>Allow</button></form>"#,
        escaped(
            request
                .client
                .as_ref()
                .map_or("An application", |client| &client.client_name)
        ),
        scopes.collect::<String>(),
        escaped(challenge.expose())
    );
    Ok(Html(page(&text)).into_response())
}

async fn consent(State(app): App, Form(form): Form<ConsentQuery>) -> Result<Response, Trouble> {
    app.grant(&Secret::new(form.consent_challenge)).await
}

async fn log_out(State(app): App, Query(query): Query<LogoutQuery>) -> Result<Response, Trouble> {
    let challenge = Secret::new(query.logout_challenge);
    let next = app
        .hydra()?
        .accept_logout_request(&challenge)
        .await?
        .ok_or(Trouble::Gone)?;
    Ok(Redirect::to(next.expose()).into_response())
}

/// The code from another device. It may come with the URL that the device shows.
async fn device_page(Query(query): Query<DeviceForm>) -> Html<String> {
    code_form(&query, "Enter the code that your device shows.")
}

fn code_form(form: &DeviceForm, text: &str) -> Html<String> {
    Html(page(&format!(
        r#"<p>{text}</p><form method="post" action="/device"><input type="hidden" name="device_challenge" value="{}"><input name="user_code" value="{}" autofocus> <button>Continue</button></form>"#,
        escaped(&form.device_challenge),
        escaped(&form.user_code)
    )))
}

async fn enter_code(State(app): App, Form(form): Form<DeviceForm>) -> Result<Response, Trouble> {
    let challenge = Secret::new(form.device_challenge.clone());
    let answer = AcceptUserCode {
        user_code: form.user_code.clone(),
    };
    match app.hydra()?.accept_user_code_request(&challenge, &answer).await {
        Ok(next) => Ok(Redirect::to(next.ok_or(Trouble::Gone)?.expose()).into_response()),
        Err(Failure::Status { .. }) => {
            let again = code_form(&form, "This code is wrong or no longer valid.");
            Ok((StatusCode::UNPROCESSABLE_ENTITY, again).into_response())
        }
        Err(failure) => Err(failure.into()),
    }
}

async fn device_done() -> Html<String> {
    Html(page(
        "<p>You are logged in on your device. You can close this page.</p>",
    ))
}

impl Shared {
    fn hydra(&self) -> Result<&Hydra, Trouble> {
        self.hydra.get().ok_or(Trouble::Hydra)
    }

    /// Admits only users that the client's assignments name.
    async fn admit(
        &self,
        challenge: &Secret,
        client: Option<&Client>,
        user: Option<&User>,
    ) -> Result<Response, Trouble> {
        let assigned = client.and_then(catalogue).map(|catalogue| catalogue.assignments);
        let next = match (user, assigned) {
            (Some(user), Some(assigned)) if may_use(user, assigned.as_ref()) => {
                let answer = AcceptLogin {
                    subject: user.name.clone(),
                    remember: true,
                    ..AcceptLogin::default()
                };
                self.hydra()?.accept_login_request(challenge, &answer).await?
            }
            _ => {
                let answer = Reject {
                    error: "access_denied".to_owned(),
                    error_description: "The user is not assigned to this application.".to_owned(),
                    ..Reject::default()
                };
                self.hydra()?.reject_login_request(challenge, &answer).await?
            }
        };
        Ok(Redirect::to(next.ok_or(Trouble::Gone)?.expose()).into_response())
    }

    /// Grants the requested scopes, with the claims of their templates for the user.
    async fn grant(&self, challenge: &Secret) -> Result<Response, Trouble> {
        let request = self
            .hydra()?
            .get_consent_request(challenge)
            .await?
            .ok_or(Trouble::Gone)?;
        let user = self
            .users
            .iter()
            .find(|user| user.name == request.subject)
            .ok_or(Trouble::Gone)?;
        let catalogue = request.client.as_ref().and_then(catalogue).ok_or(Trouble::Gone)?;
        let mut id_token = Map::new();
        for scope in &request.requested_scope {
            let template = catalogue.scopes.get(scope).and_then(|entry| entry.template.as_deref());
            if let Some(template) = template {
                id_token.extend(claims(template, user).ok_or(Trouble::Gone)?);
            }
        }
        let answer = AcceptConsent {
            grant_scope: request.requested_scope,
            grant_access_token_audience: request.requested_access_token_audience,
            session: ConsentSession {
                id_token,
                ..ConsentSession::default()
            },
            ..AcceptConsent::default()
        };
        let next = self.hydra()?.accept_consent_request(challenge, &answer).await?;
        Ok(Redirect::to(next.ok_or(Trouble::Gone)?.expose()).into_response())
    }
}

/// The catalogue that the operator stored with a client. None if it cannot be read.
fn catalogue(client: &Client) -> Option<Catalogue> {
    match client.metadata.get(GROUP) {
        None => Some(Catalogue::default()),
        Some(ours) => serde_json::from_value(ours.clone()).ok(),
    }
}

fn may_use(user: &User, assigned: Option<&Assigned>) -> bool {
    assigned.is_none_or(|assigned| {
        assigned.subjects.contains(&user.name) || user.groups.iter().any(|group| assigned.groups.contains(group))
    })
}

/// The claims of a template for a user. None if they are not a JSON object.
fn claims(template: &str, user: &User) -> Option<Map<String, Value>> {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}")?;
        text += before;
        text += &value_of(name.trim(), user).to_string();
        rest = after;
    }
    text += rest;
    serde_json::from_str(&text).ok()
}

fn value_of(name: &str, user: &User) -> Value {
    match name.strip_prefix("identity.entity.") {
        Some("name") => json!(user.name),
        Some("groups.names") => json!(user.groups),
        Some(other) => {
            let key = other.strip_prefix("metadata.").unwrap_or_default();
            user.metadata.get(key).cloned().unwrap_or_default()
        }
        None => Value::Null,
    }
}

fn page(body: &str) -> String {
    format!("<!doctype html><title>Log in</title><body>{body}</body>")
}

fn escaped(text: &str) -> String {
    let pairs = [
        ('&', "&amp;"),
        ('<', "&lt;"),
        ('>', "&gt;"),
        ('"', "&quot;"),
        ('\'', "&#39;"),
    ];
    pairs
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(*from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> User {
        User {
            name: "al\"ice".to_owned(),
            password: String::new(),
            groups: vec!["staff".to_owned()],
            metadata: Map::from_iter([("tier".to_owned(), json!(2))]),
        }
    }

    #[test]
    fn a_template_becomes_claims() {
        let table = [
            (r#"{"a": {{identity.entity.name}}}"#, Some(json!({ "a": "al\"ice" }))),
            (
                r#"{"a": {"b": {{ identity.entity.metadata.tier }}}, "c": {{identity.entity.groups.names}}}"#,
                Some(json!({ "a": { "b": 2 }, "c": ["staff"] })),
            ),
            (
                r#"{"a": {{identity.entity.metadata.none}}}"#,
                Some(json!({ "a": null })),
            ),
            (r#"{"a": {{identity.entity.name}"#, None),
            ("[]", None),
        ];
        for (template, expected) in table {
            assert_eq!(claims(template, &user()).map(Value::Object), expected, "{template}");
        }
    }

    #[test]
    fn only_assigned_users_and_groups_may_log_in() {
        let assigned = |subjects: &[&str], groups: &[&str]| Assigned {
            subjects: subjects.iter().map(|name| (*name).to_owned()).collect(),
            groups: groups.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert!(may_use(&user(), None));
        assert!(may_use(&user(), Some(&assigned(&["al\"ice"], &[]))));
        assert!(may_use(&user(), Some(&assigned(&["bob"], &["staff"]))));
        assert!(!may_use(&user(), Some(&assigned(&["bob"], &["staff2"]))));
        assert!(!may_use(&user(), Some(&assigned(&[], &[]))));
    }
}
