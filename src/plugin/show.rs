//! What `status` prints. Pure.

use std::collections::HashSet;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::admin::bounded::printable;
use crate::plugin::census::{Key, State};
use crate::plugin::tree::Node;

/// The state of a cluster, for scripts.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    /// How many resources there are, each counted once.
    pub total: usize,
    /// How many of them are not well.
    #[serde(rename = "notReady")]
    pub not_ready: usize,
    /// The AuthorizationServers, with everything below them.
    pub servers: Vec<Shown<'a>>,
}

/// A resource, for scripts.
#[derive(Debug, Serialize)]
pub struct Shown<'a> {
    #[serde(flatten)]
    key: &'a Key,
    state: State,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    children: Vec<Shown<'a>>,
}

/// How many resources there are and how many of them are not well, each counted once.
pub fn count(nodes: &[Node]) -> (usize, usize) {
    let (mut seen, mut unwell) = (HashSet::new(), 0);
    let mut open: Vec<&Node> = nodes.iter().collect();
    while let Some(node) = open.pop() {
        open.extend(&node.children);
        let is_known = node.entry.state != State::Unknown;
        if is_known && seen.insert(&node.entry.key) && !node.entry.state.is_well() {
            unwell += 1;
        }
    }
    (seen.len(), unwell)
}

/// The report of a tree. `counted`: the result of [`count`] for the whole tree.
pub fn report(nodes: &[Node], counted: (usize, usize)) -> Report<'_> {
    Report {
        total: counted.0,
        not_ready: counted.1,
        servers: nodes.iter().map(shown).collect(),
    }
}

fn shown(node: &Node) -> Shown<'_> {
    Shown {
        key: &node.entry.key,
        state: node.entry.state,
        reason: &node.entry.reason,
        message: &node.entry.message,
        children: node.children.iter().map(shown).collect(),
    }
}

/// The tree as text with colours, and a last line with the count.
pub fn text(nodes: &[Node], counted: (usize, usize)) -> String {
    let mut text = String::new();
    for node in nodes {
        draw(&mut text, node, "", "", "");
    }
    let (total, unwell) = counted;
    let ending = if total == 1 { "" } else { "s" };
    let _ = match unwell {
        0 if total == 0 => writeln!(text, "There are no resources here."),
        0 => writeln!(text, "{total} resource{ending}, all well."),
        unwell => writeln!(text, "{total} resource{ending}, {unwell} of them not ready."),
    };
    text
}

/// `indent`: what stands before each line of this node. `branch`: what leads to the node itself. `trunk`: what goes on
/// beside the lines below it.
fn draw(text: &mut String, node: &Node, indent: &str, branch: &str, trunk: &str) {
    let style = style(node.entry.state);
    let (key, state) = (&node.entry.key, node.entry.state);
    let _ = writeln!(text, "{indent}{branch}{key}  {style}{state:?}{style:#}");
    let below = format!("{indent}{trunk}");
    if !node.entry.message.is_empty() {
        let beside = if node.children.is_empty() { "   " } else { "│  " };
        // Whoever may write a status must not control the terminal of whoever reads it.
        let (reason, message) = (printable(&node.entry.reason), printable(&node.entry.message));
        let colon = if reason.is_empty() { "" } else { ": " };
        let _ = writeln!(text, "{below}{beside}{reason}{colon}{message}");
    }
    let last = node.children.len().saturating_sub(1);
    for (place, child) in node.children.iter().enumerate() {
        let (branch, trunk) = if place == last {
            ("└─ ", "   ")
        } else {
            ("├─ ", "│  ")
        };
        draw(text, child, &below, branch, trunk);
    }
}

fn style(state: State) -> Style {
    let color = match state {
        State::Ready => AnsiColor::Green,
        State::Stalled => AnsiColor::Red,
        State::Reconciling | State::Pending | State::Deleting => AnsiColor::Yellow,
        State::Suspended | State::Unknown => AnsiColor::Cyan,
    };
    Style::new().fg_color(Some(color.into()))
}
