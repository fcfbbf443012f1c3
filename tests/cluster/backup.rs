//! Resources that come back from a backup, as Velero restores them: with new UIDs, without status and owners, but with
//! labels, annotations and finalizers. A resource keeps its client, with id and secret, or it says what is missing, and
//! nothing is changed.

mod keys;
mod rows;
mod snapshot;
mod velero;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::{Resource, ResourceExt};
use libtest_mimic::Trial;
use oidc_operator::api::{GROUP, OAuth2Client, ROTATE_AT_ANNOTATION, UID_LABEL, WATCH_LABEL};
use serde_json::{Value, json};

use crate::bed::{
    Bed, Operator, OperatorOptions, Options, Server, ServerOptions, Space, client_id_of, ledger_of, uid_of,
};
use crate::conditions::Tone::Stalled;
use crate::conditions::client_ready;
use crate::run::Side;
use keys::Keys;
use rows::{Expected, Keeps, OnServer, Place, ROWS, Row, Secrets};
use snapshot::Snapshot;
pub use velero::Backup;

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    let options = Options {
        operator: None,
        server: None,
        ..Options::default()
    };
    vec![side.alone(options, clients_are_kept_or_say_what_is_missing)]
}

/// Id of a cluster that this one replaces.
const FORMER: &str = "former";
/// Id of a cluster that exists beside this one.
const ELSEWHERE: &str = "elsewhere";

/// A row with what it had before the disaster.
struct Case<'a> {
    row: &'static Row,
    space: &'a Space<'a>,
    backup: Backup,
    id: String,
    /// Id and secret in the backup. None for a public client.
    secret: Option<String>,
    uid: String,
}

/// What must not change while a resource refuses to continue.
struct Before {
    client: Option<Value>,
    secrets: BTreeMap<String, Secret>,
}

async fn clients_are_kept_or_say_what_is_missing(bed: &Bed) -> Result<()> {
    let operator = bed
        .start_operator(OperatorOptions {
            flags: vec![("former-cluster-ids".to_owned(), FORMER.to_owned())],
            ..OperatorOptions::default()
        })
        .await?;
    let (strict, free, victims) = (bed.space().await?, bed.space().await?, bed.space().await?);
    let server = bed.make_server("default", options(&strict, &free, &[])).await?;
    bed.server_ready("default").await?;
    let victim = victims.ready_client("victim", rows::MACHINE).await?;
    let mut cases = Vec::new();
    for row in ROWS {
        let space = if row.place == Place::Free { &free } else { &strict };
        cases.push(prepared(row, space).await?);
    }
    let keys = Keys::prepared(&free).await?;
    let snapshot = Snapshot::prepared(&free).await?;
    operator.terminate().await?;
    let listed: Vec<&str> = cases
        .iter()
        .filter(|case| case.row.place == Place::Listed)
        .map(|case| case.id.as_str())
        .collect();
    let changed = options(&strict, &free, &listed).spec;
    bed.servers_api()
        .patch(
            "default",
            &Default::default(),
            &kube::api::Patch::Merge(json!({ "spec": changed })),
        )
        .await?;
    let mut before = Vec::new();
    for case in &cases {
        before.push(case.befall(bed, &victim).await?);
    }
    keys.befall().await?;
    snapshot.befall().await?;
    let victims_client = bed.registered(&uid_of(&victim)).await?;

    let mark = server.admin.journal().mark();
    operator.start_again().await?;
    for (case, before) in cases.iter().zip(&before) {
        let checked = case.check(bed, &server, mark, before).await;
        checked.with_context(|| format!("row {}", case.row.name))?;
    }
    let now = bed.registered(&uid_of(&victim)).await?;
    ensure!(now == victims_client, "the client of others was changed: {now}");
    keys.check(bed).await?;
    snapshot.check(bed).await?;
    a_client_without_a_mark_is_adopted_with_its_secret(bed, &cases).await?;
    nothing_is_left_to_do(bed, &operator, &server, &cases).await
}

