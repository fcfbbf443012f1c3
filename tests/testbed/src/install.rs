//! The operator, installed as by its users: the real Helm renders the chart, and kubectl applies it. Only the process
//! is started here, because nothing runs pods.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::control_plane::ControlPlane;
use crate::process;
use crate::programs::Program;
use crate::wait;

/// The namespace that the operator is installed into.
pub const NAMESPACE: &str = "oidc-system";
/// Name of the Helm release.
const RELEASE: &str = "oidc-operator";
/// Field manager of the objects that are applied here.
const MANAGER: &str = "testbed";
/// Longest wait for the installed objects to exist.
const LIMIT: Duration = Duration::from_secs(60);
/// Variables of proxies, which the operator must not use: the servers are on loopback.
const PROXY_VARIABLES: [&str; 6] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
];

/// An installed chart.
#[derive(Clone, Debug)]
pub struct Installation {
    manifests: Vec<Value>,
    service_account: String,
    login_account: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

/// Renders the chart with `helm template`, with one `--set` for each of `settings`.
///
/// # Errors
/// When Helm is not available or refuses the chart; the message quotes Helm.
pub async fn render(settings: &[&str]) -> Result<String> {
    let mut helm = tokio::process::Command::new(Program::Helm.path().await?);
    helm.args(["template", RELEASE, "--skip-tests"]) // their pods would never run
        .arg(chart())
        .args(["--namespace", NAMESPACE])
        .kill_on_drop(true);
    for setting in settings {
        helm.args(["--set", setting]);
    }
    process::output("helm template", helm).await
}

/// The operator's chart in this repository.
fn chart() -> PathBuf {
    repository().join("charts/oidc-operator")
}

/// The folder of this repository, from which this program was built.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Renders the chart, applies all of it, and waits until its kinds are served and its ServiceAccount exists.
///
/// # Errors
/// When Helm or the kube-apiserver refuses something, or the chart has no Deployment of one container.
pub async fn install(plane: &ControlPlane, settings: &[&str]) -> Result<Installation> {
    let rendered = render(settings).await?;
    make_namespace(plane, NAMESPACE).await?;
    kubectl_apply(plane, &rendered, &[]).await?; // the chart names every namespace
    let installation = Installation::of(manifests(&rendered)?)?;
    installation.wait_until_served(plane).await?;
    Ok(installation)
}

/// Makes sure that a namespace exists.
///
/// # Errors
/// When the kube-apiserver refuses it.
pub async fn make_namespace(plane: &ControlPlane, name: &str) -> Result<()> {
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    Api::<Namespace>::all(plane.client())
        .patch(name, &PatchParams::apply(MANAGER), &Patch::Apply(&namespace))
        .await
        .with_context(|| format!("making namespace {name}"))?;
    Ok(())
}

/// Applies manifests (YAML) with `kubectl apply --server-side`, into the operator's namespace where they name none.
///
/// # Errors
/// When kubectl refuses them; the message quotes kubectl.
pub async fn apply(plane: &ControlPlane, manifests: &str) -> Result<()> {
    apply_into(plane, NAMESPACE, manifests).await
}

/// Applies manifests (YAML) with `kubectl apply --server-side`, into `namespace` where they name none.
///
/// # Errors
/// When kubectl refuses them; the message quotes kubectl.
pub async fn apply_into(plane: &ControlPlane, namespace: &str, manifests: &str) -> Result<()> {
    kubectl_apply(plane, manifests, &["--namespace", namespace]).await
}

/// Has the kube-apiserver validate manifests that name their namespaces, without storing them.
///
/// # Errors
/// When it refuses one; the message quotes kubectl.
pub async fn validate(plane: &ControlPlane, manifests: &str) -> Result<()> {
    let flags = ["--dry-run=server", "--validate=strict", "--force-conflicts"];
    kubectl_apply(plane, manifests, &flags).await
}

async fn kubectl_apply(plane: &ControlPlane, manifests: &str, flags: &[&str]) -> Result<()> {
    let mut kubectl = plane.kubectl();
    kubectl
        .args(["apply", "--server-side"])
        .args(flags)
        .args(["--field-manager", MANAGER, "--filename", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut kubectl = kubectl.spawn().context("running kubectl")?;
    let mut stdin = kubectl.stdin.take().context("stdin is piped")?;
    // A kubectl that refuses early closes its side; its message counts, not the broken pipe.
    let _ = stdin.write_all(manifests.as_bytes()).await;
    drop(stdin);
    let output = kubectl.wait_with_output().await?;
    if !output.status.success() {
        bail!("kubectl apply: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Parses a stream of YAML documents; empty documents are left out.
///
/// # Errors
/// When a document is not YAML.
pub fn manifests(rendered: &str) -> Result<Vec<Value>> {
    serde_saphyr::from_multiple(rendered).context("a manifest is no YAML")
}

impl Installation {
    fn of(manifests: Vec<Value>) -> Result<Self> {
        let deployment = manifests
            .iter()
            .find(|manifest| manifest["kind"] == "Deployment")
            .context("the chart has no Deployment")?;
        let pod = &deployment["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let arguments: Vec<String> = container["args"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(text)
            .collect();
        let login_account = arguments
            .iter()
            .find_map(|argument| argument.strip_prefix("--login-service-account="));
        let environment = container["env"].as_array().into_iter().flatten();
        Ok(Self {
            service_account: text(&pod["serviceAccountName"]).context("the Deployment has no serviceAccountName")?,
            login_account: login_account.unwrap_or_default().to_owned(),
            arguments,
            environment: environment.filter_map(variable).collect(),
            manifests,
        })
    }

    /// Everything that the chart renders.
    #[must_use]
    pub fn manifests(&self) -> &[Value] {
        &self.manifests
    }

    /// Name of the operator's ServiceAccount.
    #[must_use]
    pub fn service_account(&self) -> &str {
        &self.service_account
    }

    /// Name of the ServiceAccount as which the operator logs in to servers, empty if there is none.
    #[must_use]
    pub fn login_account(&self) -> &str {
        &self.login_account
    }

    /// A token that logs in as the operator's ServiceAccount.
    ///
    /// # Errors
    /// When the ServiceAccount is gone.
    pub async fn token(&self, plane: &ControlPlane) -> Result<String> {
        plane.service_account_token(NAMESPACE, &self.service_account).await
    }

    /// The command that the Deployment's container runs, with its arguments and variables. `flags` (name, value)
    /// override the chart's.
    #[must_use]
    pub fn command(&self, program: &Path, kubeconfig: &Path, flags: &[(&str, &str)]) -> Command {
        let overridden = |argument: &str| {
            let name = argument.trim_start_matches("--").split('=').next();
            flags.iter().any(|(flag, _)| Some(*flag) == name)
        };
        let mut command = process::command(program);
        command.args(self.arguments.iter().filter(|argument| !overridden(argument)));
        command.args(flags.iter().map(|(name, value)| format!("--{name}={value}")));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.env("KUBECONFIG", kubeconfig);
        for name in PROXY_VARIABLES {
            command.env_remove(name);
        }
        command
    }

    async fn wait_until_served(&self, plane: &ControlPlane) -> Result<()> {
        let crds: Api<CustomResourceDefinition> = Api::all(plane.client());
        let accounts: Api<ServiceAccount> = Api::namespaced(plane.client(), NAMESPACE);
        for manifest in &self.manifests {
            if manifest["kind"] != "CustomResourceDefinition" {
                continue;
            }
            let name = text(&manifest["metadata"]["name"]).context("a CRD without a name")?;
            wait::until(&format!("{name} to be served"), LIMIT, async || {
                Ok(crds.get_opt(&name).await?.filter(is_established).map(|_| ()))
            })
            .await?;
        }
        wait::until("the operator's ServiceAccount", LIMIT, async || {
            Ok(accounts.get_opt(&self.service_account).await?.map(|_| ()))
        })
        .await
    }
}

/// Whether the kinds of a definition are served.
pub(crate) fn is_established(crd: &CustomResourceDefinition) -> bool {
    let conditions = crd.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions
        .into_iter()
        .any(|condition| condition.type_ == "Established" && condition.status == "True")
}

/// A variable of a container: its value, or the value that the kubelet would set. Other variables are left out.
fn variable(entry: &Value) -> Option<(String, String)> {
    let name = text(&entry["name"])?;
    let value = match entry["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
        Some("metadata.namespace") => NAMESPACE.to_owned(),
        Some("metadata.name") => format!("{RELEASE}-0"),
        Some(_) => return None,
        None => text(&entry["value"])?,
    };
    Some((name, value))
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installation(container: Value) -> Result<Installation> {
        let pod = json!({ "serviceAccountName": "robot", "containers": [container] });
        let deployment = json!({ "kind": "Deployment", "spec": { "template": { "spec": pod } } });
        Installation::of(vec![deployment])
    }

    #[test]
    fn the_process_runs_as_in_the_deployment_except_for_our_flags() -> Result<()> {
        let installation = installation(json!({
            "args": ["run", "--listen=:8080", "--log=info"],
            "env": [
                { "name": "WHERE", "valueFrom": { "fieldRef": { "fieldPath": "metadata.namespace" } } },
                { "name": "LIMIT", "valueFrom": { "resourceFieldRef": { "resource": "limits.memory" } } },
            ],
        }))?;
        let command = installation.command(Path::new("op"), Path::new("config"), &[("listen", "127.0.0.1:1")]);
        let arguments: Vec<_> = command.get_args().filter_map(|argument| argument.to_str()).collect();
        assert_eq!(
            arguments[arguments.len() - 4..],
            ["op", "run", "--log=info", "--listen=127.0.0.1:1"]
        );
        let variables: Vec<_> = command.get_envs().filter_map(|(name, _)| name.to_str()).collect();
        assert!(variables.contains(&"WHERE") && variables.contains(&"KUBECONFIG"));
        assert!(!variables.contains(&"LIMIT"));
        Ok(())
    }

    #[test]
    fn empty_documents_are_left_out() -> Result<()> {
        assert_eq!(
            manifests("---\n# nothing\n---\nkind: A\n---\n")?,
            [json!({ "kind": "A" })]
        );
        Ok(())
    }
}
