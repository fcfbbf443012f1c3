//! The real Helm: the release of a user's chart waits for the operator, and the operator's own chart installs.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::{Api, CustomResourceExt};
use libtest_mimic::Trial;
use oidc_operator::api::{AuthorizationServer, OAuth2Client};
use serde_json::{Value, json};
use testbed::install;
use testbed::process;
use testbed::programs::Program;
use testbed::run_dir::RunDir;
use testbed::wait;

use crate::bed::{Bed, LIMIT, Options, Space, uid_of};
use crate::run::Side;

pub mod values;

/// Timeout of Helm for what it has installed; far more than the failing release may take.
const PATIENCE: &str = "120s";
/// A wait that does not time out ends long before [`PATIENCE`].
const FAST: Duration = Duration::from_secs(60);

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    let bare = Options::bare();
    vec![
        side.shared(a_release_is_deployed_when_its_clients_are_ready),
        side.shared(a_release_with_a_refused_client_fails_at_once),
        side.alone(bare, the_operators_chart_installs_and_keeps_its_crds),
        side.shared(values::every_value_changes_what_it_says),
        side.shared(values::the_roles_grant_what_the_operator_needs),
        side.shared(values::the_notes_hold_what_the_api_accepts),
        side.shared(values::a_mistyped_value_is_refused_by_name),
        side.shared(values::a_probe_may_have_another_handler),
    ]
}

async fn a_release_is_deployed_when_its_clients_are_ready(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let chart = user_chart(bed, &space, "https://web.example.com/bye").await?;
    helm(
        bed,
        &space,
        &["install", "shop", &chart.path, "--wait", "--timeout", PATIENCE],
    )
    .await?;
    // Helm has waited, so the test does not.
    let mut ids = Vec::new();
    for name in ["web", "machine"] {
        let client = space.client(name).await?;
        let ready = client.status.iter().flat_map(|status| &status.conditions);
        ensure!(
            ready
                .into_iter()
                .any(|known| known.type_ == "Ready" && known.status == "True"),
            "{name} is not ready: {:?}",
            client.status
        );
        bed.registered(&uid_of(&client)).await?;
        ids.push(uid_of(&client));
    }
    let (id, secret) = space.credentials("machine").await?;
    bed.token(&id, &secret, "read").await?;
    ensure!(status(bed, &space).await? == "deployed");

    // Helm waits for an upgrade too, in the new generation.
    let set = ["--set", "scope=write"];
    let upgrade = ["upgrade", "shop", &chart.path, "--wait", "--timeout", PATIENCE];
    helm(bed, &space, &[&upgrade[..], &set].concat()).await?;
    bed.token(&id, &secret, "write").await?;

    helm(bed, &space, &["uninstall", "shop", "--wait", "--timeout", PATIENCE]).await?;
    for id in ids {
        ensure!(bed.hydra_client(&id).await?.is_none(), "client {id} stayed in Hydra");
    }
    ensure!(
        bed.servers_api().get_opt(&chart.server).await?.is_none(),
        "the AuthorizationServer stayed"
    );
    ensure!(space.secret("machine").await?.is_none(), "a Secret stayed");
    Ok(())
}

async fn a_release_with_a_refused_client_fails_at_once(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    // Only Hydra can refuse it: after a logout users must return to a host of a redirect URI.
    let chart = user_chart(bed, &space, "https://elsewhere.example.com/bye").await?;
    let begun = Instant::now();
    let installed = helm(
        bed,
        &space,
        &["install", "shop", &chart.path, "--wait", "--timeout", PATIENCE],
    )
    .await;
    let took = begun.elapsed();
    let Err(failure) = installed else {
        bail!("the release is deployed")
    };
    ensure!(took < FAST, "it took {took:?}: {failure:#}");
    let failure = format!("{failure:#}");
    ensure!(
        failure.contains("OAuth2Client") && failure.contains("web") && failure.contains("Failed"),
        "{failure}"
    );
    ensure!(status(bed, &space).await? == "failed");
    let web = space.wait_condition("web", "Stalled", "True", "InvalidSpec").await?;
    ensure!(bed.hydra_client(&uid_of(&web)).await?.is_none(), "it was registered");
    helm(bed, &space, &["uninstall", "shop", "--wait", "--timeout", PATIENCE]).await?;
    let left = space.clients().list(&ListParams::default()).await?.items;
    ensure!(left.is_empty(), "{left:#?}");
    Ok(())
}

