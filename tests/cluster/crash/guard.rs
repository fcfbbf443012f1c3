//! Watches all Secrets that the operator writes: applications mount them, whatever else is going on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::watcher::{self, Event};
use kube::{Api, ResourceExt};
use oidc_operator::api::UID_LABEL;
use testbed::wait;

use crate::bed::{Bed, LIMIT, text_of};

/// Type of a ledger Secret.
const LEDGER: &str = "oidc-operator.dev/ledger";
/// Keys of a ledger.
const LEDGER_KEYS: [&str; 5] = ["checksum", "client_id", "client_secret", "revision", "since"];

/// Checks every version of every Secret of the operator.
#[derive(Default)]
pub struct Guard {
    /// Keys that the credentials Secrets of a namespace must have.
    expected: Mutex<BTreeMap<String, BTreeSet<String>>>,
    /// The last version seen of each Secret, by namespace and name.
    seen: Mutex<BTreeMap<(String, String), String>>,
}

impl Guard {
    /// Sets the keys that the credentials Secrets of a namespace must have. Call it before any can exist.
    pub fn expect(&self, namespace: &str, keys: BTreeSet<String>) {
        lock(&self.expected).insert(namespace.to_owned(), keys);
    }

    /// Waits until this version of a Secret has been checked.
    pub async fn has_seen(&self, secret: &Secret) -> Result<()> {
        let place = (secret.namespace().unwrap_or_default(), secret.name_any());
        let version = secret.resource_version();
        wait::until("the watch to show a Secret", LIMIT, async || {
            Ok((lock(&self.seen).get(&place).cloned() == version).then_some(()))
        })
        .await
    }

    /// Checks every version until one is invalid. Never returns `Ok`.
    pub async fn watch(&self, bed: &Bed) -> Result<()> {
        let ours = watcher::Config::default().labels(UID_LABEL);
        let mut events = std::pin::pin!(watcher::watcher(Api::<Secret>::all(bed.client()), ours));
        while let Some(event) = events.next().await {
            let (Event::Apply(secret) | Event::InitApply(secret)) = event.context("watching Secrets")? else {
                continue;
            };
            let place = (secret.namespace().unwrap_or_default(), secret.name_any());
            self.judge(bed, &secret)
                .await
                .with_context(|| format!("Secret {}/{}", place.0, place.1))?;
            lock(&self.seen).insert(place, secret.resource_version().unwrap_or_default());
        }
        bail!("the watch of Secrets has ended")
    }

    async fn judge(&self, bed: &Bed, secret: &Secret) -> Result<()> {
        let data = text_of(secret);
        let keys: BTreeSet<String> = data.keys().cloned().collect();
        let empty = data.iter().find(|(_, value)| value.is_empty());
        ensure!(empty.is_none(), "{empty:?} is empty");
        if secret.type_.as_deref() == Some(LEDGER) {
            ensure!(keys.iter().eq(LEDGER_KEYS.iter()), "a ledger with {keys:?}");
            return Ok(());
        }
        let expected = lock(&self.expected)
            .get(&secret.namespace().unwrap_or_default())
            .cloned();
        ensure!(
            Some(&keys) == expected.as_ref(),
            "it has {keys:?} instead of {expected:?}"
        );
        let Some(value) = data.get("CLIENT_SECRET") else {
            return Ok(());
        };
        bed.canary(value);
        let id = &data["CLIENT_ID"];
        ensure!(data["LOGIN"] == format!("{id}/{value}"), "it mixes two secrets");
        // The order is ledger, server, Secret: the server already knows any secret that applications get.
        bed.token(id, value, "read")
            .await
            .context("its credentials are refused")?;
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
