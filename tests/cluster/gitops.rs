//! What GitOps tools compare: manifests that were applied never differ from what Kubernetes has, and the operator owns
//! nothing of them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use testbed::{install, wait};

use crate::bed::{Bed, LIMIT, Space};
use crate::run::Side;

/// The samples for Hydra, and those for OpenBao.
const HYDRA: &str = "deploy/samples";
const VAULT: &str = "deploy/samples/vault";
/// Where the servers are in the samples.
const SAMPLE_URLS: [&str; 3] = [
    "http://hydra-admin.hydra:4445",
    "http://hydra-public.hydra:4444",
    "https://vault.vault:8200",
];
/// The field manager of the operator, as the documentation lists it.
const OPERATOR: &str = "oidc-operator";
/// The field manager of the user: kubectl's own.
const USER: [&str; 2] = ["kubectl", "kubectl-client-side-apply"];

/// The tests on Hydra.
pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(applied_samples_never_differ),
        side.shared(samples_that_were_applied_by_the_client_never_differ),
    ]
}

/// The tests on OpenBao.
pub fn vault_trials(side: &Side) -> Vec<Trial> {
    vec![side.shared(applied_samples_for_a_vault_never_differ)]
}

async fn applied_samples_never_differ(bed: &Bed) -> Result<()> {
    never_differ(bed, HYDRA, &["--server-side"]).await
}

async fn samples_that_were_applied_by_the_client_never_differ(bed: &Bed) -> Result<()> {
    never_differ(bed, HYDRA, &[]).await
}

async fn applied_samples_for_a_vault_never_differ(bed: &Bed) -> Result<()> {
    bed.bao().await?.root().group("staff", &[]).await?;
    never_differ(bed, VAULT, &["--server-side"]).await
}

