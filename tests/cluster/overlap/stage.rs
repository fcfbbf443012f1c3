//! A Hydra that rotates secrets, and what an application sees of it.

use std::sync::Arc;

use anyhow::{Result, bail};
use oidc_operator::admin::hydra::revocation::SentIn;
use oidc_operator::api::{OAuth2Client, ROTATE_AT_ANNOTATION};
use serde_json::{Value, json};
use testbed::proxy::{RequestHead, Upstream};
use testbed::rotating::Rotating;
use testbed::wait;

use crate::bed::{Bed, LIMIT, Server, ServerOptions, Space};

/// An AuthorizationServer whose Hydra rotates secrets.
pub struct Stage {
    pub server: Arc<Server>,
    pub rotating: Rotating,
}

impl Stage {
    pub(super) async fn of(bed: &Bed) -> Result<Self> {
        Self::with(bed, json!({})).await
    }

    /// With this change of the AuthorizationServer's spec.
    pub(super) async fn with(bed: &Bed, spec: Value) -> Result<Self> {
        let options = ServerOptions {
            resync_interval: "1h".to_owned(),
            spec,
            ..ServerOptions::default()
        };
        let server = bed.own_server(options).await?;
        let rotating = rotating_before(bed, &server).await?;
        Ok(Self { server, rotating })
    }

    pub(super) fn spec(&self, rotation: Value) -> String {
        json!({
            "serverRef": { "name": self.server.name }, "grantTypes": ["client_credentials"], "rotation": rotation,
            "credentials": { "keys": { "formerClientSecret": "CLIENT_SECRET_PREVIOUS" } },
        })
        .to_string()
    }

    /// Registers the client `app`, whose secrets overlap for this time. Returns its id and secret.
    pub(super) async fn overlapping(&self, space: &Space<'_>, overlap: &str) -> Result<(String, String)> {
        space
            .ready_client("app", &self.spec(json!({ "overlap": overlap })))
            .await?;
        space.credentials("app").await
    }

    /// Whether the server accepts a secret.
    pub(super) async fn accepts(&self, id: &str, secret: &str) -> Result<bool> {
        accepts(&self.rotating, id, secret, SentIn::Header).await
    }

    /// Number of requests since a mark that end former secrets, and of those that make new ones.
    pub(super) fn asked(&self, mark: u64) -> (usize, usize) {
        let since = self.server.admin.journal().since(mark);
        let count = |method: &str| {
            since
                .iter()
                .filter(|exchange| is_rotation(&exchange.head, method))
                .count()
        };
        (count("DELETE"), count("POST"))
    }
}

/// Whether the server accepts a secret. A busy database is not an answer.
pub async fn accepts(rotating: &Rotating, id: &str, secret: &str, sent_in: SentIn) -> Result<bool> {
    let url = format!("{}/oauth2/token", rotating.public_url);
    wait::until("an answer of the token endpoint", LIMIT, async || {
        let request = testbed::http::client()
            .post(&url)
            .header("content-type", "application/x-www-form-urlencoded");
        let grant = "grant_type=client_credentials";
        let request = match sent_in {
            SentIn::Header => request.basic_auth(id, Some(secret)).body(grant),
            SentIn::Body => request.body(format!("{grant}&client_id={id}&client_secret={secret}")),
        };
        match request.send().await?.status().as_u16() {
            200 => Ok(Some(true)),
            401 => Ok(Some(false)),
            500 => Ok(None),
            status => bail!("the token endpoint answers {status}"),
        }
    })
    .await
}

/// Puts a program that rotates secrets between a server's proxies and Hydra.
pub async fn rotating_before(bed: &Bed, server: &Server) -> Result<Rotating> {
    let rotating = Rotating::before(bed.admin_url(), bed.public_url()).await?;
    server.admin.set_upstream(Upstream::http(&rotating.admin_url))?;
    server.public.set_upstream(Upstream::http(&rotating.public_url))?;
    Ok(rotating)
}

/// Whether a request makes a new secret (`POST`) or ends the former ones (`DELETE`).
pub fn is_rotation(head: &RequestHead, method: &str) -> bool {
    head.method == method && head.path().ends_with("/secrets/rotate")
}

/// Asks for a new secret now, and waits until the Secret has it.
pub(super) async fn rotated(space: &Space<'_>, before: &str) -> Result<String> {
    let now = jiff::Timestamp::now().to_string();
    space.annotate("app", ROTATE_AT_ANNOTATION, &now).await?;
    let mut found = String::new();
    wait::until("another client secret", LIMIT, async || {
        found = space.credentials("app").await?.1;
        Ok((found != before).then_some(()))
    })
    .await?;
    Ok(found)
}

/// Waits until the status tells of one valid secret alone.
pub(super) async fn over(space: &Space<'_>) -> Result<OAuth2Client> {
    let is_over = |client: &OAuth2Client| {
        let status = client.status.as_ref();
        status.is_some_and(|status| status.former_secret_until.is_none())
    };
    space.wait_client("the end of the overlap", "app", is_over).await
}
