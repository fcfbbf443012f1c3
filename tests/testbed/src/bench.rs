//! The benchmark: many clients at once, a restart, and their deletion, with the cost of each. Figures, not assertions.

use std::fs;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, PostParams};
use serde_json::json;

use crate::control_plane::ControlPlane;
use crate::demo::{operator_program, start_operator};
use crate::install;
use crate::process::{self, Child};
use crate::run_dir::RunDir;
use crate::servers::{Part, Servers};
use crate::{http, wait};

mod latency;

const NAMESPACE: &str = "bench";
/// All clients in the Kubernetes API.
const CLIENTS: &str = "/apis/oidc-operator.dev/v1alpha1/oauth2clients";
/// Number of clients after which memory is measured for the first time.
const FIRST: usize = 1_000;
/// Concurrent requests of the benchmark itself to the kube-apiserver.
const AT_ONCE: usize = 16;
/// Longest wait for any step.
const LIMIT: Duration = Duration::from_secs(900);
/// Ticks of the process clock in a second, on every Linux that Rust runs on.
const TICKS: f64 = 100.0;

/// How long `kubectl oidc status` takes for all clients, and how long the Kubernetes API takes to send them.
async fn status(plane: &ControlPlane, run: &RunDir, count: usize) -> Result<()> {
    let plugin = run.path().join("kubectl-oidc");
    std::os::unix::fs::symlink(operator_program()?, &plugin)?;
    let mut command = tokio::process::Command::new(&plugin);
    command
        .args(["status", "--all-namespaces"])
        .env("KUBECONFIG", plane.kubeconfig_path());
    let begun = Instant::now();
    let told = process::output("kubectl oidc status", command).await?;
    let whole = begun.elapsed();
    let last = told.lines().last().unwrap_or_default();
    let begun = Instant::now();
    let list = hyper::Request::get(CLIENTS).body(Vec::new())?;
    plane.client().request_text(list).await?;
    println!(
        "status: {whole:.2?} for {count} clients, and the list alone {:.2?}: {last}",
        begun.elapsed()
    );
    Ok(())
}

/// A running operator, with the URL of its metrics.
struct Operator {
    child: Child,
    metrics: String,
}

/// Creates `count` clients, restarts the operator, deletes the clients, and prints what each step took.
///
/// # Errors
/// When something does not start, or a step does not end in time.
pub async fn run(count: usize) -> Result<()> {
    let servers = Servers::start(&[Part::Hydra2, Part::Helm]).await?;
    let run = RunDir::new()?;
    let plane = &servers.control_plane;
    let hydra = servers.hydra2.as_ref().context("Hydra was not started")?;
    let installation = install::install(plane, &[]).await?;
    let start = async || {
        let (child, listen) = start_operator(plane, &installation, &run).await?;
        anyhow::Ok(Operator {
            child,
            metrics: format!("http://{listen}/metrics"),
        })
    };
    install::make_namespace(plane, NAMESPACE).await?;
    let server = json!({
        "apiVersion": "oidc-operator.dev/v1alpha1", "kind": "AuthorizationServer", "metadata": { "name": "default" },
        "spec": {
            "hydra": { "adminUrl": hydra.admin_url(), "publicUrl": hydra.public_url() },
            "access": [{ "namespaces": { "from": "All" }, "kinds": ["OAuth2Client"] }],
        },
    });
    install::apply(plane, &server.to_string()).await?;
    let operator = start().await?;
    println!("# {count} clients, Hydra 2.3.0 on SQLite, all on this machine");
    println!("idle: {}", operator.resources()?);
    let clients = clients_in(plane.client(), NAMESPACE);
    let first = count.min(FIRST);
    let apiserver = plane.apiserver();
    let before = processor_time(apiserver)?;
    operator.create(&clients, 0..first).await?;
    println!(
        "        kube-apiserver: {:.1} ms of processor time a client",
        (processor_time(apiserver)? - before) * 1_000.0 / as_float(first)
    );
    latency::run(plane, hydra).await?;
    println!("after that: {}", operator.resources()?);
    if count > first {
        operator.create(&clients, first..count).await?;
    }

    status(plane, &run, count).await?;

    drop(operator);
    let begun = Instant::now();
    let operator = start().await?;
    let filled = begun.elapsed();
    operator.until_swept().await?;
    println!(
        "restart: caches filled {filled:.1?} after the start, all resources checked {:.1?} after it",
        begun.elapsed()
    );
    println!("        {}", operator.resources()?);
    println!("        requests to Hydra: {}", operator.requests().await?);

    let begun = Instant::now();
    each(count, async |number| {
        clients
            .delete(&name(number), &DeleteParams::default())
            .await
            .map(|_| ())
            .map_err(Into::into)
    })
    .await?;
    wait::until("all clients to be gone", LIMIT, async || {
        Ok(clients
            .list(&ListParams::default().limit(1))
            .await?
            .items
            .is_empty()
            .then_some(()))
    })
    .await?;
    let gone = begun.elapsed();
    println!("delete: all gone after {gone:.1?}, {:.0} a second", rate(count, gone));
    println!("        {}", operator.resources()?);
    let left = http::client()
        .get(format!("{}/admin/clients?page_size=500", hydra.admin_url()))
        .send()
        .await?;
    let left: Vec<serde_json::Value> = serde_json::from_str(&left.text().await?)?;
    println!("        left behind in Hydra: {}", left.len());
    for client in &left {
        let mark = &client["metadata"]["oidc-operator.dev"];
        println!("        of OAuth2Client {}/{}", mark["namespace"], mark["name"]);
    }
    Ok(())
}

