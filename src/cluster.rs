//! Requests to the Kubernetes API. Each has a deadline, each write is fenced, and each error is classified.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::PartialObjectMeta;
use kube::core::params::ValidationDirective;
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde_json::{Value, json};
use tracing::Instrument as _;

use crate::api::{FIELD_MANAGER, FINALIZER};
use crate::decode::{self, Decode, Item};
use crate::error::{ClusterFault, Denial, Error, Result};
use crate::leader::Fence;
use crate::spans;

mod logins;
mod output;
mod pod_summary;
mod pods;

pub use output::Output;
pub use pod_summary::PodSummary;

const DEADLINE: Duration = crate::clock::DEADLINE;
/// Objects per page of a list.
const PAGE: u32 = 20; // an object may have 1.5 MB, and a page is held twice

/// The part of an object that a patch changes.
#[derive(Clone, Copy)]
enum Part {
    Whole,
    Status,
}

/// The Kubernetes API as the controllers use it.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    fence: Fence,
    logins: Arc<logins::Logins>,
}

impl Cluster {
    /// Sends requests through this client; the fence guards all writes.
    pub fn new(client: Client, fence: Fence) -> Self {
        Cluster {
            client,
            fence,
            logins: Arc::default(),
        }
    }

    /// Sets the ServiceAccount of `--login-service-account`, if there is one, by namespace and name.
    pub fn with_login_account(mut self, namespace: &str, name: Option<&str>) -> Self {
        let account = name.map(|name| (namespace.to_owned(), name.to_owned()));
        self.logins = Arc::new(logins::Logins::through(account));
        self
    }

    /// The client, for watches and events.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Reads a Secret from the API server. None only if it answers 404.
    ///
    /// # Errors
    /// [`Error::Cluster`].
    pub async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Secret>> {
        bounded::<Secret, _>("get", self.outputs(namespace).get_opt(name)).await
    }

    /// Reads the metadata of a Secret from the API server. None only if it answers 404.
    ///
    /// # Errors
    /// [`Error::Cluster`].
    pub async fn secret_metadata(&self, namespace: &str, name: &str) -> Result<Option<PartialObjectMeta<Secret>>> {
        bounded::<Secret, _>("get", self.outputs::<Secret>(namespace).get_metadata_opt(name)).await
    }

    /// Reads a ConfigMap from the API server.
    ///
    /// # Errors
    /// [`Error::Cluster`].
    pub async fn config_map(&self, namespace: &str, name: &str) -> Result<Option<ConfigMap>> {
        bounded::<ConfigMap, _>("get", self.outputs(namespace).get_opt(name)).await
    }

    /// Creates an output. None if the name is taken.
    ///
    /// # Errors
    /// [`Error::Cluster`], [`Error::NotLeader`].
    pub async fn create<K: Output>(&self, namespace: &str, output: &K) -> Result<Option<K>> {
        self.may_write()?;
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        match deadline::<K, _>("create", self.outputs(namespace).create(&parameters, output)).await? {
            Ok(created) => Ok(Some(created)),
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(None),
            Err(error) => Err(refused_output(&error, output)),
        }
    }

    /// Replaces an output. It must carry UID and resourceVersion, so that no other object or version is overwritten.
    ///
    /// # Errors
    /// [`Error::Cluster`], [`Error::NotLeader`].
    pub async fn replace<K: Output>(&self, namespace: &str, output: &K) -> Result<K> {
        self.may_write()?;
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let (api, name) = (self.outputs(namespace), output.name_any());
        let replaced = deadline::<K, _>("update", api.replace(&name, &parameters, output)).await?;
        replaced.map_err(|error| refused_output(&error, output))
    }

