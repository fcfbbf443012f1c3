//! A repository, Flux, and what it applies from the one to the cluster: with the manifests of the documentation.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::{Value, json};
use testbed::flux::{Flux, NAMESPACE};
use testbed::git::{BRANCH, Repository};
use testbed::{install, wait};

use crate::stage::Stage;

/// Longest wait for a reconciliation, which waits for resources.
const LIMIT: Duration = Duration::from_secs(240);
/// Name of the GitRepository and of the Kustomization.
const NAME: &str = "identity";
/// The page with their manifests.
const PAGE: &str = include_str!("../../../docs/gitops.md");
/// URL of the repository there.
const DOCUMENTED_URL: &str = "https://git.example.com/platform/identity.git";

/// A repository that Flux applies.
pub struct Delivery {
    flux: Flux,
    git: Repository,
    source: Api<DynamicObject>,
    applied: Api<DynamicObject>,
    requests: AtomicU32,
}

impl Delivery {
    /// Starts Flux with an empty repository.
    pub async fn start(stage: &Stage) -> Result<Self> {
        let plane = &stage.servers.control_plane;
        let (git, flux) = (Repository::start().await?, Flux::start(plane).await?);
        let page = PAGE.replace(DOCUMENTED_URL, git.url());
        ensure!(page != PAGE, "the page names no repository {DOCUMENTED_URL}");
        for block in blocks(&page) {
            for document in install::manifests(block)? {
                match document["apiVersion"].as_str() {
                    Some("source.toolkit.fluxcd.io/v1" | "kustomize.toolkit.fluxcd.io/v1") => {}
                    _ => continue,
                }
                let text = document.to_string();
                match document["metadata"]["name"] == NAME {
                    true => install::apply_into(plane, NAMESPACE, &text).await?,
                    false => install::validate(plane, &text).await?,
                }
            }
        }
        let client = stage.client();
        Ok(Self {
            flux,
            git,
            source: api(&client, "source.toolkit.fluxcd.io", "GitRepository"),
            applied: api(&client, "kustomize.toolkit.fluxcd.io", "Kustomization"),
            requests: AtomicU32::new(0),
        })
    }

    /// The last lines that Flux wrote, for messages.
    pub fn log_tail(&self) -> String {
        self.flux.log_tail()
    }

    /// Commits these files in place of those of the last commit, and waits until Flux has applied them and found
    /// everything ready.
    pub async fn applied(&self, message: &str, files: &[(&str, String)]) -> Result<()> {
        let (ready, said) = self.after(message, files).await?;
        ensure!(ready == "True", "the commit {message:?}: {said}");
        Ok(())
    }

    /// Commits these files, and returns what Flux says when it has failed.
    pub async fn failed(&self, message: &str, files: &[(&str, String)]) -> Result<String> {
        let (ready, said) = self.after(message, files).await?;
        ensure!(ready == "False", "the commit {message:?} was applied: {said}");
        Ok(said)
    }

    /// Status and message of the Kustomization after a commit.
    async fn after(&self, message: &str, files: &[(&str, String)]) -> Result<(String, String)> {
        let commit = self.git.commit(message, files).await?;
        let revision = format!("{BRANCH}@sha1:{commit}");
        self.request(&self.source, &|found| found["artifact"]["revision"] == revision)
            .await?;
        let status = self
            .request(&self.applied, &|found| found["lastAttemptedRevision"] == revision)
            .await?;
        ready(&status).context("no condition Ready")
    }

    /// Has Flux apply the same commit once more.
    pub async fn reconcile(&self) -> Result<()> {
        let status = self.request(&self.applied, &|_| true).await?;
        let (ready, said) = ready(&status).context("no condition Ready")?;
        ensure!(ready == "True", "{said}");
        Ok(())
    }

    /// What Flux has applied.
    pub async fn inventory(&self) -> Result<Value> {
        let found = self.applied.get(NAME).await?;
        Ok(found.data["status"]["inventory"]["entries"].clone())
    }

    /// Requests a reconciliation, as `flux reconcile` does, and returns the status when it has ended.
    async fn request(&self, api: &Api<DynamicObject>, wanted: &dyn Fn(&Value) -> bool) -> Result<Value> {
        let token = format!("request {}", self.requests.fetch_add(1, Ordering::Relaxed));
        let annotation = json!({ "metadata": { "annotations": { "reconcile.fluxcd.io/requestedAt": token } } });
        api.patch(NAME, &PatchParams::default(), &Patch::Merge(&annotation))
            .await?;
        let mut last = Value::Null;
        let ended = wait::until("Flux to reconcile", LIMIT, async || {
            last = api.get(NAME).await?.data["status"].clone();
            let has_ended = last["lastHandledReconcileAt"] == token
                && ready(&last).is_some_and(|(status, _)| status != "Unknown")
                && wanted(&last);
            Ok(has_ended.then(|| last.clone()))
        })
        .await;
        ended.with_context(|| format!("{last:#}"))
    }
}

fn api(client: &Client, group: &str, kind: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
    Api::namespaced_with(client.clone(), NAMESPACE, &resource)
}

fn ready(status: &Value) -> Option<(String, String)> {
    let conditions = status["conditions"].as_array()?;
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready")?;
    Some((
        ready["status"].as_str()?.to_owned(),
        ready["message"].as_str()?.to_owned(),
    ))
}

/// The blocks of YAML of a page.
fn blocks(page: &str) -> impl Iterator<Item = &str> {
    let starts = page.split("```yaml\n").skip(1);
    starts.filter_map(|rest| rest.split("```").next())
}
