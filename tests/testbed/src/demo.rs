//! The demo: a cluster and Hydra, the operator installed as a user would, the samples applied, and what comes of them.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use crate::control_plane::ControlPlane;
use crate::hydra::Hydra;
use crate::install::{self, Installation};
use crate::process::Child;
use crate::run_dir::RunDir;
use crate::servers::{Part, Servers};
use crate::{http, oauth, ports};

/// Where the samples go.
const NAMESPACE: &str = "demo";
/// Where the samples say that Hydra is, and where it is here.
const SAMPLE_ADMIN_URL: &str = "http://hydra-admin.hydra:4445";
const SAMPLE_PUBLIC_URL: &str = "http://hydra-public.hydra:4444";
/// The sample whose credentials are tried, and the scope that it may ask for.
const MACHINE: &str = "machine";
const SCOPE: &str = "read";
/// Longest wait for the operator to be ready.
const LIMIT: Duration = Duration::from_secs(60);
/// Longest wait for the samples to be ready, as kubectl writes it.
const READY_LIMIT: &str = "60s";

/// A running demo. Everything stops, and all files but the cache are removed, when it is dropped.
pub struct Demo {
    operator: Child, // first: it stops before what it works with
    servers: Servers,
    _run: RunDir,
}

impl Demo {
    /// Starts the servers, installs and starts the operator, and applies the samples; says what it does.
    ///
    /// # Errors
    /// When a program cannot be had, something does not start in time, or a sample does not become ready.
    pub async fn start() -> Result<Self> {
        say("starting a Kubernetes control plane and Ory Hydra (what is missing is built first; that takes minutes)");
        let servers = Servers::start(&[Part::Hydra2, Part::Helm]).await?;
        let run = RunDir::new()?;
        say("installing the operator: helm template charts/oidc-operator | kubectl apply --server-side -f -");
        let installation = install::install(&servers.control_plane, &[]).await?;
        say("starting the operator as its ServiceAccount, with exactly the rights of the chart");
        let (operator, _) = start_operator(&servers.control_plane, &installation, &run).await?;
        let demo = Self {
            operator,
            servers,
            _run: run,
        };
        demo.apply_samples().await?;
        Ok(demo)
    }

    /// Shows what a user sees, gets a token, and says how to look around.
    ///
    /// # Errors
    /// When kubectl fails or Hydra refuses the token.
    pub async fn show(&self) -> Result<()> {
        self.show_kubectl(&["get", "oidc", "--all-namespaces"]).await?;
        self.show_kubectl(&["describe", "secret", MACHINE, "--namespace", NAMESPACE])
            .await?;
        self.show_token().await?;
        let config = self.servers.environment()?;
        say("the demo stays until Ctrl-C; to look around, in another terminal:");
        for (name, value) in config {
            match name {
                "PATH" => println!("export PATH=\"{}:$PATH\"", added_folders(&value).display()),
                _ => println!("export {name}='{value}'"),
            }
        }
        println!("{}", LOOK_AROUND.trim());
        if let Some(log) = self.operator.log() {
            println!("tail -f {}", log.display());
        }
        Ok(())
    }

