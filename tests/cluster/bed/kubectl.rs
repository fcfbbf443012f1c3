//! The real kubectl, as a user of a namespace runs it.

use std::process::Stdio;

use anyhow::{Context, Result};
use tokio::io::AsyncWriteExt;

use super::Space;

impl Space<'_> {
    /// Runs kubectl in this namespace. Ok: what it wrote to stdout; Err: what it wrote at all, if it has failed.
    pub async fn kubectl(&self, arguments: &[&str], input: &str) -> Result<Result<String, String>> {
        let mut kubectl = self.bed().plane().kubectl();
        kubectl.args(arguments).args(["--namespace", self.name()]);
        kubectl
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut kubectl = kubectl.spawn().context("running kubectl")?;
        let mut stdin = kubectl.stdin.take().context("stdin is piped")?;
        // A kubectl that refuses early closes its side; its message counts, not the broken pipe.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = kubectl.wait_with_output().await?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(match output.status.success() {
            true => Ok(text(output.stdout)),
            false => Err(text(output.stdout) + &text(output.stderr)),
        })
    }
}
