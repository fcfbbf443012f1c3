//! Runs a script as Argo CD does.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use testbed::install::repository;
use testbed::programs::Program;
use testbed::run_dir::RunDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// The engine of Argo CD.
pub struct Engine {
    program: PathBuf,
    run: RunDir,
}

impl Engine {
    /// The engine, which is built if it is missing.
    pub async fn new() -> Result<Self> {
        Ok(Self {
            program: Program::ArgoLua.path().await?,
            run: RunDir::new()?,
        })
    }

    /// What a script returns for an object.
    pub async fn run(&self, script: &Path, object: &Value) -> Result<Value> {
        let mut command = Command::new(&self.program);
        command
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().context("running the engine")?;
        let mut stdin = child.stdin.take().context("stdin is piped")?;
        // A script that fails early closes its side; its message counts, not the broken pipe.
        let _ = stdin.write_all(object.to_string().as_bytes()).await;
        drop(stdin);
        let output = child.wait_with_output().await?;
        if !output.status.success() {
            bail!(
                "{}: {}",
                script.display(),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// What the text of a script returns for an object.
    pub async fn run_text(&self, script: &str, object: &Value) -> Result<Value> {
        let file = self.run.write("script.lua", script)?;
        self.run(&file, object).await
    }
}

/// The folder with the scripts and the test data of a kind.
pub fn folder(kind: &str) -> PathBuf {
    repository()
        .join("deploy/argo-cd/resource_customizations/oidc-operator.dev")
        .join(kind)
}

/// Reads a file of YAML.
pub fn yaml(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_saphyr::from_str(&text).with_context(|| path.display().to_string())
}
