//! What the operator needs in a cluster: its CRDs and its permissions. Every instance checks them, on standby too, so
//! that it reports what it lacks before it has to take over.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client, Resource};

use crate::api::OAuth2Client;
use crate::cli::Run;
use crate::health::{Health, Prerequisites};

/// API group of our kinds.
const GROUP: &str = "oidc-operator.dev";
/// How often to check while nothing is missing.
const PERIOD: Duration = Duration::from_secs(300);
/// How often to check while something is missing.
pub const RETRY: Duration = Duration::from_secs(5);
/// Longest time for one check.
const DEADLINE: Duration = Duration::from_secs(10);
/// Number of unanswered checks in a row after which the last result no longer counts.
const PATIENCE: u32 = 3;
/// Number of concurrent access reviews.
const CONCURRENCY: usize = 8;

/// Verbs that the operator needs on a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right {
    /// API group, empty for the core.
    pub group: &'static str,
    /// Plural, with `/subresource` if there is one.
    pub resource: &'static str,
    /// Verbs, as in a role.
    pub verbs: &'static [&'static str],
    /// Where the verbs are needed.
    pub place: Place,
}

/// Where a permission is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In all namespaces.
    Everywhere,
    /// In the operator's namespace.
    Home,
    /// In the operator's namespace, on the Lease only.
    Lease,
}

const WATCHED: &[&str] = &["get", "list", "watch", "patch"];
const STATUS: &[&str] = &["patch"];

/// Permissions that every installation needs, whatever servers it has. The chart's roles grant them.
pub const RIGHTS: [Right; 16] = [
    everywhere(GROUP, "authorizationservers", WATCHED),
    everywhere(GROUP, "authorizationservers/status", STATUS),
    everywhere(GROUP, "oauth2clients", WATCHED),
    everywhere(GROUP, "oauth2clients/status", STATUS),
    everywhere(GROUP, "scopes", WATCHED),
    everywhere(GROUP, "scopes/status", STATUS),
    everywhere(GROUP, "assignments", WATCHED),
    everywhere(GROUP, "assignments/status", STATUS),
    everywhere(GROUP, "jsonwebkeysets", WATCHED),
    everywhere(GROUP, "jsonwebkeysets/status", STATUS),
    everywhere(GROUP, "oidcproviders", WATCHED),
    everywhere(GROUP, "oidcproviders/status", STATUS),
    everywhere("", "namespaces", &["get", "list", "watch"]),
    everywhere("", "secrets", &["get", "list", "watch", "create", "update", "delete"]),
    everywhere("", "configmaps", &["get", "create", "update", "delete"]),
    everywhere("events.k8s.io", "events", &["create", "patch"]),
];
/// Additional permissions for leader election. A `create` cannot be limited to a name.
pub const ELECTION: [Right; 2] = [
    Right {
        group: "coordination.k8s.io",
        resource: "leases",
        verbs: &["create"],
        place: Place::Home,
    },
    Right {
        group: "coordination.k8s.io",
        resource: "leases",
        verbs: &["get", "update"],
        place: Place::Lease,
    },
];

const fn everywhere(group: &'static str, resource: &'static str, verbs: &'static [&'static str]) -> Right {
    Right {
        group,
        resource,
        verbs,
        place: Place::Everywhere,
    }
}

/// One line on missing permissions, given as (verb, resource). None if nothing is missing.
pub fn lacks(missing: &[(&str, &str)]) -> Option<String> {
    if missing.is_empty() {
        return None;
    }
    let mut text = "the operator's role lacks ".to_owned();
    for (nth, (verb, resource)) in missing.iter().enumerate() {
        let comma = if nth == 0 { "" } else { ", " };
        let _ = write!(text, "{comma}{verb} {resource}");
    }
    text += ": install the chart with rbac.create, or grant it the permissions of the chart's roles";
    Some(text)
}

/// The kinds, by plural, that are not in `served`.
pub fn missing_kinds(served: &[String]) -> Vec<&'static str> {
    let kinds = RIGHTS
        .iter()
        .filter(|right| right.group == GROUP && !right.resource.contains('/'));
    let kinds = kinds.map(|right| right.resource);
    kinds
        .filter(|kind| !served.iter().any(|served| served == kind))
        .collect()
}

