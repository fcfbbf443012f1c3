//! The operator takes over what earlier versions have left: their states are in `tests/states`, written by `testbed
//! export` with the operator of each version.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use libtest_mimic::Trial;
use oidc_operator::api::{AuthorizationServer, OAuth2Client, condition};
use serde_json::{Value, json};
use testbed::control_plane::Stored;
use testbed::install;
use testbed::oauth;
use testbed::process::Child;
use testbed::proxy::{Identity, Proxy, Upstream};
use testbed::run_dir::RunDir;
use testbed::state::{APPLICATIONS, Scene, writes};
use testbed::{ControlPlane, http, ports, wait};

use crate::bed::{admin_of, is_list, is_of_clients, settled};
use crate::closing::rbac::KubeRequest;
use crate::run::Run;

/// Longest wait for the operator.
const LIMIT: Duration = Duration::from_secs(60);
/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_oidc-operator");

/// The tests of this module: one for each state.
pub fn trials(run: &Arc<Run>) -> Vec<Trial> {
    let folders = states().unwrap_or_default();
    let each = folders.into_iter().map(|folder| {
        let version = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = format!("upgrade::from_{}", version.replace('.', "_"));
        run.story(&name, async move || takes_over(&folder).await)
    });
    each.collect()
}

fn states() -> Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/states");
    let entries = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut folders: Vec<PathBuf> = entries.collect::<Result<_>>()?;
    folders.retain(|entry| entry.is_dir());
    folders.sort();
    Ok(folders)
}

/// Without a write to any server and without a new secret; afterwards, everything can be used, changed and deleted.
async fn takes_over(folder: &Path) -> Result<()> {
    let stored: Vec<Stored> = serde_json::from_str(&std::fs::read_to_string(folder.join("kubernetes.json"))?)?;
    let scene = Scene::restore(folder).await.context("restoring the state")?;
    let installation = install::install(&scene.plane, &[]).await?;
    are_as_stored(&scene, &stored).await?;
    let before = secrets(&scene).await?;

    let (operator, kube) = Operator::start(&scene, &installation).await?;
    scene.until_quiet().await?;
    operator
        .has_worked_on(
            stored
                .iter()
                .filter(|stored| stored.key.contains("oidc-operator.dev"))
                .count(),
        )
        .await?;
    for (name, proxy) in &scene.admins {
        let writes = writes(&proxy.journal().snapshot());
        ensure!(writes.is_empty(), "written to {name}: {writes:#?}");
        // The listing was enough: not every client of a large installation is read after an upgrade.
        let mut read = proxy.journal().snapshot();
        read.retain(|exchange| is_of_clients(&exchange.head) && !is_list(&exchange.head));
        ensure!(read.is_empty(), "read from {name}: {read:#?}");
    }
    let requests = kube.journal().snapshot();
    let outputs = requests.iter().filter_map(|exchange| KubeRequest::of(&exchange.head));
    let outputs = outputs.filter(|request| matches!(request.resource.as_str(), "secrets" | "configmaps"));
    let written: Vec<_> = outputs.filter(KubeRequest::is_write).collect();
    ensure!(written.is_empty(), "written to the cluster: {written:#?}");
    // Nor is the status of every client written, only because this version reports more.
    let statuses = requests.iter().filter_map(|exchange| KubeRequest::of(&exchange.head));
    let statuses = statuses.filter(|request| request.resource.starts_with("oauth2clients") && request.is_write());
    let written: Vec<_> = statuses.collect();
    ensure!(written.is_empty(), "written to the cluster: {written:#?}");
    ensure!(secrets(&scene).await? == before, "a Secret has changed");
    all_ready(&scene).await?;

    can_be_used(&scene).await
}

/// The kube-apiserver shows the objects with the UIDs and resourceVersions that they had.
async fn are_as_stored(scene: &Scene, stored: &[Stored]) -> Result<()> {
    let clients: Api<OAuth2Client> = Api::namespaced(scene.plane.client(), APPLICATIONS);
    let wanted = stored.iter().filter(|stored| stored.object["kind"] == "OAuth2Client");
    let mut seen = 0;
    for stored in wanted {
        let name = stored.object["metadata"]["name"].as_str().unwrap_or_default();
        let found = clients.get(name).await?;
        ensure!(
            found.uid().as_deref() == stored.object["metadata"]["uid"].as_str(),
            "{name} has another UID"
        );
        ensure!(
            found.resource_version() == Some(stored.revision.to_string()),
            "{name} has another resourceVersion"
        );
        seen += 1;
    }
    ensure!(seen > 5, "only {seen} clients are stored");
    Ok(())
}

/// The data of all Secrets of the applications, by name and UID.
async fn secrets(scene: &Scene) -> Result<BTreeMap<String, BTreeMap<String, ByteString>>> {
    let api: Api<Secret> = Api::namespaced(scene.plane.client(), APPLICATIONS);
    let found = api.list(&ListParams::default()).await?;
    let named = |secret: Secret| {
        (
            format!("{} {:?}", secret.name_any(), secret.uid()),
            secret.data.unwrap_or_default(),
        )
    };
    Ok(found.into_iter().map(named).collect())
}

