//! Derives the keys that should exist from spec and ledger: makes, imports, promotes and retires them.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret as KubeSecret;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::admin::hydra::key::{JsonWebKey, PublicKey};
use crate::api::event::Happening;
use crate::api::json_web_key_set::{Import, JsonWebKeySetStatus, KeyAlgorithm, KeyMaker};
use crate::api::{JsonWebKeySet, OAuth2Client};
use crate::controller::common::digest::hex;
use crate::controller::common::key_set;
use crate::controller::common::own_secret::text;
use crate::controller::common::referable::Referable;
use crate::controller::common::schedule::{Schedule, WAITS};
use crate::controller::engine::context::Context;
use crate::controller::engine::lifecycle::is_deleting;
use crate::controller::engine::managed::Pass;
use crate::controller::hydra::key_set::kid;
use crate::controller::hydra::key_set::ledger::{Entry, Ledger};
use crate::controller::hydra::key_set::plan::KeySetPlan;
use crate::controller::hydra::key_set::remote::{Remote, alike};
use crate::controller::hydra::key_set::rotation::{self, Progress, Stage, Step};
use crate::error::{Error, Result, Source};
use crate::key_material;

/// The Secret with the user's key.
pub(crate) struct Imported {
    /// resourceVersion of the Secret.
    pub(crate) version: String,
    /// Whether a change of the Secret wakes the resource.
    pub(crate) watched: bool,
}

/// What a pass knows besides spec, server and status.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    /// The Secret with the user's key, if the spec names one.
    pub(crate) import: Option<&'a Imported>,
    /// Keys that the clients carry.
    pub(crate) carried: &'a Carried,
}

/// Keys that all clients with a reference to the set carry. Read once, so that a pass decides and records from the same
/// state.
pub(crate) struct Carried {
    /// Ids. None: no client refers to the set.
    pub(crate) ids: Option<BTreeSet<String>>,
}

impl Carried {
    pub(crate) fn look(set: &JsonWebKeySet, ctx: &Context) -> Self {
        let clients = ctx.kinds.clients.store.state_filter(|client| relies_on(set, client));
        let each = clients
            .iter()
            .map(|client| BTreeSet::from_iter(key_ids(client).iter().cloned()));
        Carried {
            ids: each.reduce(|one, other| &one & &other),
        }
    }

    /// The published keys that no client lacks.
    pub(crate) fn of<'a>(&self, status: &'a JsonWebKeySetStatus) -> Vec<&'a str> {
        let mut ids = status.key_ids();
        ids.retain(|kid| self.includes(kid));
        ids
    }

    pub(crate) fn includes(&self, kid: &str) -> bool {
        self.ids.as_ref().is_none_or(|ids| ids.contains(kid))
    }
}

/// Finds the version of the Secret with the user's key: from the cache if the Secret has our watch label, otherwise
/// with a live read.
pub(crate) async fn look(set: &JsonWebKeySet, ctx: &Context, plan: &KeySetPlan) -> Result<Option<Imported>> {
    let Some(import) = &set.spec.import else {
        return Ok(None);
    };
    if let Some(version) = ctx.watched_secret(&plan.target.namespace, &import.secret_ref.name) {
        return Ok(Some(Imported { version, watched: true }));
    }
    let version = live(ctx, plan, import).await?.resource_version().unwrap_or_default();
    Ok(Some(Imported {
        version,
        watched: false,
    }))
}

/// Takes the steps that are due, in memory only. Returns whether the ledger changed.
pub(crate) async fn advance(
    set: &JsonWebKeySet,
    ctx: &Context,
    plan: &KeySetPlan,
    pass: &mut Pass<JsonWebKeySetStatus>,
    ledger: &mut Ledger,
    seen: Seen<'_>,
) -> Result<bool> {
    let now = Timestamp::now();
    if ledger.at(Stage::Current).is_none() && pass.status.current_key_id.is_some() {
        let note = "The private key was lost, in the cluster and on the server, so a new key signs now. Signatures of the old key can be verified for a while.";
        pass.note(Happening::KeysReplaced, note);
    }
    let before = ledger.ids();
    ledger
        .entries
        .retain(|entry| !entry.is_ordered() || is_wanted(entry, set));
    let status = &pass.status;
    if let (Some(import), Some(_)) = (&set.spec.import, seen.import) {
        let key = imported(ctx, plan, import).await?;
        let clashes = |entry: &&Entry| entry.key.public.kid == key.public.kid && !alike(&entry.key.public, &key.public);
        if ledger.entries.iter().find(clashes).is_some() {
            let problem = "holds another key with the same `kid` as before, so verifiers cannot tell the two apart; give it a new `kid`";
            return Err(unusable(import, problem));
        }
        let changed = take_over(plan, status, ledger, key, now);
        return Ok(changed || ledger.ids() != before);
    }
    let Some(generate) = &set.spec.generate else {
        return Ok(false);
    };
    let mut changed = ledger.ids() != before;
    changed |= put_off(ledger, plan, status, now);
    while let Some(step) = rotation::due(&ledger.held(), &plan.terms, progress(status, ledger, seen.carried), now) {
        match step {
            Step::Make(stage) => {
                let kid = kid::new(&plan.target.uid, &ctx.settings.cluster);
                let key = match generate.by.unwrap_or_default() {
                    KeyMaker::Operator => made(generate.algorithm, kid).await?,
                    KeyMaker::Server => ordered(generate.algorithm, kid),
                };
                ledger.entries.push(Entry { key, stage, since: now });
            }
            Step::Promote => promote(&mut ledger.entries, now),
            Step::Retire(kid) => ledger.entries.retain(|entry| entry.key.public.kid != kid),
        }
        changed = true;
    }
    Ok(changed)
}

