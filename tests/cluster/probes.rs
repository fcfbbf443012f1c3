//! What the probes report when CRDs, rights or a watch are missing, and what the NetworkPolicy allows.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyIngressRule};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, CustomResourceExt};
use libtest_mimic::Trial;
use oidc_operator::api::Scope;
use serde_json::{Value, json};
use testbed::proxy::{Action, Answer, Fault, RequestHead};
use testbed::{install, wait};

use crate::bed::{Bed, LIMIT, OperatorOptions, Options};
use crate::run::Side;

/// Spec of a client that refers to no other resource.
const MACHINE: &str = "{ grantTypes: [client_credentials], scopes: [read] }";
/// Namespace and name of the Lease.
const ELECTION: &str = "kube-system";
const LEASE: &str = "oidc-operator";

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    let bare = Options::bare();
    vec![
        side.alone(bare, an_operator_reports_missing_crds_and_rights_before_it_leads),
        side.alone(
            Options::default(),
            an_operator_with_a_failing_watch_is_alive_but_not_ready,
        ),
        side.shared(the_network_policy_limits_ingress_and_egress),
    ]
}

async fn an_operator_reports_missing_crds_and_rights_before_it_leads(bed: &Bed) -> Result<()> {
    another_leads(bed).await?;
    remove_kind(bed, Scope::crd_name()).await?;
    let binding = remove_binding(bed).await?;

    // Without its role, the operator cannot even read the id of the cluster.
    let nameless = bed
        .start_operator(OperatorOptions {
            lacking: true,
            ..OperatorOptions::default()
        })
        .await?;
    nameless.until_unready("get namespaces").await?;
    ensure!(nameless.probe("/livez").await? == (200, "ok".to_owned()));
    nameless.terminate().await?;
    nameless.start_again().await?;
    let standby = bed.start_operator(lacking(true)).await?;
    standby.until_unready("the operator's role lacks").await?;
    let (status, reason) = standby.probe("/readyz").await?;
    ensure!(status == 503 && reason.contains("watch secrets"), "{status} {reason}");
    ensure!(reason.lines().count() == 1 && !reason.contains("leases"), "{reason}");
    ensure!(standby.probe("/livez").await? == (200, "ok".to_owned()));

    apply(bed, &binding).await?;
    let crds = "does not serve scopes of oidc-operator.dev: install the CRDs";
    standby.until_unready(crds).await?;
    // An operator without leader election makes the same check.
    let alone = bed.start_operator(lacking(false)).await?;
    alone.until_unready(crds).await?;

    for manifest in bed.installation().manifests() {
        if manifest["kind"] == "CustomResourceDefinition" && manifest["metadata"]["name"] == Scope::crd_name() {
            apply(bed, manifest).await?;
        }
    }
    for operator in [&nameless, &standby, &alone] {
        operator.until_ready().await?;
    }
    let leases: Api<Lease> = Api::namespaced(bed.client(), ELECTION);
    let holder = leases.get(LEASE).await?.spec.and_then(|spec| spec.holder_identity);
    ensure!(holder.as_deref() == Some("another"), "{holder:?} leads");
    Ok(())
}

async fn an_operator_with_a_failing_watch_is_alive_but_not_ready(bed: &Bed) -> Result<()> {
    let (operator, space) = (bed.operator(), bed.space().await?);
    space.ready_client("before", MACHINE).await?;
    let broken = Answer::json(
        500,
        &json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 500 }),
    );
    let is_watched = |head: &RequestHead| head.is("GET", "/apis/oidc-operator.dev/v1alpha1/oauth2clients");
    let fault = operator.kube().inject(Fault::new(is_watched, Action::Answer(broken)));
    operator.kube().sever();
    let ready = operator.probe("/readyz").await?;
    ensure!(
        ready == (200, "ok".to_owned()),
        "a transient error ended readiness: {ready:?}"
    );
    // The other watches were cut off too, but they resume, so the probe does not report them.
    operator.until_unready("the watch of ").await?;
    let (status, reason) = operator.probe("/readyz").await?;
    ensure!(
        status == 503 && reason.contains("the watch of OAuth2Client fails"),
        "{status} {reason}"
    );
    ensure!(operator.probe("/livez").await? == (200, "ok".to_owned()));

    drop(fault);
    space.ready_client("after", MACHINE).await?;
    operator.until_ready().await
}

/// Options of an operator without its rights. It gets the cluster's id by flag, since it cannot read it.
fn lacking(leader_election: bool) -> OperatorOptions {
    OperatorOptions {
        leader_election,
        flags: vec![("cluster-id".to_owned(), "lacking".to_owned())],
        lacking: true,
        ..OperatorOptions::default()
    }
}

