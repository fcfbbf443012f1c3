//! What the beds of a run leave behind for the closing trials.

use std::collections::BTreeSet;

use anyhow::Result;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use oidc_operator::api::{Assignment, AuthorizationServer, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use testbed::proxy::Exchange;

use crate::bed::Bed;
use crate::closing::rbac::{Grant, KubeRequest, grants};

/// What the beds of a run leave behind.
#[derive(Default)]
pub struct Evidence {
    /// Values that must not be seen.
    pub canaries: BTreeSet<String>,
    /// Everything that somebody may see: where it was found, and the text.
    pub texts: Vec<(String, String)>,
    /// The logs of all operators, by name.
    pub logs: Vec<(String, String)>,
    /// What the operators asked the kube-apiserver for.
    pub requests: BTreeSet<KubeRequest>,
    /// Requests that the kube-apiserver answered with 403.
    pub forbidden: Vec<String>,
    /// The rights that the chart gives to the operator.
    pub grants: BTreeSet<Grant>,
}

impl Evidence {
    /// All that one bed has to show, with the canaries that its tests registered.
    pub async fn of(bed: &Bed, canaries: BTreeSet<String>) -> Result<Self> {
        let mut evidence = Self {
            canaries,
            grants: grants(bed.installation().manifests(), bed.installation().service_account())?,
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
                // One that is started without its rights meets what it lacks.
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

    /// Adds what another bed has to show.
    pub fn add(&mut self, other: Self) {
        self.canaries.extend(other.canaries);
        self.texts.extend(other.texts);
        self.logs.extend(other.logs);
        self.requests.extend(other.requests);
        self.forbidden.extend(other.forbidden);
        self.grants.extend(other.grants);
    }

    /// A request that the kube-apiserver refused for lack of a right.
    fn take_refusal(&mut self, exchange: &Exchange, living: &BTreeSet<String>) {
        let request = KubeRequest::of(&exchange.head);
        // An admin may name a ServiceAccount that the chart was not told of: then the AuthorizationServer says so.
        let is_login = request
            .as_ref()
            .is_some_and(|request| request.resource == "serviceaccounts/token");
        if exchange.upstream_status == Some(403) && !is_login && !is_end_of_namespace(request.as_ref(), living) {
            self.forbidden.push(format!("{:?}", exchange.head));
        }
    }

    /// A request to the kube-apiserver: all that it wrote is seen by somebody, but for the data of Secrets.
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

    /// A request to an admin API: secrets go there, but not in the URL.
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

    /// What can be read in the cluster, but for the data of Secrets.
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
            self.texts.push((place, serde_yaml_ng::to_string(&object)?));
        }
        Ok(())
    }
}

/// Takes the data out of a Secret.
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

/// Nothing can be created in a namespace that is going away: that says nothing about rights.
fn is_end_of_namespace(request: Option<&KubeRequest>, living: &BTreeSet<String>) -> bool {
    request.is_some_and(|request| {
        request.verb == "create" && request.namespace.as_ref().is_some_and(|name| !living.contains(name))
    })
}

/// The namespaces that are there to stay.
async fn living_namespaces(bed: &Bed) -> Result<BTreeSet<String>> {
    let namespaces = Api::<Namespace>::all(bed.client()).list(&ListParams::default()).await?;
    let living = namespaces
        .iter()
        .filter(|namespace| namespace.metadata.deletion_timestamp.is_none());
    Ok(living.map(ResourceExt::name_any).collect())
}
