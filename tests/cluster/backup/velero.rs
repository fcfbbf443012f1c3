//! A backup of one resource with its Secrets, restored as Velero does it: Secrets first; UIDs, versions, times, owner
//! references and status are dropped; labels, annotations and finalizers stay, and two labels are added.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use oidc_operator::api::UID_LABEL;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testbed::wait;

use crate::bed::{LIMIT, Namespaced, Space, uid_of};

/// What Velero removes from the metadata of every object.
const DROPPED: [&str; 10] = [
    "generateName",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "ownerReferences",
    "managedFields",
];

/// A resource with its Secrets and ConfigMaps.
#[derive(Clone)]
pub struct Backup {
    resource: Value,
    status: Value,
    secrets: Vec<Secret>,
    config_maps: Vec<ConfigMap>,
    names: BTreeSet<String>,
}

impl Backup {
    /// Backs a resource up, with the operator's Secrets and ConfigMaps for it.
    pub async fn of<K: Namespaced>(space: &Space<'_>, resource: &K) -> Result<Self> {
        let uid = resource.meta().uid.clone().unwrap_or_default();
        let ours = ListParams::default().labels(&format!("{UID_LABEL}={uid}"));
        let secrets = space.secrets().list(&ours).await?.items;
        let config_maps = space.config_maps().list(&ours).await?.items;
        let names = secrets.iter().map(ResourceExt::name_any).collect();
        let mut resource = serde_json::to_value(resource)?;
        let status = resource["status"].take();
        Ok(Backup {
            resource: stripped(resource)?,
            status,
            secrets: secrets.iter().map(stripped).collect::<Result<_>>()?,
            config_maps: config_maps.iter().map(stripped).collect::<Result<_>>()?,
            names,
        })
    }

    /// Names of the Secrets at the time of the backup.
    pub fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    /// Leaves a Secret out.
    pub fn without_secret(&mut self, name: &str) {
        self.secrets.retain(|secret| secret.name_any() != name);
    }

    /// Leaves all Secrets out.
    pub fn without_secrets(&mut self) {
        self.secrets.clear();
    }

    /// Leaves all ConfigMaps out.
    pub fn without_config_maps(&mut self) {
        self.config_maps.clear();
    }

    /// Changes values of a Secret.
    pub fn edit_secret(&mut self, name: &str, values: &[(&str, &str)]) {
        for secret in self.secrets.iter_mut().filter(|secret| secret.name_any() == name) {
            let data = secret.data.get_or_insert_default();
            data.extend(values.iter().map(|(key, value)| ((*key).to_owned(), bytes(value))));
        }
    }

    /// Makes the Secrets claim the client of another resource, whose id is its UID.
    pub fn forge(&mut self, credentials: &str, uid: &str) {
        self.edit_secret(credentials, &[("CLIENT_ID", uid)]);
        for secret in &mut self.secrets {
            secret.labels_mut().insert(UID_LABEL.to_owned(), uid.to_owned());
            if secret.name_any() != credentials {
                secret.metadata.name = Some(format!("oac-{uid}"));
                let data = secret.data.get_or_insert_default();
                data.insert("client_id".to_owned(), bytes(uid));
            }
        }
    }

    /// Deletes resource and Secrets as they are now, without a cleanup by the operator, which must not run.
    pub async fn erase<K: Namespaced>(&self, space: &Space<'_>) -> Result<()> {
        let (api, name) = (space.all::<K>(), self.name());
        let found = api.get(name).await?;
        let unheld = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
        api.patch(name, &PatchParams::default(), &unheld).await?;
        api.delete(name, &DeleteParams::default()).await?;
        space.until_gone(&found).await?;
        let ours = ListParams::default().labels(&format!("{UID_LABEL}={}", uid_of(&found)));
        wait::until("the Secrets to be gone", LIMIT, async || {
            let left = space.secrets().list(&ours).await?.items;
            let maps = space.config_maps().list(&ours).await?.items;
            for map in &maps {
                drop(
                    space
                        .config_maps()
                        .delete(&map.name_any(), &DeleteParams::default())
                        .await,
                );
            }
            for secret in &left {
                // The garbage collector may be faster.
                drop(
                    space
                        .secrets()
                        .delete(&secret.name_any(), &DeleteParams::default())
                        .await,
                );
            }
            Ok((left.is_empty() && maps.is_empty()).then_some(()))
        })
        .await
    }

    /// Restores it: Secrets and ConfigMaps first. `with_status`: also the status, which Velero does only if it is told to.
    pub async fn restore<K: Namespaced>(&self, space: &Space<'_>, with_status: bool) -> Result<K> {
        for secret in &self.secrets {
            create(space, secret).await?;
        }
        for config_map in &self.config_maps {
            space.config_maps().create(&PostParams::default(), config_map).await?;
        }
        let api = space.all::<K>();
        let resource = serde_json::from_value(self.resource.clone())?;
        let mut created = api.create(&PostParams::default(), &resource).await?;
        if with_status {
            let status = Patch::Merge(json!({ "status": self.status }));
            created = api.patch_status(self.name(), &PatchParams::default(), &status).await?;
        }
        Ok(created)
    }

    fn name(&self) -> &str {
        self.resource["metadata"]["name"].as_str().unwrap_or_default()
    }
}

fn stripped<T: Serialize, U: DeserializeOwned>(object: T) -> Result<U> {
    let mut object = serde_json::to_value(object)?;
    let members = object.as_object_mut().context("no object")?;
    members.remove("status");
    let metadata = members.get_mut("metadata").and_then(Value::as_object_mut);
    let metadata = metadata.context("no metadata")?;
    metadata.retain(|name, _| !DROPPED.contains(&name.as_str()));
    let labels = metadata.entry("labels").or_insert_with(|| json!({}));
    labels["velero.io/backup-name"] = json!("nightly");
    labels["velero.io/restore-name"] = json!("nightly-1");
    Ok(serde_json::from_value(object)?)
}

fn bytes(text: &str) -> ByteString {
    ByteString(text.as_bytes().to_vec())
}

/// Creates a Secret. An operator that had not yet seen the end of the earlier resource may have made its ledger again.
async fn create(space: &Space<'_>, secret: &Secret) -> Result<()> {
    let name = secret.name_any();
    wait::until(&format!("Secret {name} to be restored"), LIMIT, async || {
        match space.secrets().create(&PostParams::default(), secret).await {
            Err(kube::Error::Api(refused)) if refused.reason == "AlreadyExists" => {
                drop(space.secrets().delete(&name, &DeleteParams::default()).await);
                Ok(None)
            }
            created => created.map(|_| Some(())).map_err(Into::into),
        }
    })
    .await
}
