//! Two operations that released builds of Hydra lack, in front of a Hydra 2: `POST` and `DELETE
//! /admin/clients/{id}/secrets/rotate`. Everything else is Hydra's own.
//!
//! Hydra itself always has the current secret alone. This program knows the former ones from what passes through it, and
//! puts the current one in the place of a former one in requests to the token and revocation endpoints.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::distr::{Alphanumeric, SampleString};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use url::form_urlencoded;

use crate::http;

/// Number of former secrets that stay valid.
const FORMER: usize = 5;
/// Length of a secret.
const LENGTH: usize = 26;

/// A Hydra that rotates secrets. It ends when this value is dropped.
pub struct Rotating {
    /// URL of its admin API.
    pub admin_url: String,
    /// URL of its public API.
    pub public_url: String,
    servers: [JoinHandle<()>; 2],
}

struct Shared {
    admin: String,
    public: String,
    client: reqwest::Client,
    secrets: Mutex<HashMap<String, Secrets>>,
}

/// One of Hydra's two APIs.
#[derive(Clone, Copy)]
enum Api {
    Admin,
    Public,
}

/// The secrets of one client.
#[derive(Default)]
struct Secrets {
    current: Option<String>,
    /// The newest first.
    former: Vec<String>,
}

/// A request that came in.
struct Asked {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Rotating {
    /// Starts it in front of a Hydra with these URLs.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn before(admin: &str, public: &str) -> Result<Self> {
        let shared = Arc::new(Shared {
            admin: admin.trim_end_matches('/').to_owned(),
            public: public.trim_end_matches('/').to_owned(),
            client: http::client(),
            secrets: Mutex::default(),
        });
        let routes = |api| Router::new().fallback(answer).with_state((Arc::clone(&shared), api));
        let (admin, public) = (routes(Api::Admin), routes(Api::Public));
        let (admin_url, admin) = listen(admin).await?;
        let (public_url, public) = listen(public).await?;
        Ok(Self {
            admin_url,
            public_url,
            servers: [admin, public],
        })
    }
}

impl Drop for Rotating {
    fn drop(&mut self) {
        self.servers.iter().for_each(JoinHandle::abort);
    }
}

async fn listen(routes: Router) -> Result<(String, JoinHandle<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let server = tokio::spawn(async move {
        let _ = axum::serve(listener, routes).await; // never ends
    });
    Ok((url, server))
}

async fn answer(
    State((shared, api)): State<(Arc<Shared>, Api)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let asked = Asked {
        method,
        uri,
        headers,
        body,
    };
    finished(async move {
        match api {
            Api::Admin => shared.administer(asked).await,
            Api::Public => shared.serve(asked).await,
        }
    })
    .await
}

/// Like a server, it finishes what a client no longer waits for.
async fn finished(work: impl Future<Output = Result<Response>> + Send + 'static) -> Response {
    match tokio::spawn(work).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

impl Shared {
    async fn administer(&self, asked: Asked) -> Result<Response> {
        let path = asked.uri.path().to_owned();
        let about = path.strip_prefix("/admin/clients");
        let rotated = about.and_then(|rest| rest.strip_prefix('/')?.strip_suffix("/secrets/rotate"));
        let mut secrets = self.secrets.lock().await;
        match (rotated, &asked.method) {
            (Some(id), &Method::POST) => self.rotate(id, secrets.entry(decoded(id)).or_default()).await,
            (Some(id), &Method::DELETE) => self.end_former(id, secrets.entry(decoded(id)).or_default()).await,
            (Some(_), _) => Ok((StatusCode::NOT_FOUND, axum::response::Html("404 - Route not found")).into_response()),
            (None, method) => {
                let is_write = about.is_some() && (method == Method::POST || method == Method::PUT);
                let sent: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
                let answer = self.forward(&self.admin, asked).await?;
                if is_write && answer.status.is_success() {
                    note(&mut secrets, &sent, &answer.body);
                }
                Ok(answer.into_response())
            }
        }
    }

    async fn rotate(&self, id: &str, secrets: &mut Secrets) -> Result<Response> {
        let mut client = match self.rotatable(id).await? {
            Ok(client) => client,
            Err(refusal) => return Ok(refusal),
        };
        let secret = Alphanumeric.sample_string(&mut rand::rng(), LENGTH);
        client["client_secret"] = json!(secret);
        let mut stored = match self.put(id, &client).await? {
            Ok(stored) => stored,
            Err(refusal) => return Ok(refusal),
        };
        let former = secrets.current.replace(secret.clone());
        secrets.former.splice(0..0, former);
        secrets.former.truncate(FORMER);
        stored["client_secret"] = json!(secret);
        Ok(reply(StatusCode::OK, &stored))
    }

    async fn end_former(&self, id: &str, secrets: &mut Secrets) -> Result<Response> {
        let client = match self.rotatable(id).await? {
            Ok(client) => client,
            Err(refusal) => return Ok(refusal),
        };
        let stored = match self.put(id, &client).await? {
            Ok(stored) => stored,
            Err(refusal) => return Ok(refusal),
        };
        secrets.former.clear();
        Ok(reply(StatusCode::OK, &stored))
    }

    /// The client, or why its secrets cannot be rotated.
    async fn rotatable(&self, id: &str) -> Result<Result<Value, Response>> {
        let url = format!("{}/admin/clients/{id}", self.admin);
        let (status, mut client) = http::exchange(self.client.get(&url), None, "the client").await?;
        if status != 200 {
            return Ok(Err(reply(StatusCode::from_u16(status)?, &client)));
        }
        let method = client["token_endpoint_auth_method"].as_str().unwrap_or_default();
        if !matches!(method, "client_secret_basic" | "client_secret_post") {
            let refusal = json!({
                "error": "The request was malformed or contained invalid parameters",
                "error_description": format!("The client is configured to use the '{method}' authentication method, which does not support client secret rotation."),
            });
            return Ok(Err(reply(StatusCode::BAD_REQUEST, &refusal)));
        }
        if let Some(members) = client.as_object_mut() {
            members.retain(|name, _| !name.starts_with("registration_"));
        }
        Ok(Ok(client))
    }

    /// Stores a client. Returns it, or Hydra's refusal.
    async fn put(&self, id: &str, client: &Value) -> Result<Result<Value, Response>> {
        let url = format!("{}/admin/clients/{id}", self.admin);
        let (status, stored) = http::exchange(self.client.put(&url), Some(client.clone()), "the client").await?;
        Ok(match status {
            200 => Ok(stored),
            status => Err(reply(StatusCode::from_u16(status)?, &stored)),
        })
    }

    async fn serve(&self, mut asked: Asked) -> Result<Response> {
        if matches!(asked.uri.path(), "/oauth2/token" | "/oauth2/revoke") {
            let secrets = self.secrets.lock().await;
            asked.substitute(&secrets);
        }
        Ok(self.forward(&self.public, asked).await?.into_response())
    }

    async fn forward(&self, to: &str, asked: Asked) -> Result<Answer> {
        let path = asked.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut headers = asked.headers;
        for hop in [
            header::HOST,
            header::CONTENT_LENGTH,
            header::TRANSFER_ENCODING,
            header::CONNECTION,
        ] {
            headers.remove(hop);
        }
        let request = self.client.request(asked.method, format!("{to}{path}"));
        let answer = request.headers(headers).body(asked.body).send().await;
        let answer = answer.context("Hydra does not answer")?;
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        for hop in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION] {
            headers.remove(hop);
        }
        let body = answer.bytes().await?;
        Ok(Answer { status, headers, body })
    }
}

