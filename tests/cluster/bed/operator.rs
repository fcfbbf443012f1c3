//! An operator: the real program in its own process, with its own fault proxy in front of the kube-apiserver.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result};
use testbed::process::{Child, Signal};
use testbed::proxy::{Journal, Proxy, Upstream};
use testbed::{ControlPlane, http, ports, wait};

use super::{Bed, LIMIT, lock};
use crate::closing::rbac::KubeRequest;

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_oidc-operator");
/// Longest time between SIGTERM and the end of the process.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// Options of an operator.
#[derive(Clone, Debug, Default)]
pub struct OperatorOptions {
    /// Whether it takes part in leader election. If not, it leads from the start.
    pub leader_election: bool,
    /// Further flags (name without dashes, value); they override those of the chart and of the bed.
    pub flags: Vec<(String, String)>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// Whether its web server listens on all addresses, as by default, and not on loopback only.
    pub everywhere: bool,
    /// Whether something is missing, so that it cannot become ready; the start does not wait for readiness then.
    pub lacking: bool,
}

/// An operator, running or stopped.
pub struct Operator {
    name: String,
    child: Mutex<Option<Child>>,
    kube: Proxy,
    kubeconfig: PathBuf,
    log: PathBuf,
    port: u16,
    options: OperatorOptions,
    installation: testbed::install::Installation,
}

impl Operator {
    pub(super) async fn start(bed: &Bed, name: &str, options: OperatorOptions) -> Result<Self> {
        let upstream = Upstream::https(bed.plane.url(), bed.plane.ca_pem());
        let kube = Proxy::start(&format!("kube of {name}"), upstream, Some(bed.identity()?)).await?;
        let kubeconfig = ControlPlane::token_kubeconfig(&kube.url(), &bed.plane.ca_pem(), &bed.token);
        let mut operator = Self {
            name: name.to_owned(),
            child: Mutex::default(),
            kubeconfig: bed.run.write(&format!("{name}.kubeconfig"), &kubeconfig)?,
            log: bed.run.path().join(format!("{name}.log")),
            kube,
            port: 0,
            options,
            installation: bed.installation.clone(),
        };
        operator.port = ports::with_free(async |[port]| {
            operator.launch(port).await?;
            Ok(port)
        })
        .await?;
        Ok(operator)
    }

    /// Starts it again, with the same flags, name and port, and waits until it is ready. Does nothing if it is running.
    pub async fn start_again(&self) -> Result<()> {
        if self.is_alive() {
            return Ok(());
        }
        self.launch(self.port).await
    }

    /// Kills it at once, whatever it is doing. Can be called from a fault's hook.
    pub fn kill(&self) {
        *lock(&self.child) = None;
    }

    /// Terminates it (SIGTERM) and waits until it has exited.
    pub async fn terminate(&self) -> Result<ExitStatus> {
        let child = lock(&self.child).take();
        let mut child = child.with_context(|| format!("{} is not running", self.name))?;
        child.terminate(STOP_LIMIT).await
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let mut child = lock(&self.child);
        let child = child
            .as_mut()
            .with_context(|| format!("{} is not running", self.name))?;
        child.signal(signal)
    }

    /// Waits until it has exited, at most for `limit`; then kills it.
    pub async fn ended(&self, limit: Duration) -> Result<ExitStatus> {
        let child = lock(&self.child).take();
        let mut child = child.with_context(|| format!("{} is not running", self.name))?;
        child.wait(limit).await
    }

    /// Whether the process is running.
    pub fn is_alive(&self) -> bool {
        lock(&self.child).as_mut().is_some_and(Child::is_alive)
    }

    /// Highest resident memory of its process so far, in MiB.
    pub fn peak_mib(&self) -> Result<u64> {
        let pid = self.pid().context("it is not running")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: u64 = line
            .and_then(|line| line.split_whitespace().next())
            .context("no VmHWM")?
            .parse()?;
        Ok(kib / 1024)
    }

    /// Whether it was started with something missing.
    pub fn is_lacking(&self) -> bool {
        self.options.lacking
    }

    /// Its process id, if it is running.
    pub fn pid(&self) -> Option<u32> {
        lock(&self.child).as_ref().map(Child::pid)
    }

    /// Its name in messages, which is also its identity in leader election.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The proxy between it and the kube-apiserver.
    pub fn kube(&self) -> &Proxy {
        &self.kube
    }

    /// Its requests to the kube-apiserver.
    pub fn requests(&self) -> &Journal {
        self.kube.journal()
    }

    /// Its requests to the kube-apiserver after `mark`, as the authorizer sees them.
    pub fn kube_requests(&self, mark: u64) -> Vec<KubeRequest> {
        let exchanges = self.requests().since(mark);
        exchanges
            .iter()
            .filter_map(|exchange| KubeRequest::of(&exchange.head))
            .collect()
    }

