//! A Kubernetes control plane: etcd, kube-apiserver and kube-controller-manager, without a kubelet, so no pod ever runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::pki::{Pki, service_account_key};
use crate::process::{self, Child};
use crate::programs::Program;
use crate::run_dir::RunDir;
use crate::{kubeconfig, ports, wait};

mod etcd;

pub use etcd::Stored;

/// Longest wait for one server to become ready; each takes a second or two on an idle machine.
const START_LIMIT: Duration = Duration::from_secs(90);
/// Name of the file with the public key of ServiceAccount tokens.
const ACCOUNT_PUBLIC: &str = "service-accounts.pem";
/// Validity of issued ServiceAccount tokens, in seconds.
const TOKEN_SECONDS: i64 = 24 * 60 * 60;
/// The controllers that make a cluster without nodes behave like a real one.
const CONTROLLERS: &str = "namespace-controller,garbage-collector-controller,serviceaccount-controller,\
    serviceaccount-token-controller,clusterrole-aggregation-controller,root-ca-certificate-publisher-controller";

/// A running control plane with RBAC. It stops, and its data is removed, when this value is dropped.
pub struct ControlPlane {
    children: Vec<Child>, // before `run`: they are killed before their folder is removed
    url: String,
    admin_kubeconfig: String,
    kubeconfig_path: PathBuf,
    client: kube::Client,
    kubectl: PathBuf,
    pki: Pki,
    run: RunDir,
}

impl ControlPlane {
    /// Starts a control plane on free ports of 127.0.0.1 and returns when it serves requests and the ServiceAccount
    /// `default` exists in the namespace `default`. The programs are built first if they are missing.
    ///
    /// # Errors
    /// When a program is not available, or a server is not ready in time; the message quotes the end of its log.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// As [`Self::start`], with objects that are stored before the kube-apiserver starts. They keep UIDs and
    /// resourceVersions.
    ///
    /// # Errors
    /// As [`Self::start`], and when etcd does not take the objects.
    pub async fn start_with(objects: &[Stored]) -> Result<Self> {
        crate::init();
        let kubectl = Program::Kubectl.path().await?; // the other programs come with it
        let run = RunDir::new()?;
        let pki = Pki::new()?;
        let files = Files::write(&run, &pki)?;
        let (etcd, etcd_url) = ports::with_free(async |ports| start_etcd(&run, ports).await).await?;
        etcd::fill(&etcd_url, objects).await.context("storing the objects")?;
        let (apiserver, url) =
            ports::with_free(async |[port]| start_apiserver(&run, &files, &pki, &etcd_url, port).await).await?;
        let (cert, key) = pki.issue_client("admin", Some("system:masters"))?;
        let admin_kubeconfig = kubeconfig::with_certificate(&url, &pki.ca_pem(), &cert, &key);
        let client = client_of(&admin_kubeconfig).await?;
        let mut children = vec![etcd, apiserver];
        children.push(start_controller_manager(&run, &files, &pki, &url).await?);
        wait_for_default_account(&client, &mut children).await?;
        let kubeconfig_path = run.write("admin.kubeconfig", &admin_kubeconfig)?;
        Ok(Self {
            children,
            url,
            admin_kubeconfig,
            kubeconfig_path,
            client,
            kubectl,
            pki,
            run,
        })
    }

