//! The page that tells how to move, followed word for word.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result, ensure};
use testbed::process::{self, Child};
use testbed::proxy::{Action, Fault, Identity, Proxy, RequestHead, Upstream};
use testbed::run_dir::RunDir;
use testbed::{ControlPlane, install, wait};

use crate::stage::{LIMIT, Stage};

const PAGE: &str = include_str!("../../../docs/migration.md");
/// Requests at which the command is killed, counted over all that change something.
const POINTS: [u64; 10] = [1, 2, 5, 9, 10, 14, 18, 23, 27, 32];

const POINTS_BACK: [u64; 5] = [1, 5, 9, 14, 23];

/// A person who follows the page, in a folder of their own.
pub struct Page {
    folder: RunDir,
    path: std::ffi::OsString,
    kubeconfig: std::path::PathBuf,
    /// The Kubernetes API as it is reached through `proxy`.
    proxied: std::path::PathBuf,
    proxy: Proxy,
}

impl Page {
    pub async fn new(stage: &Stage) -> Result<Self> {
        let folder = RunDir::new()?;
        let plane = &stage.servers.control_plane;
        let program = Path::new(env!("CARGO_BIN_EXE_oidc-operator"));
        std::os::unix::fs::symlink(program, folder.path().join("kubectl-oidc"))?;
        std::os::unix::fs::symlink(plane.kubectl_path(), folder.path().join("kubectl"))?;
        let others = std::env::var_os("PATH").unwrap_or_default();
        let own = [folder.path().to_owned()];
        let path = std::env::join_paths(own.into_iter().chain(std::env::split_paths(&others)))?;
        let token = admin(plane).await?;
        let upstream = Upstream::https(plane.url(), plane.ca_pem());
        let (certificate_pem, key_pem) = plane.pki().issue_server(&["127.0.0.1"])?;
        let identity = Identity {
            certificate_pem,
            key_pem,
        };
        let proxy = Proxy::start("kube of the page", upstream, Some(identity)).await?;
        let proxied = ControlPlane::token_kubeconfig(&proxy.url(), &plane.ca_pem(), &token);
        Ok(Self {
            proxied: folder.write("proxied.kubeconfig", &proxied)?,
            kubeconfig: plane.kubeconfig_path().to_owned(),
            folder,
            path,
            proxy,
        })
    }

    /// What the file of a step holds.
    pub fn read(&self, file: &str) -> Result<String> {
        Ok(std::fs::read_to_string(self.folder.path().join(file))?)
    }

    /// Runs the commands of a step, which must end with this code, and returns what they print.
    pub async fn follow(&self, step: usize, code: i32) -> Result<String> {
        let (_, steps) = PAGE.split_once("\n1. ").context("no steps")?;
        self.run(block(steps, step)?, code)
            .await
            .with_context(|| format!("step {step}"))
    }

    pub async fn go_back(&self) -> Result<()> {
        let (_, section) = PAGE.split_once("### Go back").context("no section")?;
        self.run(block(section, 1)?, 0).await.map(drop).context("the way back")
    }

    pub async fn clean_up(&self) -> Result<()> {
        let (_, section) = PAGE.split_once("### Go back").context("no section")?;
        self.run(block(section, 2)?, 0).await.map(drop).context("the end")
    }

    /// Runs a command that is not on the page, which must end with this code, and returns what it prints.
    pub async fn run(&self, commands: String, code: i32) -> Result<String> {
        let mut command: tokio::process::Command = self.command(&commands, &self.kubeconfig).into();
        let output = command.stdin(Stdio::null()).output().await?;
        let (out, err) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        ensure!(output.status.code() == Some(code), "{:?}: {out}{err}", output.status);
        Ok(out)
    }

    fn command(&self, commands: &str, kubeconfig: &Path) -> std::process::Command {
        let mut command = process::command("sh");
        command.args(["-c", &format!("set -e\n{commands}")]);
        command.current_dir(self.folder.path());
        command.env("PATH", &self.path).env("KUBECONFIG", kubeconfig);
        command
    }

    /// Runs the command of a step again and again, killed before and after requests that change something. Returns the
    /// number of kills.
    pub async fn killed_at_every_point(&self, step: usize) -> Result<usize> {
        let (_, steps) = PAGE.split_once("\n1. ").context("no steps")?;
        self.killed_at(block(steps, step)?, &POINTS).await
    }

    /// As [`Self::killed_at_every_point`], on the way back.
    pub async fn killed_on_the_way_back(&self) -> Result<usize> {
        let (_, section) = PAGE.split_once("### Go back").context("no section")?;
        self.killed_at(block(section, 1)?, &POINTS_BACK).await
    }

    async fn killed_at(&self, command: String, points: &[u64]) -> Result<usize> {
        let mut kills = 0;
        for nth in points {
            for after in [false, true] {
                self.killed(&command, *nth, after)
                    .await
                    .with_context(|| format!("killed at request {nth}"))?;
                kills += 1;
            }
        }
        Ok(kills)
    }

    /// Runs a command that is killed before or after its nth request that changes something.
    pub async fn killed(&self, command: &str, nth: u64, after: bool) -> Result<()> {
        let command = &format!("exec {command}");
        let running: Arc<OnceLock<Mutex<Child>>> = Arc::default();
        let victim = Arc::clone(&running);
        let hook = move || {
            if let Some(child) = victim.get() {
                child.lock().unwrap_or_else(PoisonError::into_inner).kill();
            }
        };
        let action = match after {
            true => Action::call_after(hook),
            false => Action::call_before(hook),
        };
        let strike = self.proxy.inject(Fault::new(changes, action).nth(nth));
        let log = self.folder.path().join("killed.log");
        let child = Child::spawn("kubectl", self.command(command, &self.proxied), &log)?;
        let child = running.get_or_init(|| Mutex::new(child));
        let ended = async || child.lock().unwrap_or_else(PoisonError::into_inner).exit_status();
        let status = wait::until("the command to be killed", LIMIT, ended).await?;
        ensure!(
            strike.struck() > 0 && status.code().is_none(),
            "{status}: {}",
            child.lock().unwrap_or_else(PoisonError::into_inner).log_tail()
        );
        self.proxy.clear();
        Ok(())
    }
}

/// Requests that change something.
fn changes(head: &RequestHead) -> bool {
    head.method != "GET" && !head.query().contains("dryRun") && !head.path().contains("selfsubject")
}

/// A ServiceAccount that may do everything, and its token.
async fn admin(plane: &ControlPlane) -> Result<String> {
    const ADMIN: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: { name: admin, namespace: default }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: admin-of-the-page }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin }
subjects: [{ kind: ServiceAccount, name: admin, namespace: default }]
";
    install::apply_into(plane, "default", ADMIN).await?;
    plane.service_account_token("default", "admin").await
}

/// The commands of the nth block.
fn block(text: &str, nth: usize) -> Result<String> {
    let block = text.split("```sh\n").nth(nth).context("no such block")?;
    let (block, _) = block.split_once("```").context("no end")?;
    Ok(block.lines().map(str::trim).collect::<Vec<_>>().join("\n"))
}
