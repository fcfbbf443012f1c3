//! Metrics, log lines and traces of one operator: what an administrator sees of a resource's life, and what it costs when
//! nobody collects the traces.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::ROTATE_AT_ANNOTATION;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};
use prost::Message;
use serde_json::{Value, json};
use testbed::{ports, wait};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::bed::{Bed, LIMIT, Operator, OperatorOptions, Options};
use crate::run::Side;

const CLIENT: &str = "{ grantTypes: [client_credentials], scopes: [read], rotation: { withoutOverlap: Allow } }";
const BROKEN: &str = "{ grantTypes: [client_credentials], clientSecretRef: { name: nowhere, key: password } }";

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    let bare = || Options {
        operator: None,
        ..Options::default()
    };
    vec![
        side.alone(bare(), the_life_of_a_resource_shows_in_metrics_logs_and_traces),
        side.alone(bare(), a_dead_collector_costs_a_line_and_delays_nothing),
    ]
}

/// An operator that sends its spans to this collector, and logs as by default.
async fn traced(bed: &Bed, collector: &str) -> Result<Arc<Operator>> {
    let flag = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let options = OperatorOptions {
        flags: vec![
            flag("otlp-endpoint", collector),
            flag("metrics-per-resource", "true"),
            flag("log", "info"),
        ],
        environment: vec![flag("OTEL_BSP_SCHEDULE_DELAY", "200")],
        ..OperatorOptions::default()
    };
    bed.start_operator(options).await
}

async fn the_life_of_a_resource_shows_in_metrics_logs_and_traces(bed: &Bed) -> Result<()> {
    let collector = MockServer::start().await;
    let spans = Mock::given(method("POST")).and(path("/v1/traces"));
    spans.respond_with(ResponseTemplate::new(200)).mount(&collector).await;
    let operator = traced(bed, &collector.uri()).await?;
    let space = bed.space().await?;
    space.ready_client("app", CLIENT).await?;
    let (_, first) = space.credentials("app").await?;

    let of_pass = until_traced(&collector, space.name()).await?;
    let (_, secret) = {
        space
            .annotate("app", ROTATE_AT_ANNOTATION, &jiff::Timestamp::now().to_string())
            .await?;
        let rotated = "oidc_operator_secret_rotations_total";
        until_metric(&operator, rotated, "kind=\"OAuth2Client\"", 1.0).await?;
        space.credentials("app").await?
    };
    ensure!(first != secret, "the secret is the same");
    check_figures(&operator, space.name()).await?;

    // A failure is told once, however often it is retried.
    space.apply_client("broken", BROKEN).await?;
    for passes in 1..=3 {
        let failures = "oidc_operator_reconciles_total";
        until_metric(&operator, failures, "SecretNotFound", f64::from(passes)).await?;
        let name = format!("name {passes}");
        space
            .change("broken", json!({ "spec": { "clientName": name } }))
            .await?;
    }
    // In a steady state, there is nothing to tell.
    let told = lines_about(&operator, space.name(), "app").len();
    bed.change_server("default", json!({ "resyncInterval": "1s" })).await?;
    let sweeps = "oidc_operator_sweep_duration_seconds_count";
    let before = operator.metric(sweeps, "").await?;
    until_metric(&operator, sweeps, "", before + 3.0).await?;
    check_lines(&operator, space.name(), told, &of_pass)?;

    space.delete_and_wait("app").await?;
    wait::until("the series of the client to go", LIMIT, async || {
        let text = operator.metrics().await?;
        Ok((!text.contains("name=\"app\"")).then_some(()))
    })
    .await?;
    ensure!(operator.terminate().await?.success(), "it did not end well");
    for request in collector.received_requests().await.context("no record")? {
        let holds = |value: &str| {
            let mut windows = request.body.windows(value.len());
            windows.any(|window| window == value.as_bytes())
        };
        ensure!(!holds(&first) && !holds(&secret), "a span holds a client secret");
    }
    Ok(())
}

/// All spans that a collector has received.
async fn received(collector: &MockServer) -> Result<Vec<Span>> {
    let mut all = Vec::new();
    for request in collector.received_requests().await.context("no record")? {
        let batch = ExportTraceServiceRequest::decode(&*request.body)?;
        for of_resource in batch.resource_spans {
            let resource = of_resource.resource.context("no resource")?;
            let names = resource
                .attributes
                .iter()
                .filter(|attribute| attribute.key == "service.name");
            ensure!(names.count() == 1, "{resource:?}");
            let scopes = of_resource.scope_spans;
            all.extend(scopes.into_iter().flat_map(|scope| scope.spans));
        }
    }
    Ok(all)
}

