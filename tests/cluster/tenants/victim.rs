//! The tenant whose client no other tenant may touch.

use std::sync::Arc;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::ListParams;
use oidc_operator::api::OAuth2Client;
use serde_json::{Value, json};

use crate::bed::{Bed, LIMIT, Server, ServerOptions, Space, is_list};
use crate::conditions::client_ready;

/// The tenant whose client must not change, and the server that both tenants use.
pub struct Victim<'a> {
    bed: &'a Bed,
    pub server: Arc<Server>,
    pub space: Space<'a>,
    pub client: OAuth2Client,
    pub id: String,
    pub secret: String,
    pub before: Traces,
}

/// A client on the server, its Secrets and its status.
#[derive(PartialEq, Debug)]
pub struct Traces {
    pub row: Value,
    pub secrets: Vec<Secret>,
    pub status: Value,
}

impl<'a> Victim<'a> {
    /// Creates a client with a chosen id, or with the UID as its id.
    pub async fn new(bed: &'a Bed, chosen: bool) -> Result<Self> {
        let server = bed
            .own_server(ServerOptions {
                resync_interval: "1s".to_owned(),
                ..ServerOptions::default()
            })
            .await?;
        let space = bed.space().await?;
        let mut spec = json!({ "serverRef": { "name": server.name }, "grantTypes": ["client_credentials"] });
        if chosen {
            spec["clientId"] = json!(format!("{}.app", space.name()));
        }
        space.apply_client("app", &spec.to_string()).await?;
        client_ready(&space, "app").await?;
        let client = space.wait_confirmed("app").await?;
        let (id, secret) = space.credentials("app").await?;
        let before = traces(bed, &space, &id).await?;
        Ok(Self {
            bed,
            server,
            space,
            client,
            id,
            secret,
            before,
        })
    }

    /// Waits for two more sweeps, then checks that nothing has changed and the other tenant does not hold the secret.
    pub async fn ensure_untouched_by(&self, other: &Space<'_>) -> Result<()> {
        let mut mark = self.server.admin.journal().mark();
        for _ in 0..2 {
            let journal = self.server.admin.journal();
            let list = journal.wait_for(|found| found.seq > mark && is_list(&found.head), LIMIT);
            mark = list.await?.seq;
        }
        let now = traces(self.bed, &self.space, &self.id).await?;
        ensure!(now.row == self.before.row, "the client was changed: {}", now.row);
        ensure!(now.secrets == self.before.secrets, "its Secrets were changed");
        ensure!(
            now.status == self.before.status,
            "its status was changed: {}, and was {}",
            now.status,
            self.before.status
        );
        for secret in other.secrets().list(&ListParams::default()).await? {
            let known = secret
                .data
                .iter()
                .flatten()
                .any(|(_, value)| contains(&value.0, self.secret.as_bytes()));
            ensure!(
                !known,
                "Secret {} of the other tenant holds the secret",
                secret.name_any()
            );
        }
        self.bed.token(&self.id, &self.secret, "").await?;
        Ok(())
    }

    /// Spec of a client of the other tenant on the same server.
    pub fn on_server(&self, more: Value) -> String {
        let mut spec = json!({ "serverRef": { "name": self.server.name }, "grantTypes": ["client_credentials"] });
        for (key, value) in more.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        spec.to_string()
    }

    /// Message for another resource that claims the victim's id.
    pub fn not_owned(&self) -> String {
        format!(
            "The client `{}` exists on the server and does not belong to this resource; nothing was changed. Create a new resource with another clientId.",
            self.id
        )
    }
}

async fn traces(bed: &Bed, space: &Space<'_>, id: &str) -> Result<Traces> {
    Ok(Traces {
        row: bed.registered(id).await?,
        secrets: space.secrets().list(&ListParams::default()).await?.items,
        status: serde_json::to_value(space.client("app").await?.status)?,
    })
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
