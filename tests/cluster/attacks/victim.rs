//! A namespace that takes no part in the attack.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::bed::{Bed, Space, client_id_of};
use crate::conditions::client_ready;

const APP: &str = "{ redirectUris: [https://app.example.com/callback], metadata: { team: good } }";

/// A namespace with a client, and their state before the attack.
pub struct Victim<'a> {
    pub space: Space<'a>,
    before: Value,
}

impl<'a> Victim<'a> {
    /// Creates a client, waits until it is ready, and records the state.
    pub async fn settle(bed: &'a Bed) -> Result<Self> {
        let space = bed.space().await?;
        space.apply_client("app", APP).await?;
        client_ready(&space, "app").await?;
        space.wait_confirmed("app").await?;
        let mut victim = Victim {
            space,
            before: Value::Null,
        };
        victim.before = victim.now().await?;
        Ok(victim)
    }

    /// Checks that everything is exactly as before the attack.
    pub async fn is_untouched(&self) -> Result<()> {
        let now = self.now().await?;
        ensure!(now == self.before, "{now:#} instead of {:#}", self.before);
        Ok(())
    }

    /// Checks that the operator serves the namespace as usual: a client is created, changed and deleted.
    pub async fn is_served(&self, name: &str) -> Result<()> {
        self.space.apply_client(name, APP).await?;
        client_ready(&self.space, name).await?;
        let patch = json!({ "spec": { "clientName": "changed" } });
        let id = client_id_of(&self.space.change(name, patch).await?)?;
        let bed = self.space.bed();
        bed.until_registered("the change", &id, |client| client["client_name"] == "changed")
            .await?;
        let found = self.space.remove::<oidc_operator::api::OAuth2Client>(name).await?;
        self.space.until_gone(&found).await
    }

    async fn now(&self) -> Result<Value> {
        let client = self.space.client("app").await?;
        let remote = self.space.bed().hydra_client(&client_id_of(&client)?).await?;
        let secrets = self.space.secrets().list(&ListParams::default()).await?;
        let of_secret = |secret: &Secret| json!([secret.name_any(), secret.resource_version(), secret.data]);
        Ok(json!({
            "version": client.resource_version(),
            "remote": remote.context("the client is gone")?,
            "secrets": secrets.iter().map(of_secret).collect::<Vec<_>>(),
        }))
    }
}
