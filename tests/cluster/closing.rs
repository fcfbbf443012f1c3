//! Trials over the whole run, after its last test.

pub mod canary;
pub mod rbac;

use std::sync::Arc;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;

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

fn no_operator_panicked(evidence: &Evidence) -> Result<()> {
    for (name, log) in &evidence.logs {
        let panic = log.lines().find(|line| line.contains("panicked"));
        ensure!(panic.is_none(), "{name}: {}", panic.unwrap_or_default());
    }
    Ok(())
}
