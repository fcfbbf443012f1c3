//! The operator in pods of a real node: its own image, installed, upgraded and removed with the commands of the README.
//!
//! A node needs root, Linux and some packages. Where it cannot run, these tests are counted as ignored, and their names
//! say why.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use kube::api::{DeleteParams, ListParams, LogParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use libtest_mimic::{Arguments, Trial};
use serde_json::json;
use testbed::hydra::{Hydra, HydraMajor, HydraOptions};
use testbed::install;
use testbed::node::Node;
use testbed::process::{self, Child};
use testbed::programs::Program;
use testbed::run_dir::RunDir;
use testbed::{ControlPlane, ports, wait};

use crate::helm::values;
use crate::run::Run;

/// Longest wait for pods and resources.
const LIMIT: Duration = Duration::from_secs(60);
/// Timeout of Helm for a release that becomes ready.
const PATIENCE: &str = "60s";
/// Name of the release, the Deployment and the Lease.
const RELEASE: &str = "oidc-operator";

/// The tests of this module. They build an image and the programs of a node, which takes as long as hundreds of other
/// tests, so they run only by name.
pub fn trials(run: &Arc<Run>, arguments: &Arguments) -> Vec<Trial> {
    let name = "node::the_documented_commands_install_upgrade_and_remove_the_operator";
    let unnamed = (!crate::names(arguments, "node")).then(|| "make integrations runs it".to_owned());
    match unnamed.or_else(Node::obstacle).or_else(Stage::obstacle) {
        None => vec![run.story(name, story)],
        Some(obstacle) => vec![Trial::test(format!("{name} ({obstacle})"), || Ok(())).with_ignored_flag(true)],
    }
}

async fn story() -> Result<()> {
    let stage = Stage::start().await.context("starting the node")?;
    stage.build_and_push().await.context("the image")?;
    stage
        .fails_without_crds()
        .await
        .context("an installation without CRDs")?;
    stage.install().await.context("the installation")?;
    stage.first_client().await.context("the first client")?;
    stage.second_replica_takes_over().await.context("a failover")?;
    stage.killed_container_restarts().await.context("a killed container")?;
    stage.chart_from_registry().await.context("the chart from a registry")?;
    stage
        .upgrade_with_every_value()
        .await
        .context("an upgrade of every value")?;
    stage.roll_back_and_remove().await.context("rollback and removal")
}

/// A cluster with a node, a Hydra that pods reach, and a registry.
struct Stage {
    _registry: Child,
    registry: String,
    node: Node,
    _hydra: Hydra,
    plane: ControlPlane,
    run: RunDir,
}

impl Stage {
    fn obstacle() -> Option<String> {
        let tools = ["buildah", "docker-registry", "bash", "git"].map(|tool| (tool, tool));
        let missing = process::missing(&tools);
        (!missing.is_empty()).then(|| format!("the image needs packages that are missing here: {}", missing.join(" ")))
    }

    async fn start() -> Result<Self> {
        let run = RunDir::new()?;
        let hydra = HydraOptions::of(HydraMajor::V2);
        let (plane, hydra) = tokio::try_join!(ControlPlane::start(), Hydra::start(hydra))?;
        let node = Node::start(&plane).await?;
        let admin: SocketAddr = hydra.admin_url().trim_start_matches("http://").parse()?;
        node.serve("hydra-admin.hydra", 4445, admin).await?;
        let (child, registry) = ports::with_free(async |[port]| start_registry(&run, port).await).await?;
        Ok(Self {
            _registry: child,
            registry,
            node,
            _hydra: hydra,
            plane,
            run,
        })
    }

    /// The commands of a section of the README, with the registry of this stage.
    fn commands(&self, heading: &str) -> Result<Vec<String>> {
        let block = block(heading, "sh")?.replace("\\\n", " ");
        let commands = block
            .lines()
            .map(|line| line.replace("registry.example.com", &self.registry));
        Ok(commands.filter(|line| !line.trim().is_empty()).collect())
    }

    /// `make image` and the push of the README. There is no docker here: buildah pushes.
    async fn build_and_push(&self) -> Result<()> {
        let commands = self.commands("## Install")?;
        let [make, push, ..] = commands.as_slice() else {
            bail!("the README has other commands: {commands:#?}")
        };
        let image = push
            .strip_prefix("docker push ")
            .context("the README pushes otherwise")?;
        self.shell(make).await?;
        let built = self.digests().await?;
        self.shell(make).await?;
        ensure!(self.digests().await? == built, "a second build has another digest");
        let push = format!("buildah --storage-driver vfs push --tls-verify=false {image} docker://{image}");
        self.shell(&push).await?;
        let program = std::fs::metadata(install::repository().join("target/image/rootfs/oidc-operator"))?;
        ensure!(program.len() <= 15_000_000, "the program has {} bytes", program.len());
        let bill = std::fs::read_to_string(install::repository().join("target/image/oidc-operator.cdx.json"))?;
        let bill: serde_json::Value = serde_json::from_str(&bill)?;
        let components = bill["components"].as_array().map_or(0, Vec::len);
        ensure!(
            bill["bomFormat"] == "CycloneDX" && components > 100,
            "{components} components"
        );
        Ok(())
    }

