//! The ledger of a key set: its private keys with their stages, stored before the keys are used anywhere else.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret as KubeSecret;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::admin::hydra::key::JsonWebKey;
use crate::api::{JsonWebKeySet, RESOURCE_ANNOTATION};
use crate::controller::common::digest::hex;
use crate::controller::common::own_secret::{bytes, conflict, has_labels, is_owned, labels, owned_by, remember, text};
use crate::controller::engine::context::Context;
use crate::controller::engine::hold::confirm;
use crate::controller::hydra::key_set::rotation::{Held, Stage};
use crate::error::{ClusterFault, Error, Result};
use crate::labels::Labels;

const TYPE: &str = "oidc-operator.dev/ledger";

/// A key with its stage. It has no `Debug`, because it is private.
#[derive(Clone)]
pub(crate) struct Entry {
    /// The key, with its private half.
    pub(crate) key: JsonWebKey,
    /// Stage of the key.
    pub(crate) stage: Stage,
    /// When the key reached the stage.
    pub(crate) since: Timestamp,
}

/// The stored keys.
pub(crate) struct Ledger {
    /// The keys, oldest first.
    pub(crate) entries: Vec<Entry>,
    /// The Secret that holds them, if there is one.
    found: Option<KubeSecret>,
}

#[derive(Deserialize)]
struct Written {
    jwk: Value,
    stage: Stage,
    since: Timestamp,
}

/// Name of the ledger of the key set with this UID.
pub(crate) fn name(uid: &str) -> String {
    format!("jwks-{uid}")
}

impl Entry {
    /// Whether the server is to make the key and the operator has not fetched it yet.
    pub(crate) fn is_ordered(&self) -> bool {
        self.key.public.kty.is_empty()
    }

    /// The part of the entry that matters for a rotation.
    pub(crate) fn held(&self) -> Held {
        Held {
            kid: self.key.public.kid.clone(),
            alg: self.key.public.alg.clone(),
            stage: self.stage,
            since: self.since,
        }
    }
}

impl Ledger {
    /// Reads the ledger. If it is not intact, it counts as lost, and so do its keys.
    pub(crate) async fn read(set: &JsonWebKeySet, ctx: &Context) -> Result<Self> {
        let uid = set.uid().unwrap_or_default();
        let found = ctx
            .cluster
            .secret(&set.namespace().unwrap_or_default(), &name(&uid))
            .await?;
        if let Some(foreign) = found.as_ref().filter(|found| !is_owned(*found, &uid)) {
            return Err(conflict(foreign, set));
        }
        let had_keys = set.status.as_ref().is_some_and(|status| !status.keys.is_empty());
        if found.is_none() && had_keys {
            confirm(set, ctx).await?;
        }
        let mut entries = found.as_ref().and_then(parse).unwrap_or_default();
        // A key that the server makes must have our marker, since anyone who may edit Secrets can edit a ledger.
        let mark = format!("{uid}.");
        entries.retain(|entry: &Entry| !entry.is_ordered() || entry.key.public.kid.starts_with(&mark));
        Ok(Ledger { entries, found })
    }

    /// Whether the ledger exists as it was written, with its labels.
    pub(crate) fn is_intact(&self, ctx: &Context, uid: &str) -> bool {
        let labels = labels(ctx, uid, &Labels::new());
        self.found
            .as_ref()
            .is_some_and(|found| has_labels(found, &labels) && parse(found).is_some())
    }

    /// Ids of the keys.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.entries.iter().map(|entry| entry.key.public.kid.clone()).collect()
    }

    /// The part of the entries that matters for a rotation.
    pub(crate) fn held(&self) -> Vec<Held> {
        self.entries.iter().map(Entry::held).collect()
    }

    /// The key at a stage, if there is one.
    pub(crate) fn at(&self, stage: Stage) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.stage == stage)
    }

    /// Stores the entries.
    pub(crate) async fn write(&mut self, set: &JsonWebKeySet, ctx: &Context) -> Result<()> {
        let (uid, namespace) = (set.uid().unwrap_or_default(), set.namespace().unwrap_or_default());
        let keys = serialized(&self.entries);
        let mut secret = self.found.clone().unwrap_or_default();
        secret.metadata.name = Some(name(&uid));
        secret.metadata.owner_references = owned_by(set);
        secret.labels_mut().extend(labels(ctx, &uid, &Labels::new()));
        let annotations = secret.metadata.annotations.get_or_insert_default();
        annotations.insert(RESOURCE_ANNOTATION.to_owned(), set.name_any());
        let data = [("keys", keys.as_str()), ("checksum", &checksum(&keys))];
        let data: BTreeMap<_, _> = data
            .into_iter()
            .map(|(key, value)| (key.to_owned(), bytes(value)))
            .collect();
        secret.data = Some(data);
        let written = match self.found {
            Some(_) => ctx.cluster.replace(&namespace, &secret).await?,
            None => {
                secret.type_ = Some(TYPE.to_owned());
                let created = ctx.cluster.create(&namespace, &secret).await?;
                created.ok_or(Error::Cluster(ClusterFault::Conflict))?
            }
        };
        remember(ctx, &uid, &written);
        tracing::debug!("ledger written");
        self.found = Some(written);
        Ok(())
    }
}

/// The keys of a ledger that is intact.
pub(crate) fn parse(secret: &KubeSecret) -> Option<Vec<Entry>> {
    let keys = text(secret, "keys")?;
    if text(secret, "checksum")? != checksum(&keys) {
        return None;
    }
    let written: Vec<Written> = serde_json::from_str(&keys).ok()?;
    let entries = written.into_iter().map(|entry| {
        Some(Entry {
            key: JsonWebKey::parse(entry.jwk)?,
            stage: entry.stage,
            since: entry.since,
        })
    });
    entries.collect()
}

fn serialized(entries: &[Entry]) -> String {
    let entry = |entry: &Entry| {
        let jwk: Value = serde_json::from_slice(&entry.key.body()).unwrap_or_default();
        json!({ "jwk": jwk, "stage": entry.stage, "since": entry.since })
    };
    Value::Array(entries.iter().map(entry).collect()).to_string()
}

/// SHA-256. It is stored only beside the keys themselves.
fn checksum(keys: &str) -> String {
    hex(&Sha256::digest(keys))
}
