//! hydra-maester, another operator for Ory Hydra. It runs as a process of a cluster admin, as its own manifests let it.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, ResourceExt};
use url::Url;

use crate::control_plane::ControlPlane;
use crate::hydra::Hydra;
use crate::process::{self, Child};
use crate::programs::Program;
use crate::run_dir::RunDir;
use crate::{http, install, ports, wait};

/// Longest wait for it to be ready.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running hydra-maester. It stops when this value is dropped.
pub struct Maester {
    child: Child,
    _run: RunDir,
}

impl Maester {
    /// Installs its custom resource definition, and starts it for a Hydra.
    ///
    /// # Errors
    /// When it is not available or not ready in time; the message quotes the end of its log.
    pub async fn start(plane: &ControlPlane, hydra: &Hydra) -> Result<Self> {
        let program = Program::HydraMaester.path().await?;
        let crd = program.with_file_name("hydra.ory.sh_oauth2clients.yaml");
        let crd = std::fs::read_to_string(&crd).with_context(|| format!("reading {}", crd.display()))?;
        install::apply_into(plane, "default", &crd).await?;
        let crd: CustomResourceDefinition = serde_saphyr::from_str(&crd)?;
        let crds: Api<CustomResourceDefinition> = Api::all(plane.client());
        let served = async || {
            let found = crds.get_opt(&crd.name_any()).await?;
            Ok(found.filter(install::is_established).map(|_| ()))
        };
        wait::until("its kind to be served", START_LIMIT, served).await?;

        let run = RunDir::new()?;
        let admin = Url::parse(&hydra.prefixed_admin_url())?;
        let child = ports::with_free(async |[port]| {
            let listen = format!("127.0.0.1:{port}");
            let mut command = process::command(&program);
            command
                .args(["--hydra-url", "http://127.0.0.1", "--metrics-addr", &listen])
                .args(["--hydra-port", &admin.port().context("no port")?.to_string()])
                .args(["--endpoint", &format!("{}/clients", admin.path().trim_end_matches('/'))])
                .env("KUBECONFIG", plane.kubeconfig_path())
                .env("NO_PROXY", "127.0.0.1");
            let mut child = Child::spawn("hydra-maester", command, &run.path().join("hydra-maester.log"))?;
            let metrics = format!("http://{listen}/metrics");
            child
                .wait_ready(START_LIMIT, async || http::answers_ok(&metrics).await)
                .await?;
            Ok(child)
        })
        .await?;
        Ok(Self { child, _run: run })
    }

    /// The last lines that it wrote, for messages.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.child.log_tail()
    }
}
