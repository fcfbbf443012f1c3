//! Prometheus, the alerts and the dashboard: a bad day of a real operator, as Prometheus sees it.

mod dashboard;
mod day;
mod prometheus;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::Value;
use testbed::{install, process};

use self::day::Day;
use self::prometheus::{TOOLS, promtool};
use crate::stage::story;

/// The rules, within the repository.
const ALERTS: &str = "charts/oidc-operator/files/alerts.yaml";
/// Hours in the expressions, and the seconds that they are on the bad day.
const HURRIED: [(&str, &str); 3] = [("> 3600", "> 3.6"), ("> 1800", "> 1.8"), ("> 900", "> 0.9")];
/// Alerts that do not fire on the bad day, with the reason. Unit tests of the rules cover them.
const NOT_ON_THIS_DAY: [(&str, &str); 4] = [
    (
        "OidcOperatorNoLeader",
        "there is one instance, which leads from its start on",
    ),
    (
        "OidcReconcileErrors",
        "it compares one quarter of an hour with the one before",
    ),
    (
        "OidcObjectsUnreadable",
        "the API refuses what the operator could not read",
    ),
    ("OidcQueueStuck", "a few resources never wait"),
];

/// The tests of this module.
pub fn trials() -> Vec<Trial> {
    let missing = process::missing(&TOOLS);
    let obstacle = (!missing.is_empty()).then(|| "it needs Prometheus and promtool; run `make tools`".to_owned());
    vec![
        story(
            "monitoring::alerts_fire_and_rest_as_their_tests_say",
            obstacle.clone(),
            &[],
            alerts_fire_and_rest_as_their_tests_say,
        ),
        story(
            "monitoring::a_bad_day_is_on_the_dashboard_and_in_the_alerts",
            obstacle,
            &[],
            a_bad_day_is_on_the_dashboard_and_in_the_alerts,
        ),
    ]
}

async fn alerts_fire_and_rest_as_their_tests_say() -> Result<()> {
    let repository = install::repository();
    promtool(
        &repository,
        &["check", "rules", ALERTS, "deploy/monitoring/alerts.yaml"],
    )
    .await?;
    let folder = repository.join("tests/integrations/monitoring");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder)? {
        let name = entry?
            .file_name()
            .into_string()
            .ok()
            .context("a name that is no text")?;
        if name.ends_with(".yaml") {
            files.push(name);
        }
    }
    ensure!(!files.is_empty(), "no tests of the rules");
    let files = files.iter().map(String::as_str);
    let arguments: Vec<&str> = ["test", "rules"].into_iter().chain(files).collect();
    promtool(&folder, &arguments).await
}

async fn a_bad_day_is_on_the_dashboard_and_in_the_alerts() -> Result<()> {
    let rules = hurried()?;
    let begin = prometheus::seconds();
    let mut day = Day::begin(&rules).await.context("the morning")?;
    day.passes().await?;

    let mut silent = Vec::new();
    let queries = dashboard::queries(&day.prometheus, begin).await?;
    ensure!(queries.len() > 40, "only {} queries", queries.len());
    for query in &queries {
        if day.prometheus.range(&query.text, begin).await?.is_empty() {
            silent.push(format!("{}: {}", query.title, query.text));
        }
    }
    ensure!(silent.is_empty(), "panels without data:\n{}", silent.join("\n"));

    day.ends().await?;
    for name in names(&rules)? {
        let firing = format!("ALERTS{{alertname=\"{name}\", alertstate=\"firing\"}}");
        let has_fired = !day.prometheus.range(&firing, begin).await?.is_empty();
        let excused = NOT_ON_THIS_DAY.iter().find(|(alert, _)| *alert == name);
        match excused {
            None => ensure!(has_fired, "{name} has not fired"),
            Some((_, reason)) => ensure!(!has_fired, "{name} has fired, although {reason}"),
        }
    }
    Ok(())
}

/// The rules for a day that lasts minutes: alerts fire at once, and hours of the expressions are seconds.
fn hurried() -> Result<Value> {
    let text = std::fs::read_to_string(install::repository().join(ALERTS))?;
    let mut rules: Value = serde_saphyr::from_str(&text)?;
    for rule in rules["groups"][0]["rules"].as_array_mut().context("no rules")? {
        let rule = rule.as_object_mut().context("a rule that is no object")?;
        rule.remove("for");
        let expression = rule["expr"].as_str().context("no expression")?.to_owned();
        let hurried = HURRIED
            .iter()
            .fold(expression, |text, (from, to)| text.replace(from, to));
        rule.insert("expr".to_owned(), hurried.into());
    }
    Ok(rules)
}

fn names(rules: &Value) -> Result<Vec<String>> {
    let rules = rules["groups"][0]["rules"].as_array().context("no rules")?.iter();
    let names = rules.map(|rule| rule["alert"].as_str().context("a rule without name").map(str::to_owned));
    names.collect()
}
