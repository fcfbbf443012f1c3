//! A row of the table: its client before the disaster, the disaster, and what is left after it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::{Resource, ResourceExt};
use oidc_operator::api::{GROUP, OAuth2Client, ROTATE_AT_ANNOTATION, UID_LABEL, WATCH_LABEL};
use serde_json::{Value, json};

use super::rows::{Expected, Keeps, OnServer, Row, Secrets};
use super::{Backup, ELSEWHERE, FORMER};
use crate::bed::{Bed, Server, Space, client_id_of, ledger_of, uid_of};
use crate::conditions::Tone::Stalled;
use crate::conditions::client_ready;

/// A row with what it had before the disaster.
pub(super) struct Case<'a> {
    pub(super) row: &'static Row,
    pub(super) space: &'a Space<'a>,
    backup: Backup,
    pub(super) id: String,
    /// Id and secret in the backup. None for a public client.
    pub(super) secret: Option<String>,
    uid: String,
}

/// What must not change while a resource refuses to continue.
pub(super) struct Before {
    pub(super) client: Option<Value>,
    secrets: BTreeMap<String, Secret>,
}

/// Registers the client of a row and makes the backup.
pub(super) async fn prepared<'a>(row: &'static Row, space: &'a Space<'a>) -> Result<Case<'a>> {
    let name = row.name;
    let mut spec: Value = serde_saphyr::from_str(row.spec)?;
    if row.has_chosen_id {
        spec["clientId"] = json!(format!("{}.{name}", space.name()));
    }
    let client = space.ready_client(name, &spec.to_string()).await?;
    let id = client_id_of(&client)?;
    let secret = space.secret_data(name).await?.get("CLIENT_SECRET").cloned();
    secret.iter().for_each(|secret| space.canary(secret));
    let backup = Backup::of(space, &client).await?;
    if row.server == OnServer::Rotated {
        let now = jiff::Timestamp::now().to_string();
        space.annotate(name, ROTATE_AT_ANNOTATION, &now).await?;
        let other = |found: &Secret| crate::bed::text_of(found).get("CLIENT_SECRET") != secret.as_ref();
        space.wait_secret("another secret", name, other).await?;
        client_ready(space, name).await?;
    }
    Ok(Case {
        row,
        space,
        backup,
        id,
        secret,
        uid: uid_of(&client),
    })
}