/// Creates a Lease that another operator holds for an hour.
async fn another_leads(bed: &Bed) -> Result<()> {
    let lease: Lease = serde_json::from_value(json!({
        "metadata": { "name": LEASE },
        "spec": { "holderIdentity": "another", "leaseDurationSeconds": 3600 },
    }))?;
    let leases: Api<Lease> = Api::namespaced(bed.client(), ELECTION);
    leases.create(&PostParams::default(), &lease).await?;
    Ok(())
}

async fn remove_kind(bed: &Bed, name: &str) -> Result<()> {
    let crds: Api<CustomResourceDefinition> = Api::all(bed.client());
    crds.delete(name, &DeleteParams::default()).await?;
    wait::until(&format!("{name} to be gone"), LIMIT, async || {
        Ok(crds.get_opt(name).await?.is_none().then_some(()))
    })
    .await
}

/// Deletes the operator's ClusterRoleBinding, and returns its manifest to restore it.
async fn remove_binding(bed: &Bed) -> Result<Value> {
    let manifests = bed.installation().manifests();
    let binding = manifests
        .iter()
        .find(|manifest| manifest["kind"] == "ClusterRoleBinding");
    let binding = binding.context("the chart has no ClusterRoleBinding")?.clone();
    let name = binding["metadata"]["name"].as_str().context("no name")?;
    let bindings: Api<ClusterRoleBinding> = Api::all(bed.client());
    bindings.delete(name, &DeleteParams::default()).await?;
    Ok(binding)
}

async fn apply(bed: &Bed, manifest: &Value) -> Result<()> {
    install::apply(bed.plane(), &manifest.to_string()).await
}

async fn the_network_policy_limits_ingress_and_egress(bed: &Bed) -> Result<()> {
    ensure!(policy(&[]).await?.is_none(), "it exists by default");
    let open = policy(&["networkPolicy.enabled=true"]).await?.context("no policy")?;
    let spec = open.spec.clone().context("no spec")?;
    let types = spec.policy_types.unwrap_or_default();
    ensure!(types == ["Ingress", "Egress"], "{types:?}");
    let http = [IntOrString::String("http".to_owned())];
    ensure!(ports_in(&spec.ingress.unwrap_or_default()) == http, "{open:#?}");
    let egress = spec.egress.unwrap_or_default();
    let ports = egress.iter().flat_map(|rule| rule.ports.iter().flatten());
    let ports: Vec<_> = ports.filter_map(|port| port.port.clone()).collect();
    ensure!(ports == [53, 53, 443, 6443].map(IntOrString::Int), "{egress:#?}");

    let closed = policy(&[
        "networkPolicy.enabled=true",
        "networkPolicy.scrapers[0].namespaceSelector.matchLabels.name=monitoring",
        "networkPolicy.apiServer.cidrs={10.0.0.10/32}",
        "networkPolicy.apiServer.ports={6443}",
        "networkPolicy.servers.cidrs={10.1.2.0/24,fd00::/64}",
        "networkPolicy.servers.ports={4444,4445}",
        "networkPolicy.extraEgress[0].to[0].namespaceSelector.matchLabels.name=hydra",
    ])
    .await?;
    let closed = closed.context("no policy")?;
    let spec = closed.spec.clone().context("no spec")?;
    let ingress = spec.ingress.unwrap_or_default();
    ensure!(
        ingress.len() == 1 && ingress[0].from.iter().flatten().count() == 1,
        "{ingress:#?}"
    );
    let egress = spec.egress.unwrap_or_default();
    let cidrs: Vec<Vec<String>> = egress
        .iter()
        .map(|rule| {
            let blocks = rule.to.iter().flatten().filter_map(|peer| peer.ip_block.as_ref());
            blocks.map(|block| block.cidr.clone()).collect()
        })
        .collect();
    let wanted: [&[&str]; 4] = [&[], &["10.0.0.10/32"], &["10.1.2.0/24", "fd00::/64"], &[]];
    ensure!(cidrs == wanted, "{egress:#?}");

    // The kube-apiserver accepts both.
    let policies: Api<NetworkPolicy> = Api::namespaced(bed.client(), install::NAMESPACE);
    for policy in [open, closed] {
        let name = policy.metadata.name.clone().context("no name")?;
        let dry = PatchParams::apply("testbed").dry_run();
        policies.patch(&name, &dry, &Patch::Apply(&policy)).await?;
    }
    Ok(())
}

/// The NetworkPolicy of the chart with these settings.
async fn policy(settings: &[&str]) -> Result<Option<NetworkPolicy>> {
    let rendered = install::render(settings).await?;
    let found = install::manifests(&rendered)?
        .into_iter()
        .find(|manifest| manifest["kind"] == "NetworkPolicy");
    Ok(found.map(serde_json::from_value).transpose()?)
}

fn ports_in(rules: &[NetworkPolicyIngressRule]) -> Vec<IntOrString> {
    let ports = rules.iter().flat_map(|rule| rule.ports.iter().flatten());
    ports.filter_map(|port| port.port.clone()).collect()
}
