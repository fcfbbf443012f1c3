//! The page about GitOps: its manifests, and its field managers.

use anyhow::{Context, Result, ensure};
use oidc_operator::api::{FIELD_MANAGER, FINALIZER};
use serde_json::Value;

use super::read;

/// The page.
const PAGE: &str = "docs/gitops.md";

/// Kubernetes checks the manifests of Flux in the story about it (`flux::` in tests/integrations).
#[test]
fn every_manifest_is_yaml_with_a_kind_and_a_name() -> Result<()> {
    let page = read(PAGE)?;
    let blocks = page.split("```yaml\n").skip(1);
    let mut kinds = Vec::new();
    for block in blocks {
        let block = block.split("```").next().unwrap_or_default();
        let documents: Vec<Value> = serde_saphyr::from_multiple(block).context(block.to_owned())?;
        for document in documents {
            ensure!(
                document["apiVersion"].is_string() && document["metadata"]["name"].is_string(),
                "{block}"
            );
            kinds.push(document["kind"].as_str().context("no kind")?.to_owned());
        }
    }
    let expected = [
        "GitRepository",
        "Kustomization",
        "Kustomization",
        "ImageRepository",
        "ImagePolicy",
        "Application",
    ];
    assert_eq!(kinds, expected);
    Ok(())
}

#[test]
fn the_table_has_the_field_manager_and_the_finalizer() -> Result<()> {
    let page = read(PAGE)?;
    for row in [
        format!("| `{FIELD_MANAGER}`, subresource `status` | the whole status |"),
        format!("| `{FIELD_MANAGER}` | the finalizer `{FINALIZER}` |"),
    ] {
        ensure!(page.contains(&row), "no {row}");
    }
    Ok(())
}