impl Case<'_> {
    /// Takes the resource away, changes the server, and restores what the row says. The operator does not run.
    pub(super) async fn befall(&self, bed: &Bed, victim: &OAuth2Client) -> Result<Before> {
        self.backup.erase::<OAuth2Client>(self.space).await?;
        let mark_in = async |cluster: &str| {
            bed.tamper(&self.id, |client| {
                client["metadata"][GROUP]["cluster"] = json!(cluster);
                client["owner"] = json!(format!("{GROUP}/{cluster}"));
            })
            .await
        };
        match self.row.server {
            OnServer::Kept | OnServer::Rotated => {}
            OnServer::Restored => {
                bed.tamper(&self.id, |client| {
                    client["metadata"][GROUP]["uid"] = json!("0a1b2c3d-0000-4000-8000-0123456789ab");
                })
                .await?;
            }
            OnServer::Gone => bed.unregister(&self.id).await?,
            OnServer::Unmarked => {
                bed.tamper(&self.id, |client| {
                    client["metadata"] = json!({});
                    client["owner"] = json!("");
                })
                .await?;
            }
            OnServer::Former => mark_in(FORMER).await?,
            OnServer::Elsewhere => mark_in(ELSEWHERE).await?,
        }
        let mut backup = self.backup.clone();
        let name = self.row.name;
        match self.row.secrets {
            Secrets::Both | Secrets::Late => {}
            Secrets::Ledger => backup.without_secret(name),
            Secrets::Credentials => backup.without_secret(&format!("oac-{}", self.uid)),
            Secrets::Neither => backup.without_secrets(),
            Secrets::Edited => backup.edit_secret(name, &[("CLIENT_SECRET", "edited-by-hand")]),
            Secrets::Forged => {
                backup.without_secret(&format!("oac-{}", self.uid));
                backup.forge(name, &uid_of(victim));
            }
            Secrets::ForgedLedger => {
                backup.forge(name, &uid_of(victim));
                backup.without_secret(name);
            }
            Secrets::Absurd => {
                backup.without_secret(name);
                let ledger = format!("oac-{}", self.uid);
                backup.edit_secret(&ledger, &[("client_id", &"x".repeat(70_000))]);
            }
        }
        let restored = backup
            .restore::<OAuth2Client>(self.space, self.row.keeps_status)
            .await?;
        if self.row.secrets == Secrets::Late {
            self.attempt(&restored).await?;
        }
        Ok(Before {
            client: bed.hydra_client(&self.id).await?,
            secrets: self.secrets().await?,
        })
    }

    /// What an attempt leaves that the client on the server stopped: a ledger with a new secret.
    async fn attempt(&self, restored: &OAuth2Client) -> Result<()> {
        let uid = uid_of(restored);
        let owner = restored.controller_owner_ref(&()).context("no owner")?;
        let ledger = serde_json::from_value(json!({
            "metadata": {
                "name": ledger_of(restored), "ownerReferences": [owner],
                "labels": { UID_LABEL: uid, WATCH_LABEL: "true" },
            },
            "stringData": { "client_id": self.id, "client_secret": "of-an-attempt", "revision": "of-an-attempt" },
        }))?;
        self.space.secrets().create(&Default::default(), &ledger).await?;
        Ok(())
    }

    /// The Secrets that came back.
    pub(super) async fn secrets(&self) -> Result<BTreeMap<String, Secret>> {
        let all = self.space.secrets().list(&Default::default()).await?.items;
        let of_it = all
            .into_iter()
            .filter(|secret| self.backup.names().contains(&secret.name_any()));
        Ok(of_it.map(|secret| (secret.name_any(), secret)).collect())
    }

    pub(super) async fn check(&self, bed: &Bed, server: &Server, mark: u64, before: &Before) -> Result<()> {
        match &self.row.expected {
            Expected::Keeps(keeps) => self.is_kept(bed, server, mark, *keeps).await,
            Expected::Says(reason, message) => {
                let message = message
                    .replace("UID", &self.uid)
                    .replace("ID", &self.id)
                    .replace("NAMESPACE", self.space.name());
                self.space
                    .says::<OAuth2Client>(self.row.name, Stalled, reason, &message)
                    .await?;
                ensure!(
                    bed.hydra_client(&self.id).await? == before.client,
                    "the client was changed"
                );
                ensure!(self.secrets().await? == before.secrets, "the Secrets were changed");
                Ok(())
            }
            Expected::New => {
                let client = client_ready(self.space, self.row.name).await?;
                ensure!(client_id_of(&client)? == uid_of(&client), "{:?}", client.status);
                ensure!(
                    bed.hydra_client(&self.id).await? == before.client,
                    "the earlier client was changed"
                );
                self.works(bed).await
            }
        }
    }

    /// Checks that the resource has the client of before, and which requests that took.
    async fn is_kept(&self, bed: &Bed, server: &Server, mark: u64, keeps: Keeps) -> Result<()> {
        let (name, space) = (self.row.name, self.space);
        let reason = match keeps {
            Keeps::Older | Keeps::NewSecret => "SecretReplaced",
            Keeps::Quietly | Keeps::Sent | Keeps::Registered => "Restored",
        };
        space.wait_event(name, reason, |_| true).await?;
        let client = client_ready(space, name).await?;
        ensure!(client_id_of(&client)? == self.id, "another id: {:?}", client.status);
        ensure!(uid_of(&client) != self.uid, "the resource was not restored");
        let found = bed.registered(&self.id).await?;
        ensure!(found["metadata"][GROUP]["uid"] == uid_of(&client).as_str(), "{found}");
        self.works(bed).await?;
        let secret = space.secret_data(name).await?.get("CLIENT_SECRET").cloned();
        match keeps {
            Keeps::NewSecret => ensure!(secret != self.secret, "it has the lost secret"),
            _ => ensure!(secret == self.secret, "it has another secret"),
        }
        let sent = server.admin.journal().since(mark);
        let writes = sent.iter().filter_map(|sent| {
            let body: Value = serde_json::from_slice(&sent.body).unwrap_or_default();
            let is_write = sent.head.method != "GET" && body["client_id"] == self.id.as_str();
            is_write.then(|| (sent.head.method.to_string(), body["client_secret"].is_string()))
        });
        let mut writes: Vec<(String, bool)> = writes.collect();
        writes.dedup(); // with SQLite, Hydra refuses a write during another one
        let put = |with_secret: bool| ("PUT".to_owned(), with_secret);
        let expected = match keeps {
            Keeps::Quietly => vec![put(false)],
            Keeps::Sent | Keeps::Older | Keeps::NewSecret => vec![put(false), put(true)],
            Keeps::Registered => vec![("POST".to_owned(), self.secret.is_some())],
        };
        ensure!(writes == expected, "the writes were {writes:?}");
        let left = space.secret(&format!("oac-{}", self.uid)).await?;
        ensure!(left.is_none(), "the earlier ledger is left");
        let ledger = space.secret(&ledger_of(&client)).await?;
        ensure!(ledger.is_some() == self.secret.is_some(), "the ledger");
        let owners = space
            .secret(name)
            .await?
            .context("no Secret")?
            .owner_references()
            .to_vec();
        ensure!(owners.iter().any(|owner| owner.uid == uid_of(&client)), "{owners:?}");
        Ok(())
    }

    /// Checks that an application can log in with the credentials Secret.
    async fn works(&self, bed: &Bed) -> Result<()> {
        if self.secret.is_some() {
            let (id, secret) = self.space.credentials(self.row.name).await?;
            self.space.canary(&secret);
            bed.token(&id, &secret, "read").await?;
        }
        Ok(())
    }
}
