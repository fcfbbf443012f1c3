//! An overlap that ends when no pod uses the former secret any more.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use oidc_operator::api::oauth2_client::OAuth2ClientStatus;
use oidc_operator::api::{OAuth2Client, RECONCILE_AT_ANNOTATION};
use serde_json::json;
use testbed::wait;

use super::stage::{Stage, rotated};
use crate::bed::{Bed, LIMIT, Space};
use crate::conditions::Tone::Stalled;

/// How long the operator lets kubelets notice the change, and a second.
const SETTLE: jiff::SignedDuration = jiff::SignedDuration::from_secs(61);

/// Says since when the container of the pod has been running, as a kubelet does.
async fn runs_since(space: &Space<'_>, at: jiff::Timestamp) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(space.bed().client(), space.name());
    let status = json!({ "status": { "phase": "Running", "containerStatuses": [{
        "name": "app", "image": "app", "imageID": "app", "ready": true, "restartCount": 0,
        "state": { "running": { "startedAt": at.to_string() } },
    }] } });
    pods.patch_status("app", &PatchParams::default(), &Patch::Merge(status))
        .await?;
    Ok(())
}

/// Lets the operator look, and returns what it says then.
async fn look(space: &Space<'_>) -> Result<OAuth2ClientStatus> {
    let now = jiff::Timestamp::now().to_string();
    space.annotate("app", RECONCILE_AT_ANNOTATION, &now).await?;
    wait::until("a look at the pods", LIMIT, async || {
        let status = space.client("app").await?.status.unwrap_or_default();
        let handled = status.last_handled_reconcile_at.as_deref() == Some(&now);
        Ok(handled.then_some(status))
    })
    .await
}

pub async fn an_overlap_ends_when_no_pod_uses_the_former_secret(bed: &Bed) -> Result<()> {
    let stage = Stage::of(bed).await?;
    let space = bed.space().await?;
    let overlap = json!({ "overlap": "UntilUnused", "longestOverlap": "1h" });
    space.ready_client("app", &stage.spec(overlap)).await?;
    let pods: Api<Pod> = Api::namespaced(bed.client(), space.name());
    let pod = json!({
        "metadata": { "name": "app" },
        "spec": {
            "containers": [{ "name": "app", "image": "app", "envFrom": [{ "secretRef": { "name": "app" } }] }],
            "automountServiceAccountToken": false,
        },
    });
    pods.create(&PostParams::default(), &serde_json::from_value(pod)?)
        .await?;
    runs_since(&space, jiff::Timestamp::now()).await?;

    let (id, old) = space.credentials("app").await?;
    rotated(&space, &old).await?;
    let says = |client: &OAuth2Client| {
        let conditions = client.status.iter().flat_map(|status| &status.conditions);
        let part = "The former secret is valid until no pod uses it any more, at the latest until ";
        conditions.into_iter().any(|found| found.message.contains(part))
    };
    let told = space.until("a message about the pods", "app", says).await?;
    let since: jiff::Timestamp = told
        .status
        .and_then(|status| status.rotated_at)
        .unwrap_or_default()
        .parse()?;
    wait::until("kubelets to have noticed for certain", LIMIT * 2, async || {
        Ok((jiff::Timestamp::now() >= since + SETTLE).then_some(()))
    })
    .await?;
    let status = look(&space).await?;
    ensure!(
        status.former_secret_until.is_some() && stage.accepts(&id, &old).await?,
        "the overlap ended although a pod uses the former secret"
    );

    // The pod starts again.
    runs_since(&space, jiff::Timestamp::now()).await?;
    let status = look(&space).await?;
    ensure!(status.former_secret_until.is_none(), "{:?}", status.former_secret_until);
    ensure!(!stage.accepts(&id, &old).await?, "the former secret is valid");
    let (_, current) = space.credentials("app").await?;
    ensure!(stage.accepts(&id, &current).await?, "the secret is rejected");
    Ok(())
}

/// Nothing is done for a spec that asks for more than the operator may look at.
pub async fn who_may_not_list_pods_ends_no_overlap_by_them(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let spec =
        json!({ "grantTypes": ["client_credentials"], "rotation": { "period": "720h", "overlap": "UntilUnused" } });
    space.apply_client("app", &spec.to_string()).await?;
    let message = "rotation.overlap: UntilUnused needs an operator that may list pods; ask the admin to set rbac.pods.list of the chart, or set a duration.";
    space
        .says::<OAuth2Client>("app", Stalled, "InvalidSpec", message)
        .await?;
    Ok(())
}
