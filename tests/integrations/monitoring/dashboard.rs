//! The dashboard: its queries, with its variables filled in.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testbed::install;

use super::prometheus::Prometheus;

/// What Grafana makes of `$__rate_interval` at least, for a scrape every second.
const RATE_INTERVAL: &str = "15s";
/// What a single figure shows if there is nothing. With it, a query would always have data.
const OR_ZERO: &str = " or vector(0)";

/// A query of a panel.
pub struct Query {
    /// Title of the panel.
    pub title: String,
    /// The query, with values instead of variables.
    pub text: String,
}

/// All queries of the dashboard. The variables have all their values, as they do when it is opened.
pub async fn queries(prometheus: &Prometheus, begin: f64) -> Result<Vec<Query>> {
    let file = install::repository().join("charts/oidc-operator/files/dashboard.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    let variables = variables(&dashboard, prometheus, begin).await?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let mut queries = Vec::new();
    for panel in panels {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().context("a target without a query")?;
            let text = filled(query, &variables).replace(OR_ZERO, "");
            let names = text.split('$').skip(1); // $1 is a part of label_replace
            let unknown = names.filter(|rest| rest.starts_with(|c: char| c.is_alphabetic() || "_{".contains(c)));
            ensure!(unknown.count() == 0, "a variable is unknown: {text}");
            queries.push(Query {
                title: panel["title"].as_str().unwrap_or_default().to_owned(),
                text,
            });
        }
    }
    Ok(queries)
}

/// The variables of the dashboard in their order, as later ones may use earlier ones; each with all of its values.
async fn variables(dashboard: &Value, prometheus: &Prometheus, begin: f64) -> Result<Vec<(String, String)>> {
    let mut known = vec![("__rate_interval".to_owned(), RATE_INTERVAL.to_owned())];
    let variables = dashboard["templating"]["list"].as_array().context("no variables")?;
    for variable in variables.iter().filter(|variable| variable["type"] == "query") {
        let name = variable["name"].as_str().context("a variable without name")?;
        let definition = filled(variable["definition"].as_str().context("no definition")?, &known);
        let inner = definition
            .strip_prefix("label_values(")
            .and_then(|rest| rest.strip_suffix(')'));
        let (selector, label) = inner
            .and_then(|inner| inner.rsplit_once(", "))
            .context(definition.clone())?;
        let values = prometheus.label_values(label, selector, begin).await?;
        ensure!(!values.is_empty(), "the variable {name} has no values: {definition}");
        known.push((name.to_owned(), values.join("|")));
    }
    Ok(known)
}

fn filled(query: &str, variables: &[(String, String)]) -> String {
    variables.iter().fold(query.to_owned(), |query, (name, value)| {
        query.replace(&format!("${name}"), value)
    })
}
