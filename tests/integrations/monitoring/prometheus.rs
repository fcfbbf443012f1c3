//! A real Prometheus that scrapes the operator.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use testbed::process::{self, Child};
use testbed::run_dir::RunDir;
use testbed::{http, ports, wait};

/// Its programs, with the package that has them.
pub const TOOLS: [(&str, &str); 2] = [("prometheus", "prometheus"), ("promtool", "prometheus")];
/// The label job of the operator.
pub const JOB: &str = "oidc-operator";
/// Longest wait for Prometheus to start, and for one of its answers.
const LIMIT: Duration = Duration::from_secs(60);

/// A running Prometheus. It stops when this value is dropped.
pub struct Prometheus {
    _process: Child,
    url: String,
}

/// A series with its values.
#[derive(Debug, Deserialize)]
pub struct Series {
    /// Its labels.
    pub metric: BTreeMap<String, String>,
    /// Pairs of a time and a value.
    #[serde(default)]
    pub values: Vec<(f64, String)>,
}

impl Series {
    /// Whether it has a number.
    fn has_data(&self) -> bool {
        self.values.iter().any(|(_, value)| value != "NaN")
    }
}

impl Prometheus {
    /// Starts it in a folder that outlives it. It scrapes `target`, a URL, every second, and labels the series as the
    /// Prometheus Operator does.
    pub async fn start(run: &RunDir, target: &str, rules: &Value) -> Result<Self> {
        run.write("rules.yaml", &rules.to_string())?; // JSON is YAML
        let target = target.trim_start_matches("http://");
        let labels = json!({ "namespace": "oidc-system", "pod": "oidc-operator-0" });
        let configuration = json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "rule_files": ["rules.yaml"],
            "scrape_configs": [{
                "job_name": JOB,
                "honor_labels": true,
                "static_configs": [{ "targets": [target], "labels": labels }],
            }],
        });
        run.write("prometheus.yaml", &configuration.to_string())?;
        let (process, url) = ports::with_free(async |[port]| start(run.path(), port).await).await?;
        Ok(Self { _process: process, url })
    }

    /// All series of a query from `begin`, in seconds since 1970, until now that have a number.
    pub async fn range(&self, query: &str, begin: f64) -> Result<Vec<Series>> {
        let now = seconds();
        let parameters = [
            ("query", query.to_owned()),
            ("start", begin.to_string()),
            ("end", now.to_string()),
            ("step", "1".to_owned()),
        ];
        let data = self
            .get("query_range", &parameters)
            .await
            .with_context(|| query.to_owned())?;
        let series: Vec<Series> = serde_json::from_value(data["result"].clone())?;
        Ok(series.into_iter().filter(Series::has_data).collect())
    }

    /// The series that a query has now.
    pub async fn now(&self, query: &str) -> Result<Vec<BTreeMap<String, String>>> {
        let data = self.get("query", &[("query", query.to_owned())]).await;
        let data = data.with_context(|| query.to_owned())?;
        let series: Vec<Series> = serde_json::from_value(data["result"].clone())?;
        Ok(series.into_iter().map(|series| series.metric).collect())
    }

    /// The values of a label of the series that a selector has had since `begin`.
    pub async fn label_values(&self, label: &str, selector: &str, begin: f64) -> Result<Vec<String>> {
        let parameters = [("match[]", selector.to_owned()), ("start", begin.to_string())];
        let data = self.get(&format!("label/{label}/values"), &parameters).await?;
        Ok(serde_json::from_value(data)?)
    }

    /// Waits until a query has a series.
    pub async fn until(&self, query: &str, limit: Duration) -> Result<()> {
        let what = format!("a series of {query}");
        wait::until(&what, limit, async || {
            Ok((!self.now(query).await?.is_empty()).then_some(()))
        })
        .await
    }

    async fn get(&self, path: &str, parameters: &[(&str, String)]) -> Result<Value> {
        let url = format!("{}/api/v1/{path}", self.url);
        let answer = http::client().get(url).query(parameters).send().await?;
        let body: Value = serde_json::from_str(&answer.text().await?)?;
        ensure!(body["status"] == "success", "Prometheus answered {body}");
        Ok(body["data"].clone())
    }
}

async fn start(folder: &Path, port: u16) -> Result<(Child, String)> {
    let mut command = process::command("prometheus");
    command
        .current_dir(folder)
        .arg(format!("--config.file={}", folder.join("prometheus.yaml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--log.level=warn");
    let mut child = Child::spawn("prometheus", command, &folder.join("prometheus.log"))?;
    let url = format!("http://127.0.0.1:{port}");
    let ready = format!("{url}/-/ready");
    child.wait_ready(LIMIT, async || http::answers_ok(&ready).await).await?;
    Ok((child, url))
}

/// Runs promtool in a folder of the repository; on failure, the message is what it wrote.
pub async fn promtool(folder: &Path, arguments: &[&str]) -> Result<()> {
    let mut command = tokio::process::Command::new("promtool");
    command.current_dir(folder).args(arguments);
    let output = command.output().await.context("running promtool")?;
    let text = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&text).trim());
    Ok(())
}

/// The time, in seconds since 1970.
pub fn seconds() -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap_or_default().as_secs_f64()
}
