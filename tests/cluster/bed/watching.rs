//! Waiting for objects of the cluster: with a watch, a deadline, and an error that shows the object and the logs.

use std::fmt::Debug;

use anyhow::{Context, Result, bail};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::wait::await_condition;
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Bed, LIMIT};

/// Waits until the object with this name exists and satisfies `wanted`, and returns it.
pub(super) async fn until_object<K>(
    bed: &Bed,
    what: &str,
    api: Api<K>,
    name: &str,
    wanted: impl Fn(&K) -> bool,
) -> Result<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Serialize + Send + 'static,
{
    let condition = |object: Option<&K>| object.is_some_and(&wanted);
    let waited = tokio::time::timeout(LIMIT, await_condition(api.clone(), name, condition)).await;
    match waited {
        Ok(found) => found
            .with_context(|| format!("waiting for {what}"))?
            .context("an object"),
        Err(_) => in_vain(bed, what, &api, name).await,
    }
}

/// Waits until no object with this name exists, or only one with another UID.
pub(super) async fn until_gone<K>(bed: &Bed, what: &str, api: Api<K>, name: &str, uid: &str) -> Result<()>
where
    K: Resource + Clone + Debug + DeserializeOwned + Serialize + Send + 'static,
{
    let gone = |object: Option<&K>| object.is_none_or(|object| object.meta().uid.as_deref() != Some(uid));
    let waited = tokio::time::timeout(LIMIT, await_condition(api.clone(), name, gone)).await;
    match waited {
        Ok(ended) => ended.map(|_| ()).with_context(|| format!("waiting for {what}")),
        Err(_) => in_vain(bed, what, &api, name).await.map(|_: K| ()),
    }
}

/// Whether the object has this condition for its current generation. An empty reason matches any.
pub(super) fn has_condition<'a>(
    object: &impl Resource,
    conditions: impl IntoIterator<Item = &'a Condition>,
    (type_, status, reason): (&str, &str, &str),
) -> bool {
    conditions.into_iter().any(|condition| {
        condition.type_ == type_
            && condition.status == status
            && (reason.is_empty() || condition.reason == reason)
            && condition.observed_generation == object.meta().generation
    })
}

async fn in_vain<K>(bed: &Bed, what: &str, api: &Api<K>, name: &str) -> Result<K>
where
    K: Clone + Debug + DeserializeOwned + Serialize,
{
    let object = match api.get_opt(name).await {
        Ok(Some(object)) => without_data(serde_json::to_value(object)?),
        Ok(None) => json!("it does not exist"),
        Err(error) => json!(error.to_string()),
    };
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let namespace = text("/metadata/namespace").unwrap_or(name);
    let about: Vec<&str> = [namespace].into_iter().chain(text("/spec/serverRef/name")).collect();
    let status = &object["status"];
    bail!(
        "gave up after {LIMIT:?} waiting for {what}; its status is {status}, and it is now:\n{}\n{}",
        serde_saphyr::to_string(&object).unwrap_or_default(),
        bed.last_words(&about)
    )
}

fn without_data(mut object: Value) -> Value {
    if let Some(members) = object.as_object_mut() {
        members.remove("data"); // of a Secret
        if let Some(metadata) = members
            .get_mut("metadata")
            .and_then(|metadata| metadata.as_object_mut())
        {
            metadata.remove("managedFields");
        }
    }
    object
}