    /// Fails as soon as the operator has ended.
    ///
    /// # Errors
    /// When the operator has ended; with the end of its log.
    pub async fn watch(&mut self) -> Result<()> {
        loop {
            self.operator.check_alive()?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn apply_samples(&self) -> Result<()> {
        say(&format!("applying deploy/samples into namespace {NAMESPACE}"));
        let hydra = self.hydra()?;
        let plane = &self.servers.control_plane;
        install::make_namespace(plane, NAMESPACE).await?;
        let samples = samples()?
            .replace(SAMPLE_ADMIN_URL, &hydra.admin_url())
            .replace(SAMPLE_PUBLIC_URL, &hydra.public_url());
        install::apply_into(plane, NAMESPACE, &samples).await?;
        let ready = ["wait", "--for=condition=Ready", "--all", "--timeout", READY_LIMIT];
        for kinds in [
            &["authserver"][..],
            &["oac,oidcscope,oidcassign,oidcp", "--namespace", NAMESPACE],
        ] {
            if let Err(error) = self.kubectl(&[&ready, kinds].concat()).await {
                let all = self.kubectl(&["get", "oidc", "--all-namespaces", "-o", "wide"]).await?;
                bail!("{error:#}\n{all}\nthe operator wrote:\n{}", self.operator.log_tail());
            }
        }
        Ok(())
    }

    async fn show_token(&self) -> Result<()> {
        let hydra = self.hydra()?;
        let secrets: Api<Secret> = Api::namespaced(self.servers.control_plane.client(), NAMESPACE);
        let secret = secrets.get(MACHINE).await?;
        let value = |key: &str| {
            let value = secret.data.as_ref().and_then(|data| data.get(key)).cloned();
            String::from_utf8(value.with_context(|| format!("Secret {MACHINE} has no {key}"))?.0).context("no text")
        };
        let (id, client_secret) = (value("CLIENT_ID")?, value("CLIENT_SECRET")?);
        say(&format!(
            "a token with the credentials of Secret {MACHINE}, grant client_credentials, scope {SCOPE}"
        ));
        let token = oauth::client_credentials(&hydra.public_url(), &id, &client_secret, SCOPE).await?;
        println!("issued: {token:?}");
        let introspection = http::client()
            .post(format!("{}/admin/oauth2/introspect", hydra.admin_url()))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("token={}", token.access_token));
        let answer = introspection.send().await?.error_for_status()?.text().await?;
        let answer: serde_json::Value = serde_json::from_str(&answer)?;
        ensure!(answer["active"] == true, "Hydra does not know its own token: {answer}");
        println!(
            "introspected: active={} client_id={} scope={}",
            answer["active"], answer["client_id"], answer["scope"]
        );
        Ok(())
    }

    async fn show_kubectl(&self, arguments: &[&str]) -> Result<()> {
        say(&format!("kubectl {}", arguments.join(" ")));
        print!("{}", self.kubectl(arguments).await?);
        Ok(())
    }

    async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut kubectl = self.servers.control_plane.kubectl();
        let output = kubectl.args(arguments).stdin(Stdio::null()).output().await?;
        ensure!(
            output.status.success(),
            "kubectl {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn hydra(&self) -> Result<&Hydra> {
        self.servers.hydra2.as_ref().context("Hydra was not started")
    }
}

/// Commands that show something in the demo's cluster.
const LOOK_AROUND: &str = "
kubectl get oidc -A -o wide
kubectl describe oac web-app -n demo
kubectl explain oac.spec
kubectl get secret everything-oidc -n demo -o jsonpath='{.data}'
curl -s \"$HYDRA_ADMIN_URL/admin/clients\"
# compare every 2 seconds, delete a client behind the operator's back, and see it come back:
kubectl patch authserver default --type merge -p '{\"spec\":{\"resyncInterval\":\"2s\"}}'
curl -s -X DELETE \"$HYDRA_ADMIN_URL/admin/clients/$(kubectl get oac machine -n demo -o jsonpath='{.status.clientId}')\"
kubectl get events -n demo
# a resource goes with its client and its Secret:
kubectl delete oac machine -n demo
";

/// Starts the program that was built along with this one. Returns also where its metrics are.
pub(crate) async fn start_operator(
    plane: &ControlPlane,
    installation: &Installation,
    run: &RunDir,
) -> Result<(Child, String)> {
    let program = operator_program()?;
    let token = installation.token(plane).await?;
    let kubeconfig = ControlPlane::token_kubeconfig(plane.url(), &plane.ca_pem(), &token);
    let kubeconfig = run.write("operator.kubeconfig", &kubeconfig)?;
    let log = run.path().join("operator.log");
    ports::with_free(async |[port]| {
        let listen = format!("127.0.0.1:{port}");
        let flags = [("listen", listen.as_str()), ("log-format", "text")];
        let mut child = Child::spawn(
            "oidc-operator",
            installation.command(&program, &kubeconfig, &flags),
            &log,
        )?;
        let ready = format!("http://{listen}/readyz");
        child.wait_ready(LIMIT, async || http::answers_ok(&ready).await).await?;
        Ok((child, listen))
    })
    .await
}

fn operator_program() -> Result<PathBuf> {
    let own = std::env::current_exe().context("where this program is")?;
    let program = own.with_file_name("oidc-operator");
    ensure!(
        program.is_file(),
        "{} is missing: run `cargo build` first",
        program.display()
    );
    Ok(program)
}

/// All samples as one stream, in the order of their names.
fn samples() -> Result<String> {
    let folder = install::repository().join("deploy/samples");
    let entries = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    let texts: Vec<String> = files.iter().map(fs::read_to_string).collect::<Result<_, _>>()?;
    Ok(texts.join("\n---\n"))
}

/// The folders that the demo puts before the user's own PATH.
fn added_folders(path: &str) -> PathBuf {
    let own: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let all: Vec<PathBuf> = std::env::split_paths(path).collect();
    let added = &all[..all.len().saturating_sub(own.len())];
    std::env::join_paths(added).unwrap_or_default().into()
}

fn say(what: &str) {
    println!("\n# {what}");
}
