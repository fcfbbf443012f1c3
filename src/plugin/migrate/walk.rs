//! The way of one resource. The new one is created suspended, so that the operator says what an adoption would change before
//! it writes anything. Each step looks at what there is, so that a command that was interrupted can be repeated.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PostParams, Preconditions};
use kube::core::DynamicObject;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::cluster::{clients, namespace_of, olds, parameters};
use super::maester::{Move, Past, SecretFate, is_same_spec};
use super::plan::server_of;
use super::preview::{Accepts, Preview, is_untouched};
use super::{leave, preview};
use crate::api::RECONCILE_AT_ANNOTATION;
use crate::plugin::NAME;
use crate::plugin::arguments::HydraMaester;
use crate::plugin::ask::Answer;
use crate::plugin::objects::{answer, until, until_gone};
use crate::plugin::session::Session;

/// Longest wait until the operator is asked again what an adoption would change: the server may be back.
const LOOK: Duration = Duration::from_secs(15);
/// Attempts to delete a new resource that changes at the same time.
const ATTEMPTS: usize = 10;

/// Whether the Kubernetes API only tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DryRun {
    Yes,
    No,
}

/// Creates a resource of the operator.
pub(super) async fn create(session: &Session, manifest: &Value, dry_run: DryRun) -> kube::Result<DynamicObject> {
    let api = clients(session, Some(namespace_of(manifest)));
    let object: DynamicObject = serde_json::from_value(manifest.clone()).map_err(kube::Error::SerdeError)?;
    let parameters = PostParams {
        dry_run: dry_run == DryRun::Yes,
        field_manager: Some(NAME.to_owned()),
    };
    api.create(&parameters, &object).await
}

/// Why the Kubernetes API does not accept a new resource as it is, or not from the caller.
pub(super) fn refusal(error: &kube::Error) -> Option<String> {
    let kube::Error::Api(status) = error else { return None };
    match status.code {
        422 => Some(format!("Its new resource is not valid: {}", status.message)),
        403 => Some(format!(
            "The Kubernetes API does not let you create its new resource. Ask for the right, and try again: {}.",
            status.message
        )),
        _ => None,
    }
}

/// One resource on its way.
struct Way<'a> {
    old: &'a DynamicObject,
    fate: SecretFate,
    asked: &'a HydraMaester,
    /// Resources of the operator.
    news: Api<DynamicObject>,
    /// Resources of hydra-maester.
    olds: Api<DynamicObject>,
    secrets: Api<Secret>,
}

impl<'a> Way<'a> {
    fn of(session: &Session, old: &'a DynamicObject, fate: SecretFate, asked: &'a HydraMaester) -> Self {
        let namespace = old.namespace().unwrap_or_default();
        Self {
            old,
            fate,
            asked,
            news: clients(session, Some(&namespace)),
            olds: olds(session, &namespace),
            secrets: Api::namespaced(session.client.clone(), &namespace),
        }
    }
}

/// Begins to move a resource.
pub(super) async fn begin(session: &Session, old: &DynamicObject, planned: &Move, asked: &HydraMaester) -> Result<()> {
    let way = Way::of(session, old, planned.secret, asked);
    let now = leave::now(&way.olds, old).await?;
    let is_same = now.is_some_and(|now| is_same_spec(&now.data["spec"], &old.data["spec"]));
    ensure!(is_same, "It was changed or deleted just now. Repeat the command.");
    withdraw_untouched(&way.news, &old.name_any()).await?;
    let mut manifest = planned.manifest.clone();
    manifest["spec"]["suspend"] = json!(true);
    let created = create(session, &manifest, DryRun::No).await;
    let created = created.map_err(|error| match refusal(&error) {
        Some(why) => anyhow!(why),
        None => anyhow::Error::new(error).context("cannot create its new resource"),
    })?;
    way.take_over(&created).await?;
    way.finish(None).await
}

/// Goes on with a resource that has begun to move.
pub(super) async fn resume(
    session: &Session,
    old: &DynamicObject,
    fate: SecretFate,
    asked: &HydraMaester,
) -> Result<()> {
    let way = Way::of(session, old, fate, asked);
    // What kept the operator from the client may be mended.
    let now = Timestamp::now();
    let found = look_again(&way.news, &old.name_any(), now).await?;
    if found.data["spec"]["suspend"] == true {
        way.take_over(&found).await?;
        return way.finish(None).await;
    }
    way.offer().await?;
    way.finish(Some(now)).await
}

