//! Alerts, dashboard, runbooks and pages about them name only what exists, and nothing is missing in one of them.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use oidc_operator::api::condition::{self, Reason};
use oidc_operator::api::{ABANDON_ANNOTATION, crds};
use oidc_operator::metrics::{Described, catalogue};
use serde_json::Value;

use crate::promql::{Selector, grouping, selectors};
use crate::{page_has_list, path, read};

const ALERTS: &str = "charts/oidc-operator/files/alerts.yaml";
const DASHBOARD: &str = "charts/oidc-operator/files/dashboard.json";
const SCHEMA: &str = "charts/oidc-operator/values.schema.json";
const RUNBOOKS: &str = "docs/runbooks.md";
const PAGE: &str = "docs/monitoring.md";
const PROMTOOL_TESTS: &str = "tests/integrations/monitoring";
/// Labels that Prometheus adds to every series, and that of buckets.
const OF_PROMETHEUS: [&str; 5] = ["cluster", "job", "namespace", "instance", "le"];
/// Words of Kubernetes and of events in the runbooks.
const OTHER_WORDS: [&str; 2] = ["OOMKilled", "Pending"];
/// What the description of each alert in the schema begins with.
const CHANGES: &str = "Changes of an alert: ";

/// The rules in the file with the alerts.
fn alerts() -> Result<Vec<Value>> {
    let file: Value = serde_saphyr::from_str(&read(ALERTS)?)?;
    let groups = file["groups"].as_array().context("no groups")?;
    let rules = groups.iter().flat_map(|group| group["rules"].as_array()).flatten();
    Ok(rules.cloned().collect())
}

fn text<'a>(value: &'a Value, pointer: &str) -> Result<&'a str> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.with_context(|| format!("no {pointer} in {value}"))
}

fn names() -> Result<Vec<String>> {
    let alerts = alerts()?;
    let names = alerts.iter().map(|alert| Ok(text(alert, "/alert")?.to_owned()));
    names.collect()
}

/// A panel, and the texts that belong together of each of its queries.
type Panel = (Value, Vec<(String, String)>);

/// Panels that show something, with the queries (expression and legend) of each.
fn panels() -> Result<Vec<Panel>> {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)?)?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let shown = panels.iter().filter(|panel| panel["type"] != "row");
    let queries = |panel: &Value| -> Result<Vec<(String, String)>> {
        let targets = panel["targets"].as_array().context("a panel without targets")?.iter();
        let query = |target: &Value| {
            let legend = text(target, "/legendFormat")?.to_owned();
            Ok((text(target, "/expr")?.to_owned(), legend))
        };
        targets.map(query).collect()
    };
    shown.map(|panel| Ok((panel.clone(), queries(panel)?))).collect()
}

/// Everything that names metrics, with where it is.
fn texts() -> Result<Vec<(String, String)>> {
    let mut texts = Vec::new();
    for alert in alerts()? {
        texts.push((text(&alert, "/alert")?.to_owned(), text(&alert, "/expr")?.to_owned()));
    }
    for (panel, queries) in panels()? {
        let title = text(&panel, "/title")?.to_owned();
        texts.extend(queries.into_iter().map(|(query, _)| (title.clone(), query)));
    }
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)?)?;
    for variable in dashboard["templating"]["list"].as_array().context("no variables")? {
        let query = variable["definition"].as_str().unwrap_or_default();
        texts.push((text(variable, "/name")?.to_owned(), query.to_owned()));
    }
    for page in [RUNBOOKS, PAGE] {
        texts.push((page.to_owned(), read(page)?));
    }
    Ok(texts)
}

#[test]
fn only_metrics_and_labels_that_exist_are_named() -> Result<()> {
    let (catalogue, mut seen) = (catalogue(), 0);
    for (place, text) in texts()? {
        for selector in selectors(&text) {
            seen += 1;
            let metric = catalogue.iter().find(|metric| is_series(metric, &selector.metric));
            let metric = metric.with_context(|| format!("{place}: there is no metric {}", selector.metric))?;
            for (label, values) in &selector.matchers {
                let known = OF_PROMETHEUS.contains(&label.as_str()) || metric.labels.contains(&label.as_str());
                ensure!(known, "{place}: {} has no label {label}", selector.metric);
                for value in values {
                    ensure!(
                        is_known(&selector, label, value),
                        "{place}: {}{{{label}}} is never {value}",
                        selector.metric
                    );
                }
            }
        }
        let labels: BTreeSet<&str> = catalogue.iter().flat_map(|metric| metric.labels).copied().collect();
        for label in grouping(&text) {
            let known = OF_PROMETHEUS.contains(&label.as_str()) || labels.contains(label.as_str());
            ensure!(
                known || label == "resource_namespace",
                "{place}: there is no label {label}"
            );
        }
    }
    ensure!(seen > 70, "the metrics were not found: {seen}");
    Ok(())
}

