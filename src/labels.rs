//! Labels that an admin wants on every Secret and ConfigMap of the operator. Pure.

use std::collections::BTreeMap;

use crate::api::GROUP;

/// Labels by their keys.
pub type Labels = BTreeMap<String, String>;

/// Reads a label that is written as `key=value`. An empty text, as an empty list leaves, is a label without a key.
///
/// # Errors
/// Why Kubernetes, or the operator, does not accept the label.
pub fn parse(text: &str) -> Result<(String, String), &'static str> {
    if text.is_empty() {
        return Ok(<(String, String)>::default());
    }
    let (key, value) = text.split_once('=').ok_or("not a label such as team=shop")?;
    let (prefix, name) = key.rsplit_once('/').unwrap_or(("", key));
    if prefix == GROUP || prefix.ends_with(&format!(".{GROUP}")) {
        return Err("labels of oidc-operator.dev are the operator's own");
    }
    let is_prefix = |prefix: &str| {
        let is_part = |part: &str| is_name(part, 63, "-") && part == part.to_lowercase();
        prefix.len() <= 253 && prefix.split('.').all(is_part)
    };
    if !is_name(name, 63, "-_.") || key.contains('/') && !is_prefix(prefix) {
        return Err("the key is not one of a Kubernetes label");
    }
    if !value.is_empty() && !is_name(value, 63, "-_.") {
        return Err("the value is not one of a Kubernetes label");
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// Whether a text consists of ASCII letters, digits and `others`, and begins and ends with a letter or digit.
fn is_name(text: &str, longest: usize, others: &str) -> bool {
    let is_end = |end: Option<char>| end.is_some_and(|end| end.is_ascii_alphanumeric());
    text.len() <= longest
        && is_end(text.chars().next())
        && is_end(text.chars().last())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_what_kubernetes_accepts() {
        let long = "x".repeat(64);
        let table = [
            ("team=shop", Some(("team", "shop"))),
            (
                "example.com/cost-center=4_7.1",
                Some(("example.com/cost-center", "4_7.1")),
            ),
            (
                "app.kubernetes.io/part-of=sso",
                Some(("app.kubernetes.io/part-of", "sso")),
            ),
            ("team=", Some(("team", ""))),
            ("", Some(("", ""))),
            ("team", None),
            ("=shop", None),
            ("team=a=b", None),
            ("team= shop", None),
            ("-team=shop", None),
            ("Example.com/team=shop", None),
            ("/team=shop", None),
            ("a//b=shop", None),
            ("a..b/team=shop", None),
            ("oidc-operator.dev/watch=false", None),
            ("x.oidc-operator.dev/uid=1", None),
            (&format!("{long}=a"), None),
            (&format!("a={long}"), None),
        ];
        for (text, expected) in table {
            let read = parse(text).ok();
            let read = read.as_ref().map(|(key, value)| (key.as_str(), value.as_str()));
            assert_eq!(read, expected, "{text}");
        }
    }
}
