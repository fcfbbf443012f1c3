//! Resources of the operator's namespaced kinds: create, wait, change, delete.

use std::fmt::Debug;

use anyhow::{Result, ensure};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource};
use oidc_operator::api::status::Standing;
use oidc_operator::controller::engine::managed::Managed;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Space;
use super::watching::{has_condition, until_gone, until_object};
use crate::conditions::{Tone, check, says, tone_of};

/// A namespaced kind of the operator.
pub trait Namespaced:
    Managed + Resource<Scope = NamespaceResourceScope> + Debug + Serialize + DeserializeOwned
{
}

impl<K> Namespaced for K where
    K: Managed + Resource<Scope = NamespaceResourceScope> + Debug + Serialize + DeserializeOwned
{
}

/// The conditions of a resource.
pub fn conditions<K: Managed>(resource: &K) -> Vec<Condition> {
    let status = resource.status();
    status.map(|status| status.conditions().to_vec()).unwrap_or_default()
}

impl Space<'_> {
    /// The resources of a kind in this namespace.
    pub fn all<K: Namespaced>(&self) -> Api<K> {
        Api::namespaced(self.bed().client(), self.name())
    }

    /// Applies a resource with this name and spec (YAML).
    pub async fn make<K: Namespaced>(&self, name: &str, spec: &str) -> Result<K> {
        self.apply(&manifest::<K>(name, spec)?).await
    }

    /// Applies a resource that must be refused, and returns the text that kubectl shows.
    pub async fn refused<K: Namespaced>(&self, name: &str, spec: &str) -> Result<String> {
        self.refusal(&manifest::<K>(name, spec)?).await
    }

    /// Applies a resource and waits until it is ready.
    pub async fn ready<K: Namespaced>(&self, name: &str, spec: &str) -> Result<K> {
        self.make::<K>(name, spec).await?;
        self.until_ready(name).await
    }

    /// Waits until a resource is ready in its current generation.
    pub async fn until_ready<K: Namespaced>(&self, name: &str) -> Result<K> {
        let what = format!("{} {}/{name} to be ready", K::KIND, self.name());
        self.until(&what, name, |found: &K| {
            has_condition(found, &conditions(found), ("Ready", "True", ""))
        })
        .await
    }

    /// Waits until a resource satisfies `wanted`; `what` completes the sentence "waiting for …".
    pub async fn until<K: Namespaced>(&self, what: &str, name: &str, wanted: impl Fn(&K) -> bool) -> Result<K> {
        until_object(self.bed(), what, self.all::<K>(), name, wanted).await
    }

    /// Waits until a resource is not ready, with this reason and exactly this message.
    pub async fn says<K: Namespaced>(&self, name: &str, tone: Tone, reason: &str, message: &str) -> Result<K> {
        let what = format!("{} {}/{name} to report {reason}: {message}", K::KIND, self.name());
        let wanted = |found: &K| says(found.meta().generation, &conditions(found), reason, message);
        let found = self.until(&what, name, wanted).await?;
        let status = found.status().cloned().unwrap_or_default();
        let (observed, conditions) = status.standing();
        check(observed, conditions)?;
        let heard = tone_of(conditions);
        ensure!(heard == Some(tone), "{reason} is {heard:?} instead of {tone:?}");
        Ok(found)
    }

    /// Changes the spec of a resource with a JSON merge patch.
    pub async fn respecify<K: Namespaced>(&self, name: &str, spec: Value) -> Result<K> {
        let patch = Patch::Merge(json!({ "spec": spec }));
        Ok(self.all::<K>().patch(name, &PatchParams::default(), &patch).await?)
    }

    /// Deletes a resource and does not wait for it. Returns its state from before.
    pub async fn remove<K: Namespaced>(&self, name: &str) -> Result<K> {
        let found = self.all::<K>().get(name).await?;
        self.all::<K>().delete(name, &DeleteParams::default()).await?;
        Ok(found)
    }

    /// Waits until the resource with this UID is gone.
    pub async fn until_gone<K: Namespaced>(&self, found: &K) -> Result<()> {
        let name = found.meta().name.clone().unwrap_or_default();
        let uid = found.meta().uid.clone().unwrap_or_default();
        let what = format!("{} {}/{name} to be gone", K::KIND, self.name());
        until_gone(self.bed(), &what, self.all::<K>(), &name, &uid).await
    }
}

fn manifest<K: Namespaced>(name: &str, spec: &str) -> Result<String> {
    let spec: Value = serde_saphyr::from_str(spec)?;
    let manifest = json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": { "name": name }, "spec": spec,
    });
    Ok(manifest.to_string())
}