/// How far status and clients have followed the ledger.
pub(crate) fn progress(status: &JsonWebKeySetStatus, ledger: &Ledger, carried: &Carried) -> Progress {
    let kid = |stage: Stage| ledger.at(stage).map(|entry| entry.key.public.kid.as_str());
    Progress {
        is_known: kid(Stage::Next).is_some_and(|kid| carried.of(status).contains(&kid)),
        is_delivered: status.current_key_id.as_deref() == kid(Stage::Current),
    }
}

/// Restarts the time of keys: a next key counts from its publication, and a previous key is kept until its successor is
/// delivered.
fn put_off(ledger: &mut Ledger, plan: &KeySetPlan, status: &JsonWebKeySetStatus, now: Timestamp) -> bool {
    let current = ledger.at(Stage::Current).map(|entry| entry.key.public.kid.clone());
    let is_delivered = status.current_key_id == current;
    let published = status.key_ids();
    let mut changed = false;
    for entry in &mut ledger.entries {
        let too_early = match entry.stage {
            Stage::Next => !published.contains(&entry.key.public.kid.as_str()),
            Stage::Previous => !is_delivered && rotation::is_outlived(&entry.held(), &plan.terms, now),
            Stage::Current => false,
        };
        if too_early && entry.since != now {
            entry.since = now;
            changed = true;
        }
    }
    changed
}

/// Whether the spec still asks for the key that the server was to make.
fn is_wanted(ordered: &Entry, set: &JsonWebKeySet) -> bool {
    set.spec.generate.as_ref().is_some_and(|generate| {
        generate.by == Some(KeyMaker::Server) && ordered.key.public.alg == generate.algorithm.as_str()
    })
}

/// Fills a lost ledger with the keys on the server that match the status. Returns whether it did. The next key is lost
/// with the ledger: its private half was stored nowhere else.
pub(crate) async fn rebuild(remote: &Remote<'_>, status: &JsonWebKeySetStatus, ledger: &mut Ledger) -> Result<bool> {
    let Some(current) = status.current_key_id.as_ref().filter(|_| ledger.entries.is_empty()) else {
        return Ok(false);
    };
    let found = remote.get().await?;
    let since = status.rotated_at.as_ref().and_then(|at| at.parse().ok());
    for published in &status.keys {
        let public: PublicKey = serde_json::from_value(Value::Object(published.clone())).unwrap_or_default();
        let kept = found.keys.iter().find(|key| alike(&key.public, &public));
        let private = kept
            .filter(|key| key.is_private())
            .and_then(|key| key_material::complete(key).ok());
        let is_current = public.kid == *current;
        match private.filter(|_| is_current) {
            Some(key) => ledger.entries.push(Entry {
                key,
                stage: Stage::Current,
                since: since.unwrap_or_else(Timestamp::now),
            }),
            None => ledger.entries.push(Entry {
                key: JsonWebKey::from(public),
                stage: Stage::Previous,
                since: Timestamp::now(),
            }),
        }
        if is_current {
            break; // the key after it has not signed yet
        }
    }
    Ok(true)
}

/// Message of the condition.
pub(crate) fn said(set: &JsonWebKeySet, ctx: &Context, schedule: &Schedule, status: &JsonWebKeySetStatus) -> String {
    let last = status.keys.last().and_then(|key| key.get("kid")?.as_str());
    let lacking = last.and_then(|kid| lacking(set, ctx, kid));
    let has_next = last != status.current_key_id.as_deref();
    let held = |since| schedule.is_held_back(since, Timestamp::now());
    match lacking {
        Some(client) => format!("The next key signs as soon as OAuth2Client `{client}` is registered with it."),
        None if !has_next && key_set::since(status).is_some_and(held) => {
            format!("The keys on the server are up to date; {WAITS}.")
        }
        None => "The keys on the server are up to date.".to_owned(),
    }
}

/// The public keys that verifiers need.
pub(crate) fn public(ledger: &Ledger) -> Vec<Map<String, Value>> {
    let made = ledger.entries.iter().filter(|entry| !entry.is_ordered());
    let keys = made.map(|entry| serde_json::to_value(&entry.key.public));
    keys.filter_map(|key| key.ok()?.as_object().cloned()).collect()
}

