//! What a query names. Only as much of PromQL as the queries here use.

use std::collections::BTreeSet;

/// The beginning of the names of all metrics of the operator.
const PREFIX: &str = "oidc_operator_";

/// A metric with the labels that select its series.
#[derive(Debug, PartialEq, Eq)]
pub struct Selector {
    /// Name of the series.
    pub metric: String,
    /// Labels, each with the values that it is compared with.
    pub matchers: Vec<(String, Vec<String>)>,
}

/// All metrics of the operator in a text, with their selectors.
pub fn selectors(text: &str) -> Vec<Selector> {
    let starts = text.match_indices(PREFIX).map(|(at, _)| &text[at..]);
    let selector = |from: &str| {
        let end = from.find(|c: char| !is_of_name(c)).unwrap_or(from.len());
        let (metric, rest) = from.split_at(end);
        let inner = rest.strip_prefix('{').map(|inner| &inner[..closing(inner)]);
        Selector {
            metric: metric.to_owned(),
            matchers: inner.map(matchers).unwrap_or_default(),
        }
    };
    starts.map(selector).collect()
}

/// All labels in `by (…)` and `on (…)`.
pub fn grouping(text: &str) -> BTreeSet<String> {
    let lists = [" by (", " on ("].into_iter().flat_map(|word| text.split(word).skip(1));
    let lists = lists.filter_map(|list| list.split(')').next());
    let labels = lists.flat_map(|list| list.split(',')).map(str::trim);
    labels.filter(|label| !label.is_empty()).map(str::to_owned).collect()
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Where the braces close that are open at the start.
fn closing(inner: &str) -> usize {
    let mut quoted = false;
    let close = inner.char_indices().find(|(_, c)| {
        quoted ^= *c == '"';
        *c == '}' && !quoted
    });
    close.map_or(inner.len(), |(at, _)| at)
}

fn matchers(inner: &str) -> Vec<(String, Vec<String>)> {
    let mut parts = inner.split('"');
    let mut found = Vec::new();
    while let (Some(before), Some(value)) = (parts.next(), parts.next()) {
        let label: String = before.chars().filter(|c| is_of_name(*c)).collect();
        found.push((label, value.split('|').map(str::to_owned).collect()));
    }
    found
}

#[test]
fn selectors_are_found() {
    let text = r#"sum by (le, kind) (rate(oidc_operator_a_total{kind=~"A|B", c!="}"}[5m])) / on (job) oidc_operator_b"#;
    let of = |metric: &str, matchers: &[(&str, &[&str])]| Selector {
        metric: metric.to_owned(),
        matchers: matchers
            .iter()
            .map(|(label, values)| ((*label).to_owned(), values.iter().map(|v| (*v).to_owned()).collect()))
            .collect(),
    };
    assert_eq!(
        selectors(text),
        [
            of("oidc_operator_a_total", &[("kind", &["A", "B"]), ("c", &["}"])]),
            of("oidc_operator_b", &[])
        ]
    );
    assert_eq!(grouping(text), ["job", "kind", "le"].map(str::to_owned).into());
}
