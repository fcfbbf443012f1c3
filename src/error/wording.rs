//! Parts of messages.

use crate::admin::hydra::version::Unsupported;

/// A foreign value for a message: of limited length, on one line.
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
        Unsupported::TooOld => "this operator does not support. Use Ory Hydra 1.11, or 2.2 or later",
        Unsupported::NoChosenIds => {
            "does not let the operator choose a client's id, so it cannot register clients safely. Upgrade the server to 2.2 or later"
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
            "; it fetches {} before it answers, so make sure that it gets a reply from there",
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
