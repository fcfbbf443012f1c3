//! Whether pods still use the former secret of a client. The operator lists pods only if that is switched on.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::rotation::ends_unused;
use crate::api::OAuth2Client;
use crate::api::oauth2_client::OAuth2ClientStatus;
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
    let (namespace, secret) = (client.namespace().unwrap_or_default(), secret_name(client));
    let is_used = ctx
        .cluster
        .has_pod(&namespace, |pod| may_use_former(pod, &secret, settled));
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
fn may_use_former(pod: &Pod, secret: &str, settled: Timestamp) -> bool {
    let Some((spec, status)) = pod.spec.as_ref().zip(pod.status.as_ref()) else {
        return false;
    };
    let volumes = spec.volumes.iter().flatten();
    let is_mounted = volumes.into_iter().any(|volume| {
        let own = volume.secret.as_ref().and_then(|source| source.secret_name.as_deref());
        let projected = volume
            .projected
            .iter()
            .flat_map(|sources| sources.sources.iter().flatten());
        let mut projected = projected.filter_map(|source| Some(source.secret.as_ref()?.name.as_str()));
        own == Some(secret) || projected.any(|name| name == secret)
    });
    let init = spec.init_containers.iter().flatten();
    let mut containers = init.chain(&spec.containers);
    let running = status.init_container_statuses.iter().flatten();
    let mut running = running
        .chain(status.container_statuses.iter().flatten())
        .filter_map(|found| {
            let state = found.state.as_ref()?.running.as_ref()?;
            Some(state.started_at.as_ref().map(|at| at.0))
        });
    (is_mounted || containers.any(|container| has_in_variables(container, secret)))
        && running.any(|started| started.is_none_or(|started| started < settled))
}

fn has_in_variables(container: &Container, secret: &str) -> bool {
    let all = container.env_from.iter().flatten();
    let mut all = all.filter_map(|source| Some(source.secret_ref.as_ref()?.name.as_str()));
    let single = container.env.iter().flatten();
    let mut single = single.filter_map(|variable| {
        let source = variable.value_from.as_ref()?.secret_key_ref.as_ref()?;
        Some(source.name.as_str())
    });
    all.any(|name| name == secret) || single.any(|name| name == secret)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(spec: Value, status: Value) -> Pod {
        serde_json::from_value(json!({ "spec": spec, "status": status })).expect("a pod")
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
            (&env, &after, false),
            (&mounted, &after, false),
            (&env, &ended, false),
            (&env, &json!({ "phase": "Pending" }), false),
        ] {
            let found = may_use_former(&pod(spec.clone(), status.clone()), "web", settled);
            assert_eq!(found, expected, "{spec} {status}");
        }
    }
}
