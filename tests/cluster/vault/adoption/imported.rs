//! Objects that come with a command: from the server itself, or from a state of Terraform.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use oidc_operator::api::ADOPTABLE_BY_ANNOTATION;
use serde_json::{Value, json};
use testbed::install::NAMESPACE;
use testbed::run_dir::RunDir;

use super::{Legacy, TYPES};
use crate::bed::{Bed, Space};
use crate::plugin::Plugin;

/// Applies a stream of manifests.
async fn apply_all(space: &Space<'_>, manifests: &str) -> Result<Vec<Value>> {
    let mut applied = Vec::new();
    for manifest in manifests.split("---\n").filter(|manifest| !manifest.trim().is_empty()) {
        applied.push(space.apply(manifest).await?);
    }
    Ok(applied)
}

/// All objects belong to resources, and are what they were.
async fn all_adopted(legacy: &Legacy<'_>, before: &[Value], applied: &[Value]) -> Result<()> {
    let space = &legacy.stage.space;
    for resource in applied {
        let (kind, name) = (
            resource["kind"].as_str().unwrap_or_default(),
            resource["metadata"]["name"].as_str(),
        );
        let name = name.context("no name")?;
        match kind {
            "JsonWebKeySet" => drop(space.until_ready::<oidc_operator::api::JsonWebKeySet>(name).await?),
            "Assignment" => drop(space.until_ready::<oidc_operator::api::Assignment>(name).await?),
            "Scope" => drop(space.until_ready::<oidc_operator::api::Scope>(name).await?),
            "OAuth2Client" => drop(space.until_ready::<oidc_operator::api::OAuth2Client>(name).await?),
            "OidcProvider" => drop(space.until_ready::<oidc_operator::api::OidcProvider>(name).await?),
            kind => anyhow::bail!("{kind}"),
        }
    }
    ensure!(legacy.objects().await? == before, "an object was changed");
    Ok(())
}

pub(super) async fn objects_are_imported_with_everything_they_are(bed: &Bed) -> Result<()> {
    let (legacy, plugin) = (Legacy::new(bed).await?, Plugin::new()?);
    let (space, server) = (&legacy.stage.space, &legacy.stage.server.name);
    let before = legacy.objects().await?;
    let asked = [
        "import",
        &legacy.name,
        "--server",
        server,
        "--operator-namespace",
        NAMESPACE,
    ];
    let text = plugin.succeeds(space, &asked).await?;
    bed.printed("import", &text);
    ensure!(text.matches("\nkind: ").count() == TYPES.len(), "{text}");
    let applied = apply_all(space, &text).await?;
    all_adopted(&legacy, &before, &applied).await?;
    let (id, secret) = space.credentials(&legacy.name).await?;
    let client = &before[3];
    ensure!(client["client_id"] == id.as_str() && client["client_secret"] == secret.as_str());
    Ok(())
}

/// A state as `terraform state pull` prints it, with the objects and a Secret of the credentials.
fn state(legacy: &Legacy<'_>, before: &[Value]) -> Value {
    let objects = TYPES.iter().zip(before).map(|(type_, attributes)| {
        let mut attributes = attributes.clone();
        attributes["name"] = json!(legacy.name);
        json!({
            "mode": "managed", "type": format!("vault_identity_oidc_{type_}"), "name": "this",
            "module": "module.login", "instances": [{ "index_key": "main", "attributes": attributes }],
        })
    });
    let secret = json!({
        "mode": "managed", "type": "kubernetes_secret_v1", "name": "login",
        "instances": [{ "attributes": {
            "metadata": [{ "name": "login", "namespace": legacy.stage.space.name() }],
            "data": { "id": before[3]["client_id"], "secret": before[3]["client_secret"] },
        } }],
    });
    let others = [
        json!({ "mode": "managed", "type": "vault_identity_oidc_role", "name": "r", "instances": [{ "attributes": { "name": "r" } }] }),
        json!({ "mode": "data", "type": "vault_identity_oidc_key", "name": "k", "instances": [{ "attributes": { "name": "k" } }] }),
    ];
    let resources: Vec<Value> = objects.chain([secret]).chain(others).collect();
    json!({ "version": 4, "terraform_version": "1.9.0", "serial": 3, "resources": resources })
}

pub(super) async fn a_state_of_terraform_moves_in(bed: &Bed) -> Result<()> {
    let (legacy, plugin) = (Legacy::new(bed).await?, Plugin::new()?);
    let (space, server) = (&legacy.stage.space, &legacy.stage.server.name);
    let before = legacy.objects().await?;
    let folder = RunDir::new()?;
    let file = folder.write("terraform.tfstate", &state(&legacy, &before).to_string())?;
    let login = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "login" },
        "stringData": { "id": before[3]["client_id"], "secret": before[3]["client_secret"] },
    });
    let login: Secret = space.apply(&login.to_string()).await?;
    let file = file.display().to_string();
    let said = plugin
        .run(space, &["migrate", "terraform", "--state", &file, "--server", server])
        .await?;
    ensure!(said.code == Some(0), "{:?}: {}", said.code, said.err);
    bed.printed("migrate terraform", &format!("{}{}", said.out, said.err));
    for part in [
        "terraform state rm 'module.login.vault_identity_oidc_client.this[\"main\"]'".to_owned(),
        "terraform state rm 'kubernetes_secret_v1.login'".to_owned(),
        "vault_identity_oidc_role.r is left out".to_owned(),
        format!("--namespace {} {ADOPTABLE_BY_ANNOTATION}={}", space.name(), legacy.name),
    ] {
        ensure!(said.err.contains(&part), "no `{part}` in {}", said.err);
    }
    let offer = json!({ "metadata": { "annotations": { ADOPTABLE_BY_ANNOTATION: legacy.name } } });
    let secrets = space.secrets();
    secrets
        .patch("login", &PatchParams::default(), &Patch::Merge(offer))
        .await?;
    let applied = apply_all(space, &said.out).await?;
    ensure!(applied.len() == TYPES.len(), "{}", said.out);
    all_adopted(&legacy, &before, &applied).await?;
    let now = space.secret("login").await?.context("the Secret is gone")?;
    ensure!(
        now.metadata.uid == login.metadata.uid && now.data == login.data,
        "the Secret was changed"
    );
    Ok(())
}
