//! A snapshot of the whole cluster that is older than the server: UIDs and statuses are those of before, and a secret
//! was replaced since.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use oidc_operator::api::{OAuth2Client, ROTATE_AT_ANNOTATION};
use serde_json::{Value, json};

use super::rows::MACHINE;
use crate::bed::{Bed, Space, ledger_of, text_of};
use crate::conditions::client_ready;

const NAME: &str = "snapshot";

/// A client whose secret was replaced after the snapshot.
pub struct Snapshot<'a> {
    space: &'a Space<'a>,
    client: OAuth2Client,
    ledger: Secret,
    credentials: Secret,
}

impl<'a> Snapshot<'a> {
    /// Makes the snapshot, then has the secret replaced.
    pub async fn prepared(space: &'a Space<'a>) -> Result<Self> {
        let client = space.ready_client(NAME, MACHINE).await?;
        let ledger = space.secret(&ledger_of(&client)).await?.context("no ledger")?;
        let credentials = space.secret(NAME).await?.context("no Secret")?;
        let before = text_of(&credentials)["CLIENT_SECRET"].clone();
        space.canary(&before);
        let now = jiff::Timestamp::now().to_string();
        space.annotate(NAME, ROTATE_AT_ANNOTATION, &now).await?;
        let other = |found: &Secret| text_of(found).get("CLIENT_SECRET") != Some(&before);
        space.wait_secret("another secret", NAME, other).await?;
        client_ready(space, NAME).await?;
        Ok(Snapshot {
            space,
            client,
            ledger,
            credentials,
        })
    }

    /// Puts everything in the cluster back. The operator does not run.
    pub async fn befall(&self) -> Result<()> {
        let unasked = json!({ "metadata": { "annotations": { ROTATE_AT_ANNOTATION: null } } });
        self.space.change(NAME, unasked).await?;
        let mut versions = Vec::new();
        for secret in [&self.ledger, &self.credentials] {
            let old = json!({ "data": secret.data, "metadata": { "annotations": secret.annotations() } });
            let (api, name) = (self.space.secrets(), secret.name_any());
            let written = api.patch(&name, &PatchParams::default(), &Patch::Merge(old)).await?;
            versions.push(written.resource_version().unwrap_or_default());
        }
        let mut status = serde_json::to_value(&self.client.status)?;
        // Versions in a restored etcd are those of the snapshot, and so those in the status.
        let inputs = status["inputs"].as_str().context("no inputs")?;
        let mut parts: Vec<&str> = inputs.split(':').collect();
        (parts[3], parts[4]) = (&versions[0], &versions[1]);
        let inputs = parts.join(":");
        status["inputs"] = json!(inputs);
        let clients = self.space.clients();
        let old: Patch<Value> = Patch::Merge(json!({ "status": status }));
        clients.patch_status(NAME, &PatchParams::default(), &old).await?;
        Ok(())
    }

    /// Checks that the client has the secret of the cluster again, and that this was reported.
    pub async fn check(&self, bed: &Bed) -> Result<()> {
        self.space.wait_event(NAME, "DriftCorrected", |_| true).await?;
        client_ready(self.space, NAME).await?;
        let before = text_of(&self.credentials);
        ensure!(self.space.secret_data(NAME).await? == before, "the Secret was changed");
        bed.token(&before["CLIENT_ID"], &before["CLIENT_SECRET"], "read")
            .await?;
        Ok(())
    }
}