fn attributes(span: &Span) -> BTreeMap<&str, String> {
    let text = |value: &Any| match value {
        Any::StringValue(text) => text.clone(),
        Any::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    let pairs = span.attributes.iter().filter_map(|attribute| {
        let value = attribute.value.as_ref()?.value.as_ref()?;
        Some((attribute.key.as_str(), text(value)))
    });
    pairs.collect()
}

/// Waits for the spans of the pass that registered the client. Returns the id of its trace.
async fn until_traced(collector: &MockServer, namespace: &str) -> Result<String> {
    let found = wait::until("the spans of the pass", LIMIT, async || {
        let all = received(collector).await?;
        let is_first = |span: &&Span| {
            let request = attributes(span);
            request.get("operation").map(String::as_str) == Some("create_o_auth2_client")
        };
        let created = all.iter().find(is_first);
        let pass = created.and_then(|created| all.iter().find(|span| span.span_id == created.parent_span_id));
        Ok(pass.map(|pass| (all.clone(), pass.clone())))
    });
    let (all, pass) = found.await?;
    ensure!(pass.name == "pass" && pass.parent_span_id.is_empty(), "{pass:?}");
    let of_pass = attributes(&pass);
    for (key, value) in [
        ("kind", "OAuth2Client"),
        ("namespace", namespace),
        ("name", "app"),
        ("generation", "1"),
        ("result", "success"),
    ] {
        ensure!(
            of_pass.get(key).map(String::as_str) == Some(value),
            "{key}: {of_pass:?}"
        );
    }
    let children: Vec<_> = all.iter().filter(|span| span.parent_span_id == pass.span_id).collect();
    ensure!(children.iter().all(|child| child.trace_id == pass.trace_id));
    let has = |name: &str, wanted: &[(&str, &str)]| {
        children.iter().any(|child| {
            let found = attributes(child);
            let has = |(key, value): &(&str, &str)| found.get(*key).map(String::as_str) == Some(*value);
            child.name == name && wanted.iter().all(has)
        })
    };
    ensure!(
        has("request", &[("server", "default"), ("code", "201")]),
        "{children:#?}"
    );
    for (operation, object) in [
        ("patch", "OAuth2Client"),
        ("create", "Secret"),
        ("apply status", "OAuth2Client"),
    ] {
        let wanted = [("operation", operation), ("object", object)];
        ensure!(has("kubernetes", &wanted), "{operation}: {children:#?}");
    }
    let code = pass.status.as_ref().map(|status| status.code());
    ensure!(code != Some(StatusCode::Error), "{pass:?}");
    Ok(pass.trace_id.iter().map(|byte| format!("{byte:02x}")).collect())
}

async fn until_metric(operator: &Operator, name: &str, labels: &str, least: f64) -> Result<()> {
    let what = format!("{name}{{{labels}}} to be at least {least}");
    wait::until(&what, LIMIT, async || {
        Ok((operator.metric(name, labels).await? >= least).then_some(()))
    })
    .await
}

/// Checks the figures of a client that is Ready and whose secret was replaced once.
async fn check_figures(operator: &Operator, namespace: &str) -> Result<()> {
    let of_kind = "kind=\"OAuth2Client\"";
    let of_client = format!("kind=\"OAuth2Client\",namespace=\"{namespace}\",name=\"app\"");
    let ready = format!("{of_client},type=\"Ready\",status=\"True\"");
    let last_rotation = format!("resource_last_rotation_timestamp_seconds{{{of_client}}}");
    let now = jiff::Timestamp::now().as_second() as f64;
    let recently = now - 300.0..now + 5.0;
    let rows = [
        ("secret_rotations_total", of_kind, 1.0..2.0),
        ("time_to_ready_seconds_count", of_kind, 1.0..2.0),
        ("time_to_ready_seconds_sum", of_kind, 0.001..120.0),
        ("resource_condition", ready.as_str(), 1.0..2.0),
        (last_rotation.as_str(), "", recently.clone()),
        ("cached_objects", "kind=\"OAuth2Client\"", 1.0..2.0),
        ("cached_objects", "kind=\"Secret\"", 2.0..100.0),
        ("pending_deletions", of_kind, 0.0..1.0),
        ("overdue_rotations", of_kind, 0.0..1.0),
        ("last_success_timestamp_seconds", of_kind, recently.clone()),
        ("last_sweep_timestamp_seconds", "server=\"default\"", recently),
        ("sweep_duration_seconds_count", "server=\"default\"", 1.0..1000.0),
        ("queue_wait_seconds_count", "", 2.0..100_000.0),
        ("breaker_open", "server=\"default\"", 0.0..1.0),
    ];
    let text = wait::until("no rotation to be scheduled", LIMIT, async || {
        let text = operator.metrics().await?; // the watch may lag behind the pass
        let is_over = !text.contains("oidc_operator_next_rotation_timestamp_seconds{");
        Ok(is_over.then_some(text))
    })
    .await?;
    for (name, labels, range) in rows {
        let name = format!("oidc_operator_{name}");
        let mut lines = text
            .lines()
            .filter(|line| line.starts_with(&name) && line.contains(labels));
        let line = lines.next().with_context(|| format!("no {name} {labels} in {text}"))?;
        let value: f64 = line.rsplit(' ').next().context("no value")?.parse()?;
        ensure!(range.contains(&value), "{line}: not in {range:?}");
    }
    let is_limited = text.contains("oidc_operator_pace_requests_per_second{");
    ensure!(!is_limited, "{text}");
    Ok(())
}

/// The log lines about a client.
fn lines_about(operator: &Operator, namespace: &str, name: &str) -> Vec<Value> {
    let mut lines = lines(operator);
    lines.retain(|line| line["namespace"] == namespace && line["name"] == name);
    lines
}

/// All log lines; one that is being written is left out.
fn lines(operator: &Operator) -> Vec<Value> {
    let log = operator.log();
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Checks the lines of the run. `told`: number of lines about the client before the steady state.
fn check_lines(operator: &Operator, namespace: &str, told: usize, trace: &str) -> Result<()> {
    let lines = lines_about(operator, namespace, "app");
    ensure!(lines.len() == told, "{} new lines: {lines:#?}", lines.len() - told);
    let messages: Vec<&str> = lines.iter().filter_map(|line| line["message"].as_str()).collect();
    ensure!(messages == ["Ready", "changed and still Ready"], "{lines:#?}");
    ensure!(lines[0]["trace_id"] == trace, "{trace}: {lines:#?}");
    let keys = [
        "level",
        "timestamp",
        "kind",
        "namespace",
        "name",
        "generation",
        "reconcile_id",
    ];
    for line in &lines {
        ensure!(keys.iter().all(|key| !line[key].is_null()), "{line}");
        ensure!(
            line["operation"].is_null() && line["server"].is_null(),
            "keys of a span: {line}"
        );
    }
    let broken = lines_about(operator, namespace, "broken");
    ensure!(broken.len() == 1, "{broken:#?}");
    ensure!(
        broken[0]["level"] == "WARN" && broken[0]["reason"] == "SecretNotFound",
        "{broken:#?}"
    );

    let mut starts = self::lines(operator);
    starts.retain(|line| line["kubernetes"].is_string());
    ensure!(starts.len() == 1, "{starts:#?}");
    let start = &starts[0];
    ensure!(
        start["version"] == env!("CARGO_PKG_VERSION")
            && start["kubernetes"]
                .as_str()
                .is_some_and(|version| version.starts_with("v1."))
            && start["namespaces"] == "all"
            && start["class"] == "none"
            && start["identity"] == operator.name()
            && start["servers"] == 1,
        "{start}"
    );
    Ok(())
}

async fn a_dead_collector_costs_a_line_and_delays_nothing(bed: &Bed) -> Result<()> {
    let dead = ports::with_free(async |[port]| Ok(format!("http://127.0.0.1:{port}"))).await?;
    let (operator, started) = (traced(bed, &dead).await?, Instant::now());
    let space = bed.space().await?;
    for nth in 0..5 {
        space.ready_client(&format!("app-{nth}"), CLIENT).await?;
    }
    let lost = || operator.log().matches("traces are lost").count();
    wait::until("a line about the lost traces", LIMIT, async || {
        Ok((lost() > 0).then_some(()))
    })
    .await?;
    // Five more batches are due by then.
    let since = Instant::now();
    for nth in 0.. {
        let name = format!("name {nth}");
        space.change("app-0", json!({ "spec": { "clientName": name } })).await?;
        space.wait_ready("app-0").await?;
        if since.elapsed() > Duration::from_secs(1) {
            break;
        }
    }
    let begun = Instant::now();
    ensure!(operator.terminate().await?.success(), "it did not end well");
    ensure!(
        begun.elapsed() < Duration::from_secs(15),
        "it took {:?}",
        begun.elapsed()
    );
    let most = 1 + started.elapsed().as_secs() / 60;
    ensure!(lost() as u64 <= most, "{} lines: {}", lost(), operator.log());
    let log = operator.log();
    let line = log
        .lines()
        .find(|line| line.contains("traces are lost"))
        .context("no line")?;
    let line: Value = serde_json::from_str(line)?;
    ensure!(line["level"] == "WARN" && line["collector"] == dead.as_str(), "{line}");
    Ok(())
}
