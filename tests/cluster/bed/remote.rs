//! Hydra as a test sees it, without a proxy: read its clients, tamper with them as another writer would, and try
//! credentials.

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use testbed::oauth::{self, Token};
use testbed::{http, wait};

use super::{Bed, LIMIT};

/// Requests a token with the client credentials grant and a signed assertion (RFC 7523). Returns status and answer.
pub async fn token_by_assertion(endpoint: &str, assertion: &str, scope: &str) -> Result<(u16, Value)> {
    let form = [
        ("grant_type", "client_credentials"),
        ("scope", scope),
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
        ("client_assertion", assertion),
    ];
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let request = http::client()
        .post(endpoint)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    let (status, answer) = answer_of(request).await?;
    Ok((status.as_u16(), answer))
}

impl Bed {
    /// Gets a token with the client credentials grant, with id and secret in the Authorization header.
    pub async fn token(&self, client_id: &str, client_secret: &str, scope: &str) -> Result<Token> {
        oauth::client_credentials(&self.hydra_urls.public, client_id, client_secret, scope).await
    }

    /// The client with this id in Hydra, if it exists.
    pub async fn hydra_client(&self, id: &str) -> Result<Option<Value>> {
        match self.hydra_request(Method::GET, id, None).await? {
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (status, client) if status.is_success() => Ok(Some(client)),
            (status, answer) => bail!("GET of client {id}: {status} {answer}"),
        }
    }

    /// The client with this id in Hydra, which must exist.
    pub async fn registered(&self, id: &str) -> Result<Value> {
        let client = self.hydra_client(id).await?;
        client.with_context(|| format!("client {id} is not registered"))
    }

    /// All clients in Hydra; no more than one page of them.
    pub async fn hydra_clients(&self) -> Result<Vec<Value>> {
        let (status, answer) = self.hydra_request(Method::GET, "", None).await?;
        ensure!(status.is_success(), "GET of all clients: {status} {answer}");
        Ok(serde_json::from_value(answer)?)
    }

    /// Changes a client as another writer would: GET, change, PUT. Without a `client_secret` the secret stays.
    pub async fn tamper(&self, id: &str, change: impl FnOnce(&mut Value)) -> Result<()> {
        let mut client = self.registered(id).await?;
        change(&mut client);
        // With SQLite, Hydra answers 500 to a PUT during another write, and writes nothing.
        wait::until(&format!("a PUT of client {id}"), LIMIT, async || {
            let (status, answer) = self.hydra_request(Method::PUT, id, Some(client.clone())).await?;
            let met_another = status == StatusCode::INTERNAL_SERVER_ERROR;
            ensure!(
                status.is_success() || met_another,
                "PUT of client {id}: {status} {answer}"
            );
            Ok(status.is_success().then_some(()))
        })
        .await
    }

    /// Registers a client as another writer would.
    pub async fn register(&self, client: Value) -> Result<Value> {
        let (status, answer) = self.hydra_request(Method::POST, "", Some(client)).await?;
        ensure!(status.is_success(), "POST of a client: {status} {answer}");
        Ok(answer)
    }

    /// Deletes a client as another writer would.
    pub async fn unregister(&self, id: &str) -> Result<()> {
        let (status, answer) = self.hydra_request(Method::DELETE, id, None).await?;
        ensure!(status.is_success(), "DELETE of client {id}: {status} {answer}");
        Ok(())
    }

    /// Waits until the client with this id satisfies `wanted`, and returns it.
    pub async fn until_registered(&self, what: &str, id: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let what = format!("client {id} in Hydra to have {what}");
        let waited = wait::until(&what, LIMIT, async || Ok(self.hydra_client(id).await?.filter(&wanted))).await;
        match waited {
            Ok(client) => Ok(client),
            Err(error) => {
                let client = self.hydra_client(id).await?;
                bail!("{error:#}; it is now: {client:?}\n{}", self.last_words(&[]))
            }
        }
    }

    /// A request about the client with this id, or about all clients if the id is empty.
    async fn hydra_request(&self, method: Method, id: &str, body: Option<Value>) -> Result<(StatusCode, Value)> {
        clients_request(&self.hydra_urls.prefixed, method, id, body).await
    }
}

/// A request to an admin API, whose URL includes the prefix, about one client, or about all if the id is empty.
pub(super) async fn clients_request(
    prefixed_url: &str,
    method: Method,
    id: &str,
    body: Option<Value>,
) -> Result<(StatusCode, Value)> {
    let mut url = url::Url::parse(prefixed_url)?;
    if let Ok(mut path) = url.path_segments_mut() {
        path.push("clients").extend((!id.is_empty()).then_some(id));
    }
    if id.is_empty() && method == Method::GET {
        url.set_query(Some("page_size=500&limit=500")); // the parameters of both versions
    }
    let mut request = http::client().request(method, url);
    if let Some(body) = body {
        request = request
            .header("content-type", "application/json")
            .body(body.to_string());
    }
    answer_of(request).await
}

async fn answer_of(request: reqwest::RequestBuilder) -> Result<(StatusCode, Value)> {
    let answer = request.send().await?;
    let status = answer.status();
    let text = answer.text().await?;
    Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}
