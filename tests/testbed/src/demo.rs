//! The demo: it starts a cluster and its servers, installs the operator as a user would, applies the samples, and shows
//! the results.

mod hydra;
mod trust;
mod vault;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use crate::control_plane::ControlPlane;
use crate::install::{self, Installation};
use crate::process::Child;
use crate::run_dir::RunDir;
use crate::servers::{Part, Servers};
use crate::{foulkon, http, ports};

/// Namespace of the samples.
const NAMESPACE: &str = "demo";
/// Folder of the samples, relative to the repository.
const SAMPLES: &str = "deploy/samples";
/// Longest wait for the operator to be ready.
const LIMIT: Duration = Duration::from_secs(60);
/// Longest wait for the samples to be ready, in kubectl's notation.
const READY_LIMIT: &str = "60s";

/// The servers that the demo is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Story {
    /// Ory Hydra, and a machine that gets a token.
    Hydra,
    /// OpenBao in the role of a HashiCorp Vault, and a user who signs in.
    Vault,
    /// Ory Hydra, OpenBao, and a Foulkon that trusts the clients of both.
    Trust,
}

impl Story {
    fn parts(self) -> &'static [Part] {
        match self {
            Self::Hydra => &[Part::Hydra2, Part::Helm],
            Self::Vault => &[Part::Bao, Part::Helm],
            Self::Trust => &[Part::Hydra2, Part::Bao, Part::Foulkon, Part::Helm],
        }
    }

    fn server(self) -> &'static str {
        match self {
            Self::Hydra => "Ory Hydra",
            Self::Vault => "OpenBao",
            Self::Trust => "Ory Hydra, OpenBao and a stand-in for Foulkon",
        }
    }

    /// Folder of its samples.
    fn folder(self) -> PathBuf {
        match self {
            Self::Hydra => PathBuf::from(SAMPLES),
            Self::Vault => Path::new(SAMPLES).join("vault"),
            Self::Trust => Path::new(SAMPLES).join("trust"),
        }
    }

    /// The sample whose credentials are used.
    fn application(self) -> &'static str {
        match self {
            Self::Hydra => hydra::APPLICATION,
            Self::Vault => vault::APPLICATION,
            Self::Trust => trust::APPLICATION,
        }
    }
}

/// A running demo. Everything stops, and all files but the cache are removed, when it is dropped.
pub struct Demo {
    operator: Child, // first: it stops before the servers that it uses
    story: Story,
    servers: Servers,
    run: RunDir,
}

impl Demo {
    /// Starts the servers, installs and starts the operator, and applies the samples; prints what it does.
    ///
    /// # Errors
    /// When a program is not available, something does not start in time, or a sample does not become ready.
    pub async fn start(story: Story) -> Result<Self> {
        say(&format!(
            "starting a Kubernetes control plane and {} (what is missing is built first; that takes minutes)",
            story.server()
        ));
        let servers = Servers::start(story.parts()).await?;
        let run = RunDir::new()?;
        say("installing the operator: helm template charts/oidc-operator | kubectl apply --server-side -f -");
        let installation = install::install(&servers.control_plane, &["login.serviceAccount.create=true"]).await?;
        say("starting the operator as its ServiceAccount, with exactly the rights of the chart");
        let (operator, _) = start_operator(&servers.control_plane, &installation, &run).await?;
        let demo = Self {
            operator,
            story,
            servers,
            run,
        };
        match story {
            Story::Hydra => {}
            Story::Vault => vault::set_up(&demo, &installation).await?,
            Story::Trust => trust::set_up(&demo, &installation).await?,
        }
        demo.apply_samples().await?;
        Ok(demo)
    }

    /// Shows what a user sees, does what the application would do with its credentials, and prints how to look around.
    ///
    /// # Errors
    /// When kubectl fails or the server refuses what it should not.
    pub async fn show(&mut self) -> Result<()> {
        let application = self.story.application();
        self.show_kubectl(&["get", "oidc", "--all-namespaces"]).await?;
        self.show_kubectl(&["describe", "secret", application, "--namespace", NAMESPACE])
            .await?;
        let look_around = match self.story {
            Story::Hydra => hydra::show_token(self).await?,
            Story::Vault => vault::show_sign_in(self).await?,
            Story::Trust => trust::show_trust(self).await?,
        };
        let config = self.servers.environment()?;
        say("the demo stays until Ctrl-C; to look around, in another terminal:");
        for (name, value) in config {
            match name {
                "PATH" => println!("export PATH=\"{}:$PATH\"", added_folders(&value).display()),
                "VAULT_TOKEN" | foulkon::ADMIN_VARIABLE => {
                    let file = self.run.write(&name.to_lowercase(), &value)?;
                    println!("export {name}=\"$(cat {})\"", file.display());
                }
                _ => println!("export {name}='{value}'"),
            }
        }
        println!("{}", look_around.trim());
        if let Some(log) = self.operator.log() {
            println!("tail -f {}", log.display());
        }
        Ok(())
    }

