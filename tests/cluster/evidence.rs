//! The evidence that the beds of a run collect for the closing trials.

use std::collections::BTreeSet;

use anyhow::Result;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ResourceQuota, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use oidc_operator::api::{Assignment, AuthorizationServer, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use testbed::install;
use testbed::proxy::Exchange;

use crate::bed::{Bed, Reach};
use crate::closing::rbac::{Grant, KubeRequest, grants};

/// The evidence that the beds of a run collect.
#[derive(Default)]
pub struct Evidence {
    /// Values that must not be visible.
    pub canaries: BTreeSet<String>,
    /// All visible texts: where each was found, and the text.
    pub texts: Vec<(String, String)>,
    /// The logs of all operators, by name.
    pub logs: Vec<(String, String)>,
    /// Requests of the operators to the kube-apiserver.
    pub requests: BTreeSet<KubeRequest>,
    /// Requests that the kube-apiserver answered with 403.
    pub forbidden: Vec<String>,
    /// The rights that the chart gives to the operator.
    pub grants: BTreeSet<Grant>,
}

impl Evidence {
    /// Collects the evidence of one bed, with the canaries that its tests registered.
    pub async fn of(bed: &Bed, canaries: BTreeSet<String>) -> Result<Self> {
        let mut evidence = Self {
            canaries,
            grants: grants_of(bed)?,
            ..Self::default()
        };
        let living = living_namespaces(bed).await?;
        for operator in bed.operators() {
            evidence.logs.push((operator.name().to_owned(), operator.log()));
            if operator.is_alive() {
                evidence
                    .texts
                    .push((format!("metrics of {}", operator.name()), operator.metrics().await?));
            }
            for exchange in operator.requests().snapshot() {
                evidence.take_kube(&exchange);
                // An operator that is started without some rights is expected to be refused.
                if !operator.is_lacking() {
                    evidence.take_refusal(&exchange, &living);
                }
            }
        }
        for server in bed.servers() {
            for exchange in server.admin.journal().snapshot() {
                evidence.take_admin(&exchange);
            }
        }
        evidence.take_objects(bed).await?;
        evidence.texts.extend(
            evidence
                .logs
                .iter()
                .map(|(name, log)| (format!("log of {name}"), log.clone())),
        );
        Ok(evidence)
    }

    /// Adds the evidence of another bed.
    pub fn add(&mut self, other: Self) {
        self.canaries.extend(other.canaries);
        self.texts.extend(other.texts);
        self.logs.extend(other.logs);
        self.requests.extend(other.requests);
        self.forbidden.extend(other.forbidden);
        self.grants.extend(other.grants);
    }

    /// Records a request that the kube-apiserver refused for lack of a right.
    fn take_refusal(&mut self, exchange: &Exchange, living: &BTreeSet<String>) {
        let request = KubeRequest::of(&exchange.head);
        // An admin may name a ServiceAccount that the chart does not know: the AuthorizationServer reports this.
        let is_login = request
            .as_ref()
            .is_some_and(|request| request.resource == "serviceaccounts/token");
        if exchange.upstream_status == Some(403) && !is_login && !is_end_of_namespace(request.as_ref(), living) {
            self.forbidden.push(format!("{:?}", exchange.head));
        }
    }

    /// Records a request to the kube-apiserver: everything in it is visible, except the data of Secrets.
    fn take_kube(&mut self, exchange: &Exchange) {
        let mut body: Value = serde_json::from_slice(&exchange.body).unwrap_or_default();
        let request = KubeRequest::of(&exchange.head);
        let mut text = exchange.head.target.clone();
        if request.as_ref().is_some_and(|request| request.resource == "secrets") {
            self.canaries
                .extend(taken_data(&mut body).iter().filter_map(secret_of_ledger));
            text += &body.to_string();
        } else {
            text += &String::from_utf8_lossy(&exchange.body);
        }
        self.texts.push((format!("the request {:?}", exchange.head), text));
        self.requests.extend(request);
    }

    /// Records a request to an admin API, which may contain secrets, but not in the URL.
    fn take_admin(&mut self, exchange: &Exchange) {
        let body: Value = serde_json::from_slice(&exchange.body).unwrap_or_default();
        self.canaries.extend(body["client_secret"].as_str().map(str::to_owned));
        let login = exchange
            .head
            .headers
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        let token = exchange.head.headers.get("x-vault-token");
        self.canaries
            .extend(token.and_then(|token| token.to_str().ok()).map(str::to_owned));
        let credentials = login.and_then(|login| login.split_once(' '));
        self.canaries
            .extend(credentials.map(|(_, credentials)| credentials.to_owned()));
        self.texts
            .push((format!("the URL {:?}", exchange.head), exchange.head.target.clone()));
    }

    /// Records what can be read in the cluster, except the data of Secrets.
    async fn take_objects(&mut self, bed: &Bed) -> Result<()> {
        self.take_all::<OAuth2Client>(bed).await?;
        self.take_all::<AuthorizationServer>(bed).await?;
        self.take_all::<Scope>(bed).await?;
        self.take_all::<JsonWebKeySet>(bed).await?;
        self.take_all::<Assignment>(bed).await?;
        self.take_all::<OidcProvider>(bed).await?;
        self.take_all::<Event>(bed).await?;
        self.take_all::<Lease>(bed).await?;
        self.take_all::<ConfigMap>(bed).await?;
        self.take_all::<Secret>(bed).await
    }

    async fn take_all<K>(&mut self, bed: &Bed) -> Result<()>
    where
        K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Serialize,
    {
        for object in Api::<K>::all(bed.client()).list(&ListParams::default()).await? {
            let place = format!(
                "{} {}/{}",
                K::kind(&()),
                object.namespace().unwrap_or_default(),
                object.name_any()
            );
            let mut object = serde_json::to_value(&object)?;
            if K::kind(&()) == "Secret" {
                self.canaries
                    .extend(taken_data(&mut object).iter().filter_map(secret_of_ledger));
            }
            self.texts.push((place, serde_saphyr::to_string(&object)?));
        }
        Ok(())
    }
}

/// The rights that the chart gives to the operator. Of operators that reach less, only those that differ count, and the
/// namespaces of the tests count as one.
fn grants_of(bed: &Bed) -> Result<BTreeSet<Grant>> {
    let all = grants(bed.installation().manifests(), bed.installation().service_account())?;
    if bed.reach() == Reach::Everywhere {
        return Ok(all);
    }
    let differing = all.into_iter().filter(Grant::is_of_outputs);
    Ok(differing.map(|grant| grant.anywhere_but(install::NAMESPACE)).collect())
}

/// Removes the data from a Secret and returns it.
fn taken_data(secret: &mut Value) -> Option<Value> {
    let members = secret.as_object_mut()?;
    members.remove("stringData");
    members.remove("data")
}

/// The client secret in the data of a ledger; credentials Secrets repeat it under any key.
fn secret_of_ledger(data: &Value) -> Option<String> {
    let value: k8s_openapi::ByteString = serde_json::from_value(data.get("client_secret")?.clone()).ok()?;
    String::from_utf8(value.0).ok()
}

/// Whether a request is about a namespace that is terminating, where nothing can be created and roles are deleted with
/// everything else, or about one with a quota. Its refusal says nothing about rights.
fn is_end_of_namespace(request: Option<&KubeRequest>, living: &BTreeSet<String>) -> bool {
    let namespace = request.and_then(|request| request.namespace.as_ref());
    namespace.is_some_and(|name| !living.contains(name))
}

/// The namespaces that are not terminating and have no quota.
async fn living_namespaces(bed: &Bed) -> Result<BTreeSet<String>> {
    let namespaces = Api::<Namespace>::all(bed.client()).list(&ListParams::default()).await?;
    let quotas = Api::<ResourceQuota>::all(bed.client())
        .list(&ListParams::default())
        .await?;
    let limited: BTreeSet<_> = quotas.iter().filter_map(ResourceExt::namespace).collect();
    let living = namespaces.iter().filter(|namespace| {
        namespace.metadata.deletion_timestamp.is_none() && !limited.contains(&namespace.name_any())
    });
    Ok(living.map(ResourceExt::name_any).collect())
}
