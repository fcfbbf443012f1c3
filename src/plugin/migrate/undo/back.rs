//! What one resource needs to go back, and whether it may.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::core::DynamicObject;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::controller::common::own_secret::text;
use crate::plugin::NAME;
use crate::plugin::arguments::HydraMaester;
use crate::plugin::migrate::cluster::{known, olds, secret_name};
use crate::plugin::migrate::maester::{
    self, API_VERSION, Choice, Credentials, KEYS, Past, SecretFate, keys_in, keys_of,
};
use crate::plugin::migrate::plan::server_of;
use crate::plugin::migrate::preview::{has_adopted, is_untouched};
use crate::plugin::migrate::server::{Known, server_for};
use crate::plugin::migrate::walk::DryRun;
use crate::plugin::session::Session;

/// The old resource, from what the annotation says. Whoever may write the new one may write that, so nothing but labels,
/// annotations and spec comes from there.
fn old_of(found: &DynamicObject, past: &Past) -> Result<DynamicObject> {
    let metadata = &past.manifest["metadata"];
    Ok(serde_json::from_value(json!({
        "apiVersion": API_VERSION, "kind": "OAuth2Client",
        "metadata": {
            "name": found.name_any(), "namespace": found.namespace(),
            "labels": metadata["labels"], "annotations": metadata["annotations"],
        },
        "spec": past.manifest["spec"],
    }))?)
}

/// A resource that goes back.
pub(super) struct Return<'a> {
    pub(super) found: &'a DynamicObject,
    pub(super) old: DynamicObject,
    pub(super) past: Past,
    pub(super) secrets: Api<Secret>,
    /// Resources of hydra-maester.
    pub(super) olds: Api<DynamicObject>,
    /// Keys of id and secret.
    keys: Option<[&'a str; 2]>,
    /// What the caller wants to go back.
    meant: Meant,
}

/// What the caller wants to go back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meant {
    /// This resource, by its name.
    Named,
    /// All that are as they moved.
    All,
}

/// How a resource goes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// The old resource was never gone, and the new one has done nothing.
    Withdraw,
    /// The old resource is created again.
    Create,
}

impl<'a> Return<'a> {
    pub(super) fn of(session: &Session, found: &'a DynamicObject, asked: &'a HydraMaester) -> Result<Self> {
        let past = Past::of(found).context("it does not say what it was at hydra-maester")?;
        let namespace = found.namespace().unwrap_or_default();
        Ok(Self {
            found,
            old: old_of(found, &past)?,
            past,
            secrets: Api::namespaced(session.client.clone(), &namespace),
            olds: olds(session, &namespace),
            keys: asked.keys().or_else(|| keys_in(&found.data["spec"])),
            meant: match asked.names.is_empty() {
                true => Meant::All,
                false => Meant::Named,
            },
        })
    }

    /// Makes sure that the resource can go back, before anything is changed.
    pub(super) async fn may_go(&self, servers: &[Known]) -> Result<How> {
        if is_untouched(self.found) {
            let there = self.olds.get_opt(&self.found.name_any()).await;
            let there = there.context("cannot read the resource of hydra-maester")?;
            if there.is_some_and(|there| there.uid().as_ref() == Some(&self.past.uid)) {
                return Ok(How::Withdraw);
            }
        }
        self.check_server(servers)?;
        let credentials = self.check().await?;
        if self.meant == Meant::All {
            self.check_spec(&credentials, servers)?;
        }
        self.create(DryRun::Yes).await?;
        Ok(How::Create)
    }

    /// Makes sure that hydra-maester has the old resource, because the new one is gone.
    pub(super) async fn is_back(&self) -> Result<()> {
        let there = self.olds.get_opt(&self.old.name_any()).await;
        let there = there.context("cannot read the resource of hydra-maester")?;
        ensure!(
            there.is_some(),
            "it was deleted meanwhile, and hydra-maester does not have it"
        );
        Ok(())
    }

