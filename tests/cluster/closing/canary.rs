//! No secret of the run appears where it does not belong, in any form.

use std::collections::HashMap;

use anyhow::{Result, bail, ensure};
use k8s_openapi::ByteString;

use crate::evidence::Evidence;

/// Shortest value to look for; shorter ones match by chance. A form is looked up by this many bytes at its start.
const SHORTEST: usize = 8;

/// A form in which a secret may appear.
struct Needle {
    how: &'static str,
    text: String,
}

/// Checks that no text contains a canary.
pub fn no_secret_was_seen(evidence: &Evidence) -> Result<()> {
    let canaries = evidence.canaries.iter().filter(|canary| canary.len() >= SHORTEST);
    let mut needles: HashMap<Vec<u8>, Vec<Needle>> = HashMap::new();
    for needle in canaries.flat_map(|canary| forms(canary)) {
        if let Some(start) = needle.text.as_bytes().get(..SHORTEST) {
            needles.entry(start.to_vec()).or_default().push(needle);
        }
    }
    for (place, text) in &evidence.texts {
        let found = text.as_bytes().windows(SHORTEST).enumerate().find_map(|(at, start)| {
            let rest = &text.as_bytes()[at..];
            needles
                .get(start)?
                .iter()
                .find(|needle| rest.starts_with(needle.text.as_bytes()))
        });
        if let Some(needle) = found {
            // The message does not show the value: it does not belong in a log of the tests either.
            bail!(
                "a secret is in {place}, {}, with {} characters",
                needle.how,
                needle.text.len()
            );
        }
    }
    Ok(())
}

/// Checks that there was something to look for.
pub fn secrets_were_collected(evidence: &Evidence) -> Result<()> {
    ensure!(
        evidence.canaries.len() > 1,
        "only the operator's own token was collected"
    );
    Ok(())
}

/// The forms in which a value may appear in a text.
fn forms(value: &str) -> Vec<Needle> {
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    let escaped = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let mut forms = vec![
        ("in plain text", value.to_owned()),
        ("in hexadecimal", hex.to_uppercase()),
        ("in hexadecimal", hex),
        ("escaped for URLs", escaped),
    ];
    for before in 0..3 {
        let standard = base64_within(value, before);
        forms.push(("in base64url", standard.replace('+', "-").replace('/', "_")));
        forms.push(("in base64", standard));
    }
    forms.into_iter().map(|(how, text)| Needle { how, text }).collect()
}

/// The base64 characters that encode `value` alone, when it follows `before` other bytes.
fn base64_within(value: &str, before: usize) -> String {
    let bytes = [vec![0; before], value.as_bytes().to_vec()].concat();
    let sure = bytes.len() * 8 / 6; // the character after these depends on what follows
    let encoded = serde_json::to_value(ByteString(bytes)).ok();
    let encoded = encoded.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
    let mixed = (before * 8).div_ceil(6); // and these depend on what comes before
    encoded.get(mixed..sure).unwrap_or_default().to_owned()
}