    /// Fails as soon as the operator has ended.
    ///
    /// # Errors
    /// When the operator has ended; the message quotes the end of its log.
    pub async fn watch(&mut self) -> Result<()> {
        loop {
            self.operator.check_alive()?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn apply_samples(&self) -> Result<()> {
        let folder = self.story.folder();
        say(&format!("applying {} into namespace {NAMESPACE}", folder.display()));
        let plane = &self.servers.control_plane;
        install::make_namespace(plane, NAMESPACE).await?;
        let samples = samples(&folder)?;
        let samples = match self.story {
            Story::Hydra => hydra::with_real_addresses(self, &samples)?,
            Story::Vault => vault::with_real_addresses(self, &samples)?,
            Story::Trust => trust::with_real_addresses(self, &samples)?,
        };
        install::apply_into(plane, NAMESPACE, &samples).await?;
        let ready = ["wait", "--for=condition=Ready", "--all", "--timeout", READY_LIMIT];
        for kinds in [
            &["authserver"][..],
            &["oac,jwks,oidcscope,oidcassign,oidcp", "--namespace", NAMESPACE],
        ] {
            if let Err(error) = self.kubectl(&[&ready, kinds].concat()).await {
                let all = self.kubectl(&["get", "oidc", "--all-namespaces", "-o", "wide"]).await?;
                bail!("{error:#}\n{all}\nthe operator wrote:\n{}", self.operator.log_tail());
            }
        }
        Ok(())
    }

    /// What a pod would find in the Secret of the application.
    async fn credentials<const N: usize>(&self, keys: [&str; N]) -> Result<[String; N]> {
        let name = self.story.application();
        let secrets: Api<Secret> = Api::namespaced(self.servers.control_plane.client(), NAMESPACE);
        let data = secrets.get(name).await?.data.unwrap_or_default();
        let mut values = [const { String::new() }; N];
        for (value, key) in values.iter_mut().zip(keys) {
            let found = data
                .get(key)
                .with_context(|| format!("Secret {name} has no {key}"))?
                .clone();
            *value = String::from_utf8(found.0).context("no text")?;
        }
        Ok(values)
    }

    async fn show_kubectl(&self, arguments: &[&str]) -> Result<()> {
        say(&format!("kubectl {}", arguments.join(" ")));
        print!("{}", self.kubectl(arguments).await?);
        Ok(())
    }

    async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut kubectl = self.servers.control_plane.kubectl();
        kubectl.args(arguments);
        output(kubectl, "kubectl", arguments).await
    }
}

/// The output of a command; fails with its error output if it fails.
async fn output(mut command: tokio::process::Command, name: &str, arguments: &[&str]) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().await?;
    ensure!(
        output.status.success(),
        "{name} {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Starts the operator that was built along with this program. Returns it with the address of its metrics.
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

/// The operator that was built along with this program.
pub(crate) fn operator_program() -> Result<PathBuf> {
    let own = std::env::current_exe().context("where this program is")?;
    let program = own.with_file_name("oidc-operator");
    ensure!(
        program.is_file(),
        "{} is missing: run `cargo build` first",
        program.display()
    );
    Ok(program)
}

/// All samples of a folder as one stream, in the order of their names.
fn samples(folder: &Path) -> Result<String> {
    let folder = install::repository().join(folder);
    let entries = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    let is_manifest = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "yaml");
    files.retain(|file| is_manifest(file) && !file.ends_with("kustomization.yaml"));
    files.sort();
    let texts: Vec<String> = files.iter().map(fs::read_to_string).collect::<Result<_, _>>()?;
    Ok(texts.join("\n---\n"))
}

/// The folders that the demo puts in front of the user's PATH.
fn added_folders(path: &str) -> PathBuf {
    let own: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let all: Vec<PathBuf> = std::env::split_paths(path).collect();
    let added = &all[..all.len().saturating_sub(own.len())];
    std::env::join_paths(added).unwrap_or_default().into()
}

fn say(what: &str) {
    println!("\n# {what}");
}