/// A client that does not have a key yet.
fn lacking(set: &JsonWebKeySet, ctx: &Context, kid: &str) -> Option<String> {
    let lacks = |client: &OAuth2Client| relies_on(set, client) && !key_ids(client).iter().any(|id| id == kid);
    ctx.kinds.clients.store.find(lacks).map(|client| client.name_any())
}

fn relies_on(set: &JsonWebKeySet, client: &OAuth2Client) -> bool {
    set.is_named_by(client) && !is_deleting(client)
}

/// Ids of the keys that a client is registered with.
fn key_ids(client: &OAuth2Client) -> &[String] {
    let status = client.status.as_ref();
    status.map(|status| status.key_ids.as_slice()).unwrap_or_default()
}

fn promote(entries: &mut [Entry], now: Timestamp) {
    for entry in entries {
        let stage = match entry.stage {
            Stage::Current => Stage::Previous,
            Stage::Next => Stage::Current,
            Stage::Previous => continue,
        };
        (entry.stage, entry.since) = (stage, now);
    }
}

/// A key that the server is to make. It is stored in the ledger before the server is asked.
fn ordered(algorithm: KeyAlgorithm, kid: String) -> JsonWebKey {
    JsonWebKey::from(PublicKey {
        kid,
        alg: algorithm.as_str().to_owned(),
        ..PublicKey::default()
    })
}

/// Keys are made one at a time: an RSA key takes one core for a while, however many keys are due.
static GENERATION: Semaphore = Semaphore::const_new(1);

/// Makes a key on a separate thread, so that other tasks do not wait.
async fn made(algorithm: KeyAlgorithm, kid: String) -> Result<JsonWebKey> {
    let _turn = GENERATION.acquire().await; // the semaphore is never closed
    let made = tokio::task::spawn_blocking(move || key_material::generate(algorithm, &kid)).await;
    made.ok()
        .and_then(|made| made.ok())
        .ok_or(Error::Internal("generate a key"))
}

/// Makes the user's key the current one, and keeps the one before it for a while. Returns whether anything changed.
fn take_over(
    plan: &KeySetPlan,
    status: &JsonWebKeySetStatus,
    ledger: &mut Ledger,
    key: JsonWebKey,
    now: Timestamp,
) -> bool {
    let kid = &key.public.kid;
    let is_current = |entry: &Entry| entry.stage == Stage::Current && entry.key.public.kid == *kid;
    let (before, is_taken) = (ledger.ids(), ledger.entries.iter().any(is_current));
    let is_delivered = status.current_key_id.as_ref() == Some(kid);
    ledger.entries.retain(|entry| match entry.stage {
        Stage::Current => true,
        // A key that was made under an earlier spec has not signed anything yet.
        Stage::Next => false,
        Stage::Previous => !(is_delivered && rotation::is_outlived(&entry.held(), &plan.terms, now)),
    });
    if is_taken {
        return ledger.ids() != before;
    }
    ledger.entries.retain(|entry| entry.key.public.kid != *kid);
    for entry in &mut ledger.entries {
        if entry.stage == Stage::Current {
            (entry.stage, entry.since) = (Stage::Previous, now);
        }
    }
    let surplus = (ledger.entries.len() + 1).saturating_sub(rotation::MOST);
    ledger.entries.drain(..surplus); // the oldest first
    ledger.entries.push(Entry {
        key,
        stage: Stage::Current,
        since: now,
    });
    true
}

async fn imported(ctx: &Context, plan: &KeySetPlan, import: &Import) -> Result<JsonWebKey> {
    let secret = live(ctx, plan, import).await?;
    let named = &import.secret_ref;
    if !secret.data.as_ref().is_some_and(|data| data.contains_key(&named.key)) {
        return Err(missing(import, Some(named.key.clone())));
    }
    let value = text(&secret, &named.key).ok_or_else(|| unusable(import, "is not text"))?;
    let mut key = key_material::import(&value).map_err(|problem| unusable(import, problem))?;
    if key.public.kid.is_empty() {
        // A key without an id gets the same id as long as it is the same key.
        let members = serde_json::to_value(&key.public).unwrap_or_default().to_string();
        let digest = hex(&Sha256::digest(members)[..8]);
        key.public.kid = format!("{}.{digest}", plan.target.uid);
    }
    Ok(key)
}

async fn live(ctx: &Context, plan: &KeySetPlan, import: &Import) -> Result<KubeSecret> {
    let found = ctx
        .cluster
        .secret(&plan.target.namespace, &import.secret_ref.name)
        .await?;
    found.ok_or_else(|| missing(import, None))
}

fn missing(import: &Import, key: Option<String>) -> Error {
    Error::SourceNotFound {
        kind: Source::Secret,
        name: import.secret_ref.name.clone(),
        key,
        namespace: None,
    }
}

fn unusable(import: &Import, problem: &'static str) -> Error {
    Error::UnusableSecret {
        secret: import.secret_ref.name.clone(),
        key: import.secret_ref.key.clone(),
        problem,
    }
}
