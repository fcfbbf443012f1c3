//! What the operator needs in a cluster: its CRDs and its permissions. Every instance checks them, on standby too, so
//! that it reports what it lacks before it has to take over.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::PostParams;
use kube::{Api, Client, Resource};

use crate::api::OAuth2Client;
use crate::cli::Run;
use crate::health::{Health, Prerequisites};
use crate::reach::{PodAccess, SecretAccess};

/// API group of our kinds.
const GROUP: &str = "oidc-operator.dev";
/// How often to check while nothing is missing.
const PERIOD: Duration = Duration::from_secs(300);
/// How often to check while something is missing.
pub const RETRY: Duration = Duration::from_secs(5);
/// Longest time for one check, besides the time for each question.
const DEADLINE: Duration = Duration::from_secs(10);
/// Time for each question: an operator of many namespaces has many, and the Kubernetes API may be slow.
const EACH: Duration = Duration::from_millis(20);
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
    /// In the namespaces that the operator works in.
    Within,
    /// In the operator's namespace.
    Home,
    /// In the namespace of the Lease.
    Election,
    /// In the namespace of the Lease, on the Lease only.
    Lease,
}

const WATCHED: &[&str] = &["get", "list", "watch", "patch"];
const STATUS: &[&str] = &["patch"];

/// Permissions that every installation needs, whatever servers it has. The chart's roles grant them.
pub const RIGHTS: [Right; 16] = [
    right(GROUP, "authorizationservers", WATCHED, Place::Everywhere),
    right(GROUP, "authorizationservers/status", STATUS, Place::Everywhere),
    right(GROUP, "oauth2clients", WATCHED, Place::Everywhere),
    right(GROUP, "oauth2clients/status", STATUS, Place::Everywhere),
    right(GROUP, "scopes", WATCHED, Place::Everywhere),
    right(GROUP, "scopes/status", STATUS, Place::Everywhere),
    right(GROUP, "assignments", WATCHED, Place::Everywhere),
    right(GROUP, "assignments/status", STATUS, Place::Everywhere),
    right(GROUP, "jsonwebkeysets", WATCHED, Place::Everywhere),
    right(GROUP, "jsonwebkeysets/status", STATUS, Place::Everywhere),
    right(GROUP, "oidcproviders", WATCHED, Place::Everywhere),
    right(GROUP, "oidcproviders/status", STATUS, Place::Everywhere),
    right("", "namespaces", &["get", "list", "watch"], Place::Everywhere),
    right("events.k8s.io", "events", &["create", "patch"], Place::Everywhere),
    right("", "secrets", &["get", "create", "update", "delete"], Place::Within),
    right("", "configmaps", &["get", "create", "update", "delete"], Place::Within),
];
/// Permissions for what AuthorizationServers name, if the operator does not work in all namespaces.
const REFERENCES: [Right; 2] = [
    right("", "secrets", &["get"], Place::Home),
    right("", "configmaps", &["get"], Place::Home),
];
/// Permissions for a watch of Secrets.
const SECRET_WATCH: &[&str] = &["list", "watch"];
/// Additional permissions for leader election. A `create` cannot be limited to a name.
const ELECTION: [Right; 2] = [
    right("coordination.k8s.io", "leases", &["create"], Place::Election),
    right("coordination.k8s.io", "leases", &["get", "update"], Place::Lease),
];

const fn right(group: &'static str, resource: &'static str, verbs: &'static [&'static str], place: Place) -> Right {
    Right {
        group,
        resource,
        verbs,
        place,
    }
}

/// The permissions that an installation with these settings needs.
fn rights(settings: &Run) -> Vec<Right> {
    let reach = settings.reach();
    let is_narrow = reach.namespaces.is_some();
    let watch = |place| right("", "secrets", SECRET_WATCH, place);
    let watches = match (reach.secrets, is_narrow) {
        (SecretAccess::Read, _) => vec![],
        (SecretAccess::Watched, false) => vec![watch(Place::Within)],
        (SecretAccess::Watched, true) => vec![watch(Place::Within), watch(Place::Home)],
    };
    let pods = (reach.pods == PodAccess::Listed).then(|| right("", "pods", &["list"], Place::Within));
    let references: &[Right] = if is_narrow { &REFERENCES } else { &[] };
    let election: &[Right] = if settings.leader_election { &ELECTION } else { &[] };
    let all = RIGHTS.iter().chain(references).chain(election).copied();
    all.chain(watches).chain(pods).collect()
}

/// One verb on one resource that the operator needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The verb.
    pub verb: &'static str,
    /// API group, empty for the core.
    pub group: &'static str,
    /// Plural, with `/subresource` if there is one.
    pub resource: &'static str,
    /// The namespace. None: all.
    pub namespace: Option<String>,
    /// Name of the object. None: any.
    pub name: Option<String>,
    /// Where it is needed.
    pub place: Place,
}

/// One line on missing permissions. None if nothing is missing.
pub fn lacks(missing: &[Need]) -> Option<String> {
    let (within, everywhere): (Vec<&Need>, Vec<&Need>) = missing.iter().partition(|need| need.namespace.is_some());
    let mut parts = Vec::new();
    if !everywhere.is_empty() {
        parts.push(listed(&everywhere));
    }
    if !within.is_empty() {
        let namespaces: BTreeSet<&str> = within.iter().filter_map(|need| need.namespace.as_deref()).collect();
        let namespaces: Vec<&str> = namespaces.into_iter().collect();
        parts.push(format!("in namespace {}: {}", namespaces.join(", "), listed(&within)));
    }
    (!parts.is_empty()).then(|| {
        format!(
            "the operator's role lacks {}: install the chart with rbac.create, or grant it the permissions of the chart's roles",
            parts.join("; ")
        )
    })
}

