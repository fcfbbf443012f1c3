//! The namespace of a test, and the actions of a user in it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GetParams, ListParams, Patch, PatchParams, PropagationPolicy,
};
use kube::core::Request;
use kube::core::params::ValidationDirective;
use kube::{Api, Resource, ResourceExt};
use oidc_operator::api::{Assignment, AuthorizationServer, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::watching::{has_condition, until_gone, until_object};
use super::{Bed, LIMIT};

/// Field manager of the user.
const USER: &str = "a-user";

/// The namespace of a test. It exists as long as the bed, so that the closing trials can inspect it.
#[derive(Clone)]
pub struct Space<'a> {
    bed: &'a Bed,
    name: String,
}

impl<'a> Space<'a> {
    pub(super) fn new(bed: &'a Bed, name: String) -> Self {
        Self { bed, name }
    }

    /// The bed of the namespace.
    pub fn bed(&self) -> &'a Bed {
        self.bed
    }

    /// Registers a secret value: the run fails if the operator exposes it anywhere.
    pub fn canary(&self, value: &str) {
        self.bed.canary(value);
    }

    /// Name of the namespace.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Applies a manifest (YAML) as `kubectl apply --server-side` does. A refusal carries the text that kubectl shows.
    pub async fn apply<K: DeserializeOwned>(&self, manifest: &str) -> Result<K> {
        match self.try_apply(manifest).await? {
            Ok(object) => Ok(serde_json::from_value(serde_json::to_value(object)?)?),
            Err(refusal) => bail!("refused: {refusal}"),
        }
    }

    /// Applies a manifest (YAML) that must be refused, and returns the text that kubectl shows.
    pub async fn refusal(&self, manifest: &str) -> Result<String> {
        match self.try_apply(manifest).await? {
            Ok(_) => bail!("this was accepted:\n{manifest}"),
            Err(refusal) => Ok(refusal),
        }
    }

    /// Applies an OAuth2Client with this name and spec (YAML).
    pub async fn apply_client(&self, name: &str, spec: &str) -> Result<OAuth2Client> {
        self.make(name, spec).await
    }

    /// Applies an OAuth2Client that must be refused, and returns the text that kubectl shows.
    pub async fn client_refusal(&self, name: &str, spec: &str) -> Result<String> {
        self.refused::<OAuth2Client>(name, spec).await
    }

    /// Applies an OAuth2Client and waits until it is ready.
    pub async fn ready_client(&self, name: &str, spec: &str) -> Result<OAuth2Client> {
        self.apply_client(name, spec).await?;
        self.wait_ready(name).await
    }

    /// Changes an OAuth2Client with a JSON merge patch.
    pub async fn change(&self, name: &str, patch: Value) -> Result<OAuth2Client> {
        Ok(self
            .clients()
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await?)
    }

    /// Annotates an OAuth2Client.
    pub async fn annotate(&self, name: &str, key: &str, value: &str) -> Result<OAuth2Client> {
        self.change(name, json!({ "metadata": { "annotations": { key: value } } }))
            .await
    }

    /// The OAuth2Client with this name.
    pub async fn client(&self, name: &str) -> Result<OAuth2Client> {
        Ok(self.clients().get(name).await?)
    }

    /// The OAuth2Client with this name as the Kubernetes API sends it, even if it cannot be decoded.
    pub async fn client_text(&self, name: &str) -> Result<String> {
        let path = OAuth2Client::url_path(&(), Some(&self.name));
        let request = Request::new(path).get(name, &GetParams::default())?;
        Ok(self.bed.client().request_text(request).await?)
    }

    /// Waits until an OAuth2Client is ready in its current generation.
    pub async fn wait_ready(&self, name: &str) -> Result<OAuth2Client> {
        self.wait_condition(name, "Ready", "True", "").await
    }

    /// Waits until an OAuth2Client has a condition for its current generation. An empty reason matches any.
    pub async fn wait_condition(&self, name: &str, type_: &str, status: &str, reason: &str) -> Result<OAuth2Client> {
        let what = format!("OAuth2Client {}/{name} to have {type_}={status} {reason}", self.name);
        self.wait_client(&what, name, |client| {
            let conditions = client.status.iter().flat_map(|known| &known.conditions);
            has_condition(client, conditions, (type_, status, reason))
        })
        .await
    }

    /// Waits until an OAuth2Client satisfies `wanted`; `what` completes the sentence "waiting for …".
    pub async fn wait_client(
        &self,
        what: &str,
        name: &str,
        wanted: impl Fn(&OAuth2Client) -> bool,
    ) -> Result<OAuth2Client> {
        self.until(what, name, wanted).await
    }

    /// Waits until the last write of an OAuth2Client is confirmed. If the answer to a create failed, one more write
    /// after the next sweep confirms it.
    pub async fn wait_confirmed(&self, name: &str) -> Result<OAuth2Client> {
        let confirmed =
            |client: &OAuth2Client| client.status.as_ref().is_some_and(|status| status.updated_at.is_some());
        self.wait_client(&format!("OAuth2Client {name} to be confirmed"), name, confirmed)
            .await
    }

    /// Waits until a Secret satisfies `wanted`; `what` completes the sentence "waiting for …".
    pub async fn wait_secret(&self, what: &str, name: &str, wanted: impl Fn(&Secret) -> bool) -> Result<Secret> {
        until_object(self.bed, what, self.secrets(), name, wanted).await
    }

    /// The Secret with this name, if it exists.
    pub async fn secret(&self, name: &str) -> Result<Option<Secret>> {
        Ok(self.secrets().get_opt(name).await?)
    }

    /// The data of a Secret, which must exist, as text.
    pub async fn secret_data(&self, name: &str) -> Result<BTreeMap<String, String>> {
        let secret = self.secret(name).await?;
        Ok(text_of(&secret.with_context(|| {
            format!("Secret {}/{name} does not exist", self.name)
        })?))
    }

    /// Id and secret from a credentials Secret with the default keys.
    pub async fn credentials(&self, secret: &str) -> Result<(String, String)> {
        let mut data = self.secret_data(secret).await?;
        let mut take = |key: &str| {
            data.remove(key)
                .with_context(|| format!("Secret {secret} has no {key}"))
        };
        Ok((take("CLIENT_ID")?, take("CLIENT_SECRET")?))
    }

    /// Deletes an OAuth2Client and does not wait for it. Returns its state from before.
    pub async fn delete(&self, name: &str) -> Result<OAuth2Client> {
        self.remove(name).await
    }

    /// Deletes an OAuth2Client and waits until it is gone. Returns its state from before.
    pub async fn delete_and_wait(&self, name: &str) -> Result<OAuth2Client> {
        let client = self.delete(name).await?;
        self.wait_gone(&client).await?;
        Ok(client)
    }

    /// Waits until the OAuth2Client with this UID is gone.
    pub async fn wait_gone(&self, client: &OAuth2Client) -> Result<()> {
        self.until_gone(client).await
    }

    /// Waits until the Secret with this UID is gone.
    pub async fn wait_secret_gone(&self, secret: &Secret) -> Result<()> {
        let name = secret.name_any();
        let what = format!("Secret {}/{name} to be gone", self.name);
        until_gone(
            self.bed,
            &what,
            self.secrets(),
            &name,
            &secret.uid().unwrap_or_default(),
        )
        .await
    }

    /// Deletes a Secret, which must exist.
    pub async fn delete_secret(&self, name: &str) -> Result<()> {
        let now = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        let deleted = self.secrets().delete(name, &now).await;
        deleted.with_context(|| format!("deleting Secret {}/{name}", self.name))?;
        Ok(())
    }

    /// Sets keys of a Secret, as `kubectl edit` would.
    pub async fn edit_secret(&self, name: &str, data: Value) -> Result<Secret> {
        let patch = Patch::Merge(json!({ "stringData": data }));
        Ok(self.secrets().patch(name, &PatchParams::default(), &patch).await?)
    }

    /// Deletes the namespace and waits until it is gone.
    pub async fn delete_namespace_and_wait(&self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.bed.client());
        let namespace = namespaces.get(&self.name).await?;
        namespaces.delete(&self.name, &DeleteParams::default()).await?;
        let what = format!("namespace {} to be gone", self.name);
        until_gone(self.bed, &what, namespaces, &self.name, &uid_of(&namespace)).await
    }

    /// Waits for an event with this reason about an object with this name that satisfies `wanted`.
    pub async fn wait_event(&self, name: &str, reason: &str, wanted: impl Fn(&Event) -> bool) -> Result<Event> {
        let events: Api<Event> = Api::namespaced(self.bed.client(), &self.name);
        let about = |event: &Event| {
            let regarding = event.regarding.as_ref().and_then(|regarding| regarding.name.as_deref());
            regarding == Some(name) && event.reason.as_deref() == Some(reason) && wanted(event)
        };
        let what = format!("an event {reason} about {}/{name}", self.name);
        let mut seen = Vec::new();
        let waited = testbed::wait::until(&what, LIMIT, async || {
            let listed = events.list(&ListParams::default()).await?.items;
            seen = listed
                .iter()
                .map(|event| (event.reason.clone(), event.note.clone()))
                .collect();
            Ok(listed.into_iter().find(about))
        })
        .await;
        waited.with_context(|| format!("events seen: {seen:?}"))
    }

    /// Checks that no event with this reason about an object with this name was published until now.
    pub async fn no_event(&self, name: &str, reason: &str) -> Result<()> {
        let events: Api<Event> = Api::namespaced(self.bed.client(), &self.name);
        let listed = events.list(&ListParams::default()).await?.items;
        let about = |event: &&Event| {
            let regarding = event.regarding.as_ref().and_then(|regarding| regarding.name.as_deref());
            regarding == Some(name) && event.reason.as_deref() == Some(reason)
        };
        match listed.iter().find(about) {
            None => Ok(()),
            Some(event) => bail!("an event {reason} about {name}: {:?}", event.note),
        }
    }

    /// The OAuth2Clients of this namespace.
    pub fn clients(&self) -> Api<OAuth2Client> {
        Api::namespaced(self.bed.client(), &self.name)
    }

    /// The ConfigMaps of this namespace.
    pub fn config_maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.bed.client(), &self.name)
    }

    /// The Secrets of this namespace.
    pub fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.bed.client(), &self.name)
    }

    /// Applies a manifest. Returns the object, or why the kube-apiserver refused it.
    async fn try_apply(&self, manifest: &str) -> Result<Result<DynamicObject, String>> {
        let object: DynamicObject = serde_saphyr::from_str(manifest).context("the manifest is not an object")?;
        let kind = object.types.as_ref().map_or("", |types| types.kind.as_str());
        let client = self.bed.client();
        let api: Api<DynamicObject> = match kind {
            "OAuth2Client" => Api::namespaced_with(client, &self.name, &ApiResource::erase::<OAuth2Client>(&())),
            "Scope" => Api::namespaced_with(client, &self.name, &ApiResource::erase::<Scope>(&())),
            "JsonWebKeySet" => Api::namespaced_with(client, &self.name, &ApiResource::erase::<JsonWebKeySet>(&())),
            "Assignment" => Api::namespaced_with(client, &self.name, &ApiResource::erase::<Assignment>(&())),
            "OidcProvider" => Api::namespaced_with(client, &self.name, &ApiResource::erase::<OidcProvider>(&())),
            "Secret" => Api::namespaced_with(client, &self.name, &ApiResource::erase::<Secret>(&())),
            "ConfigMap" => Api::namespaced_with(client, &self.name, &ApiResource::erase::<ConfigMap>(&())),
            "AuthorizationServer" => Api::all_with(client, &ApiResource::erase::<AuthorizationServer>(&())),
            _ => bail!("the bed does not know the kind {kind:?}"),
        };
        let parameters = PatchParams {
            field_validation: Some(ValidationDirective::Strict),
            ..PatchParams::apply(USER)
        };
        match api.patch(&object.name_any(), &parameters, &Patch::Apply(&object)).await {
            Ok(applied) => Ok(Ok(applied)),
            Err(kube::Error::Api(status)) => Ok(Err(status.message.clone())),
            Err(error) => Err(error.into()),
        }
    }
}

/// The data of a Secret as text.
pub fn text_of(secret: &Secret) -> BTreeMap<String, String> {
    let data = secret.data.iter().flatten();
    data.map(|(key, value)| (key.clone(), String::from_utf8_lossy(&value.0).into_owned()))
        .collect()
}

/// The UID of an object in the cluster.
pub fn uid_of(object: &impl kube::ResourceExt) -> String {
    object.uid().unwrap_or_default()
}

/// Name of the ledger of a client.
pub fn ledger_of(client: &OAuth2Client) -> String {
    format!("oac-{}", uid_of(client))
}

/// The id of a client on the server, from its status.
pub fn client_id_of(client: &OAuth2Client) -> Result<String> {
    let id = client.status.as_ref().and_then(|status| status.client_id.clone());
    id.with_context(|| format!("OAuth2Client {} has no clientId in status", client.name_any()))
}