    /// Deletes an output if it still has this UID. Succeeds if it does not exist or has another UID.
    ///
    /// # Errors
    /// [`Error::Cluster`], [`Error::NotLeader`].
    pub async fn delete<K: Output>(&self, namespace: &str, name: &str, uid: &str) -> Result<()> {
        self.may_write()?;
        let preconditions = Some(Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: None,
        });
        let parameters = DeleteParams {
            preconditions,
            ..DeleteParams::default()
        };
        match deadline::<K, _>("delete", self.outputs::<K>(namespace).delete(name, &parameters)).await? {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
            Err(error) => Err(refused(&error, &K::kind(&()), name, None)),
        }
    }

    /// Reads an object from the API server.
    ///
    /// # Errors
    /// [`Error::Cluster`].
    pub async fn live<K: Decode + Debug>(&self, api: &Api<Item<K>>, name: &str) -> Result<Option<K>> {
        Ok(bounded::<K, _>("get", api.get_opt(name))
            .await?
            .map(|Item(found)| found))
    }

    /// Lists all objects of an Api from the API server, page by page.
    ///
    /// # Errors
    /// [`Error::Cluster`].
    pub async fn list<K: Decode + Debug>(&self, api: &Api<Item<K>>) -> Result<Vec<K>> {
        let mut all = Vec::new();
        self.each(api, |object| all.push(object)).await?;
        Ok(all)
    }

    /// Passes all objects of an Api from the API server to a closure, page by page.
    ///
    /// # Errors
    /// [`Error::Cluster`].
    pub async fn each<K: Decode + Debug>(&self, api: &Api<Item<K>>, mut take: impl FnMut(K)) -> Result<()> {
        let mut parameters = ListParams::default().limit(PAGE);
        loop {
            let page = bounded::<K, _>("list", api.list(&parameters)).await?;
            page.items.into_iter().for_each(|Item(object)| take(object));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(()),
            }
        }
    }

    /// Adds the operator's finalizer to exactly this version of an object.
    ///
    /// # Errors
    /// [`Error::Cluster`]: a conflict if the object has changed or is gone; [`Error::NotLeader`].
    pub async fn hold<K: Decode + Debug>(&self, api: &Api<Item<K>>, object: &K) -> Result<K> {
        let change = match object.finalizers() {
            [] => json!({ "op": "add", "path": "/metadata/finalizers", "value": [FINALIZER] }),
            [..] => json!({ "op": "add", "path": "/metadata/finalizers/-", "value": FINALIZER }),
        };
        self.patch(api, object, Part::Whole, vec![change]).await
    }

    /// Removes the operator's finalizer from exactly this version of an object.
    ///
    /// # Errors
    /// As [`Cluster::hold`]; also a conflict if the object does not have the finalizer.
    pub async fn release<K: Decode + Debug>(&self, api: &Api<Item<K>>, object: &K) -> Result<K> {
        let live = match decode::has_all_finalizers(object) {
            true => None,
            false => bounded::<K, _>("get", api.get_metadata_opt(&object.name_any())).await?,
        };
        let finalizers = live.as_ref().map_or(object.finalizers(), |live| live.finalizers());
        let Some(place) = finalizers.iter().position(|finalizer| finalizer == FINALIZER) else {
            return Err(Error::Cluster(ClusterFault::Conflict));
        };
        let path = format!("/metadata/finalizers/{place}");
        let changes = vec![
            json!({ "op": "test", "path": path, "value": FINALIZER }),
            json!({ "op": "remove", "path": path }),
        ];
        self.patch(api, object, Part::Whole, changes).await
    }

    async fn patch<K: Decode + Debug>(
        &self,
        api: &Api<Item<K>>,
        object: &K,
        part: Part,
        changes: Vec<Value>,
    ) -> Result<K> {
        self.may_write()?;
        let mut all = vec![
            json!({ "op": "test", "path": "/metadata/uid", "value": object.meta().uid }),
            json!({ "op": "test", "path": "/metadata/resourceVersion", "value": object.meta().resource_version }),
        ];
        all.extend(changes);
        let patch = serde_json::from_value(Value::Array(all)).map_err(|_| Error::Internal("build a JSON patch"))?;
        let (name, patch) = (object.name_any(), Patch::<()>::Json(patch));
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patched = match part {
            Part::Whole => deadline::<K, _>("patch", api.patch(&name, &parameters, &patch)).await?,
            Part::Status => deadline::<K, _>("patch status", api.patch_status(&name, &parameters, &patch)).await?,
        };
        match patched {
            Ok(Item(patched)) => Ok(patched),
            Err(error) => Err(match refused(&error, &K::kind(&()), &name, Some(&[])) {
                // A failed `test` operation answers 422. Nothing else in this patch can cause it, except a policy.
                Error::Cluster(ClusterFault::Status(404 | 422)) => Error::Cluster(ClusterFault::Conflict),
                other => other,
            }),
        }
    }

    /// Removes members from the status of exactly this version of an object.
    ///
    /// # Errors
    /// As [`Cluster::apply_status`].
    pub async fn drop_status<K: Decode + Debug>(
        &self,
        api: &Api<Item<K>>,
        object: &K,
        members: &[String],
    ) -> Result<K> {
        let paths = members.iter().map(|member| format!("/status/{member}")); // our field names need no escaping
        let changes = paths.map(|path| json!({ "op": "remove", "path": path })).collect();
        self.patch(api, object, Part::Status, changes).await
    }

    /// Applies the status of exactly this version of an object.
    ///
    /// # Errors
    /// [`Error::Cluster`]: a conflict if the object has changed; [`Error::NotLeader`].
    pub async fn apply_status<K, S>(&self, api: &Api<Item<K>>, object: &K, status: &S) -> Result<K>
    where
        K: Decode + Debug,
        S: Serialize,
    {
        self.may_write()?;
        let body = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": {
                "name": object.name_any(),
                "uid": object.meta().uid,
                "resourceVersion": object.meta().resource_version,
            },
            "status": status,
        });
        let parameters = PatchParams {
            field_validation: Some(ValidationDirective::Strict),
            ..PatchParams::apply(FIELD_MANAGER).force()
        };
        let (name, patch) = (object.name_any(), Patch::Apply(body));
        let applied = bounded::<K, _>("apply status", api.patch_status(&name, &parameters, &patch)).await;
        applied.map(|Item(applied)| applied)
    }

    fn outputs<K: Output>(&self, namespace: &str) -> Api<K> {
        Api::namespaced(self.client(), namespace)
    }

    fn may_write(&self) -> Result<()> {
        if self.fence.allows_write() {
            Ok(())
        } else {
            Err(Error::NotLeader)
        }
    }
}

