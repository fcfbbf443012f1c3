//! What is to be done with each resource of hydra-maester. Pure.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::core::DynamicObject;
use serde_json::Value;

use super::maester::{self, Choice, Credentials, Move, Past};
use super::preview::{is_idle, is_untouched};
use super::server::server_for;
use crate::api::DEFAULT_SERVER;

/// A resource and what is to be done with it.
#[derive(Clone, Debug)]
pub struct Item {
    /// The resource of hydra-maester.
    pub old: DynamicObject,
    /// What is to be done.
    pub verdict: Verdict,
}

/// What is to be done with a resource.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It moves.
    Move(Box<Move>),
    /// It began to move before: the new resource exists.
    Continue(maester::SecretFate),
    /// It stays, for this reason.
    Skip(String),
}

impl Item {
    /// Namespace and name.
    pub fn key(&self) -> String {
        key(&self.old)
    }

    /// The new resource, if it does not exist yet or has done nothing.
    pub fn manifest(&self) -> Option<&Value> {
        match &self.verdict {
            Verdict::Move(planned) => Some(&planned.manifest),
            Verdict::Continue(_) | Verdict::Skip(_) => None,
        }
    }
}

/// Namespace and name.
pub fn key(object: &impl ResourceExt) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

/// The AuthorizationServer of a resource of the operator.
pub fn server_of(new: &Value) -> &str {
    new["spec"]["serverRef"]["name"].as_str().unwrap_or(DEFAULT_SERVER)
}

/// What is known of the Secret of a resource: none if it does not exist, or why it cannot be read.
pub type Found = Result<Option<Credentials>, String>;

/// Plans for all resources of a namespace or of the cluster, also for those that the caller does not mean: they may have
/// the same client. `found`: their Secrets, in the same order; `news`: OAuth2Clients of the operator.
pub fn items(olds: Vec<DynamicObject>, found: &[Found], news: &[DynamicObject], choice: &Choice<'_>) -> Vec<Item> {
    let news: HashMap<String, &DynamicObject> = news.iter().map(|new| (key(new), new)).collect();
    let mut items: Vec<Item> = olds
        .into_iter()
        .zip(found)
        .map(|(old, found)| Item {
            verdict: verdict(&old, found, news.get(&key(&old)).copied(), choice),
            old,
        })
        .collect();
    one_for_each_client(&mut items, found, news.values().copied(), choice);
    for item in &mut items {
        if matches!(item.verdict, Verdict::Move(_)) && is_refused(&item.old) {
            item.verdict = Verdict::Skip(format!(
                "hydra-maester says INVALID_SECRET: the client of its Secret may be another resource's. Give it a Secret of its own, or remove it without harm: {}.",
                removal(&item.old)
            ));
        }
    }
    items
}

/// What is to be done with one resource. `new`: the OAuth2Client of the operator with its name.
fn verdict(old: &DynamicObject, found: &Found, new: Option<&DynamicObject>, choice: &Choice<'_>) -> Verdict {
    match new.map(|new| (new, Past::of(new))) {
        Some((_, None)) => Verdict::Skip(format!(
            "An OAuth2Client of the operator has this name already. Create that under another name, or, if it has the client, remove this one without harm: {}.",
            removal(old)
        )),
        Some((new, Some(past))) if !is_untouched(new) => begun(old, new, &past),
        // A new resource that has done nothing yet is made anew.
        Some(_) | None => match found {
            Ok(found) => match maester::plan(old, found.as_ref(), choice) {
                Ok(planned) => Verdict::Move(Box::new(planned)),
                Err(why) => Verdict::Skip(why),
            },
            Err(why) => Verdict::Skip(why.clone()),
        },
    }
}

