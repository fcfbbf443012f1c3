//! A separate Hydra for a test that needs other settings or no other clients on it. All operators of a bed write the
//! same cluster into their markers, so every test would see an orphan that another test leaves on the shared Hydra.

use std::sync::Arc;

use anyhow::{Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testbed::oauth::{self, Token};
use testbed::{Hydra, HydraOptions, http, wait};

use super::remote::clients_request;
use super::{Bed, HydraUrls, LIMIT, Server, ServerOptions};

/// A Hydra for one test, and its AuthorizationServer.
pub struct Lab {
    /// The AuthorizationServer.
    pub server: Arc<Server>,
    hydra: Hydra,
}

impl Bed {
    /// Starts another Hydra with these environment variables, creates an AuthorizationServer for it and waits until it
    /// is ready.
    pub async fn lab(&self, env: &[(&str, String)], options: ServerOptions) -> Result<Lab> {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let hydra = Hydra::start(HydraOptions {
            env: env.collect(),
            ..HydraOptions::of(self.major())
        })
        .await?;
        let urls = HydraUrls {
            admin: hydra.admin_url(),
            prefixed: hydra.prefixed_admin_url(),
            public: hydra.public_url(),
        };
        let server = self.make_server_at(&urls, &self.new_name("server"), options).await?;
        self.server_known(&server.name).await?;
        Ok(Lab { server, hydra })
    }
}

impl Lab {
    /// The keys that this Hydra publishes.
    pub async fn jwks(&self) -> Result<Value> {
        let url = format!("{}/.well-known/jwks.json", self.hydra.public_url());
        // For the first request, Hydra generates 4096-bit keys before it answers.
        let answer = wait::until("the server's signing keys", LIMIT, async || {
            let answer = http::client().get(&url).send().await;
            Ok(answer.ok().filter(|answer| answer.status().is_success()))
        });
        Ok(serde_json::from_str(&answer.await?.text().await?)?)
    }

    /// Upgrades this Hydra in place from version 1 to version 2.
    pub async fn upgrade(&mut self) -> Result<()> {
        self.hydra.upgrade().await
    }

    /// Value of `serverRef` for this server.
    pub fn server_ref(&self) -> Value {
        json!({ "name": self.server.name })
    }

    /// URL of its admin API, without a proxy.
    pub fn admin_url(&self) -> String {
        self.hydra.admin_url()
    }

    /// The client with this id, which must exist.
    pub async fn registered(&self, id: &str) -> Result<Value> {
        let (status, client) = self.request(Method::GET, id, None).await?;
        ensure!(status.is_success(), "GET of client {id}: {status} {client}");
        Ok(client)
    }

    /// Registers a client as another writer would.
    pub async fn register(&self, client: Value) -> Result<Value> {
        let (status, answer) = self.request(Method::POST, "", Some(client)).await?;
        ensure!(status.is_success(), "POST of a client: {status} {answer}");
        Ok(answer)
    }

    /// Gets a token with client credentials, as [`Bed::token`] does.
    pub async fn token(&self, client_id: &str, client_secret: &str, scope: &str) -> Result<Token> {
        oauth::client_credentials(&self.hydra.public_url(), client_id, client_secret, scope).await
    }

    async fn request(&self, method: Method, id: &str, body: Option<Value>) -> Result<(StatusCode, Value)> {
        clients_request(&self.hydra.prefixed_admin_url(), method, id, body).await
    }
}