    /// URL of the kube-apiserver, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Certificate of the authority that signed the kube-apiserver's certificate.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.pki.ca_pem()
    }

    /// The authority, to issue certificates that clients of this control plane trust.
    #[must_use]
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// A kubeconfig (YAML, everything embedded) of a user who may do everything.
    #[must_use]
    pub fn admin_kubeconfig(&self) -> &str {
        &self.admin_kubeconfig
    }

    /// File that holds [`Self::admin_kubeconfig`], as long as the control plane runs.
    #[must_use]
    pub fn kubeconfig_path(&self) -> &Path {
        &self.kubeconfig_path
    }

    /// A client that may do everything.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// A kubeconfig (YAML, everything embedded) that logs in with a token at `server_url`: the kube-apiserver, or a
    /// proxy in front of it whose certificate was signed by the owner of `ca_pem`.
    #[must_use]
    pub fn token_kubeconfig(server_url: &str, ca_pem: &str, token: &str) -> String {
        kubeconfig::with_token(server_url, ca_pem, token)
    }

    /// A token, valid for a day, that logs in as an existing ServiceAccount.
    ///
    /// # Errors
    /// When the ServiceAccount does not exist.
    pub async fn service_account_token(&self, namespace: &str, name: &str) -> Result<String> {
        let spec = TokenRequestSpec {
            expiration_seconds: Some(TOKEN_SECONDS),
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest {
            spec,
            ..TokenRequest::default()
        };
        let answer = Api::<ServiceAccount>::namespaced(self.client(), namespace)
            .create_token_request(name, &PostParams::default(), &request)
            .await
            .with_context(|| format!("a token of ServiceAccount {namespace}/{name}"))?;
        Ok(answer
            .status
            .context("a token request was answered without a token")?
            .token)
    }

    /// The public key that verifies tokens of ServiceAccounts, as PEM. Their issuer is
    /// `https://kubernetes.default.svc`.
    ///
    /// # Errors
    /// When the run folder is gone.
    pub fn service_account_public_key(&self) -> Result<String> {
        let path = self.run.path().join(ACCOUNT_PUBLIC);
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    }

    /// `kubectl`, logged in as a user who may do everything. It is killed when its handle is dropped.
    #[must_use]
    pub fn kubectl(&self) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.kubectl);
        command
            .env("KUBECONFIG", &self.kubeconfig_path)
            .env("KUBECACHEDIR", self.run.path().join("kubectl-cache"))
            .kill_on_drop(true);
        command
    }

    /// Path of the `kubectl` of the control plane's version.
    #[must_use]
    pub fn kubectl_path(&self) -> &Path {
        &self.kubectl
    }

    /// The kube-apiserver's process.
    #[must_use]
    pub fn apiserver(&self) -> &Child {
        &self.children[1]
    }

    /// The servers' processes: etcd, kube-apiserver, kube-controller-manager.
    #[must_use]
    pub fn children(&self) -> &[Child] {
        &self.children
    }
}

/// Key material that the servers read from files.
struct Files {
    ca: PathBuf,
    server_cert: PathBuf,
    server_key: PathBuf,
    account_public: PathBuf,
    account_private: PathBuf,
}

impl Files {
    fn write(run: &RunDir, pki: &Pki) -> Result<Self> {
        let (cert, key) = pki.issue_server(&["127.0.0.1", "localhost", "kubernetes.default.svc", "10.0.0.1"])?;
        let (account_private, account_public) = service_account_key()?;
        Ok(Self {
            ca: run.write("ca.pem", &pki.ca_pem())?,
            server_cert: run.write("kube-apiserver.pem", &cert)?,
            server_key: run.write("kube-apiserver.key", &key)?,
            account_public: run.write(ACCOUNT_PUBLIC, &account_public)?,
            account_private: run.write("service-accounts.key", &account_private)?,
        })
    }
}

/// Starts etcd and returns it with its URL.
async fn start_etcd(run: &RunDir, [port, peer_port]: [u16; 2]) -> Result<(Child, String)> {
    let url = format!("http://127.0.0.1:{port}");
    let mut command = process::command(Program::Etcd.path().await?);
    command
        .arg("--data-dir")
        .arg(run.path().join("etcd"))
        .arg(format!("--listen-client-urls={url}"))
        .arg(format!("--advertise-client-urls={url}"))
        .arg(format!("--listen-peer-urls=http://127.0.0.1:{peer_port}"))
        .args(["--unsafe-no-fsync", "--log-level=error"]); // this data is not needed after a power failure
    let mut child = Child::spawn("etcd", command, &run.path().join("etcd.log"))?;
    let health = format!("{url}/health");
    child
        .wait_ready(START_LIMIT, async || crate::http::answers_ok(&health).await)
        .await?;
    Ok((child, url))
}

