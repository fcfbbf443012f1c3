//! A real node for a control plane: containerd and kubelet, which run pods on this machine.
//!
//! Pods have a network of their own on a bridge. The bridge has the address of the Service `kubernetes` too, and this
//! process forwards its port 443 to the kube-apiserver, so that pods find the Kubernetes API as in any cluster. A DNS
//! server on the bridge answers for names of Services that a test makes up.
//!
//! Everything runs in a PID and a mount namespace, so that the kernel ends all processes and mounts of the node with the
//! first of its processes, however this process ends.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Node as KubeNode;
use kube::Api;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::control_plane::ControlPlane;
use crate::go_build;
use crate::process::{self, Child, Signal};
use crate::programs::{self, Program};
use crate::run_dir::RunDir;
use crate::wait;

mod configuration;
mod pause;

/// Name of the node.
pub const NAME: &str = "node-1";
/// Address of the bridge, where pods reach what this process forwards for them.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 244, 77, 1);
/// The address of the Service `kubernetes`: the first of the control plane's range.
const KUBERNETES: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const BRIDGE: &str = "oidc-testbed0";
/// Domain of the names of Services.
const CLUSTER_DOMAIN: &str = "cluster.local";
/// Longest wait for a part of the node.
const LIMIT: Duration = Duration::from_secs(90);
/// What the node needs from the machine, with the Debian package that has it.
const TOOLS: [(&str, &str); 7] = [
    ("runc", "runc"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
    ("mount", "mount"),
    ("dnsmasq", "dnsmasq-base"),
    ("cc", "gcc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
];
/// The controllers that make pods of Deployments and answer for nodes.
const CONTROLLERS: &str = "deployment-controller,replicaset-controller,job-controller,endpoints-controller,\
    endpointslice-controller,disruption-controller,node-lifecycle-controller,pod-garbage-collector-controller";

/// A running node. It stops when this value is dropped.
pub struct Node {
    children: Vec<Child>, // before `run` and `_bridge`
    forwards: Mutex<JoinSet<()>>,
    names: Mutex<BTreeMap<String, Ipv4Addr>>,
    ctr: PathBuf,
    run: RunDir,
    _bridge: Bridge,
    _settings: KernelSettings,
    _alone: File, // last: the machine is as before when the next node starts
}

impl Node {
    /// Why this machine cannot run a node; None if it can.
    #[must_use]
    pub fn obstacle() -> Option<String> {
        if !cfg!(target_os = "linux") || !rustix::process::geteuid().is_root() {
            return Some("a node runs on Linux and as root only".to_owned());
        }
        let missing = process::missing(&TOOLS);
        (!missing.is_empty()).then(|| format!("a node needs packages that are missing here: {}", missing.join(" ")))
    }

    /// Starts a node for a control plane and returns when it is ready for pods.
    ///
    /// # Errors
    /// When [`Node::obstacle`] has one, a program is not available, or something is not ready in time.
    pub async fn start(plane: &ControlPlane) -> Result<Self> {
        if let Some(obstacle) = Self::obstacle() {
            bail!("{obstacle}");
        }
        let programs = Programs::find().await?;
        let cache = programs::cache_folder()?;
        let alone = tokio::task::spawn_blocking(move || go_build::lock(&cache, "node")).await??;
        let settings = KernelSettings::save();
        let run = RunDir::new()?;
        let bridge = Bridge::new().await?;
        configuration::write(&run, plane.admin_kubeconfig())?;
        let mut children = vec![dns(&run)?];
        children.extend(controllers(&run, plane).await?);
        children.push(runtime(&run, &programs)?);
        let mut node = Self {
            children,
            forwards: Mutex::default(),
            names: Mutex::default(),
            ctr: programs.ctr,
            run,
            _bridge: bridge,
            _settings: settings,
            _alone: alone,
        };
        let apiserver: SocketAddr = plane.url().trim_start_matches("https://").parse()?;
        node.forward(SocketAddrV4::new(KUBERNETES, 443), apiserver).await?;
        node.wait_for_runtime().await?;
        let archive = pause::archive(&node.run).await?;
        node.import(&archive).await?;
        node.wait_until_ready(plane).await?;
        Ok(node)
    }

    /// Makes the images of an archive (docker-archive or OCI) known to the node.
    ///
    /// # Errors
    /// When containerd refuses it.
    pub async fn import(&self, archive: &Path) -> Result<()> {
        let archive = archive.to_str().context("a path that is not UTF-8")?;
        let arguments = ["images", "import", "--local", "--snapshotter", "native", archive];
        self.ctr(&arguments).await.map(drop)
    }

    /// Runs containerd's own client on the containers of pods.
    ///
    /// # Errors
    /// When it fails; the message quotes it.
    pub async fn ctr(&self, arguments: &[&str]) -> Result<String> {
        let mut ctr = tokio::process::Command::new(&self.ctr);
        ctr.arg("--address").arg(self.run.path().join(configuration::SOCKET));
        ctr.args(["--namespace", "k8s.io"]).args(arguments).kill_on_drop(true);
        process::output("ctr", ctr).await
    }

    /// Lets pods reach a server of this machine as a Service: `name` as in `hydra-admin.hydra` (Service and namespace).
    ///
    /// # Errors
    /// When the port is taken on the bridge.
    pub async fn serve(&self, name: &str, port: u16, server: SocketAddr) -> Result<()> {
        self.forward(SocketAddrV4::new(GATEWAY, port), server).await?;
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(format!("{name}.svc.{CLUSTER_DOMAIN}"), GATEWAY);
        let hosts: String = names
            .iter()
            .map(|(name, address)| format!("{address} {name}\n"))
            .collect();
        self.run.write(HOSTS, &hosts)?;
        rustix::process::kill_process(self.dns()?, Signal::HUP).context("reloading the names")
    }

    fn dns(&self) -> Result<rustix::process::Pid> {
        let pid = i32::try_from(self.children[0].pid())?;
        rustix::process::Pid::from_raw(pid).context("a process without an id")
    }

    async fn forward(&self, from: SocketAddrV4, to: SocketAddr) -> Result<()> {
        let listener = TcpListener::bind(from).await;
        let listener = listener.with_context(|| format!("listening on {from}"))?;
        let mut forwards = self.forwards.lock().unwrap_or_else(PoisonError::into_inner);
        forwards.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut pod, _)) = listener.accept().await {
                connections.spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(to).await {
                        let _ = tokio::io::copy_bidirectional(&mut pod, &mut server).await; // either side may hang up
                    }
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(())
    }

    async fn wait_for_runtime(&mut self) -> Result<()> {
        wait::until("containerd to answer", LIMIT, async || {
            self.children.last_mut().map(Child::check_alive).transpose()?;
            Ok(self.ctr(&["version"]).await.is_ok().then_some(()))
        })
        .await
    }

    async fn wait_until_ready(&mut self, plane: &ControlPlane) -> Result<()> {
        let nodes: Api<KubeNode> = Api::all(plane.client());
        let log = self.run.path().join("kubelet.log");
        let ready = wait::until("the node to be ready", LIMIT, async || {
            self.children.iter_mut().try_for_each(Child::check_alive)?;
            let Some(node) = nodes.get_opt(NAME).await? else {
                return Ok(None);
            };
            let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
            let is_ready = conditions
                .iter()
                .any(|known| known.type_ == "Ready" && known.status == "True");
            let is_free = node.spec.is_none_or(|spec| spec.taints.unwrap_or_default().is_empty());
            Ok((is_ready && is_free).then_some(()))
        })
        .await;
        ready.with_context(|| format!("see {}", log.display()))
    }

    /// The servers' processes.
    #[must_use]
    pub fn children(&self) -> &[Child] {
        &self.children
    }
}

/// Programs of the node.
struct Programs {
    containerd: PathBuf,
    ctr: PathBuf,
    kubelet: PathBuf,
}

impl Programs {
    async fn find() -> Result<Self> {
        Ok(Self {
            containerd: Program::Containerd.path().await?,
            ctr: Program::Ctr.path().await?,
            kubelet: Program::Kubelet.path().await?,
        })
    }
}

/// The bridge of the pods' network. It is removed when this value is dropped.
struct Bridge;

impl Bridge {
    async fn new() -> Result<Self> {
        let _ = ip(&["link", "delete", BRIDGE]).await; // of a process that was killed
        ip(&["link", "add", BRIDGE, "type", "bridge"]).await?;
        let bridge = Self;
        ip(&["address", "add", &format!("{GATEWAY}/24"), "dev", BRIDGE]).await?;
        ip(&["address", "add", &format!("{KUBERNETES}/32"), "dev", BRIDGE]).await?;
        ip(&["link", "set", BRIDGE, "up"]).await?;
        Ok(bridge)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let mut ip = std::process::Command::new("ip");
        let _ = ip.args(["link", "delete", BRIDGE]).stderr(Stdio::null()).status();
    }
}

/// Settings of the kernel that kubelet and the pods' network change. They are restored when this value is dropped.
struct KernelSettings(Vec<(&'static str, String)>);

impl KernelSettings {
    const FILES: [&str; 5] = [
        "/proc/sys/kernel/panic",
        "/proc/sys/kernel/panic_on_oops",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sys/vm/panic_on_oom",
        "/proc/sys/net/ipv4/ip_forward",
    ];

    fn save() -> Self {
        let read = |file| Some((file, std::fs::read_to_string(file).ok()?));
        Self(Self::FILES.into_iter().filter_map(read).collect())
    }
}

impl Drop for KernelSettings {
    fn drop(&mut self) {
        for (file, value) in &self.0 {
            let _ = std::fs::write(file, value); // best effort: the machine works either way
        }
    }
}

/// File with the names that the DNS server knows.
const HOSTS: &str = "hosts";

/// Starts a DNS server on the bridge. It knows the names in [`HOSTS`] and no others.
fn dns(run: &RunDir) -> Result<Child> {
    let hosts = run.write(HOSTS, "")?;
    let mut command = process::command("dnsmasq");
    command
        .args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--pid-file",
            "--user=root",
            "--log-facility=-",
        ])
        .args(["--no-resolv", "--no-hosts", "--bind-interfaces", "--no-negcache"])
        .arg(format!("--listen-address={GATEWAY}"))
        .arg(format!("--local=/{CLUSTER_DOMAIN}/"))
        .arg(format!("--addn-hosts={}", hosts.display()));
    Child::spawn("dnsmasq", command, &run.path().join("dnsmasq.log"))
}

/// Starts what makes pods of Deployments and puts them on the node.
async fn controllers(run: &RunDir, plane: &ControlPlane) -> Result<[Child; 2]> {
    let mut manager = process::command(Program::KubeControllerManager.path().await?);
    manager
        .arg("--kubeconfig")
        .arg(plane.kubeconfig_path())
        .args(["--leader-elect=false", "--secure-port=0"])
        .arg(format!("--controllers={CONTROLLERS}"));
    let mut scheduler = process::command(Program::KubeScheduler.path().await?);
    scheduler
        .arg("--kubeconfig")
        .arg(plane.kubeconfig_path())
        .args(["--leader-elect=false", "--secure-port=0"]);
    Ok([
        Child::spawn("kube-controller-manager", manager, &run.path().join("controllers.log"))?,
        Child::spawn("kube-scheduler", scheduler, &run.path().join("kube-scheduler.log"))?,
    ])
}

/// Starts containerd and kubelet in namespaces of their own.
fn runtime(run: &RunDir, programs: &Programs) -> Result<Child> {
    let script = run.write("node.sh", &configuration::script(run.path(), programs))?;
    let mut command = process::command("unshare");
    command
        .args(["--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"])
        .args(["--propagation", "private", "--", "/bin/sh"])
        .arg(script);
    Child::spawn("the node", command, &run.path().join("node.log"))
}

async fn ip(arguments: &[&str]) -> Result<String> {
    let mut ip = tokio::process::Command::new("ip");
    ip.args(arguments);
    process::output("ip", ip).await
}
