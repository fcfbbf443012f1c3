//! Requests to the Kubernetes API, each with a deadline, each write fenced, each error classed.

use std::collections::HashSet;
use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::NamespaceResourceScope;
use kube::core::params::ValidationDirective;
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::api::FIELD_MANAGER;
use crate::error::{ClusterFault, Error, Result};
use crate::leader::Fence;
use crate::secret::Secret as Token;

const DEADLINE: Duration = crate::admin::http::DEADLINE;
/// Objects on a page of a live list.
const PAGE: u32 = 500;
/// As above, of metadata alone: the annotations of one object may have 256 KiB.
const METADATA_PAGE: u32 = 100;

/// What the operator makes beside a resource and writes as a whole: Secrets and ConfigMaps.
pub trait Output:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned
{
}

impl Output for Secret {}
impl Output for ConfigMap {}

/// The Kubernetes API as the controllers use it.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    fence: Fence,
}

impl Cluster {
    /// Requests through this client, writes behind this fence.
    pub fn new(client: Client, fence: Fence) -> Self {
        Cluster { client, fence }
    }

    /// The client, for watches and events.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A Secret, live. None after a real 404 only.
    ///
    /// # Errors
    /// [`Error::Cluster`].
    pub async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Secret>> {
        bounded(self.outputs(namespace).get_opt(name)).await
    }

    /// A ConfigMap, live.
    ///
    /// # Errors
    /// [`Error::Cluster`].
    pub async fn config_map(&self, namespace: &str, name: &str) -> Result<Option<ConfigMap>> {
        bounded(self.outputs(namespace).get_opt(name)).await
    }

    /// A token of a ServiceAccount for these audiences, valid for ten minutes, the shortest that there is. None if there is no such ServiceAccount.
    ///
    /// # Errors
    /// [`Error::Cluster`].
    pub async fn service_account_token(
        &self,
        namespace: &str,
        name: &str,
        audiences: &[String],
    ) -> Result<Option<Token>> {
        let api: Api<ServiceAccount> = Api::namespaced(self.client(), namespace);
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: audiences.to_vec(),
                expiration_seconds: Some(600),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        match deadline(api.create_token_request(name, &PostParams::default(), &request)).await? {
            Ok(made) => Ok(made.status.map(|status| Token::new(status.token))),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
            Err(error) => Err(fault(&error)),
        }
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
        match deadline(self.outputs(namespace).create(&parameters, output)).await? {
            Ok(created) => Ok(Some(created)),
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(None),
            Err(error) => Err(fault(&error)),
        }
    }

    /// Replaces an output; it must carry UID and resourceVersion, so that nothing else is hit.
    ///
    /// # Errors
    /// [`Error::Cluster`], [`Error::NotLeader`].
    pub async fn replace<K: Output>(&self, namespace: &str, output: &K) -> Result<K> {
        self.may_write()?;
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        bounded(self.outputs(namespace).replace(&output.name_any(), &parameters, output)).await
    }

    /// Deletes an output if it still has this UID. Fine if it is gone or another one.
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
        match deadline(self.outputs::<K>(namespace).delete(name, &parameters)).await? {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
            Err(error) => Err(fault(&error)),
        }
    }

    /// An object, live.
    ///
    /// # Errors
    /// [`Error::Cluster`].
    pub async fn live<K>(&self, api: &Api<K>, name: &str) -> Result<Option<K>>
    where
        K: Clone + Debug + DeserializeOwned,
    {
        bounded(api.get_opt(name)).await
    }

    /// All objects of an Api, live, page by page.
    ///
    /// # Errors
    /// [`Error::Cluster`].
    pub async fn list<K>(&self, api: &Api<K>) -> Result<Vec<K>>
    where
        K: Clone + Debug + DeserializeOwned,
    {
        let mut parameters = ListParams::default().limit(PAGE);
        let mut all = Vec::new();
        loop {
            let page = bounded(api.list(&parameters)).await?;
            all.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(all),
            }
        }
    }

    /// UIDs of all objects of an Api, live, page by page. Nothing but metadata is asked for, so that no object can keep the others from being read.
    ///
    /// # Errors
    /// [`Error::Cluster`].
    pub async fn uids<K>(&self, api: &Api<K>) -> Result<HashSet<String>>
    where
        K: Clone + Debug + DeserializeOwned,
    {
        let mut parameters = ListParams::default().limit(METADATA_PAGE);
        let mut all = HashSet::new();
        loop {
            let page = bounded(api.list_metadata(&parameters)).await?;
            all.extend(page.items.into_iter().filter_map(|object| object.metadata.uid));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(all),
            }
        }
    }

    /// Sets the finalizers of exactly this version of an object.
    ///
    /// # Errors
    /// [`Error::Cluster`]: a conflict if it has changed or gone; [`Error::NotLeader`].
    pub async fn set_finalizers<K>(&self, api: &Api<K>, object: &K, finalizers: &[String]) -> Result<K>
    where
        K: Resource + Clone + Debug + DeserializeOwned,
    {
        self.may_write()?;
        let patch = serde_json::from_value(json!([
            { "op": "test", "path": "/metadata/uid", "value": object.meta().uid },
            { "op": "test", "path": "/metadata/resourceVersion", "value": object.meta().resource_version },
            { "op": "add", "path": "/metadata/finalizers", "value": finalizers },
        ]))
        .map_err(|_| Error::Reply {
            operation: "patch",
            problem: "cannot be built",
        })?;
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        match deadline(api.patch(&object.name_any(), &parameters, &Patch::<()>::Json(patch))).await? {
            Ok(patched) => Ok(patched),
            // A failed test answers 422; so does nothing else that this patch could do.
            Err(kube::Error::Api(status)) if status.is_invalid() || status.is_not_found() => {
                Err(Error::Cluster(ClusterFault::Conflict))
            }
            Err(error) => Err(fault(&error)),
        }
    }

    /// Applies the status of exactly this version of an object.
    ///
    /// # Errors
    /// [`Error::Cluster`]: a conflict if it has changed; [`Error::NotLeader`].
    pub async fn apply_status<K, S>(&self, api: &Api<K>, object: &K, status: &S) -> Result<K>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
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
        bounded(api.patch_status(&object.name_any(), &parameters, &Patch::Apply(body))).await
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

async fn deadline<T>(request: impl Future<Output = kube::Result<T>>) -> Result<kube::Result<T>> {
    tokio::time::timeout(DEADLINE, request)
        .await
        .map_err(|_| Error::Cluster(ClusterFault::Silent))
}

async fn bounded<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T> {
    deadline(request).await?.map_err(|error| fault(&error))
}

/// Class of an error of the Kubernetes API. Its text goes to the log only.
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
