//! Flux: the controllers that fetch a Git repository and apply it. They run as processes of a cluster admin, as Flux's
//! own manifests let them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, ResourceExt};

use crate::control_plane::ControlPlane;
use crate::process::{self, Child};
use crate::programs::Program;
use crate::run_dir::RunDir;
use crate::{http, install, ports, wait};

/// The namespace of Flux.
pub const NAMESPACE: &str = "flux-system";
/// Longest wait for a controller to be ready.
const START_LIMIT: Duration = Duration::from_secs(90);

/// Running controllers. They stop when this value is dropped.
pub struct Flux {
    /// The controllers, before their folder is removed.
    children: Vec<Child>,
    _run: RunDir,
}

impl Flux {
    /// Installs the custom resources of both controllers and starts them.
    ///
    /// # Errors
    /// When a program is not available or not ready in time; the message quotes the end of its log.
    pub async fn start(plane: &ControlPlane) -> Result<Self> {
        let source = Program::SourceController.path().await?;
        let apply = Program::KustomizeController.path().await?;
        install::make_namespace(plane, NAMESPACE).await?;
        install_crds(plane, &source).await?;
        let run = RunDir::new()?;
        std::fs::create_dir(run.path().join("artifacts"))?;
        let fetching = ports::with_free(async |[health, artifacts]| {
            let artifacts = format!("127.0.0.1:{artifacts}");
            let flags = [
                format!("--storage-path={}", run.path().join("artifacts").display()),
                format!("--storage-addr={artifacts}"),
                format!("--storage-adv-addr={artifacts}"),
            ];
            start(plane, &run, &source, health, &flags).await
        })
        .await?;
        let applying = ports::with_free(async |[health]| {
            start(plane, &run, &apply, health, &["--requeue-dependency=1s".to_owned()]).await
        })
        .await?;
        Ok(Self {
            children: vec![fetching, applying],
            _run: run,
        })
    }

    /// The last lines that the controllers wrote, for messages.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let tails = self
            .children
            .iter()
            .map(|child| format!("{} wrote:\n{}\n", child.name(), child.log_tail()));
        tails.collect()
    }
}

async fn start(plane: &ControlPlane, run: &RunDir, program: &Path, health: u16, flags: &[String]) -> Result<Child> {
    let name = program
        .file_name()
        .and_then(|name| name.to_str())
        .context("a program without a name")?;
    let log = run.path().join(format!("{name}.log"));
    let mut child = Child::spawn(name, command(plane, run, program, health, flags), &log)?;
    let ready = format!("http://127.0.0.1:{health}/readyz");
    child
        .wait_ready(START_LIMIT, async || http::answers_ok(&ready).await)
        .await?;
    Ok(child)
}

fn command(plane: &ControlPlane, run: &RunDir, program: &Path, health: u16, flags: &[String]) -> Command {
    let mut command = process::command(program);
    command
        .args(["--watch-all-namespaces", "--events-addr=", "--metrics-addr=0"])
        .arg(format!("--health-addr=127.0.0.1:{health}"))
        .args(flags)
        .env("KUBECONFIG", plane.kubeconfig_path())
        .env("RUNTIME_NAMESPACE", NAMESPACE)
        .env("TMPDIR", run.path())
        .env("NO_PROXY", "127.0.0.1");
    command
}

/// Applies the custom resource definitions that lie beside the programs, and waits until they are served.
async fn install_crds(plane: &ControlPlane, program: &Path) -> Result<()> {
    let crds: Api<CustomResourceDefinition> = Api::all(plane.client());
    for file in yaml_files(program.parent().context("a program in no folder")?)? {
        let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        install::apply_into(plane, NAMESPACE, &text).await?;
        let crd: CustomResourceDefinition = serde_saphyr::from_str(&text)?;
        let name = crd.name_any();
        wait::until(&format!("{name} to be served"), START_LIMIT, async || {
            Ok(crds.get_opt(&name).await?.filter(install::is_established).map(|_| ()))
        })
        .await?;
    }
    Ok(())
}

fn yaml_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    Ok(files)
}