/// An answer of Hydra.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        (self.status, self.headers, Body::from(self.body)).into_response()
    }
}

/// Notes the secret that a client was created or updated with. It ends all others.
fn note(secrets: &mut HashMap<String, Secrets>, sent: &Value, stored: &Bytes) {
    let stored: Value = serde_json::from_slice(stored).unwrap_or_default();
    let secret = [&sent["client_secret"], &stored["client_secret"]];
    let secret = secret
        .into_iter()
        .find_map(|secret| secret.as_str().filter(|secret| !secret.is_empty()));
    if let (Some(id), Some(secret)) = (stored["client_id"].as_str(), secret) {
        let current = Some(secret.to_owned());
        let former = Vec::new();
        secrets.insert(id.to_owned(), Secrets { current, former });
    }
}

impl Asked {
    /// Puts the current secret of the client in the place of a former one.
    fn substitute(&mut self, secrets: &HashMap<String, Secrets>) {
        let current = |id: &str, secret: &str| {
            let known = secrets.get(id)?;
            let is_former = known.former.iter().any(|former| former == secret);
            known.current.clone().filter(|_| is_former)
        };
        if let Some((id, secret)) = self.basic() {
            if let Some(current) = current(&id, &secret) {
                let value = format!("Basic {}", STANDARD.encode(format!("{}:{current}", encoded(&id))));
                if let Ok(value) = value.parse() {
                    self.headers.insert(header::AUTHORIZATION, value);
                }
            }
            return;
        }
        let form: Vec<(String, String)> = form_urlencoded::parse(&self.body).into_owned().collect();
        let member = |name: &str| {
            form.iter()
                .find(|(found, _)| found == name)
                .map(|(_, value)| value.clone())
        };
        let found = member("client_id").zip(member("client_secret"));
        let Some(current) = found.and_then(|(id, secret)| current(&id, &secret)) else {
            return;
        };
        let mut body = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &form {
            let value = if name == "client_secret" { &current } else { value };
            body.append_pair(name, value);
        }
        self.body = body.finish().into();
    }

    /// Id and secret of HTTP Basic authentication.
    fn basic(&self) -> Option<(String, String)> {
        let value = self.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let joined = STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
        let joined = String::from_utf8(joined).ok()?;
        let (id, secret) = joined.split_once(':')?;
        Some((decoded(id), decoded(secret)))
    }
}

/// Decodes a path segment, or a value of a form.
fn decoded(text: &str) -> String {
    let form = format!("a={text}");
    let mut pairs = form_urlencoded::parse(form.as_bytes());
    pairs.next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn reply(status: StatusCode, body: &Value) -> Response {
    let type_ = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
    (status, type_, body.to_string()).into_response()
}
