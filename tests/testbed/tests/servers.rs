//! The servers start, do what the operator's tests need, and leave nothing behind.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, ResourceExt};
use reqwest::StatusCode;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};
use testbed::{ControlPlane, Hydra, HydraOptions, http, wait};

const LIMIT: Duration = Duration::from_secs(60);
/// The first start may build the programs.
const BUILD_LIMIT: Duration = Duration::from_secs(60 * 60);

#[tokio::test]
async fn a_control_plane_serves_its_users() -> Result<()> {
    let plane = ControlPlane::start().await?;
    let namespaces: Api<Namespace> = Api::all(plane.client());
    let names: Vec<_> = namespaces
        .list(&ListParams::default())
        .await?
        .iter()
        .map(|ns| ns.name_any())
        .collect();
    ensure!(names.iter().any(|name| name == "kube-system"), "{names:?}");

    the_namespace_controller_works(&namespaces).await?;
    a_service_account_has_only_its_own_rights(&plane).await?;

    let output = plane.kubectl().args(["auth", "whoami", "-o", "name"]).output().await?;
    ensure!(output.status.success(), "{output:?}");
    Ok(())
}

async fn the_namespace_controller_works(namespaces: &Api<Namespace>) -> Result<()> {
    let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": "short-lived" } }))?;
    namespaces.create(&PostParams::default(), &namespace).await?;
    namespaces.delete("short-lived", &DeleteParams::default()).await?;
    wait::until("the namespace to be deleted", LIMIT, async || {
        Ok(namespaces.get_opt("short-lived").await?.is_none().then_some(()))
    })
    .await
}

async fn a_service_account_has_only_its_own_rights(plane: &ControlPlane) -> Result<()> {
    let token = plane.service_account_token("default", "default").await?;
    let kubeconfig = ControlPlane::token_kubeconfig(plane.url(), &plane.ca_pem(), &token);
    let kubeconfig = Kubeconfig::from_yaml(&kubeconfig)?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let namespaces: Api<Namespace> = Api::all(kube::Client::try_from(config)?);
    match namespaces.list(&ListParams::default()).await {
        Err(kube::Error::Api(status)) if status.is_forbidden() => Ok(()),
        other => anyhow::bail!("a user without rights listed namespaces: {other:?}"),
    }
}

#[tokio::test]
async fn hydra_issues_tokens_and_can_lose_its_database() -> Result<()> {
    let mut hydra = Hydra::start(HydraOptions::default()).await?;
    let (admin_url, public_url) = (hydra.admin_url(), hydra.public_url());
    create_client(&hydra).await?;
    ensure!(token_status(&hydra).await? == StatusCode::OK);

    hydra.stop().await;
    ensure!(
        http::client()
            .get(format!("{admin_url}/health/ready"))
            .send()
            .await
            .is_err()
    );
    hydra.start_again().await?;
    ensure!((hydra.admin_url(), hydra.public_url()) == (admin_url, public_url));
    ensure!(
        token_status(&hydra).await? == StatusCode::OK,
        "a restart keeps the client"
    );

    hydra.reset_database().await?;
    ensure!(
        token_status(&hydra).await? == StatusCode::UNAUTHORIZED,
        "the client is gone"
    );
    create_client(&hydra).await
}

async fn create_client(hydra: &Hydra) -> Result<()> {
    let client = json!({
        "client_id": "app",
        "client_secret": "a-secret-of-the-app",
        "grant_types": ["client_credentials"],
    });
    let url = format!("{}/admin/clients", hydra.admin_url());
    let answer = http::client().post(url).body(client.to_string()).send().await?;
    let status = answer.status();
    ensure!(status == StatusCode::CREATED, "{status} {}", answer.text().await?);
    Ok(())
}

/// Asks for a token with client credentials and checks that a good answer holds one.
async fn token_status(hydra: &Hydra) -> Result<StatusCode> {
    let answer = http::client()
        .post(format!("{}/oauth2/token", hydra.public_url()))
        .basic_auth("app", Some("a-secret-of-the-app"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body("grant_type=client_credentials")
        .send()
        .await?;
    let status = answer.status();
    let body: Value = serde_json::from_str(&answer.text().await?)?;
    ensure!(
        body["access_token"].is_string() == status.is_success(),
        "{status} {body}"
    );
    Ok(status)
}

/// A running `testbed up`, with what it prints about its processes.
struct Up {
    process: std::process::Child,
    pids: Vec<Pid>,
    folder: PathBuf,
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn testbed_up(temporary: &Path) -> Result<Up> {
    let mut process = Command::new(env!("CARGO_BIN_EXE_testbed"))
        .args(["up", "--with", "hydra2"])
        .env("TMPDIR", temporary)
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = BufReader::new(process.stdout.take().context("stdout is piped")?);
    let mut up = Up {
        process,
        pids: Vec::new(),
        folder: PathBuf::new(),
    };
    let lines = tokio::task::spawn_blocking(move || {
        let until_ready = |line: &String| !line.starts_with("# ready");
        stdout
            .lines()
            .map_while(Result::ok)
            .take_while(until_ready)
            .collect::<Vec<_>>()
    });
    for line in tokio::time::timeout(BUILD_LIMIT, lines).await?? {
        if let Some((_, rest)) = line.split_once(" pid=") {
            let (pid, log) = rest.split_once(" log=").context("a process without a log")?;
            up.pids
                .push(Pid::from_raw(pid.parse()?).context("a process without a number")?);
            up.folder = Path::new(log).parent().context("a log in a folder")?.to_owned();
        }
    }
    ensure!(up.pids.len() == 4, "{:?}", up.pids);
    Ok(up)
}

async fn wait_until_gone(pids: &[Pid]) -> Result<()> {
    wait::until("the servers to be gone", LIMIT, async || {
        Ok(pids.iter().all(|pid| test_kill_process(*pid).is_err()).then_some(()))
    })
    .await
}

#[tokio::test]
async fn servers_end_with_their_parent_and_its_folder_is_removed() -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let mut killed = testbed_up(temporary.path()).await?;
    ensure!(killed.pids.iter().all(|pid| test_kill_process(*pid).is_ok()));
    killed.process.kill()?;
    killed.process.wait()?;
    wait_until_gone(&killed.pids).await?;
    ensure!(killed.folder.is_dir(), "no process was left to remove it");

    let mut ended = testbed_up(temporary.path()).await?;
    ensure!(
        !killed.folder.exists() && ended.folder.is_dir(),
        "the next process removes it"
    );
    kill_process(Pid::from_child(&ended.process), Signal::TERM)?;
    let status = wait::until("`testbed up` to end", LIMIT, async || Ok(ended.process.try_wait()?)).await?;
    ensure!(status.success(), "{status}");
    wait_until_gone(&ended.pids).await?;
    ensure!(
        std::fs::read_dir(temporary.path())?.next().is_none(),
        "a folder was left behind"
    );
    Ok(())
}