/// Whether a metric has series of this name.
fn is_series(metric: &Described, series: &str) -> bool {
    let of_histogram = ["_bucket", "_sum", "_count"].into_iter();
    let base = of_histogram.filter(|_| metric.r#type == "histogram");
    let mut bases = base.filter_map(|suffix| series.strip_suffix(suffix));
    metric.name == series || bases.any(|base| base == metric.name)
}

/// Whether a label of a metric can have this value.
fn is_known(selector: &Selector, label: &str, value: &str) -> bool {
    let is_reason = || Reason::ALL.iter().any(|reason| reason.as_str() == value);
    match (label, selector.metric.as_str()) {
        _ if value.starts_with('$') => true, // a variable of the dashboard
        ("kind", _) => kinds().contains(value),
        ("reason", _) => is_reason(),
        ("result", "oidc_operator_logins_total") => ["success", "failure"].contains(&value),
        ("result", _) => value == "success" || is_reason(),
        ("type", _) => condition_types().contains(value),
        ("status", _) => ["True", "False", "Unknown"].contains(&value),
        ("code", _) => value == "0" || value.len() == 3 && value.starts_with(['2', '3', '4', '5']),
        _ => false,
    }
}

fn kinds() -> BTreeSet<String> {
    crds().into_iter().map(|crd| crd.spec.names.kind).collect()
}

fn condition_types() -> BTreeSet<&'static str> {
    BTreeSet::from([
        condition::READY,
        condition::SYNCED,
        condition::RECONCILING,
        condition::STALLED,
        condition::SUSPENDED,
        condition::INSECURE,
        condition::RESTART_REQUIRED,
        condition::DISCOVERY_FAILED,
    ])
}

#[test]
fn alerts_use_the_labels_that_their_expressions_keep() -> Result<()> {
    for alert in alerts()? {
        let (name, kept) = (text(&alert, "/alert")?, grouping(text(&alert, "/expr")?));
        for annotation in ["/annotations/summary", "/annotations/description"] {
            for part in text(&alert, annotation)?.split("$labels.").skip(1) {
                let label: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                ensure!(kept.contains(&label), "{name}: {annotation} uses {label}");
            }
        }
        let severity = text(&alert, "/labels/severity")?;
        ensure!(
            ["critical", "warning", "info"].contains(&severity),
            "{name}: {severity}"
        );
        let runbook = text(&alert, "/annotations/runbook_url")?;
        let anchor = format!("/{RUNBOOKS}#{}", name.to_lowercase());
        ensure!(runbook.ends_with(&anchor), "{name}: {runbook}");
    }
    Ok(())
}

#[test]
fn every_panel_can_be_read() -> Result<()> {
    let (mut ids, mut titles) = (BTreeSet::new(), BTreeSet::new());
    for (panel, queries) in panels()? {
        let title = text(&panel, "/title")?;
        ensure!(ids.insert(panel["id"].to_string()), "{title}: its id is used twice");
        ensure!(
            titles.insert(title.to_owned()) || panel["type"] != "stat",
            "{title}: there are two"
        );
        ensure!(text(&panel, "/description")?.ends_with('.'), "{title}: no description");
        ensure!(!queries.is_empty(), "{title}: no query");
        for (query, legend) in queries {
            ensure!(
                query.contains("$job") || query.starts_with("ALERTS{"),
                "{title}: it shows other operators too"
            );
            for part in legend.split("{{").skip(1) {
                let label = part.split("}}").next().unwrap_or_default();
                ensure!(grouping(&query).contains(label), "{title}: no label {label} in {query}");
            }
        }
    }
    Ok(())
}

#[test]
fn every_alert_has_a_runbook() -> Result<()> {
    let page = read(RUNBOOKS)?;
    let mut sections = page.split("\n## ");
    sections.next();
    let sections: Vec<(&str, &str)> = sections.filter_map(|section| section.split_once('\n')).collect();
    let headings: Vec<&str> = sections.iter().map(|(heading, _)| *heading).collect();
    assert_eq!(headings, names()?);
    for (heading, section) in sections {
        for part in ["**What it means.** ", "**What to look at.**", "**What to do.**"] {
            ensure!(section.contains(part), "{heading}: no {part}");
        }
    }
    Ok(())
}