/// Waits for a request about objects of the kind `K`, but not longer than the deadline. `verb`: what is requested, for
/// traces.
async fn deadline<K: Resource<DynamicType = ()>, T>(
    verb: &'static str,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<kube::Result<T>> {
    let span = spans::kubernetes(verb, &K::kind(&()));
    let replied = tokio::time::timeout(DEADLINE, request).instrument(span.clone()).await;
    match &replied {
        Ok(Ok(_)) => {}
        Ok(Err(kube::Error::Api(status))) => spans::answered(&span, status.code),
        Ok(Err(_)) | Err(_) => spans::answered(&span, 0),
    }
    replied.map_err(|_| Error::Cluster(ClusterFault::Silent))
}

async fn bounded<K: Resource<DynamicType = ()>, T>(
    verb: &'static str,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T> {
    deadline::<K, T>(verb, request).await?.map_err(|error| fault(&error))
}

/// Classifies the error of a write of an object. What a policy says is kept. `secrets`: as for [`Denial::of`].
fn refused(error: &kube::Error, kind: &str, name: &str, secrets: Option<&[String]>) -> Error {
    let denial = match error {
        kube::Error::Api(status) => Denial::of(&status.message, secrets),
        _ => None,
    };
    match denial {
        Some(denial) => Error::Cluster(ClusterFault::Denied(described(kind, name), denial)),
        None => fault(error),
    }
}

/// How messages name an object. The name of a ledger contains a UID, which says nothing to a user.
fn described(kind: &str, name: &str) -> String {
    let rest = ["oac-", "jwks-"].iter().find_map(|prefix| name.strip_prefix(prefix));
    let uid = rest.and_then(|rest| rest.split_once('-')).map(|(begin, _)| begin);
    // Names like this are reserved for ledgers.
    let is_ledger = uid.is_some_and(|uid| uid.len() == 8 && uid.bytes().all(|byte| byte.is_ascii_hexdigit()));
    match is_ledger && kind == "Secret" {
        true => "the ledger".to_owned(),
        false => format!("{kind} `{name}`"),
    }
}

fn refused_output<K: Output>(error: &kube::Error, output: &K) -> Error {
    refused(error, &K::kind(&()), &output.name_any(), Some(&output.secrets()))
}

/// Classifies an error of the Kubernetes API. Its text is only logged.
fn fault(error: &kube::Error) -> Error {
    let fault = match error {
        kube::Error::Api(status) if status.is_conflict() => ClusterFault::Conflict,
        kube::Error::Api(status) if status.is_forbidden() => ClusterFault::Forbidden,
        kube::Error::Api(status) => ClusterFault::Status(status.code),
        _ => ClusterFault::Silent,
    };
    tracing::debug!(%error, ?fault, "request to the Kubernetes API failed");
    Error::Cluster(fault)
}

#[cfg(test)]
mod tests {
    use super::described;

    #[test]
    fn a_ledger_is_named_without_a_uid() {
        let table = [
            ("Secret", "oac-01234567-89ab-4000-8000-000000000000", "the ledger"),
            ("Secret", "jwks-01234567-89ab-4000-8000-000000000000", "the ledger"),
            ("Secret", "oac-shop", "Secret `oac-shop`"),
            ("Secret", "oac-shop-app", "Secret `oac-shop-app`"),
            ("Secret", "shop", "Secret `shop`"),
            ("ConfigMap", "jwks-01234567-89ab", "ConfigMap `jwks-01234567-89ab`"),
        ];
        for (kind, name, expected) in table {
            assert_eq!(described(kind, name), expected);
        }
    }
}