    /// Its writes in a namespace so far, in order, without events.
    pub fn writes_in(&self, namespace: &str) -> Vec<KubeRequest> {
        let mut requests = self.kube_requests(0);
        requests.retain(|request| {
            request.namespace.as_deref() == Some(namespace) && request.is_write() && request.resource != "events"
        });
        requests
    }

    /// Its writes after `mark` in a namespace or about an AuthorizationServer, events included.
    pub fn writes_about(&self, mark: u64, namespace: &str, server: &str) -> Vec<KubeRequest> {
        let mut requests = self.kube_requests(mark);
        requests.retain(|request| {
            let is_about = request.namespace.as_deref() == Some(namespace) || request.name.as_deref() == Some(server);
            is_about && request.is_write()
        });
        requests
    }

    /// The statuses that it has sent for resources of a namespace, with the status codes of the replies, for messages.
    pub fn status_patches(&self, namespace: &str) -> String {
        let place = format!("/namespaces/{namespace}/");
        let mut exchanges = self.requests().snapshot();
        exchanges.retain(|exchange| exchange.head.path().contains(&place) && exchange.head.path().ends_with("/status"));
        let shown = exchanges.iter().map(|exchange| {
            let code = exchange.upstream_status.unwrap_or_default();
            format!("{code} {}", String::from_utf8_lossy(&exchange.body))
        });
        shown.collect::<Vec<_>>().join("\n")
    }

    /// Its whole log, over all its starts.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The last lines that it has logged about any of these names; about anything, if there are none.
    pub fn log_tail(&self, about: &[&str]) -> String {
        const LINES: usize = 40;
        let log = self.log();
        let quoted: Vec<String> = about.iter().map(|name| format!("\"{name}\"")).collect();
        let tells = |line: &&str| quoted.is_empty() || quoted.iter().any(|name| line.contains(name.as_str()));
        let lines: Vec<&str> = log.lines().filter(tells).collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }

    /// The text of its metrics, computed on request.
    pub async fn metrics(&self) -> Result<String> {
        let answer = http::client().get(self.url("/metrics")).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }

    /// Status and text of a probe.
    pub async fn probe(&self, path: &str) -> Result<(u16, String)> {
        let answer = http::client().get(self.url(path)).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// Status and text of a probe at another address of this machine.
    pub async fn probe_at(&self, host: &str, path: &str) -> Result<(u16, String)> {
        let url = format!("http://{host}:{}{path}", self.port);
        let answer = http::client().get(url).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// Waits until it is ready.
    pub async fn until_ready(&self) -> Result<()> {
        self.until_probe("200 ok").await
    }

    /// Waits until it is not ready, for a reason that contains this.
    pub async fn until_unready(&self, reason: &str) -> Result<()> {
        self.until_probe(reason).await
    }

    async fn until_probe(&self, wanted: &str) -> Result<()> {
        let last = Mutex::new(String::new());
        let what = format!("/readyz to answer {wanted:?}");
        let said = wait::until(&what, LIMIT, async || {
            let (status, text) = self.probe("/readyz").await?;
            let said = format!("{status} {text}");
            lock(&last).clone_from(&said);
            Ok(said.contains(wanted).then_some(()))
        });
        said.await.with_context(|| format!("it answered {:?}", lock(&last)))
    }

    /// The sum of the samples of a metric whose labels contain this text; 0 if there are none.
    pub async fn metric(&self, name: &str, labels: &str) -> Result<f64> {
        let text = self.metrics().await?;
        let samples = text
            .lines()
            .filter(|line| line.starts_with(name) && line.contains(labels));
        Ok(samples
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum())
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    async fn launch(&self, port: u16) -> Result<()> {
        let (local, all) = (format!("127.0.0.1:{port}"), format!("[::]:{port}"));
        let listen = if self.options.everywhere { &all } else { &local };
        let election = self.options.leader_election.to_string();
        let mut flags = vec![
            ("listen", listen.as_str()),
            ("leader-election", election.as_str()),
            ("identity", self.name.as_str()),
            ("log", "info,oidc_operator=debug"),
            ("metrics-max-age", "0s"),
        ];
        for (name, value) in &self.options.flags {
            flags.retain(|(flag, _)| flag != name);
            flags.push((name, value));
        }
        let mut command = self.installation.command(Path::new(PROGRAM), &self.kubeconfig, &flags);
        command.envs(self.options.environment.iter().cloned());
        let mut child = Child::spawn(&self.name, command, &self.log)?;
        let probe = if self.options.lacking { "livez" } else { "readyz" };
        let ready = format!("http://{local}/{probe}");
        child
            .wait_ready(LIMIT, async || {
                let answer = http::client().get(&ready).send().await;
                answer.is_ok_and(|answer| answer.status().is_success())
            })
            .await?;
        *lock(&self.child) = Some(child);
        Ok(())
    }
}
