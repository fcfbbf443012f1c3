//! Where a story plays: servers, the installed chart, and an operator that runs as the chart's ServiceAccount with
//! exactly its rights.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use libtest_mimic::{Failed, Trial};
use testbed::install::{self, Installation};
use testbed::process::Child;
use testbed::programs::Program;
use testbed::run_dir::RunDir;
use testbed::servers::{Part, Servers};
use testbed::{ControlPlane, http, ports};

/// Longest wait for anything that one program of a story has to do.
pub const LIMIT: Duration = Duration::from_secs(120);
/// Longest time for a story, without the time to build its programs.
const STORY_LIMIT: Duration = Duration::from_secs(900);

/// A running stage. Everything stops when it is dropped.
pub struct Stage {
    /// The operator; it stops before the servers that it uses.
    pub operator: Child,
    /// Where its probes and metrics are, as `http://127.0.0.1:8080`.
    pub operator_url: String,
    /// The installed chart.
    pub installation: Installation,
    /// Kubernetes and the servers of the story.
    pub servers: Servers,
    /// A folder that goes with the stage.
    pub run: RunDir,
}

impl Stage {
    /// Starts the control plane and `parts`, installs the chart with `settings` (as for `helm --set`) and starts the
    /// operator with `flags`.
    pub async fn start(parts: &[Part], settings: &[&str], flags: &[(&str, &str)]) -> Result<Self> {
        let mut needed = parts.to_vec();
        needed.push(Part::Helm);
        let servers = Servers::start(&needed).await?;
        let run = RunDir::new()?;
        let plane = &servers.control_plane;
        let installation = install::install(plane, settings).await?;
        let token = installation.token(plane).await?;
        let kubeconfig = ControlPlane::token_kubeconfig(plane.url(), &plane.ca_pem(), &token);
        let kubeconfig = run.write("operator.kubeconfig", &kubeconfig)?;
        let log = run.path().join("operator.log");
        let (operator, operator_url) = ports::with_free(async |[port]| {
            let listen = format!("127.0.0.1:{port}");
            let flags: Vec<_> = flags.iter().copied().chain([("listen", listen.as_str())]).collect();
            let program = Path::new(env!("CARGO_BIN_EXE_oidc-operator"));
            let mut operator = Child::spawn(
                "oidc-operator",
                installation.command(program, &kubeconfig, &flags),
                &log,
            )?;
            let url = format!("http://{listen}");
            let ready = format!("{url}/readyz");
            operator
                .wait_ready(LIMIT, async || http::answers_ok(&ready).await)
                .await?;
            Ok((operator, url))
        })
        .await?;
        Ok(Self {
            operator,
            operator_url,
            installation,
            servers,
            run,
        })
    }

    /// A Kubernetes client with all rights.
    pub fn client(&self) -> kube::Client {
        self.servers.control_plane.client()
    }

    /// Applies a stream of manifests as a cluster admin does; objects that name no namespace go to `namespace`, which
    /// is made first.
    pub async fn apply(&self, namespace: &str, manifests: &str) -> Result<()> {
        let plane = &self.servers.control_plane;
        install::make_namespace(plane, namespace).await?;
        install::apply_into(plane, namespace, manifests).await
    }
}

/// A story as a test, with programs that are built first; the limit on its time does not count that. It is ignored, with
/// the obstacle in its name, where there is one.
pub fn story<F>(name: &str, obstacle: Option<String>, programs: &'static [Program], story: F) -> Trial
where
    F: AsyncFnOnce() -> Result<()> + Send + 'static,
{
    if let Some(obstacle) = obstacle {
        return Trial::test(format!("{name} ({obstacle})"), || Ok(())).with_ignored_flag(true);
    }
    Trial::test(name, move || {
        let runtime = tokio::runtime::Runtime::new().context("a runtime");
        let result = runtime.and_then(|runtime| {
            runtime.block_on(async {
                for program in programs {
                    program.path().await?;
                }
                let ended = tokio::time::timeout(STORY_LIMIT, story()).await;
                ended.unwrap_or_else(|_| Err(anyhow!("the story did not end within {STORY_LIMIT:?}")))
            })
        });
        result.map_err(|error| Failed::from(format!("{error:#}")))
    })
}