/// Starts the kube-apiserver and returns it with its URL.
async fn start_apiserver(run: &RunDir, files: &Files, pki: &Pki, etcd_url: &str, port: u16) -> Result<(Child, String)> {
    let url = format!("https://127.0.0.1:{port}");
    let mut command = process::command(Program::KubeApiserver.path().await?);
    command
        .arg(format!("--etcd-servers={etcd_url}"))
        .arg(format!("--secure-port={port}"))
        .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
        .args([
            "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.0.0.0/24",
        ])
        .arg("--service-account-issuer=https://kubernetes.default.svc")
        .args(["--authorization-mode=RBAC", "--profiling=false"])
        .arg("--enable-admission-plugins=OwnerReferencesPermissionEnforcement") // as OpenShift has it
        .arg("--kubelet-preferred-address-types=InternalIP"); // names of nodes do not resolve here
    for (flag, file) in [
        ("--tls-cert-file", &files.server_cert),
        ("--tls-private-key-file", &files.server_key),
        ("--client-ca-file", &files.ca),
        ("--service-account-key-file", &files.account_public),
        ("--service-account-signing-key-file", &files.account_private),
    ] {
        command.arg(flag).arg(file);
    }
    let log = run.path().join("kube-apiserver.log");
    let mut child = Child::spawn("kube-apiserver", command, &log)?;
    let (cert, key) = pki.issue_client("testbed-probe", Some("system:masters"))?;
    let kubeconfig = kubeconfig::with_certificate(&url, &pki.ca_pem(), &cert, &key);
    let client = client_of(&kubeconfig).await?;
    child.wait_ready(START_LIMIT, async || is_ready(&client).await).await?;
    Ok((child, url))
}

async fn is_ready(client: &kube::Client) -> bool {
    let request = hyper::Request::get("/readyz")
        .body(Vec::new())
        .expect("a constant request");
    client.request_text(request).await.is_ok()
}

/// Starts the controllers. They serve no port; only their effects show that they work.
async fn start_controller_manager(run: &RunDir, files: &Files, pki: &Pki, url: &str) -> Result<Child> {
    let (cert, key) = pki.issue_client("system:kube-controller-manager", None)?;
    let kubeconfig = kubeconfig::with_certificate(url, &pki.ca_pem(), &cert, &key);
    let mut command = process::command(Program::KubeControllerManager.path().await?);
    command
        .arg("--kubeconfig")
        .arg(run.write("kube-controller-manager.kubeconfig", &kubeconfig)?)
        .arg("--service-account-private-key-file")
        .arg(&files.account_private)
        .arg("--root-ca-file")
        .arg(&files.ca)
        .args([
            "--use-service-account-credentials",
            "--leader-elect=false",
            "--secure-port=0",
        ])
        .arg(format!("--controllers={CONTROLLERS}"));
    let log = run.path().join("kube-controller-manager.log");
    Child::spawn("kube-controller-manager", command, &log)
}

/// Waits for the first object that the controllers create and that a namespace needs.
async fn wait_for_default_account(client: &kube::Client, children: &mut [Child]) -> Result<()> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
    wait::until("the ServiceAccount default/default", START_LIMIT, async || {
        children.iter_mut().try_for_each(Child::check_alive)?;
        Ok(accounts.get_opt("default").await?.map(|_| ()))
    })
    .await
}

async fn client_of(kubeconfig: &str) -> Result<kube::Client> {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig)?;
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.proxy_url = None; // the servers are on loopback, whatever proxy the environment names
    Ok(kube::Client::try_from(config)?)
}