async fn all_ready(scene: &Scene) -> Result<()> {
    let mut kubectl = scene.plane.kubectl();
    kubectl.args([
        "wait",
        "--for=condition=Ready",
        "--all",
        "--timeout=20s",
        "--all-namespaces",
    ]);
    kubectl.arg("oac,jwks,oidcscope,oidcassign,oidcp");
    testbed::process::output("kubectl wait", kubectl).await?;
    let servers: Api<AuthorizationServer> = Api::all(scene.plane.client());
    for server in servers.list(&ListParams::default()).await? {
        let conditions = server.status.clone().unwrap_or_default().conditions;
        ensure!(
            condition::is_true(&conditions, "Ready"),
            "{}: {conditions:?}",
            server.name_any()
        );
    }
    Ok(())
}

/// Old credentials log in, an old client can be changed and deleted, and a new one can be made on each server.
async fn can_be_used(scene: &Scene) -> Result<()> {
    let clients: Api<OAuth2Client> = Api::namespaced(scene.plane.client(), APPLICATIONS);
    let all: Api<Secret> = Api::namespaced(scene.plane.client(), APPLICATIONS);
    for (name, hydra) in [("v1-machine", &scene.hydras[0]), ("machine", &scene.hydras[1])] {
        let data = all.get(name).await?.data.unwrap_or_default();
        let text = |key: &str| String::from_utf8(data.get(key).map(|value| value.0.clone()).unwrap_or_default());
        let (id, secret) = (text("CLIENT_ID")?, text("CLIENT_SECRET")?);
        oauth::client_credentials(&hydra.public_url(), &id, &secret, "read").await?;
        let admin = admin_of(&hydra.admin_url()).await?;
        let owner = async || {
            settled("a client", async || admin.get_client(&id).await)
                .await
                .map(|found| found?.owner)
        };
        ensure!(
            owner()
                .await?
                .is_some_and(|owner| owner.starts_with("oidc-operator.dev/")),
            "no mark in the owner of {name}, so the test shows nothing"
        );
        let change = Patch::Merge(json!({ "spec": { "scopes": ["read", "more"] } }));
        clients.patch(name, &PatchParams::default(), &change).await?;
        wait::until("the new scope", LIMIT, async || {
            Ok(oauth::client_credentials(&hydra.public_url(), &id, &secret, "more")
                .await
                .ok())
        })
        .await?;
        let now = owner().await?;
        ensure!(now.as_deref() == Some(""), "the owner of {name} is still {now:?}");
    }
    let new = |name: &str, server: &str| {
        json!({ "apiVersion": "oidc-operator.dev/v1alpha1", "kind": "OAuth2Client", "metadata": { "name": name },
            "spec": { "serverRef": { "name": server }, "redirectUris": ["https://new.example.com/"] } })
    };
    for server in ["hydra1", "default", "openbao"] {
        let name = format!("new-on-{server}");
        clients
            .patch(&name, &PatchParams::apply("test"), &Patch::Apply(new(&name, server)))
            .await?;
    }
    wait::until("the new clients", LIMIT, async || Ok(all_ready(scene).await.ok())).await?;
    for name in ["v1-machine", "machine", "wiki"] {
        clients.delete(name, &DeleteParams::default()).await?;
        wait::until("a deletion", LIMIT, async || {
            Ok(clients.get_opt(name).await?.is_none().then_some(()))
        })
        .await?;
    }
    let left = scene.bao.must("LIST", "identity/oidc/client", None).await?;
    let left = left["data"]["keys"].as_array().cloned().unwrap_or_default();
    ensure!(
        !left
            .iter()
            .any(|name| name == &Value::from(format!("{APPLICATIONS}.wiki"))),
        "{left:?}"
    );
    Ok(())
}

/// The operator under test, with a proxy in front of the kube-apiserver.
struct Operator {
    _child: Child,
    address: String,
    _run: RunDir,
}

impl Operator {
    async fn start(scene: &Scene, installation: &install::Installation) -> Result<(Self, Proxy)> {
        let (certificate_pem, key_pem) = scene.plane.pki().issue_server(&["127.0.0.1"])?;
        let identity = Identity {
            certificate_pem,
            key_pem,
        };
        let upstream = Upstream::https(scene.plane.url(), scene.plane.ca_pem());
        let kube = Proxy::start("kube", upstream, Some(identity)).await?;
        let run = RunDir::new()?;
        let token = installation.token(&scene.plane).await?;
        let kubeconfig = ControlPlane::token_kubeconfig(&kube.url(), &scene.plane.ca_pem(), &token);
        let kubeconfig = run.write("operator.kubeconfig", &kubeconfig)?;
        let log = run.path().join("operator.log");
        let (child, address) = ports::with_free(async |[port]| {
            let address = format!("127.0.0.1:{port}");
            let flags = [("listen", address.as_str()), ("metrics-max-age", "0s")];
            let command = installation.command(Path::new(PROGRAM), &kubeconfig, &flags);
            let mut child = Child::spawn("oidc-operator", command, &log)?;
            let ready = format!("http://{address}/readyz");
            child.wait_ready(LIMIT, async || http::answers_ok(&ready).await).await?;
            Ok((child, address))
        })
        .await?;
        let operator = Self {
            _child: child,
            address,
            _run: run,
        };
        Ok((operator, kube))
    }

    /// Waits until so many passes have succeeded. Each resource has one after a start.
    async fn has_worked_on(&self, resources: usize) -> Result<()> {
        let url = format!("http://{}/metrics", self.address);
        wait::until("a pass over each resource", LIMIT, async || {
            let text = http::client().get(&url).send().await?.text().await?;
            let passes = text
                .lines()
                .filter(|line| line.starts_with("oidc_operator_reconcile") && line.contains("_count"));
            let passes: f64 = passes
                .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
                .sum();
            Ok((passes >= resources as f64).then_some(()))
        })
        .await
    }
}