impl Way<'_> {
    /// Lets the operator work on the suspended new resource, if it would leave the client as it is.
    async fn take_over(&self, new: &DynamicObject) -> Result<()> {
        let accepts = match self.asked.accept_changes {
            true => Accepts::Changes,
            false => Accepts::Nothing,
        };
        let preview = self.preview().await?;
        if let Some(why) = preview.objection(server_of(&new.data), accepts) {
            withdraw_untouched(&self.news, &new.name_any()).await?;
            bail!("{why}");
        }
        self.offer().await?;
        // The way back, if it was interrupted, has set both.
        let policy = Past::of(new).map_or("Delete", |past| past.deletion_policy());
        let change = json!({ "spec": { "suspend": null, "deletionPolicy": policy } });
        let resumed = self
            .news
            .patch(&new.name_any(), &parameters(), &Patch::Merge(change))
            .await;
        resumed.map(drop).context("cannot change its new resource")
    }

    /// What the operator says that the adoption would change.
    async fn preview(&self) -> Result<Preview> {
        let (name, began) = (self.old.name_any(), Instant::now());
        loop {
            let rest = self.asked.timeout.saturating_sub(began.elapsed());
            let judge = |found: &DynamicObject| match Preview::of(found) {
                Preview::Open(why) => Answer::Open(why),
                _ => Answer::Done(String::new()),
            };
            let answered = answer(&self.news, &name, rest.min(LOOK), judge).await?;
            let found = self.news.get(&name).await.context("cannot read its new resource")?;
            match (answered, Preview::of(&found)) {
                (Answer::Refused(why), _) => bail!("{why}"),
                (_, Preview::Open(_)) if rest > LOOK => drop(look_again(&self.news, &name, Timestamp::now()).await?),
                (_, preview) => return Ok(preview),
            }
        }
    }

    /// Offers the Secret to the new resource, if that takes it over.
    async fn offer(&self) -> Result<()> {
        match self.fate {
            SecretFate::TakenOver => leave::offer_secret(&self.secrets, self.old).await,
            SecretFate::Released | SecretFate::Untouched => Ok(()),
        }
    }

    /// Waits until the operator has taken over the client, and deletes the old resource.
    async fn finish(&self, since: Option<Timestamp>) -> Result<()> {
        let (name, limit) = (self.old.name_any(), self.asked.timeout);
        until(&self.news, &name, limit, |found| {
            preview::adopted(found, server_of(&found.data), since)
        })
        .await?;
        leave::keep_secret(&self.secrets, self.old, self.fate == SecretFate::Released).await?;
        leave::delete(&self.olds, self.old).await?;
        // Finalizers of others may hold it.
        until_gone(&self.olds, self.old, limit).await
    }
}

/// Deletes a new resource that has done nothing yet. Nothing else is deleted: not one that somebody resumes meanwhile.
pub(super) async fn withdraw_untouched(news: &Api<DynamicObject>, name: &str) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let found = news.get_opt(name).await.context("cannot read its new resource")?;
        let Some(found) = found.filter(|found| is_untouched(found) && Past::of(found).is_some()) else {
            return Ok(());
        };
        let only_this = Preconditions {
            uid: found.uid(),
            resource_version: found.resource_version(),
        };
        let deleted = news
            .delete(name, &DeleteParams::default().preconditions(only_this))
            .await;
        match deleted {
            Ok(_) => return Ok(()),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => return Err(error).context("cannot delete its new resource"),
        }
    }
    bail!("its new resource changes all the time; try again")
}

/// Lets the operator look at a resource again.
async fn look_again(news: &Api<DynamicObject>, name: &str, now: Timestamp) -> Result<DynamicObject> {
    let change = json!({ "metadata": { "annotations": { (RECONCILE_AT_ANNOTATION): now.to_string() } } });
    let asked = news.patch(name, &parameters(), &Patch::Merge(change)).await;
    asked.context("cannot change its new resource")
}