impl Operator {
    /// Creates clients, waits until all are Ready, and prints what that took.
    async fn create(&self, clients: &Api<DynamicObject>, numbers: Range<usize>) -> Result<()> {
        let (first, all) = (numbers.start, numbers.end);
        let begun = Instant::now();
        each(all - first, async |number| {
            clients.create(&PostParams::default(), &client(first + number)?).await?;
            Ok(())
        })
        .await?;
        let made = begun.elapsed();
        self.until_ready(all).await?;
        let ready = begun.elapsed();
        println!(
            "create: {first} to {all} clients, objects made in {made:.1?}, all Ready after {ready:.1?}, {:.0} a second",
            rate(all - first, ready)
        );
        println!("        {}", self.resources()?);
        println!("        requests to Hydra: {}", self.requests().await?);
        Ok(())
    }

    /// Memory and processor time, from /proc.
    fn resources(&self) -> Result<String> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.pid()))?;
        let kib = |key: &str| {
            let line = status.lines().find(|line| line.starts_with(key));
            line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok())
                .unwrap_or_default()
        };
        let seconds = processor_time(&self.child)?;
        let (now, most) = (kib("VmRSS") / 1024.0, kib("VmHWM") / 1024.0);
        Ok(format!(
            "operator: {now:.0} MiB resident, {most:.0} MiB at most, {seconds:.2} s of processor time"
        ))
    }

    /// Requests to Hydra by operation.
    async fn requests(&self) -> Result<String> {
        let text = self.text().await?;
        let lines = text
            .lines()
            .filter_map(|line| line.strip_prefix("oidc_operator_admin_requests_total{"));
        let counts: Vec<String> = lines
            .filter_map(|line| {
                let operation = line.split("operation=\"").nth(1)?.split('"').next()?;
                Some(format!("{operation} {}", line.rsplit(' ').next()?))
            })
            .collect();
        Ok(counts.join(", "))
    }

    async fn until_ready(&self, count: usize) -> Result<()> {
        let ready = format!(r#"type="Ready",status="True",reason="Available"}} {count}"#);
        self.until(&format!("{count} clients to be ready"), |text| {
            text.lines()
                .any(|line| line.contains(r#"kind="OAuth2Client""#) && line.ends_with(&ready))
        })
        .await
    }

    async fn until_swept(&self) -> Result<()> {
        self.until("the first sweep", |text| {
            text.contains("oidc_operator_orphaned_objects{")
        })
        .await
    }

    async fn until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Result<()> {
        wait::until(what, LIMIT, async || Ok(wanted(&self.text().await?).then_some(()))).await
    }

    async fn text(&self) -> Result<String> {
        Ok(http::client().get(&self.metrics).send().await?.text().await?)
    }
}

/// Seconds of processor time that a process has used, from /proc.
fn processor_time(process: &Child) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid()))?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks = fields.skip(11).take(2); // utime and stime, counted after the name
    let ticks: Vec<f64> = ticks.map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() / TICKS)
}

/// Does something for each number, several at once.
async fn each(count: usize, work: impl AsyncFn(usize) -> Result<()>) -> Result<()> {
    stream::iter(0..count)
        .map(|number| work(number))
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await
}

fn clients_in(client: kube::Client, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("oidc-operator.dev", "v1alpha1", "OAuth2Client");
    Api::namespaced_with(client, namespace, &ApiResource::from_gvk(&kind))
}

fn client(number: usize) -> Result<DynamicObject> {
    let object = json!({
        "apiVersion": "oidc-operator.dev/v1alpha1", "kind": "OAuth2Client", "metadata": { "name": name(number) },
        "spec": { "redirectUris": [format!("https://app-{number}.example.com/callback")], "clientName": format!("App {number}") },
    });
    Ok(serde_json::from_value(object)?)
}

fn name(number: usize) -> String {
    format!("app-{number:05}")
}

fn rate(count: usize, time: Duration) -> f64 {
    as_float(count) / time.as_secs_f64()
}

#[allow(clippy::cast_precision_loss)] // a count of clients is far below 2^52
fn as_float(count: usize) -> f64 {
    count as f64
}
