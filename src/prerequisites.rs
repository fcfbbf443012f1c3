//! What the operator needs of a cluster: its CRDs and its rights. Looked at by every instance, one that stands by too, so that it says before it is needed
//! that it could not do the work.

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

/// Group of our kinds.
const GROUP: &str = "oidc-operator.dev";
/// How often it is looked whether all is still there.
const PERIOD: Duration = Duration::from_secs(300);
/// The same while something is missing.
pub const RETRY: Duration = Duration::from_secs(5);
/// Longest time for one look.
const DEADLINE: Duration = Duration::from_secs(10);
/// Looks without an answer after which what was seen before counts no more.
const PATIENCE: u32 = 3;
/// Questions that are asked at the same time.
const CONCURRENCY: usize = 8;

/// Verbs on a resource that the operator cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right {
    /// API group, empty for the core.
    pub group: &'static str,
    /// Plural, with `/subresource` if there is one.
    pub resource: &'static str,
    /// Verbs, as in a role.
    pub verbs: &'static [&'static str],
    /// Where.
    pub place: Place,
}

/// Where a right is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In all namespaces.
    Everywhere,
    /// In the operator's namespace.
    Home,
    /// In the operator's namespace, on the object of the Lease's name.
    Lease,
}

const WATCHED: &[&str] = &["get", "list", "watch", "patch"];
const STATUS: &[&str] = &["patch"];

/// What the chart's roles give and every installation needs, whatever servers it has.
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
/// What an election needs besides. A create cannot be limited to a name.
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

/// One line on rights that are missing, as (verb, resource), or None if there are none.
pub fn lacks(missing: &[(&str, &str)]) -> Option<String> {
    if missing.is_empty() {
        return None;
    }
    let mut text = "the operator's role lacks ".to_owned();
    for (nth, (verb, resource)) in missing.iter().enumerate() {
        let comma = if nth == 0 { "" } else { ", " };
        let _ = write!(text, "{comma}{verb} {resource}");
    }
    text += ": install the chart with rbac.create, or give it the rights of the chart's roles";
    Some(text)
}

/// The kinds, by plural, that are not among what is served.
pub fn missing_kinds(served: &[String]) -> Vec<&'static str> {
    let kinds = RIGHTS
        .iter()
        .filter(|right| right.group == GROUP && !right.resource.contains('/'));
    let kinds = kinds.map(|right| right.resource);
    kinds
        .filter(|kind| !served.iter().any(|served| served == kind))
        .collect()
}

/// One line on kinds that are not served, or None if all are.
pub fn not_served(missing: &[&str]) -> Option<String> {
    if missing.is_empty() {
        return None;
    }
    let kinds = missing.join(", ");
    Some(format!(
        "the cluster does not serve {kinds} of {GROUP}: install the CRDs of this version"
    ))
}

/// Looks again and again, and reports.
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
                tracing::warn!(error, "the CRDs and rights of the operator cannot be looked at");
                let silent = "the Kubernetes API does not say whether the operator's CRDs and rights are there: the log says why";
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
                Prerequisites::Met | Prerequisites::Unknown => tracing::info!("CRDs and rights are there"),
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

/// Every verb of every right that an installation needs.
fn questions(settings: &Run) -> Vec<(Right, &'static str)> {
    let election: &[Right] = if settings.leader_election { &ELECTION } else { &[] };
    let rights = RIGHTS.iter().chain(election);
    rights
        .flat_map(|right| right.verbs.iter().map(|verb| (*right, *verb)))
        .collect()
}

/// Asks for each verb by itself: a review of all rules at once would show those of one namespace.
async fn missing_rights(client: &Client, settings: &Run) -> kube::Result<Vec<(&'static str, &'static str)>> {
    let asked: Vec<_> = questions(settings)
        .into_iter()
        .map(|(right, verb)| is_missing(client, right, verb, settings))
        .collect();
    let answers: Vec<_> = futures::stream::iter(asked).buffered(CONCURRENCY).try_collect().await?;
    Ok(answers.into_iter().flatten().collect())
}

/// Whoever has logged in may ask for their own rights: Kubernetes binds `system:basic-user` to all of them.
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

/// What the API serves of our group, by plural, as discovery shows it: one request, which no object of a tenant's comes along with. Whoever has logged in
/// may ask: Kubernetes binds `system:discovery` to all of them.
async fn served(client: &Client) -> kube::Result<Vec<String>> {
    match client.list_api_group_resources(&OAuth2Client::api_version(&())).await {
        Ok(list) => Ok(list.resources.into_iter().map(|resource| resource.name).collect()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
