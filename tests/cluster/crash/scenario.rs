//! The scenarios that are interrupted.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use oidc_operator::api::{OAuth2Client, ROTATE_AT_ANNOTATION};
use serde_json::json;

use crate::bed::{Space, client_id_of, text_of};

/// A client whose credentials can be tried, with data that must be complete.
const MACHINE: &str = r#"
    grantTypes: [client_credentials]
    scopes: [read]
    credentials: { data: { ISSUER: $(issuer), LOGIN: "$(clientId)/$(clientSecret)" } }
"#;
const MACHINE_WITH_OWN_SECRET: &str = r#"
    grantTypes: [client_credentials]
    scopes: [read]
    clientSecretRef: { name: own, key: value }
    credentials: { data: { ISSUER: $(issuer), LOGIN: "$(clientId)/$(clientSecret)" } }
"#;
const PUBLIC: &str = r#"
    clientType: Public
    redirectUris: [https://spa.example.com/]
    scopes: [read]
    credentials: { data: { ISSUER: $(issuer) } }
"#;
/// Keys of the credentials Secret of a client with a secret, and of a client without.
const KEYS: [&str; 4] = ["CLIENT_ID", "CLIENT_SECRET", "ISSUER", "LOGIN"];
const PUBLIC_KEYS: [&str; 2] = ["CLIENT_ID", "ISSUER"];
/// The user's own secret, before and after the change.
const OWN: [&str; 2] = ["the-first-own-secret", "the-second-own-secret"];

/// A story about the OAuth2Client `app`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// A confidential client is created.
    Create,
    /// A public client is created.
    CreatePublic,
    /// Its scope is changed.
    Update,
    /// The Secret that `clientSecretRef` names is edited.
    NewSecret,
    /// The annotation requests a new secret.
    Rotate,
    /// `credentials.secretName` is changed.
    Rename,
    /// The resource is deleted.
    Delete,
    /// The resource is deleted, and the client must stay.
    Orphan,
}

impl Scenario {
    /// Smallest number of writes of the scenario.
    pub fn fewest_writes(self) -> usize {
        match self {
            Self::Create => 5,       // finalizer, ledger, client, Secret, status
            Self::CreatePublic => 4, // the same without a ledger
            Self::Update => 2,       // client, status
            Self::NewSecret => 4,    // ledger, client, Secret, status
            Self::Rotate => 4,       // the same
            Self::Rename => 3,       // new Secret, old Secret, status
            Self::Delete => 4,       // client, ledger, Secret, finalizer
            Self::Orphan => 4,       // marker, ledger, Secret, finalizer
        }
    }

    /// Whether it begins without a client.
    pub fn creates(self) -> bool {
        matches!(self, Self::Create | Self::CreatePublic)
    }

    /// Whether the client has a secret.
    pub fn has_secret(self) -> bool {
        self != Self::CreatePublic
    }

    /// Whether the resource exists in the end.
    pub fn stays(self) -> bool {
        !matches!(self, Self::Delete | Self::Orphan)
    }

    /// Keys of the credentials Secret.
    pub fn keys(self) -> BTreeSet<String> {
        let keys = if self.has_secret() { &KEYS[..] } else { &PUBLIC_KEYS };
        keys.iter().map(|key| (*key).to_owned()).collect()
    }

    /// Name of the credentials Secret in the end.
    pub fn secret_name(self) -> &'static str {
        if self == Self::Rename { "renamed" } else { "app" }
    }

    /// The client's scope in the end.
    pub fn scope(self) -> &'static str {
        if self == Self::Update { "read write" } else { "read" }
    }

    /// Creates the initial state.
    pub async fn prepare(self, space: &Space<'_>) -> Result<()> {
        match self {
            Self::Create | Self::CreatePublic => return Ok(()),
            Self::NewSecret => {
                space.apply::<serde_json::Value>(&own_secret(OWN[0])).await?;
                space.ready_client("app", MACHINE_WITH_OWN_SECRET).await?;
            }
            Self::Orphan => {
                space
                    .ready_client("app", &format!("{MACHINE}\n    deletionPolicy: Orphan"))
                    .await?;
            }
            Self::Rotate => {
                space
                    .ready_client("app", &format!("{MACHINE}\n    rotation: {{ withoutOverlap: Allow }}"))
                    .await?;
            }
            Self::Update | Self::Rename | Self::Delete => {
                space.ready_client("app", MACHINE).await?;
            }
        }
        Ok(())
    }

    /// Performs the action of the user. Returns the resource at that time.
    pub async fn act(self, space: &Space<'_>) -> Result<OAuth2Client> {
        match self {
            Self::Create => space.apply_client("app", MACHINE).await,
            Self::CreatePublic => space.apply_client("app", PUBLIC).await,
            Self::Update => {
                let change = json!({ "spec": { "scopes": ["read", "write"] } });
                space.change("app", change).await
            }
            Self::NewSecret => {
                let client = space.client("app").await?;
                space.edit_secret("own", json!({ "value": OWN[1] })).await?;
                Ok(client)
            }
            Self::Rotate => {
                let now = jiff::Timestamp::now().to_string();
                space.annotate("app", ROTATE_AT_ANNOTATION, &now).await
            }
            Self::Rename => {
                let change = json!({ "spec": { "credentials": { "secretName": "renamed" } } });
                space.change("app", change).await
            }
            Self::Delete | Self::Orphan => space.delete("app").await,
        }
    }

    /// Waits until the scenario has converged.
    pub async fn converged(self, space: &Space<'_>, acted: &OAuth2Client) -> Result<()> {
        if !self.stays() {
            return space.wait_gone(acted).await;
        }
        if self == Self::NewSecret {
            let new = |secret: &_| {
                text_of(secret)
                    .get("CLIENT_SECRET")
                    .is_some_and(|value| value == OWN[1])
            };
            space.wait_secret("the new secret in Secret app", "app", new).await?;
            // The spec has not changed: only the digest of the last success shows the pass.
            let inputs = |client: &OAuth2Client| client.status.as_ref().and_then(|status| status.inputs.clone());
            let again = |now: &OAuth2Client| inputs(now).is_some() && inputs(now) != inputs(acted);
            space.wait_client("another success of app", "app", again).await?;
        }
        if self == Self::Rotate {
            let since = |client: &OAuth2Client| client.status.as_ref().and_then(|status| status.rotated_at.clone());
            let again = |now: &OAuth2Client| since(now).is_some() && since(now) != since(acted);
            space.wait_client("another secret of app", "app", again).await?;
        }
        let client = space.wait_ready("app").await?;
        client_id_of(&client).map(|_| ()).context("a ready client")
    }
}

/// The user's own Secret, with the label that makes the operator watch it.
fn own_secret(value: &str) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": "own", "labels": { "oidc-operator.dev/watch": "true" } },
        "stringData": { "value": value },
    })
    .to_string()
}
