//! Trials over the whole run, after its last test.

pub mod canary;
pub mod rbac;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::bed::Reach;
use crate::evidence::Evidence;
use crate::run::Run;

/// The closing trials. Only a `whole` run can show that something never happened.
pub fn trials(run: &Arc<Run>, whole: bool) -> Vec<Trial> {
    let mut trials = Vec::new();
    for reach in [Reach::Everywhere, Reach::Namespaces, Reach::NoSecretWatch] {
        trials.extend([
            run.closing(reach, "nothing_was_forbidden", rbac::nothing_was_forbidden),
            run.closing(reach, "no_secret_was_seen", canary::no_secret_was_seen),
            run.closing(reach, "no_operator_panicked", no_operator_panicked),
            run.closing(reach, "logs_are_json_with_fixed_keys", logs_are_json_with_fixed_keys),
        ]);
        if whole {
            trials.push(run.closing(reach, "every_right_was_used", rbac::every_right_was_used));
        }
    }
    if whole {
        let collected = canary::secrets_were_collected;
        trials.push(run.closing(Reach::Everywhere, "secrets_were_collected", collected));
    }
    trials
}

/// Every line is one JSON object without a key twice, and the lines of a pass name its resource.
fn logs_are_json_with_fixed_keys(evidence: &Evidence) -> Result<()> {
    for (name, log) in &evidence.logs {
        for line in log.lines().filter(|line| line.starts_with('{')) {
            let Line(found) = serde_json::from_str(line).with_context(|| format!("{name}: {line}"))?;
            let is_pass = found.get("message").is_some_and(|message| message == "pass");
            let of_pass = ["kind", "name", "generation", "reconcile_id"];
            ensure!(
                !is_pass || of_pass.iter().all(|key| found.contains_key(*key)),
                "{name}: {line}"
            );
            // No test makes a resource with the name of the span.
            ensure!(found.get("name").is_none_or(|of| of != "pass"), "{name}: {line}");
        }
    }
    Ok(())
}

/// A JSON object that has no key twice.
struct Line(BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Line;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Line, A::Error> {
                let mut found = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if found.insert(key.clone(), value).is_some() {
                        return Err(A::Error::custom(format!("the key {key} twice")));
                    }
                }
                Ok(Line(found))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

fn no_operator_panicked(evidence: &Evidence) -> Result<()> {
    for (name, log) in &evidence.logs {
        let panic = log.lines().find(|line| line.contains("panicked"));
        ensure!(panic.is_none(), "{name}: {}", panic.unwrap_or_default());
    }
    Ok(())
}