    /// Makes sure that hydra-maester would work on the server that has the client. Whoever may write the new resource may
    /// write the annotation, and would otherwise have hydra-maester send its requests anywhere.
    fn check_server(&self, servers: &[Known]) -> Result<()> {
        let own = server_of(&self.found.data);
        let theirs = server_for(&self.past.manifest["spec"], own, servers).map_err(anyhow::Error::msg)?;
        ensure!(
            theirs == own,
            "Its hydraAdmin leads to AuthorizationServer `{theirs}`, and its client is on `{own}`. Move it back by hand."
        );
        Ok(())
    }

    /// Makes sure that hydra-maester would find the client as it is, with the id and the secret that are in use: without
    /// its Secret it would delete the client and make another one.
    async fn check(&self) -> Result<Credentials> {
        let status = &self.found.data["status"];
        ensure!(
            has_adopted(self.found),
            "its client is not the one of hydra-maester; move it back by hand"
        );
        let name = secret_name(&self.old);
        let kept = self.secrets.get_opt(&name).await.context("cannot read its Secret")?;
        let kept = kept.with_context(|| {
            format!("Secret {name}, which hydra-maester would read, does not exist; restore it first")
        })?;
        let mut credentials = known(&kept, "", self.keys);
        credentials.is_owned = self.past.secret != SecretFate::Untouched;
        ensure!(
            credentials.client_id.is_some() && credentials.client_id.as_deref() == status["clientId"].as_str(),
            "Secret {name}, which hydra-maester would read, does not have the id of the client; correct it first"
        );
        let in_use = status["secretName"].as_str().unwrap_or(&name);
        if in_use != name {
            let current = self.secrets.get_opt(in_use).await.context("cannot read its Secret")?;
            // The way back, if it was interrupted, has suspended the resource, compared the Secrets, and deleted this one.
            ensure!(
                current.is_some() || self.found.data["spec"]["suspend"] == true,
                "Secret {in_use} does not exist; wait until the operator has written it again"
            );
            let key = self.found.data["spec"]["credentials"]["keys"]["clientSecret"].as_str();
            let current = current.and_then(|current| text(&current, key.unwrap_or(KEYS[0][1])));
            let key = keys_of(&credentials.keys, self.keys).map_or(KEYS[0][1], |[_, key]| key);
            ensure!(
                current.is_none() || current == text(&kept, key),
                "Secret {name}, which hydra-maester would read, does not have the secret of the client; correct it first"
            );
        }
        Ok(credentials)
    }

    /// Makes sure that the resource is as it moved. One that was changed goes back only by name.
    fn check_spec(&self, credentials: &Credentials, servers: &[Known]) -> Result<()> {
        let spec = &self.found.data["spec"];
        let choice = Choice {
            server: server_of(&self.found.data),
            servers,
            keys: self.keys,
        };
        let planned = maester::plan(&self.old, Some(credentials), &choice).map_err(anyhow::Error::msg)?;
        let bare = |spec: &Value| {
            let mut spec = spec.clone();
            for set_here in ["suspend", "deletionPolicy"] {
                spec.as_object_mut().and_then(|spec| spec.remove(set_here));
            }
            spec
        };
        ensure!(
            bare(&planned.manifest["spec"]) == bare(spec),
            "it was changed since it moved, and would go back as it was before; name it to do that"
        );
        Ok(())
    }

    /// Creates the old resource, unless it is there.
    pub(super) async fn create(&self, dry_run: DryRun) -> Result<DynamicObject> {
        let olds = &self.olds;
        let parameters = PostParams {
            dry_run: dry_run == DryRun::Yes,
            field_manager: Some(NAME.to_owned()),
        };
        match olds.create(&parameters, &self.old).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let there = olds.get(&self.old.name_any()).await;
                let there = there.context("cannot read the resource of hydra-maester")?;
                let is_it =
                    secret_name(&there) == secret_name(&self.old) && there.metadata.deletion_timestamp.is_none();
                ensure!(
                    is_it,
                    "hydra-maester has another resource of this name, or one that is being deleted"
                );
                Ok(there)
            }
            created => created.context("cannot create the resource of hydra-maester"),
        }
    }
}
