//! What `explain` says. Pure.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::admin::bounded::printable;
use crate::plugin::census::{Key, State};

/// Most characters of a value that are printed.
const LONGEST: usize = 160;
/// Most writers that are named.
const WRITERS: usize = 4;

/// A resource, its object on the server, and who wrote last.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The resource.
    #[serde(flatten)]
    pub key: Key,
    /// The AuthorizationServer.
    pub server: String,
    /// How it is.
    pub state: State,
    /// What its condition `Ready` says.
    pub message: String,
    /// What a comparison with the server shows, or why there was none.
    pub comparison: String,
    /// The result of the comparison.
    pub outcome: Outcome,
    /// What differs, if the server can show it.
    pub differences: Vec<Difference>,
    /// Who wrote the resource, the last one first.
    pub writers: Vec<Written>,
    /// Who wrote the object on the server last, in a sentence. Empty if that is not known.
    pub last_write: String,
}

/// Result of a comparison of an object with its resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// The object is as the resource wants it.
    Same,
    /// The object differs, or does not exist.
    Different,
    /// The server could not be asked.
    NotCompared,
}

/// A member of the object that differs.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Difference {
    /// Name of the member, as the server calls it.
    pub member: String,
    /// What the resource wants, as JSON; empty for nothing.
    pub wanted: String,
    /// What the server has, as JSON; empty for nothing.
    pub found: String,
}

/// A write of a resource.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Written {
    /// Name of the program.
    pub by: String,
    /// When, in RFC 3339.
    pub at: String,
}

/// What differs between two clients.
pub fn differences(wanted: &Map<String, Value>, found: &Map<String, Value>, names: &[String]) -> Vec<Difference> {
    let text = |value: Option<&Value>| value.map(Value::to_string).unwrap_or_default();
    let each = names.iter().map(|name| Difference {
        member: name.clone(),
        wanted: text(wanted.get(name)),
        found: text(found.get(name)),
    });
    each.collect()
}

/// Who wrote the spec of a resource, the last one first: what Kubernetes notes in the managed fields.
pub fn writers(resource: &impl ResourceExt) -> Vec<Written> {
    let entries = resource.managed_fields().iter();
    let mut all: Vec<(Timestamp, String)> = entries
        .filter(|entry| entry.subresource.as_deref().unwrap_or_default().is_empty())
        .filter_map(|entry| Some((entry.time.as_ref()?.0, entry.manager.clone()?)))
        .collect();
    all.sort_by(|one, other| other.cmp(one));
    let named = all.into_iter().take(WRITERS);
    named.map(|(at, by)| Written { by, at: at.to_string() }).collect()
}

/// Who wrote a client last. `ours`: when the server stored the operator's last write; `found`: when it stored the last
/// write of all; both by its own clock.
pub fn last_write(ours: Option<&str>, found: Option<&str>, is_same: bool) -> String {
    match (ours, found) {
        (Some(ours), Some(_)) if is_same => format!("The operator wrote it last, at {ours}."),
        (Some(ours), Some(found)) => {
            format!("Somebody else wrote it at {found}, after the operator at {ours}.")
        }
        (None, Some(found)) => format!("It was written at {found}, and never by the operator."),
        (_, None) => String::new(),
    }
}

/// The explanation for people, with colours.
pub fn text(told: &Explanation) -> String {
    let mut text = String::new();
    let style = Style::new().fg_color(Some(match told.state {
        State::Ready => AnsiColor::Green.into(),
        _ => AnsiColor::Yellow.into(),
    }));
    let _ = writeln!(
        text,
        "{} on AuthorizationServer {}  {style}{:?}{style:#}",
        told.key,
        printable(&told.server),
        told.state
    );
    for sentence in [&told.message, &told.comparison, &told.last_write] {
        if !sentence.is_empty() {
            let _ = writeln!(text, "  {}", printable(sentence));
        }
    }
    for Difference { member, wanted, found } in &told.differences {
        let _ = writeln!(text, "  {}", printable(member));
        let _ = writeln!(text, "    wanted  {}", short(wanted));
        let _ = writeln!(text, "    server  {}", short(found));
    }
    for Written { by, at } in &told.writers {
        let _ = writeln!(text, "  {} changed the resource at {at}.", printable(by));
    }
    text
}

fn short(value: &str) -> String {
    let value = printable(value).to_string();
    match value.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None if value.is_empty() => "-".to_owned(),
        None => value,
    }
}