/// What the documentation says about a client that was released: it is adopted with the secret of the restored Secret.
async fn a_client_without_a_mark_is_adopted_with_its_secret(bed: &Bed, cases: &[Case<'_>]) -> Result<()> {
    let of_row = cases
        .iter()
        .find(|case| case.row.name == "orphaned")
        .context("no such row")?;
    let (space, id) = (of_row.space, &of_row.id);
    space.delete_and_wait("orphaned").await?;
    let spec = json!({
        "clientId": id, "adoption": "Allow", "grantTypes": ["client_credentials"], "scopes": ["read"],
        "clientSecretRef": { "name": "orphaned", "key": "CLIENT_SECRET" },
        "credentials": { "secretName": "adopted" },
    });
    space.ready_client("orphaned", &spec.to_string()).await?;
    let (adopted, secret) = space.credentials("adopted").await?;
    ensure!(
        adopted == *id && Some(&secret) == of_row.secret.as_ref(),
        "other credentials"
    );
    bed.token(&adopted, &secret, "read").await?;
    Ok(())
}

/// Rules: one namespace has generated ids only, the other one may choose any. `listed`: ids that may be adopted in the
/// first.
fn options(strict: &Space<'_>, free: &Space<'_>, listed: &[&str]) -> ServerOptions {
    let rule = |space: &Space<'_>, ids: &str| {
        json!({
            "namespaces": { "from": "Names", "names": [space.name()] },
            "kinds": ["OAuth2Client", "JsonWebKeySet", "OidcProvider"],
            "clients": { "clientIds": ids }, "minRotationPeriod": "0s",
        })
    };
    let mut first = rule(strict, "Prefixed");
    first["adopt"] = json!({ "clientIds": listed });
    let others = json!({ "namespaces": { "from": "All" }, "kinds": ["OAuth2Client"] });
    ServerOptions {
        resync_interval: "1s".to_owned(),
        spec: json!({ "access": [first, rule(free, "Any"), others] }),
        ..ServerOptions::default()
    }
}

/// Registers the client of a row and makes the backup.
async fn prepared<'a>(row: &'static Row, space: &'a Space<'a>) -> Result<Case<'a>> {
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
    async fn befall(&self, bed: &Bed, victim: &OAuth2Client) -> Result<Before> {
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
    async fn secrets(&self) -> Result<BTreeMap<String, Secret>> {
        let all = self.space.secrets().list(&Default::default()).await?.items;
        let of_it = all
            .into_iter()
            .filter(|secret| self.backup.names().contains(&secret.name_any()));
        Ok(of_it.map(|secret| (secret.name_any(), secret)).collect())
    }

    async fn check(&self, bed: &Bed, server: &Server, mark: u64, before: &Before) -> Result<()> {
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

/// Checks that the next sweeps and passes over resources that are in sync write nothing.
async fn nothing_is_left_to_do(bed: &Bed, operator: &Arc<Operator>, server: &Server, cases: &[Case<'_>]) -> Result<()> {
    let mark = server.admin.journal().mark();
    let kube = operator.requests().mark();
    crate::restored::swept(server).await?;
    crate::restored::only_read(server, mark)?;
    let mut written = operator.requests().since(kube);
    written.retain(|sent| {
        let path = sent.head.path();
        let is_about_one = cases
            .iter()
            .any(|case| path.contains(&format!("/{}/", case.space.name())));
        sent.head.method != "GET" && is_about_one && !path.contains("/events")
    });
    ensure!(written.is_empty(), "{written:#?}");
    // A resource that was restored can be deleted, and its client with it.
    let kept = cases
        .iter()
        .find(|case| case.row.name == "all-back")
        .context("no such row")?;
    kept.space.delete_and_wait(kept.row.name).await?;
    ensure!(bed.hydra_client(&kept.id).await?.is_none(), "the client is left");
    ensure!(kept.secrets().await?.is_empty(), "Secrets are left");
    Ok(())
}