/// Reasons, kinds, conditions, alerts and values of the chart that the pages name.
#[test]
fn the_pages_name_what_exists() -> Result<()> {
    let schema: Value = serde_json::from_str(&read(SCHEMA)?)?;
    let mut words: BTreeSet<String> = kinds().into_iter().chain(names()?).collect();
    words.extend(Reason::ALL.map(|reason| reason.as_str().to_owned()));
    words.extend(condition_types().into_iter().chain(OTHER_WORDS).map(str::to_owned));
    for page in [RUNBOOKS, PAGE] {
        let page_text = read(page)?;
        for code in page_text.split('`').skip(1).step_by(2) {
            let is_word = code.starts_with(|c: char| c.is_ascii_uppercase())
                && code.chars().all(char::is_alphanumeric)
                && code.contains(char::is_lowercase);
            ensure!(!is_word || words.contains(code), "{page}: what is {code}?");
            ensure!(
                is_value_or_other(&schema, code),
                "{page}: the chart has no value {code}"
            );
            if let Some((_, annotation)) = code.split_once("oidc-operator.dev/") {
                let is_abandon = ABANDON_ANNOTATION.ends_with(&annotation.replace("=true", ""));
                ensure!(is_abandon, "{page}: what is {annotation}?");
            }
        }
    }
    Ok(())
}

/// Whether the chart has a value of this path, if it looks like one.
fn is_value_or_other(schema: &Value, path: &str) -> bool {
    let mut parts = path.split([':', ' ']).next().unwrap_or_default().split('.');
    let first = parts.next().unwrap_or_default();
    let mut at = &schema["properties"][first];
    if at.is_null() || !path.contains('.') {
        return true;
    }
    for part in parts {
        if let Some(reference) = at["$ref"].as_str() {
            at = schema
                .pointer(reference.trim_start_matches('#'))
                .unwrap_or(&Value::Null);
        }
        let Some(members) = at["properties"].as_object() else {
            return true; // Kubernetes defines what is in it
        };
        at = members.get(part).unwrap_or(&Value::Null);
    }
    !at.is_null()
}

#[test]
fn every_alert_is_a_value_of_the_chart() -> Result<()> {
    let schema: Value = serde_json::from_str(&read(SCHEMA)?)?;
    let values = schema.pointer("/properties/prometheusRule/properties/alerts/properties");
    let values = values.and_then(Value::as_object).context("no alerts in the schema")?;
    let values: BTreeSet<&str> = values.keys().map(String::as_str).collect();
    let names = names()?;
    assert_eq!(values, names.iter().map(String::as_str).collect());
    Ok(())
}

#[test]
fn every_alert_is_tested_firing_and_not_firing() -> Result<()> {
    let names: BTreeSet<String> = names()?.into_iter().collect();
    let (mut firing, mut quiet) = (BTreeSet::new(), BTreeSet::new());
    for entry in std::fs::read_dir(path(PROMTOOL_TESTS))? {
        let file = entry?.path();
        if file.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let file: Value = serde_saphyr::from_str(&std::fs::read_to_string(file)?)?;
        let tests = file["tests"].as_array().into_iter().flatten();
        for rule in tests.flat_map(|test| test["alert_rule_test"].as_array()).flatten() {
            let fires = rule["exp_alerts"].as_array().is_some_and(|alerts| !alerts.is_empty());
            let set = if fires { &mut firing } else { &mut quiet };
            set.insert(text(rule, "/alertname")?.to_owned());
        }
    }
    assert_eq!(firing, names, "alerts that are tested firing");
    assert_eq!(quiet, names, "alerts that are tested not firing");
    Ok(())
}

/// The table of alerts in the book.
#[test]
fn docs_list_every_alert() -> Result<()> {
    page_has_list(PAGE, &table()?)
}

fn table() -> Result<String> {
    let schema: Value = serde_json::from_str(&read(SCHEMA)?)?;
    let mut table = "| Alert | Severity | After | When |\n|---|---|---|---|\n".to_owned();
    for alert in alerts()? {
        let name = text(&alert, "/alert")?;
        let value = format!("/properties/prometheusRule/properties/alerts/properties/{name}/description");
        let when = text(&schema, &value)?;
        let when = when.strip_prefix(CHANGES).with_context(|| format!("{name}: {when}"))?;
        let (severity, after) = (text(&alert, "/labels/severity")?, text(&alert, "/for")?);
        let link = format!("[{name}](runbooks.md#{})", name.to_lowercase());
        let (first, rest) = when.split_at(1);
        table += &format!("| {link} | {severity} | {after} | {}{rest} |\n", first.to_uppercase());
    }
    Ok(table)
}
