//! A victim on its own Hydra, where an attacker may register any client.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use serde_json::{Value, json};
use testbed::wait;

use crate::bed::{Bed, LIMIT, Lab, Server, ServerOptions, Space, admin_of, is_list, settled};
use crate::conditions::client_ready;

/// The tenant whose client must not change, and the Hydra that both tenants use.
pub struct LabVictim<'a> {
    pub lab: Lab,
    pub space: Space<'a>,
    pub id: String,
    secret: String,
    before: (Value, Vec<Secret>, Value),
}

impl<'a> LabVictim<'a> {
    /// Creates a client on a Hydra whose AuthorizationServer has these additional fields in its spec.
    pub async fn new(bed: &'a Bed, spec: Value) -> Result<Self> {
        let options = ServerOptions {
            resync_interval: "1s".to_owned(),
            spec,
            ..ServerOptions::default()
        };
        let lab = bed.lab(&[], options).await?;
        let space = bed.space().await?;
        let machine = json!({ "serverRef": lab.server_ref(), "grantTypes": ["client_credentials"] });
        space.apply_client("app", &machine.to_string()).await?;
        client_ready(&space, "app").await?;
        space.wait_confirmed("app").await?;
        let (id, secret) = space.credentials("app").await?;
        let before = traces(&lab, &space, &id).await?;
        Ok(LabVictim {
            lab,
            space,
            id,
            secret,
            before,
        })
    }

    /// The server that both tenants use.
    pub fn server(&self) -> &Arc<Server> {
        &self.lab.server
    }

    /// Waits for this many complete sweeps.
    pub async fn swept(&self, sweeps: usize) -> Result<()> {
        let mut mark = self.server().admin.journal().mark();
        for _ in 0..=sweeps {
            let first = |found: &testbed::proxy::Exchange| {
                let query = found.head.query();
                let is_later = query.contains("page_token") || query.contains("offset=") && !query.contains("offset=0");
                let is_whole = query.contains("page_size=500") || query.contains("limit=500");
                found.seq > mark && is_list(&found.head) && is_whole && !is_later
            };
            mark = self.server().admin.journal().wait_for(first, LIMIT).await?.seq;
        }
        Ok(())
    }

    /// Checks that nothing of the victim has changed and that its client still gets a token.
    pub async fn ensure_untouched(&self) -> Result<()> {
        let now = traces(&self.lab, &self.space, &self.id).await?;
        ensure!(now.0 == self.before.0, "the client was changed: {}", now.0);
        ensure!(now.1 == self.before.1, "its Secrets were changed");
        ensure!(now.2 == self.before.2, "its status was changed: {}", now.2);
        self.lab.token(&self.id, &self.secret, "").await?;
        Ok(())
    }

    /// Changes the client on the server. The sweep must find it among all clients, and the operator must correct it.
    pub async fn ensure_swept(&self) -> Result<()> {
        let hydra = admin_of(&self.lab.admin_url()).await?;
        let found = settled("the victim's client", async || hydra.get_client(&self.id).await).await?;
        let mut found = found.context("the victim's client is gone")?;
        found.client_name = "changed".to_owned();
        settled("a change", async || hydra.update_client(&found, None).await).await?;
        wait::until("the victim's client as it was", LIMIT, async || {
            Ok((self.lab.registered(&self.id).await?["client_name"] != "changed").then_some(()))
        })
        .await
    }
}

async fn traces(lab: &Lab, space: &Space<'_>, id: &str) -> Result<(Value, Vec<Secret>, Value)> {
    Ok((
        lab.registered(id).await?,
        space.secrets().list(&ListParams::default()).await?.items,
        serde_json::to_value(space.client("app").await?.status)?,
    ))
}
