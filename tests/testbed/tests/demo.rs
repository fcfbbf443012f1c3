//! The demos come up, show what an application does with its credentials, and leave nothing behind.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use testbed::wait;

const LIMIT: Duration = Duration::from_secs(60);
/// The first start may build the programs.
const BUILD_LIMIT: Duration = Duration::from_secs(60 * 60);
/// Prefixes of secrets: signed tokens, and client secrets of OpenBao.
const SECRET: [&str; 2] = ["eyJ", "hvo_secret_"];

/// The program under test is killed when the test fails.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_demo_gets_a_token_and_leaves_nothing_behind() -> Result<()> {
    let shown = [
        "authorizationserver.oidc-operator.dev/default",
        "oauth2client.oidc-operator.dev/machine",
        "CLIENT_SECRET:",
        "introspected: active=true",
        "export KUBECONFIG=",
    ];
    demo_shows(&[], &shown).await
}

#[tokio::test]
async fn the_demo_of_vault_signs_a_user_in_and_leaves_nothing_behind() -> Result<()> {
    let shown = [
        "authorizationserver.oidc-operator.dev/default",
        "oauth2client.oidc-operator.dev/shop",
        "oidcprovider.oidc-operator.dev/main",
        "CLIENT_SECRET:",
        "\"groups\": [\n    \"staff\"\n  ]",
        "export KUBECONFIG=",
        "export VAULT_ADDR=",
    ];
    demo_shows(&["vault"], &shown).await
}

#[tokio::test]
async fn the_demo_of_trust_admits_a_user_at_foulkon_and_leaves_nothing_behind() -> Result<()> {
    let shown = [
        "authorizationserver.oidc-operator.dev/foulkon",
        "oauth2client.oidc-operator.dev/wiki",
        "oidcprovider.oidc-operator.dev/trust-openbao",
        "of Foulkon with the ID token: 401",
        "restart it.",
        "of Foulkon with the ID token: 200",
        "export FOULKON_URL=",
    ];
    demo_shows(&["trust"], &shown).await
}

#[test]
fn an_unknown_demo_is_refused() -> Result<()> {
    let refused = Command::new(env!("CARGO_BIN_EXE_testbed"))
        .args(["demo", "valut"])
        .output()?;
    let complaint = String::from_utf8_lossy(&refused.stderr);
    ensure!(
        !refused.status.success() && complaint.contains("[possible values: hydra, vault, trust]"),
        "{complaint}"
    );
    Ok(())
}

/// Runs a demo until it has shown everything, and ends it.
async fn demo_shows(arguments: &[&str], wanted: &[&str]) -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let mut demo = Command::new(env!("CARGO_BIN_EXE_testbed"))
        .arg("demo")
        .args(arguments)
        .env("TMPDIR", temporary.path())
        .stdout(Stdio::piped())
        .spawn()
        .map(Running)?;
    let stdout = BufReader::new(demo.0.stdout.take().context("stdout is piped")?);
    let shown = tokio::task::spawn_blocking(move || {
        let lines = stdout.lines().map_while(Result::ok);
        lines
            .take_while(|line| !line.starts_with("tail -f"))
            .collect::<Vec<_>>()
            .join("\n")
    });
    let shown = tokio::time::timeout(BUILD_LIMIT, shown).await??;
    for expected in wanted {
        ensure!(
            shown.contains(expected),
            "{expected:?} is missing in the output:\n{shown}"
        );
    }
    let leaked = SECRET.iter().find(|secret| shown.contains(*secret));
    ensure!(leaked.is_none(), "{leaked:?} is in the output");

    kill_process(Pid::from_child(&demo.0), Signal::TERM)?;
    let status = wait::until("the demo to end", LIMIT, async || Ok(demo.0.try_wait()?)).await?;
    ensure!(status.success(), "{status}");
    let left: Vec<_> = std::fs::read_dir(temporary.path())?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    ensure!(left.is_empty(), "files were left behind: {left:?}");
    Ok(())
}