/// One line on kinds that are not served. None if all are served.
pub fn not_served(missing: &[&str]) -> Option<String> {
    if missing.is_empty() {
        return None;
    }
    let kinds = missing.join(", ");
    Some(format!(
        "the cluster does not serve {kinds} of {GROUP}: install the CRDs of this version"
    ))
}

/// Checks periodically and reports the result.
pub async fn keep_looking(client: Client, settings: Run, health: Arc<Health>) {
    let mut unanswered = 0;
    loop {
        let found = tokio::time::timeout(DEADLINE, look(&client, &settings)).await;
        let found = match found {
            Ok(Ok(found)) => {
                unanswered = 0;
                Some(found)
            }
            failed => {
                unanswered += 1;
                let error = match failed {
                    Ok(Err(error)) => error.to_string(),
                    _ => "no answer in time".to_owned(),
                };
                tracing::warn!(error, "cannot check the operator's CRDs and permissions");
                let silent =
                    "the operator cannot check its CRDs and permissions with the Kubernetes API: the log says why";
                (unanswered >= PATIENCE).then(|| Prerequisites::Unmet(silent.to_owned()))
            }
        };
        let pause = match &found {
            Some(Prerequisites::Met) => PERIOD,
            _ => RETRY,
        };
        if let Some(found) = found
            && health.found(found.clone())
        {
            match found {
                Prerequisites::Unmet(what) => tracing::warn!(what, "not ready"),
                Prerequisites::Met | Prerequisites::Unknown => tracing::info!("no CRD or permission is missing"),
            }
        }
        tokio::time::sleep(pause).await;
    }
}

async fn look(client: &Client, settings: &Run) -> kube::Result<Prerequisites> {
    let missing = missing_rights(client, settings).await?;
    if let Some(what) = lacks(&missing) {
        return Ok(Prerequisites::Unmet(what));
    }
    let missing = missing_kinds(&served(client).await?);
    Ok(not_served(&missing).map_or(Prerequisites::Met, Prerequisites::Unmet))
}

/// Every verb of every permission that an installation needs.
fn questions(settings: &Run) -> Vec<(Right, &'static str)> {
    let election: &[Right] = if settings.leader_election { &ELECTION } else { &[] };
    let rights = RIGHTS.iter().chain(election);
    rights
        .flat_map(|right| right.verbs.iter().map(|verb| (*right, *verb)))
        .collect()
}

/// Asks for each verb separately: a review of all rules at once shows the rules of one namespace only.
async fn missing_rights(client: &Client, settings: &Run) -> kube::Result<Vec<(&'static str, &'static str)>> {
    let asked: Vec<_> = questions(settings)
        .into_iter()
        .map(|(right, verb)| is_missing(client, right, verb, settings))
        .collect();
    let answers: Vec<_> = futures::stream::iter(asked).buffered(CONCURRENCY).try_collect().await?;
    Ok(answers.into_iter().flatten().collect())
}

/// Every authenticated user may ask for its own permissions: Kubernetes grants them `system:basic-user`.
async fn is_missing(
    client: &Client,
    right: Right,
    verb: &'static str,
    settings: &Run,
) -> kube::Result<Option<(&'static str, &'static str)>> {
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = api
        .create(&PostParams::default(), &review(right, verb, settings))
        .await?;
    let is_allowed = answer.status.is_some_and(|status| status.allowed);
    Ok((!is_allowed).then_some((verb, right.resource)))
}

fn review(right: Right, verb: &str, settings: &Run) -> SelfSubjectAccessReview {
    let (resource, subresource) = match right.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (right.resource, None),
    };
    let attributes = ResourceAttributes {
        group: Some(right.group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource,
        verb: Some(verb.to_owned()),
        namespace: (right.place != Place::Everywhere).then(|| settings.namespace.clone()),
        name: (right.place == Place::Lease).then(|| settings.lease_name.clone()),
        ..ResourceAttributes::default()
    };
    SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    }
}

/// The kinds of our group that the API serves, by plural, from discovery: one request whose reply holds no tenant's
/// objects. Every authenticated user may send it: Kubernetes grants them `system:discovery`.
async fn served(client: &Client) -> kube::Result<Vec<String>> {
    match client.list_api_group_resources(&OAuth2Client::api_version(&())).await {
        Ok(list) => Ok(list.resources.into_iter().map(|resource| resource.name).collect()),
        // For a group that was never served, the Kubernetes API answers with a 404 that has no reason.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
