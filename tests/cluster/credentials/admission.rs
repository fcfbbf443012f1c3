//! What admission policies and quotas say about the operator's objects.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use k8s_openapi::api::core::v1::{ResourceQuota, Secret};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use oidc_operator::api::OidcProvider;
use serde_json::{Value, json};
use testbed::wait;

use super::provider_on;
use crate::bed::{Bed, LIMIT, Space, ledger_of, uid_of};
use crate::conditions::{Tone, client_says};

const MACHINE: &str = "{ grantTypes: [client_credentials], scopes: [read] }";
const LABELS: &str = "Labels that every object needs go to outputLabels of the operator's chart; for anything else, ask the admin of the cluster.";

/// Creates a policy for Secrets and ConfigMaps of a namespace, and waits until it is enforced: until it denies `probe`.
async fn enforce(space: &Space<'_>, name: &str, validation: Value, probe: Value) -> Result<()> {
    let client = space.bed().client();
    let rule = json!({ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets", "configmaps"] });
    let policy: ValidatingAdmissionPolicy = serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": { "matchConstraints": { "resourceRules": [rule] }, "validations": [validation] },
    }))?;
    let binding: ValidatingAdmissionPolicyBinding = serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": {
            "policyName": name, "validationActions": ["Deny"],
            "matchResources": { "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": space.name() } } },
        },
    }))?;
    let made = PostParams::default();
    Api::all(client.clone()).create(&made, &policy).await?;
    Api::all(client).create(&made, &binding).await?;
    let probe: Secret = serde_json::from_value(probe)?;
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    wait::until("the policy to be enforced", LIMIT, async || {
        Ok(space.secrets().create(&dry, &probe).await.err().map(drop))
    })
    .await
}

pub(super) async fn what_a_policy_or_a_quota_says_is_told(bed: &Bed) -> Result<()> {
    a_policy_on_labels(bed).await?;
    a_policy_that_repeats_a_secret(bed).await?;
    a_quota(bed).await
}

async fn a_policy_on_labels(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let name = format!("{}-labels", space.name());
    let validation = json!({
        "expression": "has(object.metadata.labels) && 'team' in object.metadata.labels",
        "message": "every object needs the label team",
    });
    enforce(&space, &name, validation, json!({ "metadata": { "name": "probe" } })).await?;
    let denied = |object: &str| {
        format!(
            "The Kubernetes API refused {object}: ValidatingAdmissionPolicy '{name}' with binding '{name}' denies it (every object needs the label team). {LABELS}"
        )
    };
    let client = space.apply_client("app", MACHINE).await?;
    let message = denied("the ledger");
    client_says(&space, "app", Tone::Reconciling, "AdmissionDenied", &message).await?;
    ensure!(bed.hydra_client(&uid_of(&client)).await?.is_none(), "it was registered");
    let credentials = json!({ "labels": { "team": "shop" } });
    space
        .change("app", json!({ "spec": { "credentials": credentials } }))
        .await?;
    space.wait_ready("app").await?;
    for secret in ["app", &ledger_of(&client)] {
        let secret = space.secret(secret).await?.context("no Secret")?;
        let labels = secret.metadata.labels.unwrap_or_default();
        ensure!(labels.get("team").map(String::as_str) == Some("shop"), "{labels:?}");
    }

    let provider = provider_on(bed, "default").await?;
    space.make::<OidcProvider>("login", &provider.to_string()).await?;
    let message = denied("ConfigMap `login`");
    space
        .says::<OidcProvider>("login", Tone::Reconciling, "AdmissionDenied", &message)
        .await?;
    let publish = json!({ "publish": { "labels": { "team": "shop" } } });
    space.respecify::<OidcProvider>("login", publish).await?;
    space.until_ready::<OidcProvider>("login").await?;
    Ok(())
}

/// The message of a policy is anything that its author wants.
async fn a_policy_that_repeats_a_secret(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let name = format!("{}-repeats", space.name());
    let validation = json!({
        "expression": "object.metadata.name != 'app'",
        "messageExpression": "'it has ' + string(object.data['CLIENT_SECRET'])",
    });
    let probe = json!({ "metadata": { "name": "app" }, "data": { "CLIENT_SECRET": "YWJj" } });
    enforce(&space, &name, validation, probe).await?;
    space.apply_client("app", MACHINE).await?;
    let message = format!(
        "The Kubernetes API refused Secret `app`: ValidatingAdmissionPolicy '{name}' with binding '{name}' denies it. {LABELS}"
    );
    client_says(&space, "app", Tone::Reconciling, "AdmissionDenied", &message).await?;
    space
        .change("app", json!({ "spec": { "credentials": { "secretName": "other" } } }))
        .await?;
    space.wait_ready("app").await?;
    Ok(())
}

async fn a_quota(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let quotas: Api<ResourceQuota> = Api::namespaced(bed.client(), space.name());
    let hard = |most: &str| json!({ "hard": { "count/secrets": most } });
    let quota = json!({ "metadata": { "name": "few" }, "spec": hard("1") });
    let quota: ResourceQuota = serde_json::from_value(quota)?;
    quotas.create(&PostParams::default(), &quota).await?;
    // No controller counts what exists already; the kube-apiserver itself counts what is created from now on.
    let parameters = PatchParams::default();
    let mut counted = json!({ "status": hard("1") });
    counted["status"]["used"] = json!({ "count/secrets": "0" });
    quotas.patch_status("few", &parameters, &Patch::Merge(counted)).await?;
    space.apply_client("app", MACHINE).await?;
    let message = "The Kubernetes API refused Secret `app`: it exceeds quota `few` (requested: count/secrets=1). Ask the admin of the cluster to change that.";
    client_says(&space, "app", Tone::Reconciling, "AdmissionDenied", message).await?;
    let more = json!({ "spec": hard("5") });
    quotas.patch("few", &parameters, &Patch::Merge(more)).await?;
    let more = json!({ "status": hard("5") });
    quotas.patch_status("few", &parameters, &Patch::Merge(more)).await?;
    space.wait_ready("app").await?;
    Ok(())
}
