//! What is to be done with each resource of hydra-maester. Pure.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::core::DynamicObject;
use serde_json::Value;

use super::maester::{self, Choice, Credentials, Move, Past};

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

    /// The new resource, if it does not exist yet.
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

/// Plans for all resources. `found`: their Secrets, in the same order; `news`: OAuth2Clients of the operator.
pub fn items(
    olds: Vec<DynamicObject>,
    found: &[Option<Credentials>],
    news: &[DynamicObject],
    choice: &Choice<'_>,
) -> Vec<Item> {
    let has_id = |new: &DynamicObject| Some((new.data["spec"]["clientId"].as_str()?.to_owned(), key(new)));
    let taken: HashMap<String, String> = news.iter().filter_map(has_id).collect();
    let news: HashMap<String, &DynamicObject> = news.iter().map(|new| (key(new), new)).collect();
    let verdict = |old: &DynamicObject, found: &Option<Credentials>| match news.get(&key(old)) {
        Some(new) => match Past::of(new).filter(|past| Some(&past.uid) == old.uid().as_ref()) {
            Some(past) => Verdict::Continue(past.secret),
            None => Verdict::Skip(
                "An OAuth2Client of the operator has this name already. Delete one of the two.".to_owned(),
            ),
        },
        None => match maester::plan(old, found.as_ref(), choice) {
            Ok(planned) => match planned.client_id().and_then(|id| taken.get(id)) {
                Some(owner) => Verdict::Skip(shared(owner)),
                None => Verdict::Move(Box::new(planned)),
            },
            Err(why) => Verdict::Skip(why),
        },
    };
    let mut items: Vec<Item> = olds
        .into_iter()
        .zip(found)
        .map(|(old, found)| Item {
            verdict: verdict(&old, found),
            old,
        })
        .collect();
    one_for_each_client(&mut items);
    items
}

/// Of several resources with the same client only one has it: the one that is ready, or the oldest.
fn one_for_each_client(items: &mut [Item]) {
    let mut by_client: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, item) in items.iter().enumerate() {
        if let Verdict::Move(planned) = &item.verdict
            && let Some(id) = planned.client_id()
        {
            by_client.entry(id.to_owned()).or_default().push(index);
        }
    }
    for same in by_client.into_values().filter(|same| same.len() > 1) {
        let rank = |index: &usize| (!is_ready(&items[*index].old), created(&items[*index].old));
        let Some(first) = same.iter().copied().min_by_key(rank) else {
            continue;
        };
        let owner = items[first].key();
        for index in same.into_iter().filter(|index| *index != first) {
            items[index].verdict = Verdict::Skip(shared(&owner));
        }
    }
}

fn shared(owner: &str) -> String {
    format!("Its Secret has the client of {owner}. Delete one of the two, or give this one a Secret of its own.")
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