    /// What identifies the image: the manifest of the archive names its configuration and layers by digest.
    async fn digests(&self) -> Result<String> {
        let archive = install::repository().join("target/image/image.tar");
        let mut tar = tokio::process::Command::new("tar");
        tar.arg("-xOf").arg(archive).arg("manifest.json");
        process::output("tar", tar).await
    }

    /// A pod without CRDs never becomes ready, and its log says why.
    async fn fails_without_crds(&self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.plane.client());
        install::make_namespace(&self.plane, install::NAMESPACE).await?;
        let restricted = json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "restricted" } } });
        let merge = Patch::Merge(restricted);
        namespaces
            .patch(install::NAMESPACE, &PatchParams::default(), &merge)
            .await?;
        let install = self.install_command()?;
        let failed = self
            .shell(&format!("{install} --set crds.install=false --timeout 15s"))
            .await;
        let Err(failed) = failed else {
            bail!("the release is deployed")
        };
        let pod = self.pods().await?.first().context("no pod")?.name_any();
        let told = wait::until("the log to name the missing CRDs", LIMIT, async || {
            let log = self.log_of(&pod).await?;
            Ok((log.contains("not ready") && log.contains("authorizationservers")).then_some(()))
        });
        told.await.with_context(|| format!("helm said: {failed:#}"))?;
        self.shell(&format!("helm uninstall {RELEASE} -n {} --wait", install::NAMESPACE))
            .await
            .map(drop)
    }

    fn install_command(&self) -> Result<String> {
        let commands = self.commands("## Install")?;
        let found = commands.into_iter().find(|line| line.starts_with("helm install "));
        found.context("the README has no `helm install`")
    }

    async fn install(&self) -> Result<()> {
        let install = self.install_command()?;
        self.shell(&format!("{install} --timeout {PATIENCE}")).await?;
        let pods = self.pods().await?;
        ensure!(pods.len() == 1, "{} pods", pods.len());
        Ok(())
    }

    /// The server and the client of the README. The operator finds the server by the name of its Service.
    async fn first_client(&self) -> Result<()> {
        for heading in ["### Connect a server", "### Register a client"] {
            let file = self.run.write("manifest.yaml", &block(heading, "yaml")?)?;
            self.shell(&format!("kubectl apply -f {}", file.display())).await?;
        }
        for line in block("### Register a client", "sh")?.lines() {
            self.shell(line).await.with_context(|| line.to_owned())?;
        }
        let secrets: Api<Secret> = Api::namespaced(self.plane.client(), "default");
        let secret = secrets.get("web-app").await.context("the credentials")?;
        ensure!(
            secret.data.is_some_and(|data| data.contains_key("CLIENT_SECRET")),
            "no CLIENT_SECRET"
        );
        Ok(())
    }

    /// With two replicas, the other one takes over as soon as the leader's pod is deleted.
    async fn second_replica_takes_over(&self) -> Result<()> {
        let settings = "--set replicaCount=2 --set podDisruptionBudget.enabled=true \
            --set topologySpreadConstraints[0].maxSkew=1 \
            --set topologySpreadConstraints[0].topologyKey=kubernetes.io/hostname \
            --set topologySpreadConstraints[0].whenUnsatisfiable=ScheduleAnyway";
        self.shell(&self.upgrade("charts/oidc-operator", settings)).await?;
        let leader = self.leader().await?;
        let pods: Api<Pod> = Api::namespaced(self.plane.client(), install::NAMESPACE);
        pods.delete(&leader, &DeleteParams::default()).await?;
        let next = wait::until("another leader", LIMIT, async || {
            let found = self.leader().await?;
            Ok((found != leader).then_some(found))
        });
        next.await?;
        self.client_becomes_ready("after-failover").await
    }

    /// The container of the leader is killed on the node; the kubelet starts it again.
    async fn killed_container_restarts(&self) -> Result<()> {
        let leader = self.leader().await?;
        let pods: Api<Pod> = Api::namespaced(self.plane.client(), install::NAMESPACE);
        let container = pods.get(&leader).await?.status.and_then(|status| {
            let status = status.container_statuses?.into_iter().next()?;
            status
                .container_id
                .map(|id| id.trim_start_matches("containerd://").to_owned())
        });
        let container = container.context("no container")?;
        self.node
            .ctr(&["tasks", "kill", "--signal", "SIGKILL", &container])
            .await?;
        wait::until("the container to be started again", LIMIT, async || {
            let statuses = pods
                .get(&leader)
                .await?
                .status
                .and_then(|status| status.container_statuses);
            let restarted = statuses
                .into_iter()
                .flatten()
                .any(|status| status.restart_count > 0 && status.ready);
            Ok(restarted.then_some(()))
        })
        .await?;
        self.client_becomes_ready("after-kill").await
    }

    /// The chart comes from the registry as well.
    async fn chart_from_registry(&self) -> Result<()> {
        let folder = self.run.path().display();
        self.shell(&format!("helm package charts/oidc-operator --destination {folder}"))
            .await?;
        let chart = format!("{folder}/oidc-operator-{}.tgz", env!("CARGO_PKG_VERSION"));
        let charts = format!("oci://{}/charts", self.registry);
        self.shell(&format!("helm push {chart} {charts} --plain-http")).await?;
        let settings = "--plain-http --set port=9090 --set log.format=text --set resources.limits.memory=128Mi";
        self.shell(&self.upgrade(&format!("{charts}/oidc-operator"), settings))
            .await?;
        self.client_becomes_ready("after-upgrade").await
    }

    /// Every value that can run here is changed at once. With a class, the operator needs a server of that class.
    async fn upgrade_with_every_value(&self) -> Result<()> {
        let class = |class: &str| {
            format!("kubectl patch authserver default --type merge -p '{{\"spec\":{{\"serverClass\":{class}}}}}'")
        };
        self.shell(&self.upgrade("charts/oidc-operator", &values::on_a_node().join(" ")))
            .await?;
        self.shell(&class("\"edge\"")).await?;
        self.client_becomes_ready("after-every-value").await?;
        self.shell(&class("null")).await.map(drop)
    }

    async fn roll_back_and_remove(&self) -> Result<()> {
        let namespace = install::NAMESPACE;
        self.shell(&format!(
            "helm rollback {RELEASE} 1 -n {namespace} --wait --timeout {PATIENCE}"
        ))
        .await?;
        let deployments: Api<Deployment> = Api::namespaced(self.plane.client(), namespace);
        let replicas = deployments.get(RELEASE).await?.spec.and_then(|spec| spec.replicas);
        ensure!(replicas == Some(1), "{replicas:?} replicas");
        self.client_becomes_ready("after-rollback").await?;
        let tested = self
            .shell(&format!("helm test {RELEASE} -n {namespace} --logs"))
            .await?;
        ensure!(tested.contains("All CRDs are served"), "{tested}");
        self.uninstallation_is_stopped()
            .await
            .context("a guarded uninstallation")?;
        self.shell(&format!("helm uninstall {RELEASE} -n {namespace} --wait --no-hooks"))
            .await?;
        self.shell("kubectl get oac web-app")
            .await
            .context("a resource went with the release")?;
        let of_operator = |pod: &Pod| pod.name_any().starts_with(RELEASE) && !pod.name_any().contains("check");
        wait::until("all its pods to be gone", LIMIT, async || {
            Ok((!self.pods().await?.iter().any(of_operator)).then_some(()))
        })
        .await?;
        self.shell("kubectl delete oac web-app --wait=false").await?;
        self.shell(&block_of(
            "docs/tasks/uninstall.md",
            "## If the operator is gone",
            "sh",
        )?)
        .await?;
        self.shell("kubectl delete oidc --all --all-namespaces --timeout 30s")
            .await
            .map(drop)
    }

    /// `helm uninstall` fails while resources need the operator, and a log names them.
    async fn uninstallation_is_stopped(&self) -> Result<()> {
        let namespace = install::NAMESPACE;
        self.shell(&self.upgrade("charts/oidc-operator", "--set uninstallCheck.enabled=true"))
            .await?;
        let stopped = self
            .shell(&format!("helm uninstall {RELEASE} -n {namespace} --timeout {PATIENCE}"))
            .await;
        ensure!(stopped.is_err(), "the release was uninstalled");
        let said = self
            .shell(&format!("kubectl logs job/{RELEASE}-uninstall-check -n {namespace}"))
            .await?;
        ensure!(
            said.contains("OAuth2Client default/web-app") && said.contains("Delete them first"),
            "{said}"
        );
        self.client_becomes_ready("after-check").await
    }

    fn upgrade(&self, chart: &str, settings: &str) -> String {
        let image = format!(
            "--set image.registry={} --set image.repository=oidc-operator",
            self.registry
        );
        let namespace = install::NAMESPACE;
        format!("helm upgrade {RELEASE} {chart} -n {namespace} {image} {settings} --wait --timeout {PATIENCE}")
    }

    async fn client_becomes_ready(&self, name: &str) -> Result<()> {
        let manifest = json!({
            "apiVersion": "oidc-operator.dev/v1alpha1",
            "kind": "OAuth2Client",
            "metadata": { "name": name, "namespace": "default" },
            "spec": { "redirectUris": ["https://app.example.com/callback"] },
        });
        let file = self.run.write("client.json", &manifest.to_string())?;
        self.shell(&format!("kubectl apply -f {}", file.display())).await?;
        let wait = format!("kubectl wait oac/{name} --for=condition=Ready --timeout=60s");
        self.shell(&wait).await.map(drop)
    }

    /// Name of the pod that leads; waits until one of the present pods does.
    async fn leader(&self) -> Result<String> {
        let leases: Api<Lease> = Api::namespaced(self.plane.client(), "kube-system");
        wait::until("a leader", LIMIT, async || {
            let holder = leases.get(RELEASE).await?.spec.and_then(|spec| spec.holder_identity);
            let pods = self.pods().await?;
            Ok(holder.filter(|holder| pods.iter().any(|pod| pod.name_any() == *holder && !is_going(pod))))
        })
        .await
    }

    async fn pods(&self) -> Result<Vec<Pod>> {
        let pods: Api<Pod> = Api::namespaced(self.plane.client(), install::NAMESPACE);
        Ok(pods.list(&ListParams::default()).await?.items)
    }

    async fn log_of(&self, pod: &str) -> Result<String> {
        let pods: Api<Pod> = Api::namespaced(self.plane.client(), install::NAMESPACE);
        Ok(pods.logs(pod, &LogParams::default()).await?)
    }

    /// Runs a command in the repository as a person would. On failure, the message also shows the pods' state.
    async fn shell(&self, command: &str) -> Result<String> {
        let mut shell = tokio::process::Command::new("bash");
        let programs = [Program::Helm.path().await?, Program::Kubectl.path().await?];
        let folders = programs
            .iter()
            .filter_map(|program| program.parent().map(Path::to_owned));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(folders.chain(std::env::split_paths(&path)))?;
        shell
            .args(["-c", command])
            .current_dir(install::repository())
            .env("PATH", path)
            .env("BUILDER", "buildah")
            .env("KUBECONFIG", self.plane.kubeconfig_path())
            .env("HELM_CACHE_HOME", self.run.path().join("helm"))
            .env("HELM_CONFIG_HOME", self.run.path().join("helm"))
            .env("HELM_DATA_HOME", self.run.path().join("helm"))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = shell.output().await?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            bail!("{command}: {}", last_lines(&errors, 12));
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

fn is_going(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Starts a registry without TLS and returns it with its host and port.
async fn start_registry(run: &RunDir, port: u16) -> Result<(Child, String)> {
    let configuration = json!({
        "version": 0.1,
        "storage": { "filesystem": { "rootdirectory": run.path().join("registry") } },
        "http": { "addr": format!("127.0.0.1:{port}") },
        "log": { "level": "warn" },
    });
    let file = run.write("registry.yml", &configuration.to_string())?;
    let mut command = process::command("docker-registry");
    command.arg("serve").arg(file);
    let mut child = Child::spawn("docker-registry", command, &run.path().join("registry.log"))?;
    let url = format!("http://127.0.0.1:{port}/v2/");
    child
        .wait_ready(LIMIT, async || testbed::http::answers_ok(&url).await)
        .await?;
    Ok((child, format!("127.0.0.1:{port}")))
}

/// The first block of code in a language below a heading of the README.
fn block(heading: &str, language: &str) -> Result<String> {
    block_of("README.md", heading, language)
}

/// The first block of code in a language below a heading of a page.
fn block_of(page: &str, heading: &str, language: &str) -> Result<String> {
    let text = std::fs::read_to_string(install::repository().join(page))?;
    let text = format!("\n{text}");
    let (_, section) = text
        .split_once(&format!("\n{heading}\n"))
        .with_context(|| format!("{page} has no heading {heading}"))?;
    let (_, block) = section
        .split_once(&format!("\n```{language}\n"))
        .with_context(|| format!("{heading}: no block of {language}"))?;
    let (block, _) = block.split_once("\n```").context("the block does not end")?;
    Ok(block.to_owned())
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