/// What is to be done with a resource that has begun to move.
fn begun(old: &DynamicObject, new: &DynamicObject, past: &Past) -> Verdict {
    match (Some(&past.uid) == old.uid().as_ref(), past.is_of(old)) {
        (true, true) => Verdict::Continue(past.secret),
        (true, false) if is_idle(new) => Verdict::Skip(format!(
            "It was changed since it began to move, and the operator refuses its new resource. Repeat the command after: kubectl oidc suspend {} --namespace {}.",
            new.name_any(),
            new.namespace().unwrap_or_default()
        )),
        (true, false) => Verdict::Skip(CHANGED.to_owned()),
        (false, _) if new.data["spec"]["suspend"] == true => {
            Verdict::Skip("It has begun to move back. Repeat the command with --undo --apply.".to_owned())
        }
        (false, _) => Verdict::Skip(format!(
            "It was created again after it had moved. Move it back with --undo --apply, or remove this one without harm: {}.",
            removal(old)
        )),
    }
}

/// Why a resource that was changed does not go on.
pub const CHANGED: &str =
    "It was changed since it began to move. Move it back with --undo --apply and its name, and move it again.";

/// Of several resources with the same client on the same server only one has it: the one that has moved, the one that is
/// ready, or the oldest.
fn one_for_each_client<'a>(
    items: &mut [Item],
    found: &[Found],
    news: impl Iterator<Item = &'a DynamicObject>,
    choice: &Choice<'_>,
) {
    let mut owners: HashMap<Client, String> = HashMap::new();
    let mut by_client: BTreeMap<Client, Vec<usize>> = BTreeMap::new();
    for (index, (item, found)) in items.iter().zip(found).enumerate() {
        let id = found.as_ref().ok().and_then(|found| found.as_ref()?.client_id.clone());
        let server = server_for(&item.old.data["spec"], choice.server, choice.servers);
        if let (Some(id), Ok(server)) = (id, server)
            && !matches!(item.verdict, Verdict::Continue(_))
        {
            by_client.entry((server.to_owned(), id)).or_default().push(index);
        }
    }
    for (client, same) in &by_client {
        let rank = |index: &usize| {
            let old = &items[*index].old;
            (is_refused(old), !is_ready(old), created(old))
        };
        let first = same.iter().copied().min_by_key(rank);
        owners.extend(first.map(|first| (client.clone(), items[first].key())));
    }
    let has_client = |new: &DynamicObject| {
        let id = new.data["spec"]["clientId"].as_str()?;
        Some(((server_of(&new.data).to_owned(), id.to_owned()), key(new)))
    };
    owners.extend(news.filter(|new| !is_untouched(new)).filter_map(has_client));
    for (client, same) in by_client {
        for index in same {
            let item = &mut items[index];
            let owner = owners.get(&client).filter(|owner| **owner != item.key());
            if let (Verdict::Move(_), Some(owner)) = (&item.verdict, owner) {
                item.verdict = Verdict::Skip(format!(
                    "Its Secret has the client of {owner}. Give it a Secret of its own, or remove this one without harm: {}.",
                    removal(&item.old)
                ));
            }
        }
    }
}

/// Name of the server and id of a client.
type Client = (String, String);

/// How a resource goes while hydra-maester works: that adds its finalizer again.
fn removal(old: &DynamicObject) -> String {
    let secret = old.data["spec"]["secretName"].as_str().unwrap_or_default();
    let harmless = maester::without_harm(secret);
    format!("scale hydra-maester to zero, {harmless}, and delete it")
}

/// Whether hydra-maester works with the client of the Secret for another resource, or cannot use the Secret.
fn is_refused(old: &DynamicObject) -> bool {
    old.data["status"]["reconciliationError"]["statusCode"] == "INVALID_SECRET"
}

fn is_ready(old: &DynamicObject) -> bool {
    let conditions = old.data["status"]["conditions"].as_array().into_iter().flatten();
    conditions
        .into_iter()
        .any(|found| found["type"] == "Ready" && found["status"] == "True")
}

fn created(old: &DynamicObject) -> Option<Timestamp> {
    old.creation_timestamp().map(|at| at.0)
}
