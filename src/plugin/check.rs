//! Looks at the cluster for `check`. It only reads, and what the caller may not see is reported as unknown.

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use http_body_util::BodyExt as _;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ListParams, PostParams};
use kube::client::Body;
use kube::{Api, ResourceExt};
use serde_json::Value;

use crate::api;
use crate::cli::{LEASE, LEASE_NAMESPACE};
use crate::plugin::census::{Entry, State};
use crate::plugin::finding::{Finding, clock, crds, leader, rights, version};
use crate::plugin::session::Session;
use crate::prerequisites::missing_kinds;

/// Verbs that the plugin uses.
const VERBS: [&str; 4] = ["get", "list", "watch", "patch"];

/// Looks at everything. `servers`: the AuthorizationServers that the caller may see.
///
/// # Errors
/// If the Kubernetes API does not answer.
pub async fn look(session: &Session, servers: &[Entry]) -> Result<Vec<Finding>> {
    let mut findings = api_server(session).await?;
    findings.push(kinds(session).await?);
    findings.push(granted(session).await?);
    findings.push(leads(session).await?);
    findings.extend(servers.iter().map(server));
    if servers.is_empty() {
        findings.push(Finding::unknown(
            "There is no AuthorizationServer that you may see. Create one, or ask your administrator.",
        ));
    }
    Ok(findings)
}

/// Version and clock of the Kubernetes API.
async fn api_server(session: &Session) -> Result<Vec<Finding>> {
    let request = hyper::Request::get("/version").body(Body::empty())?;
    let asked = Timestamp::now();
    let reply = session.client.send(request).await;
    let reply = reply.context("the Kubernetes API does not answer")?;
    let answered = Timestamp::now();
    let date = reply.headers().get("date").and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
    let there = date.and_then(|date| Timestamp::try_from(date).ok());
    let body = reply.into_body().collect().await?.to_bytes();
    let told: Value = serde_json::from_slice(&body).unwrap_or_default();
    Ok(vec![
        version(told["gitVersion"].as_str().unwrap_or_default()),
        clock(there, asked, answered),
    ])
}

/// Whether the kinds of this version are served.
async fn kinds(session: &Session) -> Result<Finding> {
    let served = match session
        .client
        .list_api_group_resources("oidc-operator.dev/v1alpha1")
        .await
    {
        Ok(list) => list.resources.into_iter().map(|resource| resource.name).collect(),
        Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
        Err(error) => return Err(error).context("cannot read which kinds the cluster serves"),
    };
    let missing = missing_kinds(&served);
    let stored = Api::<CustomResourceDefinition>::all(session.client.clone());
    let mut old = Vec::new();
    for ours in api::crds().iter().filter(|_| missing.is_empty()) {
        match stored.get(&ours.name_any()).await {
            Ok(found) if schemas(&found) != schemas(ours) => old.push(ours.name_any()),
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 403 => {
                return Ok(Finding::unknown(
                    "The cluster serves the kinds of the operator. You may not read the CRDs, so their version was not compared.",
                ));
            }
            Err(error) => return Err(error).context("cannot read the CRDs"),
        }
    }
    Ok(crds(&missing, &old, env!("CARGO_PKG_VERSION")))
}

fn schemas(crd: &CustomResourceDefinition) -> Vec<Value> {
    let versions = crd.spec.versions.iter();
    versions
        .map(|version| serde_json::to_value(&version.schema).unwrap_or_default())
        .collect()
}

async fn granted(session: &Session) -> Result<Finding> {
    let review = async |verb: &'static str| {
        let asked = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    group: Some("oidc-operator.dev".to_owned()),
                    resource: Some("oauth2clients".to_owned()),
                    namespace: Some(session.namespace.clone()),
                    verb: Some(verb.to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let reviews: Api<SelfSubjectAccessReview> = Api::all(session.client.clone());
        let answer = reviews.create(&PostParams::default(), &asked).await?;
        anyhow::Ok((verb, answer.status.is_some_and(|status| status.allowed)))
    };
    let answers = try_join_all(VERBS.map(review))
        .await
        .context("cannot ask for your rights")?;
    let missing: Vec<&str> = answers
        .iter()
        .filter(|(_, allowed)| !allowed)
        .map(|(verb, _)| *verb)
        .collect();
    Ok(rights(&session.namespace, &missing))
}

/// Whether an operator leads: that of any class, if only such a one is installed.
async fn leads(session: &Session) -> Result<Finding> {
    let usual = led(&Api::namespaced(session.client.clone(), LEASE_NAMESPACE)).await?;
    let found = match usual {
        Led::Never => led(&Api::all(session.client.clone())).await?,
        found => found,
    };
    Ok(match found {
        Led::Hidden => {
            Finding::unknown("You may not read the Lease of the operator, so whether one runs was not checked.")
        }
        Led::Never => leader(None, Timestamp::now()),
        Led::By { holder, renewed } => leader(Some((&holder, renewed)), Timestamp::now()),
    })
}

/// What Leases tell.
enum Led {
    /// The caller may not read them.
    Hidden,
    /// No operator has ever led.
    Never,
    /// Who renewed a Lease of the operator last, and when.
    By { holder: String, renewed: Timestamp },
}

async fn led(leases: &Api<Lease>) -> Result<Led> {
    let found = match leases.list(&ListParams::default()).await {
        Ok(found) => found.items,
        Err(kube::Error::Api(status)) if status.code == 403 => return Ok(Led::Hidden),
        Err(error) => return Err(error).context("cannot read the Lease of the operator"),
    };
    let ours = found.into_iter().filter(|lease| lease.name_any().starts_with(LEASE));
    let renewals = ours.filter_map(|lease| {
        let spec = lease.spec?;
        Some((spec.renew_time?.0, spec.holder_identity.unwrap_or_default()))
    });
    let latest = renewals.max();
    Ok(latest.map_or(Led::Never, |(renewed, holder)| Led::By { holder, renewed }))
}

/// What the operator tells of a server: whether it reaches it, and whether its login works.
fn server(entry: &Entry) -> Finding {
    let Entry {
        key, state, message, ..
    } = entry;
    match state {
        State::Ready => Finding::good(format!("{key} is ready.")),
        State::Suspended | State::Unknown => Finding::unknown(format!("{key} is not checked.")),
        _ => Finding::bad(format!("{key} is not ready: {message}")),
    }
}