/// Verbs and resources, each once.
fn listed(missing: &[&Need]) -> String {
    let mut all: Vec<String> = Vec::new();
    for need in missing {
        let one = format!("{} {}", need.verb, need.resource);
        if !all.contains(&one) {
            all.push(one);
        }
    }
    all.join(", ")
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
    let questions = u32::try_from(needs(&settings).len()).unwrap_or(u32::MAX);
    let deadline = DEADLINE.saturating_add(EACH.saturating_mul(questions));
    loop {
        let found = tokio::time::timeout(deadline, look(&client, &settings)).await;
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
                Prerequisites::Met | Prerequisites::Unknown => {
                    tracing::info!("all CRDs are served, and no permission is missing that every installation needs")
                }
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// Checks once.
///
/// # Errors
/// If the Kubernetes API does not answer the questions.
pub async fn look(client: &Client, settings: &Run) -> kube::Result<Prerequisites> {
    let is_partial = |need: &Need| need.place == Place::Within && need.namespace.is_some();
    let (within, elsewhere): (Vec<_>, Vec<_>) = missing(client, settings).await?.into_iter().partition(is_partial);
    if let Some(what) = lacks(&elsewhere) {
        return Ok(Prerequisites::Unmet(what));
    }
    if let Some(what) = lacks_within(client, settings, within).await? {
        return Ok(Prerequisites::Unmet(what));
    }
    let missing = missing_kinds(&served(client).await?);
    Ok(not_served(&missing).map_or(Prerequisites::Met, Prerequisites::Unmet))
}

/// One line on permissions that are missing in every namespace that the operator works in. Permissions that are missing
/// in some of them are only logged: whoever administers a namespace can take them away there, and must not make the
/// operator look broken for all others.
async fn lacks_within(client: &Client, settings: &Run, missing: Vec<Need>) -> kube::Result<Option<String>> {
    let Some(namespaces) = settings.reach().namespaces.filter(|_| !missing.is_empty()) else {
        return Ok(None);
    };
    let api: Api<Namespace> = Api::all(client.clone());
    let looked = futures::stream::iter(namespaces).map(async |name| {
        let found = api.get_metadata_opt(&name).await?;
        let exists = found.is_some_and(|found| found.metadata.deletion_timestamp.is_none());
        if !exists {
            tracing::warn!(namespace = name, "a namespace of watchNamespaces does not exist");
        }
        Ok::<_, kube::Error>(exists.then_some(name))
    });
    let existing: Vec<Option<String>> = looked.buffered(CONCURRENCY).try_collect().await?;
    let existing: BTreeSet<String> = existing.into_iter().flatten().collect();
    let exists = |need: &Need| need.namespace.as_ref().is_some_and(|name| existing.contains(name));
    let missing: Vec<Need> = missing.into_iter().filter(exists).collect();
    let lacking: BTreeSet<&String> = missing.iter().filter_map(|need| need.namespace.as_ref()).collect();
    let what = lacks(&missing);
    if lacking.len() == existing.len() {
        return Ok(what);
    }
    if let Some(what) = what {
        tracing::warn!(what, "the operator cannot work in some namespaces");
    }
    Ok(None)
}

/// Asks for each verb separately: a review of all rules at once shows the rules of one namespace only.
async fn missing(client: &Client, settings: &Run) -> kube::Result<Vec<Need>> {
    let asked: Vec<_> = needs(settings)
        .into_iter()
        .map(|need| unless_allowed(client, need))
        .collect();
    let answers: Vec<_> = futures::stream::iter(asked).buffered(CONCURRENCY).try_collect().await?;
    Ok(answers.into_iter().flatten().collect())
}

/// Every verb of every permission that an installation with these settings needs, in every namespace where it does.
pub fn needs(settings: &Run) -> Vec<Need> {
    let within: Vec<Option<String>> = match settings.reach().namespaces {
        Some(namespaces) => namespaces.into_iter().map(Some).collect(),
        None => vec![None],
    };
    let namespaces = |place| match place {
        Place::Everywhere => vec![None],
        Place::Within => within.clone(),
        Place::Home => vec![Some(settings.namespace.clone())],
        Place::Election | Place::Lease => vec![Some(settings.lease_namespace.clone())],
    };
    let mut all = Vec::new();
    for right in rights(settings) {
        for namespace in namespaces(right.place) {
            all.extend(right.verbs.iter().map(|verb| Need {
                verb,
                group: right.group,
                resource: right.resource,
                namespace: namespace.clone(),
                name: (right.place == Place::Lease).then(|| settings.lease()),
                place: right.place,
            }));
        }
    }
    all
}

/// Returns the permission if it is missing. Every authenticated user may ask for its own permissions: Kubernetes grants
/// them `system:basic-user`.
async fn unless_allowed(client: &Client, need: Need) -> kube::Result<Option<Need>> {
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = api.create(&PostParams::default(), &review(&need)).await?;
    let is_allowed = answer.status.is_some_and(|status| status.allowed);
    Ok((!is_allowed).then_some(need))
}

fn review(need: &Need) -> SelfSubjectAccessReview {
    let (resource, subresource) = match need.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (need.resource, None),
    };
    let attributes = ResourceAttributes {
        group: Some(need.group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource,
        verb: Some(need.verb.to_owned()),
        namespace: need.namespace.clone(),
        name: need.name.clone(),
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