/// Applies the samples of a folder, waits until all are ready, and compares. `how`: flags of every apply and diff.
async fn never_differ(bed: &Bed, folder: &str, how: &[&str]) -> Result<()> {
    let space = bed.space().await?;
    let text = samples(&space, folder).await?;
    let with =
        |verb: &'static str, flags: &'static [&'static str]| [&[verb][..], how, flags, &["--filename=-"]].concat();
    let run = async |arguments: &[&str]| {
        let said = space.kubectl(arguments, &text).await?;
        said.map_err(|said| anyhow::anyhow!("{arguments:?}: {said}"))
    };
    run(&with("apply", &[])).await?;
    for object in &settled(&space, &text).await? {
        owners(object).with_context(|| name(object))?;
    }
    children(&space).await?;

    let difference = run(&with("diff", &[])).await?;
    ensure!(difference.is_empty(), "{difference}");
    let dry_run = with("apply", &["--dry-run=server", "--output=json", "--show-managed-fields"]);
    at_rest("a dry run", async || {
        let before = settled(&space, &text).await?;
        let dry = items(&run(&dry_run).await?)?;
        Ok(difference_of(&before, &dry))
    })
    .await?;
    at_rest("another apply", async || {
        let before = settled(&space, &text).await?;
        run(&with("apply", &[])).await?;
        Ok(difference_of(&before, &settled(&space, &text).await?))
    })
    .await
}

/// Waits until something changes nothing. The operator may still write statuses, but neither for ever nor because of it.
async fn at_rest(what: &str, compare: impl AsyncFn() -> Result<Option<String>>) -> Result<()> {
    let mut last = String::new();
    let rest = wait::until(&format!("{what} to change nothing"), LIMIT, async || {
        last = compare().await?.unwrap_or_default();
        Ok(last.is_empty().then_some(()))
    })
    .await;
    rest.with_context(|| last)
}

/// The manifests of a folder, for the servers of the bed: their AuthorizationServer has a name of its own, and every
/// resource refers to it.
async fn samples(space: &Space<'_>, folder: &str) -> Result<String> {
    let bed = space.bed();
    let server = format!("{}-samples", space.name());
    let urls = match folder {
        VAULT => ["", "", &*bed.bao().await?.address()].map(str::to_owned),
        _ => [bed.admin_url().to_owned(), bed.public_url().to_owned(), String::new()],
    };
    let mut files: Vec<_> = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.retain(|path| path.is_file());
    files.sort();
    ensure!(files.len() >= 5, "only {} samples in {folder}", files.len());
    let mut documents = Vec::new();
    for file in files {
        let mut text = std::fs::read_to_string(&file)?;
        for (sample, url) in SAMPLE_URLS.iter().zip(&urls) {
            text = text.replace(sample, url);
        }
        for mut document in install::manifests(&text)? {
            if document["kind"] == "AuthorizationServer" {
                document["metadata"]["name"] = json!(server);
                document["spec"]["resyncInterval"] = json!("2s"); // it counts its resources as often
            } else {
                document["spec"]["serverRef"] = json!({ "name": server });
            }
            documents.push(serde_saphyr::to_string(&document)?);
        }
    }
    Ok(documents.join("---\n"))
}

/// The objects, when all are ready and the AuthorizationServer has counted them.
async fn settled(space: &Space<'_>, text: &str) -> Result<Vec<Value>> {
    let get = ["get", "--filename=-", "--output=json", "--show-managed-fields"];
    let mut last = String::new();
    let ready = wait::until("the samples to be ready", 2 * LIMIT, async || {
        let said = space.kubectl(&get, text).await?;
        let objects = items(&said.map_err(anyhow::Error::msg)?)?;
        let users = objects.len() - 1;
        let is_settled = |object: &Value| {
            is_ready(object) && (object["kind"] != "AuthorizationServer" || object["status"]["resources"] == users)
        };
        let waiting = objects.iter().filter(|object| !is_settled(object));
        last = waiting
            .map(|object| format!("{}: {}\n", name(object), object["status"]))
            .collect();
        Ok(last.is_empty().then_some(objects))
    })
    .await;
    ready.with_context(|| last)
}

fn is_ready(object: &Value) -> bool {
    let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    object["status"]["observedGeneration"] == object["metadata"]["generation"]
        && conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn items(text: &str) -> Result<Vec<Value>> {
    let list: Value = serde_json::from_str(text)?;
    Ok(list["items"].as_array().context("no list")?.clone())
}

fn name(object: &Value) -> String {
    format!("{} {}", object["kind"], object["metadata"]["name"])
}

/// Where objects are not the same to the last field, their resourceVersions included.
fn difference_of(before: &[Value], after: &[Value]) -> Option<String> {
    let by_name = |objects: &[Value]| -> BTreeMap<String, Value> {
        objects.iter().map(|object| (name(object), object.clone())).collect()
    };
    let (before, after) = (by_name(before), by_name(after));
    if !before.keys().eq(after.keys()) {
        return Some(format!("{:?} and {:?}", before.keys(), after.keys()));
    }
    for (name, object) in &before {
        for part in ["metadata", "spec", "status"] {
            let (before, after) = (&object[part], &after[name][part]);
            if before != after {
                return Some(format!("{part} of {name} was {before} and is {after}"));
            }
        }
    }
    None
}

/// Fails unless the operator owns the status and its finalizer of an object, and nothing else.
fn owners(object: &Value) -> Result<()> {
    let entries = object["metadata"]["managedFields"]
        .as_array()
        .context("no managedFields")?;
    let finalizer = json!({ "f:metadata": { "f:finalizers": { ".": {}, "v:\"oidc-operator.dev/cleanup\"": {} } } });
    let mut parts = Vec::new();
    for entry in entries {
        let fields = &entry["fieldsV1"];
        match (
            entry["manager"].as_str().unwrap_or_default(),
            entry["subresource"].as_str(),
        ) {
            (OPERATOR, Some("status")) => {
                ensure!(entry["operation"] == "Apply", "{entry:#}");
                ensure!(
                    fields.as_object().is_some_and(|owned| owned.keys().eq(["f:status"])),
                    "{entry:#}"
                );
                parts.push("status");
            }
            (OPERATOR, None) => {
                ensure!(entry["operation"] == "Update" && *fields == finalizer, "{entry:#}");
                parts.push("finalizer");
            }
            (manager, None) if USER.contains(&manager) => parts.push("manifest"),
            _ => anyhow::bail!("another writer: {entry:#}"),
        }
    }
    parts.sort_unstable();
    ensure!(parts == ["finalizer", "manifest", "status"], "{parts:?}");
    Ok(())
}

/// Fails unless everything in a Secret or ConfigMap of the operator is its own.
async fn children(space: &Space<'_>) -> Result<()> {
    let get = [
        "get",
        "secrets,configmaps",
        "--selector=oidc-operator.dev/uid",
        "--output=json",
        "--show-managed-fields",
    ];
    let listed = space.kubectl(&get, "").await?.map_err(anyhow::Error::msg)?;
    let children = items(&listed)?;
    ensure!(children.len() >= 3, "only {} children", children.len());
    for child in children {
        let managers = child["metadata"]["managedFields"]
            .as_array()
            .context("no managedFields")?;
        let is_ours = |entry: &Value| entry["manager"] == OPERATOR && entry["operation"] == "Update";
        ensure!(managers.iter().all(is_ours), "{}: {managers:#?}", name(&child));
        let owner = &child["metadata"]["ownerReferences"][0];
        ensure!(
            owner["controller"] == true && owner["apiVersion"] == "oidc-operator.dev/v1alpha1",
            "{owner}"
        );
        let labels = child["metadata"]["labels"].as_object().context("no labels")?;
        ensure!(
            labels.keys().all(|label| label != "app.kubernetes.io/instance"),
            "{labels:?}"
        );
    }
    Ok(())
}
