//! Whether pods still use the former secret of a client. The operator lists pods only if that is switched on.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::rotation::ends_unused;
use crate::api::OAuth2Client;
use crate::api::oauth2_client::OAuth2ClientStatus;
use crate::cluster::PodSummary;
use crate::controller::common::client::layout::secret_name;
use crate::controller::engine::context::Context;
use crate::error::{Error, Result};
use crate::reach::PodAccess;

/// How long a kubelet may give the former content of a Secret to a container that it starts.
const SETTLE: SignedDuration = SignedDuration::from_secs(60);
/// Distance of two looks at the pods.
const LOOK: Duration = Duration::from_secs(60);

/// Refuses what needs a look at pods, if the operator does not list them.
///
/// # Errors
/// [`Error::InvalidField`].
pub(crate) fn check(client: &OAuth2Client, ctx: &Context) -> Result<()> {
    match ends_unused(client) && ctx.settings.reach.pods == PodAccess::None {
        false => Ok(()),
        true => Err(Error::InvalidField {
            field: "rotation.overlap",
            problem: "UntilUnused needs an operator that may list pods; ask the admin to set rbac.pods.list of the chart, or set a duration".to_owned(),
        }),
    }
}

/// Whether no pod uses the former secret any more.
///
/// # Errors
/// [`Error::Cluster`].
pub(crate) async fn is_unused(client: &OAuth2Client, ctx: &Context, status: &OAuth2ClientStatus) -> Result<bool> {
    let Some(settled) = settled(client, status).filter(|settled| *settled <= Timestamp::now()) else {
        return Ok(false);
    };
    let namespace = client.namespace().unwrap_or_default();
    // Pods may still use the Secret of a former name.
    let names: Vec<String> = status
        .secret_name
        .clone()
        .into_iter()
        .chain([secret_name(client)])
        .collect();
    let uses = move |pod: &PodSummary| names.iter().any(|name| may_use_former(pod, name, settled));
    let is_used = ctx.cluster.has_pod(&namespace, uses);
    is_used.await.map(|is_used| !is_used)
}

/// Time until the next look at the pods. None: there is nothing to find out.
pub(crate) fn next_look(client: &OAuth2Client, status: &OAuth2ClientStatus) -> Option<Duration> {
    let until = settled(client, status)?.duration_since(Timestamp::now());
    Some(
        Duration::try_from(until)
            .ok()
            .filter(|until| !until.is_zero())
            .unwrap_or(LOOK),
    )
}

/// When containers that start have the new secret for certain. None: no former secret is valid, or the spec does not ask
/// who uses it.
fn settled(client: &OAuth2Client, status: &OAuth2ClientStatus) -> Option<Timestamp> {
    status.former_secret_until.as_ref().filter(|_| ends_unused(client))?;
    let since: Timestamp = status.rotated_at.as_ref()?.parse().ok()?;
    Some(since.saturating_add(SETTLE).unwrap_or(Timestamp::MAX))
}

/// Whether a pod may have the former content of a Secret: it uses the Secret, and one of its containers runs since before
/// this time. Whether an application reads a file again, nobody can see.
fn may_use_former(pod: &PodSummary, secret: &str, settled: Timestamp) -> bool {
    pod.uses(secret) && pod.runs_since_before(settled)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(spec: &Value, status: &Value) -> PodSummary {
        let pod = json!({ "metadata": { "name": "p" }, "spec": spec, "status": status });
        serde_json::from_value(pod).expect("a pod")
    }

    #[test]
    fn a_pod_that_runs_since_before_the_change_may_use_the_former_secret() {
        let settled: Timestamp = "2026-01-31T12:00:00Z".parse().expect("a time");
        let env = json!({ "containers": [{ "name": "a", "env": [
            { "name": "S", "valueFrom": { "secretKeyRef": { "name": "web", "key": "CLIENT_SECRET" } } },
        ] }] });
        let env_from = json!({ "containers": [{ "name": "a", "envFrom": [{ "secretRef": { "name": "web" } }] }] });
        let init = json!({ "containers": [{ "name": "a" }], "initContainers": [
            { "name": "b", "envFrom": [{ "secretRef": { "name": "web" } }] },
        ] });
        let mounted =
            json!({ "containers": [{ "name": "a" }], "volumes": [{ "name": "v", "secret": { "secretName": "web" } }] });
        let projected = json!({ "containers": [{ "name": "a" }], "volumes": [
            { "name": "v", "projected": { "sources": [{ "configMap": {} }, { "secret": { "name": "web" } }] } },
        ] });
        let empty = json!({ "containers": [{ "name": "a", "env": null, "envFrom": null }], "initContainers": null,
            "volumes": [{ "name": "v", "projected": { "sources": null } }] });
        let other = json!({ "containers": [{ "name": "a", "envFrom": [{ "secretRef": { "name": "web-2" } }] }],
            "volumes": [{ "name": "v", "secret": { "secretName": "other" } }] });
        let since = |at: &str| {
            json!({ "containerStatuses": [{ "name": "a", "image": "i", "imageID": "i", "ready": true, "restartCount": 0,
                "state": { "running": { "startedAt": at } } }] })
        };
        let (before, after) = (since("2026-01-31T11:59:59Z"), since("2026-01-31T12:00:00Z"));
        let ended = json!({ "phase": "Succeeded", "containerStatuses": [{ "name": "a", "image": "i", "imageID": "i",
            "ready": false, "restartCount": 0, "state": { "terminated": { "exitCode": 0 } } }] });
        for (spec, status, expected) in [
            (&env, &before, true),
            (&env_from, &before, true),
            (&init, &before, true),
            (&mounted, &before, true),
            (&projected, &before, true),
            (&other, &before, false),
            (&empty, &before, false),
            (&env, &json!({ "containerStatuses": null }), false),
            (&env, &after, false),
            (&mounted, &after, false),
            (&env, &ended, false),
            (&env, &json!({ "phase": "Pending" }), false),
        ] {
            let found = may_use_former(&pod(spec, status), "web", settled);
            assert_eq!(found, expected, "{spec} {status}");
        }
    }
}