async fn the_operators_chart_installs_and_keeps_its_crds(bed: &Bed) -> Result<()> {
    // The bed has applied the chart without Helm, and Helm does not adopt existing objects.
    let crds: Api<CustomResourceDefinition> = Api::all(bed.client());
    until_served(bed).await?;
    remove_all(bed).await?;
    let home = bed.home();
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/oidc-operator");
    let chart = chart.to_str().context("a path that is not UTF-8")?.to_owned();
    // Nothing here runs a Deployment, so waiting for it would time out.
    helm(
        bed,
        &home,
        &["install", "shop", &chart, "--set", "leaderElection.enabled=false"],
    )
    .await?;
    ensure!(status(bed, &home).await? == "deployed");
    let deployments: Api<Deployment> = Api::namespaced(bed.client(), install::NAMESPACE);
    let found = deployments.list(&ListParams::default()).await?.items;
    ensure!(found.len() == 1, "{found:#?}");
    let names = [AuthorizationServer::crd_name(), OAuth2Client::crd_name()];
    let mut uids = Vec::new();
    for name in names {
        let what = format!("{name} to be served");
        let crd = wait::until(&what, LIMIT, async || {
            let found = crds.get_opt(name).await?;
            Ok(found.filter(|crd| serde_json::to_string(&crd.status).is_ok_and(|text| text.contains("Established"))))
        });
        uids.push(uid_of(&crd.await?));
    }
    let space = bed.space().await?;
    space.apply_client("app", "grantTypes: [client_credentials]").await?;

    helm(bed, &home, &["uninstall", "shop"]).await?;
    wait::until("the Deployment to be gone", LIMIT, async || {
        Ok(deployments
            .list(&ListParams::default())
            .await?
            .items
            .is_empty()
            .then_some(()))
    })
    .await?;
    for (name, uid) in names.into_iter().zip(&uids) {
        let crd = crds.get(name).await.context("crds.keep must keep it")?;
        ensure!(
            uid_of(&crd) == *uid && crd.metadata.deletion_timestamp.is_none(),
            "{name}"
        );
    }
    space
        .client("app")
        .await
        .context("a resource was deleted with the release")?;

    // The next release adopts the kinds; without keep, its uninstallation deletes them.
    helm(bed, &home, &["install", "shop", &chart, "--set", "crds.keep=false"]).await?;
    until_served(bed).await?;
    helm(bed, &home, &["uninstall", "shop"]).await?;
    wait::until("the kinds to be gone", LIMIT, async || {
        let left = crds.list(&ListParams::default()).await?.items;
        Ok(left.is_empty().then_some(()))
    })
    .await?;
    install::install(bed.plane(), &["login.serviceAccount.create=true"]).await?; // restores the bed
    until_served(bed).await
}

/// Waits until all kinds of the operator are served. A kind that was deleted before may stay for more than a minute,
/// since the kube-apiserver cannot list its remaining objects.
async fn until_served(bed: &Bed) -> Result<()> {
    wait::until("the kinds to be served", LIMIT, async || {
        for kind in oidc_operator::api::crds() {
            let names = &kind.spec.names;
            let resource = GroupVersionKind::gvk(&kind.spec.group, "v1alpha1", &names.kind);
            let resource = ApiResource::from_gvk_with_plural(&resource, &names.plural);
            let api = Api::<DynamicObject>::all_with(bed.client(), &resource);
            if api.list(&ListParams::default()).await.is_err() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
    .await
}

/// Removes everything that the bed has installed.
async fn remove_all(bed: &Bed) -> Result<()> {
    let manifests: Vec<String> = bed.installation().manifests().iter().map(Value::to_string).collect();
    let folder = RunDir::new()?;
    let file = folder.write("all.yaml", &manifests.join("\n---\n"))?;
    let mut kubectl = bed.plane().kubectl();
    kubectl.args(["delete", "--wait", "--filename"]).arg(file);
    process::output("kubectl delete", kubectl).await?;
    Ok(())
}

/// A chart in its own folder.
struct Chart {
    path: String,
    server: String,
    _folder: RunDir,
}

/// A user's chart: an AuthorizationServer and two OAuth2Clients.
async fn user_chart(bed: &Bed, space: &Space<'_>, logout: &str) -> Result<Chart> {
    let folder = RunDir::new()?;
    let server = format!("of-{}", space.name());
    let (admin, public) = {
        let hydra = bed.hydra().lock().await;
        (hydra.admin_url(), hydra.public_url())
    };
    let manifest = |kind: &str, name: &str, spec: Value| {
        let object = json!({ "apiVersion": "oidc-operator.dev/v1alpha1", "kind": kind,
            "metadata": { "name": name }, "spec": spec });
        object.to_string()
    };
    let server_spec = json!({
        "hydra": { "adminUrl": admin, "publicUrl": public },
        "access": [{ "namespaces": { "from": "Names", "names": [space.name()] }, "kinds": ["OAuth2Client"] }],
    });
    let web = json!({
        "serverRef": { "name": server },
        "redirectUris": ["https://web.example.com/callback"],
        "postLogoutRedirectUris": [logout],
    });
    let machine = json!({
        "serverRef": { "name": server },
        "grantTypes": ["client_credentials"],
        "scopes": ["{{ .Values.scope }}"],
    });
    let all = [
        manifest("OAuth2Client", "web", web),
        manifest("OAuth2Client", "machine", machine),
        manifest("AuthorizationServer", &server, server_spec),
    ];
    std::fs::create_dir(folder.path().join("templates"))?;
    folder.write("Chart.yaml", "apiVersion: v2\nname: shop\nversion: 0.1.0\n")?;
    folder.write("values.yaml", "scope: read\n")?;
    folder.write("templates/all.yaml", &all.join("\n---\n"))?;
    Ok(Chart {
        path: folder.path().to_str().context("a path that is not UTF-8")?.to_owned(),
        server,
        _folder: folder,
    })
}

/// Status of the release in Helm.
async fn status(bed: &Bed, space: &Space<'_>) -> Result<String> {
    let text = helm(bed, space, &["status", "shop", "--output", "json"]).await?;
    let status: Value = serde_json::from_str(&text)?;
    let known = status["info"]["status"].as_str();
    Ok(known.with_context(|| format!("no status in {status}"))?.to_owned())
}

async fn helm(bed: &Bed, space: &Space<'_>, arguments: &[&str]) -> Result<String> {
    let mut command = tokio::process::Command::new(Program::Helm.path().await?);
    let home = RunDir::new()?; // Helm's own files
    command
        .args(arguments)
        .args(["--namespace", space.name()])
        .env("KUBECONFIG", bed.plane().kubeconfig_path())
        .env("HELM_CACHE_HOME", home.path())
        .env("HELM_CONFIG_HOME", home.path())
        .env("HELM_DATA_HOME", home.path())
        .kill_on_drop(true);
    process::output(&format!("helm {}", arguments[0]), command).await
}
