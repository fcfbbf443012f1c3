//! Parts of messages.

use crate::admin::hydra::version::Unsupported;

/// A foreign value as it may stand in a message: bounded, on one line.
pub fn shown(value: &str) -> String {
    const LONGEST: usize = 200;
    let mut text: String = value
        .chars()
        .take(LONGEST)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.len() < value.len() {
        text.push('…');
    }
    text
}

pub(super) fn unsupported(why: Unsupported) -> &'static str {
    match why {
        Unsupported::TooOld => "this operator does not know; it works with Ory Hydra 1.11, and from 2.2 on",
        Unsupported::NoChosenIds => {
            "does not let a client's id be chosen, so nothing can be registered safely; upgrade it to 2.2 or later"
        }
    }
}

pub(super) fn named(names: &[&'static str]) -> String {
    if names.is_empty() {
        "the client's metadata".to_owned()
    } else {
        names.join(", ")
    }
}

pub(super) fn waited_for(fields: &[&'static str]) -> String {
    match fields {
        [] => String::new(),
        _ => format!(
            "; it fetches {} before it answers, so see that it gets an answer there",
            fields.join(", ")
        ),
    }
}

pub(super) fn key_part(key: &Option<String>) -> String {
    key.as_ref().map(|k| format!(", key `{k}`,")).unwrap_or_default()
}

pub(super) fn namespace_part(namespace: &Option<String>) -> String {
    namespace
        .as_ref()
        .map(|n| format!(" in namespace `{n}`"))
        .unwrap_or_default()
}

pub(super) fn version_part(version: &Option<String>) -> String {
    version
        .as_ref()
        .map(|version| format!(" (version `{}`)", shown(version)))
        .unwrap_or_default()
}
